"""The engine as a whole: what it writes, that nothing but the inputs decides it, and how it goes on."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from synthetic import Data, Sources, data, lay_out, read_tensors

from ramekin.errors import UsageError
from ramekin.merge.engine import Means, MergedWeights, WrittenFile, merge_weights, probe
from ramekin.merge.resources import Resources, memory_needed
from ramekin.merge.statistics import Probe
from ramekin.methods import Ram, RamPlus, RamPlusSmooth
from ramekin.methods.ram import RamFamily
from ramekin.progress import Bar

NAMES = ("embed", "layer.0", "layer.1", "norm", "scalar", "empty")
THREE_SHARDS = (("embed",), ("layer.0", "norm"), ("layer.1", "scalar", "empty"))


def checkpoint(directory: Path, dtypes: tuple[str, ...] = ("BF16",) * 4, **layout: object) -> Sources:
    """Six tensors, three experts of densities 3 %, 46 % and 54 %."""
    generator = np.random.default_rng(7)
    shapes = {
        "embed": (300, 40),
        "layer.0": (64, 70),
        "layer.1": (33, 3, 5),
        "norm": (40,),
        "scalar": (),
        "empty": (0, 4),
    }
    base = {n: data(0.05 * generator.standard_normal(s), dtypes[0], s) for n, s in shapes.items()}
    experts: dict[str, dict[str, Data]] = {}
    for name, density, dtype in zip(("a", "b", "c"), (0.03, 0.46, 0.54), dtypes[1:], strict=True):
        experts[name] = {}
        for n, start in base.items():
            size = len(start.values)
            moved = start.values + (generator.random(size) < density) * generator.normal(0, 0.01, size)
            experts[name][n] = data(moved, dtype, start.shape)
    return lay_out(directory, base, experts, **layout)  # type: ignore[arg-type]


def digests(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(directory.iterdir())}


@pytest.mark.parametrize("method", [Ram(), RamPlus(), RamPlusSmooth()], ids=lambda m: m.name)
@pytest.mark.parametrize("dtypes", [("BF16",) * 4, ("F16", "F32", "BF16", "F16")], ids=["bf16", "mixed"])
def test_chunks_and_threads_decide_nothing(method: RamFamily, dtypes: tuple[str, ...], tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", dtypes, shards=THREE_SHARDS)
    results = []
    for i, (chunk, threads) in enumerate([(1 << 20, 1), (1 << 20, 4), (4096, 3), (1000, 2), (37, 4)]):
        out = tmp_path / f"out{i}"
        merged = merge_weights(sources.layout, sources.supply, method, out, means=Means(Resources(chunk, threads)))
        assert {name: record.sha256 for name, record in merged.files.items()} == digests(out)
        assert {name: (out / name).stat().st_size for name in merged.files} == {
            name: record.size for name, record in merged.files.items()
        }
        results.append(merged)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("method", [Ram(), RamPlus()], ids=lambda m: m.name)
def test_sharding_changes_no_tensor(method: RamFamily, tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "in1")
    three = checkpoint(tmp_path / "in3", shards=THREE_SHARDS)
    first = merge_weights(one.layout, one.supply, method, tmp_path / "one")
    second = merge_weights(three.layout, three.supply, method, tmp_path / "three")
    assert read_tensors(tmp_path / "one") == read_tensors(tmp_path / "three")
    assert (first.probe, first.lambdas) == (second.probe, second.lambdas)
    assert sorted(first.files) == ["model.safetensors"]
    assert len(second.files) == 4


def test_one_element_at_a_time(tmp_path: Path) -> None:
    base = {"w": data([1.0, -0.0, 3.0], "BF16"), "v": data([2.0] * 7, "F32")}
    experts = {"x": {"w": data([1.5, 0.0, 3.0], "BF16"), "v": data(range(7), "F16")}}
    sources = lay_out(tmp_path / "in", base, experts)
    expected = merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "a")
    found = merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "b", means=Means(Resources(1, 4)))
    assert found == expected


def test_other_readers_agree(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", ("BF16", "F32", "BF16", "F16"), shards=THREE_SHARDS)
    merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "out")
    ours = read_tensors(tmp_path / "out")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    for shard in sources.layout.shards:
        loaded = safetensors.torch.load_file(tmp_path / "out" / shard.file)
        assert (
            set(loaded)
            == {t.name for t in shard.tensors}
            == {n for n, f in index["weight_map"].items() if f == shard.file}
        )
        for name, tensor in loaded.items():
            assert tensor.dtype == torch.bfloat16
            assert tuple(tensor.shape) == ours[name].shape
            assert tensor.reshape(-1).view(torch.int16).numpy().tobytes() == ours[name].raw
        with safe_open(tmp_path / "out" / shard.file, "pt") as opened:
            assert opened.metadata() == {"format": "pt"}


def test_the_index_is_written_as_transformers_does(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", shards=(("norm", "scalar"), ("layer.1",), ("embed", "layer.0", "empty")))
    merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")
    text = (tmp_path / "out" / "model.safetensors.index.json").read_text()
    index = json.loads(text)
    assert text == json.dumps(index, indent=2, sort_keys=True) + "\n"
    elements = 300 * 40 + 64 * 70 + 33 * 15 + 40 + 1
    assert index["metadata"] == {"total_parameters": elements, "total_size": 2 * elements}
    assert index["weight_map"]["norm"] == "model-00001-of-00003.safetensors"
    assert list(index["weight_map"]) == sorted(NAMES)


def test_wider_types_come_first_so_that_all_are_aligned(tmp_path: Path) -> None:
    names = {"odd": Data("U8", (3,), b"abc"), "half": data([1.0], "BF16"), "wide": data([2.0], "F32")}
    sources = lay_out(tmp_path / "in", names, {"e": names})
    merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")
    assert list(read_tensors(tmp_path / "out")) == ["wide", "half", "odd"]
    loaded = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    assert loaded["odd"].tolist() == list(b"abc")


def test_a_chosen_output_type(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", dtype="F32")
    merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "wide")
    wide = read_tensors(tmp_path / "wide")
    sources = checkpoint(tmp_path / "in")
    merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "narrow")
    for name, d in read_tensors(tmp_path / "narrow").items():
        assert wide[name].dtype == "F32"
        assert data(wide[name].values, "BF16", d.shape) == d


class Stop(Exception):  # noqa: N818
    """The run is interrupted here."""


@pytest.mark.parametrize("method", [Ram(), RamPlus()], ids=lambda m: m.name)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_run_goes_on(method: RamFamily, after: int, tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", shards=THREE_SHARDS)
    whole = merge_weights(sources.layout, sources.supply, method, tmp_path / "whole")
    state: dict[str, str] = {}
    probes: list[str] = []

    def remember(name: str, file: WrittenFile) -> None:
        if len(state) == after:
            raise Stop
        state[name] = file.model_dump_json()

    def run(on_shard: Callable[[str, WrittenFile], None]) -> MergedWeights:
        return merge_weights(
            sources.layout,
            sources.supply,
            method,
            tmp_path / "out",
            done={name: WrittenFile.model_validate_json(text) for name, text in state.items()},
            statistics=Probe.model_validate_json(probes[0]) if probes else None,
            on_probe=lambda found: probes.append(found.model_dump_json()),
            on_shard=on_shard,
        )

    with pytest.raises(Stop):
        run(remember)
    kept = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in state}
    (tmp_path / "out" / "model-00003-of-00003.safetensors.part").write_bytes(b"left by a kill" * 1000)
    made: list[str] = []
    assert run(lambda name, file: made.append(name)) == whole
    assert len(probes) == (method.passes == 2)
    assert made == [shard.file for shard in sources.layout.shards[after:]]
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in kept} == kept
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_finished_file_that_is_gone_or_cut_is_made_again(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", shards=THREE_SHARDS)
    done: dict[str, WrittenFile] = {}
    whole = merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out", on_shard=done.__setitem__)
    before = digests(tmp_path / "out")
    first, second, _ = sorted(done)
    (tmp_path / "out" / first).unlink()
    os.truncate(tmp_path / "out" / second, 100)
    made: list[str] = []
    again = merge_weights(
        sources.layout, sources.supply, Ram(), tmp_path / "out", done=done, on_shard=lambda n, _: made.append(n)
    )
    assert made == [first, second]
    assert again == whole
    assert digests(tmp_path / "out") == before


def test_known_statistics_are_not_taken_again(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in")
    known = probe(sources.layout, sources.supply, 1e-5)
    single = merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "a", statistics=known)
    both = merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "b")
    assert single == both
    assert both.bytes_read == 2 * sources.layout.input_bytes
    counted = merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "c")
    assert counted.probe == known
    assert counted.bytes_read == sources.layout.input_bytes


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in", shards=THREE_SHARDS)
    seen: dict[str, list[int]] = {}

    class Recorder:
        def bar(self, label: str, total: int) -> AbstractContextManager[Bar]:
            seen[label] = [total, 0]

            class Recorded:
                def advance(self, amount: int) -> None:
                    seen[label][1] += amount

            return nullcontext(Recorded())

        def note(self, text: str) -> None: ...

    merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "out", means=Means(progress=Recorder()))
    assert len(seen) >= 2
    assert all(total == done for total, done in seen.values())


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path / "in")
    with pytest.raises(UsageError, match="GPU"):
        probe(sources.layout, sources.supply, 1e-5, means=Means(Resources(device="cuda")))
    with pytest.raises(UsageError, match="0 experts"):
        probe(replace(sources.layout, experts=()), sources.supply, 1e-5)
    many = replace(sources.layout, experts=tuple(f"e{i}" for i in range(17)))
    with pytest.raises(UsageError, match="17 experts"):
        merge_weights(many, sources.supply, Ram(), tmp_path / "out")
    with pytest.raises(ValueError, match="at least 1"):
        Resources(chunk_bytes=0)


_MEASURE = """
import sys
from pathlib import Path
from ramekin.checkpoint.tensors import Tensor
from ramekin.merge.engine import Means, merge_weights
from ramekin.merge.files import AtHand
from ramekin.merge.resources import Resources
from ramekin.methods import RamPlus
from ramekin.plan.layout import Layout, Shard, TensorTask

here = Path(sys.argv[1])
files = {"base": {"base": here / "base"}, "expert:a": {"a": here / "a"}, "expert:b": {"b": here / "b"}}

def merge(elements, directory):
    base, a, b = (Tensor("w", "BF16", (elements,), name, 0) for name in ("base", "a", "b"))
    shard = Shard("model.safetensors", (TensorTask("w", "BF16", (elements,), "merge", base, (a, b)),))
    how = Resources(chunk_bytes=int(sys.argv[3]), threads=2)
    merge_weights(Layout((shard,), ("a", "b")), AtHand(files), RamPlus(), directory, means=Means(how))

def memory(field):
    return int(Path("/proc/self/status").read_text().split(field + ":")[1].split()[0]) << 10

merge(1000, here / "warm")
Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
before = memory("VmRSS")
merge(int(sys.argv[2]), here / "out")
print(before, memory("VmHWM"))
"""


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """300 MB of bfloat16 in one tensor of each of three sources, through chunks of 256 KiB."""
    elements, how = 50_000_000, Resources(chunk_bytes=1 << 18, threads=2)
    for i, name in enumerate(("base", "a", "b")):
        block = np.full(1 << 20, 0x3F80 + i, np.uint16).tobytes()
        with (tmp_path / name).open("wb") as file:
            for _ in range(2 * elements // len(block) + 1):
                file.write(block)
    command = [sys.executable, "-c", _MEASURE, str(tmp_path), str(elements), str(how.chunk_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, peak = map(int, done.stdout.split())
    assert (tmp_path / "out" / "model.safetensors").stat().st_size > 2 * elements
    windows = how.threads * 3 * how.row_bytes(2)
    assert peak - before < windows + (12 << 20) < 3 * 2 * elements, "what is read, and what the allocator keeps"
    assert peak < memory_needed(2, how), "what a plan tells is enough for the whole process"


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_engine import THREE_SHARDS, checkpoint
from ramekin.merge import engine, output
from ramekin.merge.engine import Means
from ramekin.merge.resources import Resources
from ramekin.methods import Ram

here = Path(sys.argv[2])
sources = checkpoint(here / "in", shards=THREE_SHARDS)
kept = output.ShardWriter.digest

def digest(self, data):
    kept(self, data)
    if (here / "out" / "model-00001-of-00003.safetensors").exists() and self._digested > 2000:
        os.kill(os.getpid(), signal.SIGKILL)

output.ShardWriter.digest = digest
engine.merge_weights(
    sources.layout, sources.supply, Ram(), here / "out", means=Means(Resources(64, 2)),
    on_shard=lambda name, file: (here / name).write_text(file.model_dump_json()),
)
"""


def test_a_kill_in_the_middle_of_a_file_leaves_what_the_next_run_overwrites(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    first, second, third = (f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [first, f"{second}.part"]
    sources = checkpoint(tmp_path / "in", shards=THREE_SHARDS)
    done = {first: WrittenFile.model_validate_json((tmp_path / first).read_text())}
    merged = merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out", done=done)
    assert merged == merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "whole")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert third in merged.files

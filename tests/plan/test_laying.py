"""The layout of the output, and what it costs."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_checkpoints import CONFIG, facts, tensors

from ramekin.checkpoint.tensors import ITEM_SIZES
from ramekin.lock.model import PinnedFile
from ramekin.plan.cost import estimate_cost
from ramekin.plan.laying import lay_out, shard_names
from ramekin.plan.layout import Layout
from ramekin.plan.model import PlannedLayout

contents_of = st.dictionaries(
    st.text("abcdefgh.", min_size=1, max_size=8),
    st.tuples(
        st.sampled_from(["BF16", "F16", "F32", "I64", "BOOL"]), st.lists(st.integers(0, 9), max_size=3).map(tuple)
    ),
    min_size=1,
    max_size=30,
)


@given(contents_of, st.integers(1, 5), st.none() | st.integers(1, 3000), st.sampled_from([None, "bfloat16", "float32"]))
def test_every_tensor_once_in_order_within_size(contents, files, shard_size, dtype) -> None:  # type: ignore[no-untyped-def]
    base = facts(contents=contents, files=files)
    layout = lay_out(base, {"x": facts("expert:x", contents)}, dtype=dtype, shard_size=shard_size)
    tasks = [task for shard in layout.shards for task in shard.tensors]
    assert sorted(task.name for task in tasks) == sorted(contents)
    assert layout.experts == ("x",)
    assert tuple(shard.file for shard in layout.shards) == shard_names(len(layout.shards))
    order = {name: number for number, name in enumerate(contents)}
    reached = -1
    for shard in layout.shards:
        places = [order[task.name] for task in shard.tensors]
        assert min(places) > reached, "files follow the base's order"
        reached = max(places)
        sizes = [ITEM_SIZES[task.dtype] for task in shard.tensors]
        assert sizes == sorted(sizes, reverse=True), "larger elements first, so that all are aligned"
        for size in set(sizes):
            same = [place for place, other in zip(places, sizes, strict=True) if other == size]
            assert same == sorted(same)
        if shard_size is not None and len(shard.tensors) > 1:
            nonempty = [task.nbytes for task in shard.tensors if task.nbytes]
            assert sum(nonempty) <= shard_size or len(nonempty) == 1
    for task in tasks:
        stored = contents[task.name][0]
        merged = stored in ("BF16", "F16", "F32")
        assert task.operation == ("merge" if merged else "copy")
        assert task.dtype == ({"bfloat16": "BF16", "float32": "F32", None: stored}[dtype] if merged else stored)
        assert task.experts[0].name == task.base.name == task.name


def test_a_layout_is_the_same_every_time() -> None:
    contents = tensors(layers=9)
    first, second = (lay_out(facts(contents=contents, files=3), {"x": facts("expert:x", contents)}) for _ in range(2))
    assert first == second


def test_by_default_the_base_s_own_files() -> None:
    layout = lay_out(facts(files=3), {"x": facts("expert:x")})
    assert [shard.file for shard in layout.shards] == [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    assert [len(shard.tensors) for shard in layout.shards] == [3, 3, 1]
    assert lay_out(facts(), {"x": facts("expert:x")}).shards[0].file == "model.safetensors"


def test_tied_layers_are_left_out_and_counted_once() -> None:
    config = CONFIG | {"tie_word_embeddings": True}
    base, expert = facts(config=config, files=7), facts("expert:x", tensors(head=False), config=config)
    layout = lay_out(base, {"x": expert})
    assert "lm_head.weight" not in {task.name for shard in layout.shards for task in shard.tensors}
    assert layout.merged_elements == 64 * 16 + 2 * (32 * 16 + 16) + 16
    assert len(layout.shards) == 6, "a file that holds nothing is left out"
    assert layout.shards[-1].file == "model-00006-of-00006.safetensors"


def test_the_base_decides_the_shape_of_a_padded_vocabulary() -> None:
    layout = lay_out(facts(), {"x": facts("expert:x", tensors(rows=72))})
    task = next(t for s in layout.shards for t in s.tensors if t.name == "model.embed_tokens.weight")
    assert (task.shape, task.experts[0].shape) == ((64, 16), (72, 16))


def test_numbers_of_a_layout() -> None:
    contents = tensors() | {"ids": ("I64", (3,)), "scale": ("F32", ())}
    summary = PlannedLayout.of(lay_out(facts(contents=contents, files=2), {"x": facts("expert:x", contents)}))
    assert summary == PlannedLayout(
        tensors=9, elements=3121, files=2, bytes=2 * 3120 + 4 + 24, dtypes={"BF16": 7, "F32": 1, "I64": 1}
    )


def _small_layout() -> Layout:
    return lay_out(facts(), {"x": facts("expert:x"), "y": facts("expert:y")})


def _file(first: str, size: int) -> PinnedFile:
    return PinnedFile(size=size, sha256=first * 64)


def test_cost_counts_shared_and_present_files_once() -> None:
    pinned = [
        {"model.safetensors": _file("a", 1000), "tokenizer.json": _file("f", 50)},
        {"model.safetensors": _file("b", 2000), "tokenizer.json": _file("f", 50)},
        {"model.safetensors": _file("c", 4000)},
    ]
    layout = _small_layout()
    cost = estimate_cost(pinned, [_file("b", 0).digest, "sha256:unknown"], layout, reads=2, copied=70)
    assert (cost.download_bytes, cost.download_files, cost.at_hand_bytes) == (5050, 3, 2000)
    assert cost.read_bytes == 2 * 3 * layout.total_size
    assert cost.write_bytes == layout.total_size + 70
    assert cost.disk_bytes == 5050 + cost.write_bytes
    assert cost.seconds == 1
    assert cost.memory_bytes > 100_000_000
    assert "MB/s" in cost.assumptions


def test_time_is_estimated_from_the_bytes() -> None:
    cost = estimate_cost([{"m": _file("a", 10**10)}], [], _small_layout(), reads=1)
    assert 95 < cost.seconds < 105


@pytest.mark.parametrize("module", ["laying", "compatibility", "cost", "rendering", "model"])
def test_planning_needs_no_heavy_library(module: str) -> None:
    heavy = {"numpy", "torch", "numba", "transformers"}
    code = f"import sys, ramekin.plan.{module}; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

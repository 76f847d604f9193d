"""Several ranks, here threads, give what one gives, and end together whatever happens to one of them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from crews import with_followers
from hypothesis import given
from hypothesis import strategies as st
from synthetic import Data, Sources, data, lay_out
from test_engine import Stop, digests

from ramekin.checkpoint.tensors import Tensor
from ramekin.environment import Processes
from ramekin.errors import DamagedError, LostError, ResourceError, SourceError
from ramekin.merge.engine import Means, MergedWeights, Probe, WrittenFile, count_for, merge_weights, probe
from ramekin.merge.equipping import equip
from ramekin.merge.files import AtHand, SourceFiles
from ramekin.merge.orders import follow
from ramekin.merge.output import shard_writer
from ramekin.merge.resources import Resources, memory_needed, memory_of_all, usable_threads
from ramekin.merge.tally import Tally
from ramekin.merge.team import Alone, Crew, share
from ramekin.methods import (
    Arm,
    Average,
    Dare,
    DareTies,
    Method,
    ModelStock,
    Ram,
    RamPlus,
    RamPlusSmooth,
    RamUnique,
    TaskArithmetic,
    Ties,
)
from ramekin.plan.layout import Shard, TensorTask
from ramekin.progress import Bar

METHODS = (
    Average(), TaskArithmetic(weight=0.5), Ties(), Dare(seed=1), DareTies(seed=1), ModelStock(), Ram(), RamPlus(),
    RamPlusSmooth(), RamUnique(expert="b"),
)  # fmt: skip
SHAPES = {"embed": (300, 140), "layer.0": (64, 70), "layer.1": (33, 3, 5), "norm": (40,), "scalar": (), "empty": (0, 4)}
SHARDS = (("embed", "norm"), ("layer.0", "scalar", "layer.1", "empty"))
HOW = Resources(chunk_bytes=3000, threads=2)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    generator = np.random.default_rng(3)
    base = {n: data(0.05 * generator.standard_normal(s), "BF16", s) for n, s in SHAPES.items()}
    experts: dict[str, dict[str, Data]] = {}
    for name, density in (("a", 0.03), ("b", 0.46), ("c", 0.54)):
        experts[name] = {}
        for n, start in base.items():
            size = len(start.values)
            moved = start.values + (generator.random(size) < density) * generator.normal(0, 0.01, size)
            experts[name][n] = data(moved, "BF16", start.shape)
    return lay_out(tmp_path_factory.mktemp("team"), base, experts, shards=SHARDS)


def merging(sources: Sources, method: Method, out: Path, **more: object) -> Callable[[Crew], MergedWeights]:
    def command(team: Crew | Alone) -> MergedWeights:
        return merge_weights(sources.layout, sources.supply, method, out, means=Means(HOW, team=team), **more)  # type: ignore[arg-type]

    return command


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("size", [2, 3])
def test_the_number_of_processes_decides_nothing(method: Method, size: int, sources: Sources, tmp_path: Path) -> None:
    alone = merge_weights(sources.layout, sources.supply, method, tmp_path / "one", means=Means(HOW))
    together, ends = with_followers(size, merging(sources, method, tmp_path / "several"))
    assert ends == [0] * (size - 1)
    assert together == alone
    assert digests(tmp_path / "several") == digests(tmp_path / "one")


@pytest.mark.parametrize("size", [1, 3])
def test_several_thresholds_are_counted_in_one_pass(size: int, sources: Sources) -> None:
    """As one after the other, and the bytes are read once."""
    methods = [RamPlus(epsilon=epsilon) for epsilon in (0.0, 1e-5, 0.25, 1e-5)]
    known = {0.5: probe(sources.layout, sources.supply, 0.5)}

    def command(team: Crew | Alone) -> dict[float, Probe]:
        means = Means(HOW, team=team, counted=dict(known))
        count_for(sources.layout, sources.supply, [*methods, RamPlus(epsilon=0.5), Ram(epsilon=3.0)], means)
        return means.counted

    together, _ = with_followers(size, command) if size > 1 else (command(Alone()), None)
    alone = {epsilon: probe(sources.layout, sources.supply, epsilon) for epsilon in (0.5, 0.0, 1e-5, 0.25)}
    assert together == alone
    assert len({each.overlap for each in alone.values()}) > 2, "they are not all alike"
    assert {each.bytes_read for each in together.values()} == {sources.layout.input_bytes}


def test_more_processes_than_tensors_on_machines_of_their_own(sources: Sources, tmp_path: Path) -> None:
    alone = merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "one")
    together, ends = with_followers(7, merging(sources, RamPlus(), tmp_path / "several"), neighbours=1)
    assert ends == [0] * 6
    assert together == alone
    assert digests(tmp_path / "several") == digests(tmp_path / "one")


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (2, 1)])
@pytest.mark.parametrize("method", [Ram(), RamPlus()], ids=lambda m: m.name)
def test_another_number_of_processes_goes_on(
    method: Method, before: int, after: int, sources: Sources, tmp_path: Path
) -> None:
    whole = merge_weights(sources.layout, sources.supply, method, tmp_path / "whole")
    done: dict[str, WrittenFile] = {}

    def remember(name: str, file: WrittenFile) -> None:
        if done:
            raise Stop
        done[name] = file

    stopped, _ = with_followers(before, merging(sources, method, tmp_path / "out", on_shard=remember))
    assert isinstance(stopped, Stop)
    again, ends = with_followers(after, merging(sources, method, tmp_path / "out", done=done))
    assert again == whole
    assert ends == [0] * (after - 1)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def damaged(directory: Path) -> Sources:
    base = {name: data(np.ones(size)) for name, size in (("one", 9), ("two", 7), ("three", 8), ("four", 30))}
    bad = {name: Data(d.dtype, d.shape, d.raw[:-4] + b"\x00\x00\xc0\x7f") for name, d in base.items()}
    return lay_out(directory, base, {"good": base, "bad": bad}, shards=(("one", "two"), ("three", "four")))


def test_what_is_damaged_is_told_in_the_same_order(tmp_path: Path) -> None:
    sources = damaged(tmp_path)
    with pytest.raises(DamagedError) as alone:
        probe(sources.layout, sources.supply, 1e-5)
    together, ends = with_followers(3, lambda team: probe(sources.layout, sources.supply, 1e-5, Means(team=team)))
    assert isinstance(together, DamagedError)
    assert together.problems == alone.value.problems
    assert len(together.problems) == 4
    assert ends == [6, 6]


def test_damage_that_stops_a_merge_stops_all_and_leaves_nothing(tmp_path: Path) -> None:
    sources = damaged(tmp_path / "in")
    together, ends = with_followers(2, merging(sources, Ram(), tmp_path / "out"))
    assert isinstance(together, DamagedError)
    assert len(together.problems) == 1
    assert ends == [6]
    assert list((tmp_path / "out").iterdir()) == []


class Untold(Exception):  # noqa: N818
    """Cannot be told to another process."""

    def __init__(self) -> None:
        super().__init__("a lock inside")
        self.lock = threading.Lock()


@pytest.mark.parametrize(("error", "told"), [(ZeroDivisionError("of one"), "of one"), (Untold(), "Untold: a lock")])
def test_a_defect_of_one_is_told_by_the_first(
    error: Exception, told: str, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tally.add

    def add(*arguments: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise error
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Tally, "add", add)
    together, ends = with_followers(2, merging(sources, Ram(), tmp_path / "out"))
    assert isinstance(together, Exception)
    assert told in str(together)
    assert "in process 1:\nTraceback" in together.__notes__[0]
    assert ends == [70]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_source_that_cannot_be_had_ends_all(sources: Sources, tmp_path: Path) -> None:
    class Failing(AtHand):
        @contextmanager
        def holding(self, shard: Shard) -> Iterator[SourceFiles]:
            if shard.file.startswith("model-00002"):
                raise SourceError("gone", "wait")
            yield self.files

    supply = Failing(sources.files)
    together, ends = with_followers(
        3, lambda team: merge_weights(sources.layout, supply, Ram(), tmp_path / "out", means=Means(HOW, team=team))
    )
    assert isinstance(together, SourceError)
    assert ends == [4, 4]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model-00001-of-00002.safetensors"]


@pytest.mark.parametrize("after", [0, 1, 4, 8])
def test_a_process_that_is_gone_is_missed(after: int, sources: Sources, tmp_path: Path) -> None:
    def leave(team: Crew) -> int:
        real, left = team.gather, [after]

        def gather(mine: object) -> list[object]:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(mine)

        team.gather = gather  # type: ignore[method-assign,assignment]
        return follow(team)

    together, ends = with_followers(2, merging(sources, RamPlus(), tmp_path / "out"), lead=leave)
    assert isinstance(together, LostError)
    assert isinstance(ends[0], KeyboardInterrupt)
    assert not list(tmp_path.rglob("*.part"))


def test_a_machine_with_another_disk_is_told(sources: Sources, tmp_path: Path) -> None:
    shard = sources.layout.shards[0]
    with (
        pytest.raises(ResourceError, match="does not find the file"),
        shard_writer(shard, tmp_path / "x", leading=False),
    ):
        pass
    assert not (tmp_path / "x").exists()
    (tmp_path / f"{shard.file}.part").write_bytes(b"of another merge")
    with pytest.raises(ResourceError, match="does not find the file"), shard_writer(shard, tmp_path, leading=False):
        pass


def test_sources_that_another_machine_lacks_are_told(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: threading.current_thread() is threading.main_thread())
    together, ends = with_followers(
        2, lambda team: probe(sources.layout, sources.supply, 1e-5, Means(HOW, team=team)), neighbours=1
    )
    assert isinstance(together, ResourceError)
    assert "model.safetensors: a process on" in str(together)
    assert "does not find the file" in str(together)
    assert ends == [8]


def test_progress_of_the_first_stands_for_all(sources: Sources, tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {}

    class Recorder:
        def bar(self, label: str, total: int) -> AbstractContextManager[Bar]:
            seen[label] = [total, 0]

            class Recorded:
                def advance(self, amount: int) -> None:
                    seen[label][1] += amount

            return nullcontext(Recorded())

        def note(self, text: str) -> None: ...

    _, ends = with_followers(
        2,
        lambda team: merge_weights(
            sources.layout, sources.supply, RamPlus(), tmp_path, means=Means(HOW, Recorder(), team)
        ),
    )
    assert ends == [0]
    assert len(seen) == 3
    assert all(total == done for total, done in seen.values())


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 5))
def test_shares_make_up_the_whole(sizes: list[int], count: int) -> None:
    tasks = [
        TensorTask(f"t{i}", "F32", (n,), "merge", Tensor(f"t{i}", "F32", (n,), "f", 0), ()) for i, n in enumerate(sizes)
    ]
    shares = [share(tasks, Crew(Processes(rank, count, rank, count), list)) for rank in range(count)]  # type: ignore[arg-type]
    assert sorted(task.name for each in shares for task in each) == sorted(task.name for task in tasks)
    for each in shares:
        assert list(each) == [task for task in tasks if task in each]
    loads = [sum(task.numel + 1 for task in each) for each in shares]
    assert max(loads) - min(loads) <= max(sizes, default=0) + 1


@pytest.mark.parametrize(("method", "more"), [(None, 0), (Arm(), 2 << 30)], ids=["plain", "watching"])
def test_there_must_be_memory_for_all_processes(
    method: Method | None, more: int, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each its own, and its own model where models are watched; on other machines it is others' concern."""
    alone = memory_needed(3, Resources()) + more + (sources.layout.total_size if more else 0)
    monkeypatch.setattr("ramekin.room.memory_available", lambda: alone)
    for neighbours, enough in ((1, True), (2, False)):
        team = SimpleNamespace(rank=0, size=2, place=0, neighbours=neighbours)
        bench: Any = SimpleNamespace(team=team)
        with nullcontext() if enough else pytest.raises(ResourceError, match="memory are needed"):
            assert equip(bench, sources.layout, "cpu", method)[1] is team
    monkeypatch.setattr("ramekin.room.memory_available", lambda: alone - 1)
    with pytest.raises(ResourceError, match="memory are needed"):
        equip(SimpleNamespace(team=None), sources.layout, "cpu", method)  # type: ignore[arg-type]


def test_each_process_needs_memory_of_its_own() -> None:
    assert memory_of_all(1, 400 << 20) == 400 << 20
    assert memory_of_all(3, 400 << 20) == 3 * (656 << 20)
    for count in (1, 2, 1000):
        assert usable_threads(count) == max(1, min(usable_cores() // count, 16))


def usable_cores() -> int:
    return len(os.sched_getaffinity(0))

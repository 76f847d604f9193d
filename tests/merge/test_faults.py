"""Damaged sources, checkpoints that do not fit, a full disk: which error, with which words, and what is left behind."""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from synthetic import Data, Sources, data, lay_out, read_tensors

from ramekin.errors import DamagedError, IncompatibleError, ResourceError
from ramekin.merge import output
from ramekin.merge.engine import Means, count_for, merge_candidates, merge_weights, probe
from ramekin.merge.files import AtHand, OpenSources, Span, open_sources
from ramekin.merge.resources import Resources
from ramekin.methods import Average, Dare, Method, ModelStock, Ram, RamPlus, Ties
from ramekin.plan.layout import Part

SMALL = Resources(chunk_bytes=8, threads=3)


def with_specials(dtype: str) -> dict[str, np.ndarray]:
    first, second = np.ones(40, np.float32), np.zeros(6, np.float32)
    first[[3, 20, 39]] = np.nan, np.inf, -np.inf
    second[5] = np.nan
    return {"w": first, "v": second}


def damaged(directory: Path, dtype: str) -> Sources:
    clean = {"w": data(np.ones(40), dtype), "v": data(np.zeros(6), dtype), "ok": data([1.0], dtype)}
    bad = clean | {name: data(values, dtype) for name, values in with_specials(dtype).items()}
    return lay_out(directory, clean, {"good": clean, "bad": bad})


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_the_probe_names_every_damaged_tensor(dtype: str, tmp_path: Path) -> None:
    sources = damaged(tmp_path / "in", dtype)
    with pytest.raises(DamagedError) as caught:
        probe(sources.layout, sources.supply, 1e-5, means=Means(SMALL))
    assert [problem.what for problem in caught.value.problems] == [
        "expert:bad: bad.safetensors: tensor `w` has 3 values that are NaN or infinite",
        "expert:bad: bad.safetensors: tensor `v` has 1 value that is NaN or infinite",
    ]
    assert caught.value.exit_code == 6


def test_what_is_counted_by_several_thresholds_is_damaged_once(tmp_path: Path) -> None:
    sources = damaged(tmp_path / "in", "BF16")
    methods = [RamPlus(epsilon=epsilon) for epsilon in (1e-5, 1e-3, 0.0)]
    with pytest.raises(DamagedError, match=r"`w` has 3 values") as caught:
        count_for(sources.layout, sources.supply, methods, Means(SMALL))
    assert len(caught.value.problems) == 2


def test_a_single_pass_stops_at_the_first_and_leaves_nothing(tmp_path: Path) -> None:
    sources = damaged(tmp_path / "in", "BF16")
    with pytest.raises(DamagedError, match=r"`w` has 3 values") as caught:
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out", means=Means(SMALL))
    assert len(caught.value.problems) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_base_is_named_too(tmp_path: Path) -> None:
    sources = lay_out(tmp_path / "in", {"w": data([np.nan, 1.0])}, {"e": {"w": data([1.0, 1.0])}})
    with pytest.raises(DamagedError, match=r"base: model\.safetensors: tensor `w` has 1 value that is NaN"):
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")


def test_a_result_too_large_for_its_type(tmp_path: Path) -> None:
    base, moved = data([6e4, 1.0], "F32"), data([6.6e4, 1.0], "F32")
    sources = lay_out(tmp_path / "in", {"w": base}, {"e": {"w": moved}}, dtype="F16")
    with pytest.raises(DamagedError, match=r"`w` would have 1 value too large for F16") as caught:
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")
    assert "output.dtype" in caught.value.problems[0].hint


def test_sums_that_overflow_float32_are_an_error_not_an_infinity(tmp_path: Path) -> None:
    sources = lay_out(tmp_path / "in", {"w": data([-3e38])}, {"a": {"w": data([3e38])}, "b": {"w": data([3.1e38])}})
    with pytest.raises(DamagedError, match="too large for F32"):
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")


@pytest.mark.parametrize("role", ["base", "expert:e"])
def test_a_truncated_source(role: str, tmp_path: Path) -> None:
    sources = lay_out(tmp_path / "in", {"w": data(np.ones(100))}, {"e": {"w": data(np.zeros(100))}})
    path = next(iter(sources.files[role].values()))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DamagedError, match=rf"{role}: {path.name} ends after .* within tensor `w`"):
        merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "out")
    path.unlink()
    with pytest.raises(DamagedError, match="cannot be opened"):
        probe(sources.layout, sources.supply, 1e-5)
    with pytest.raises(DamagedError, match="was not fetched"):
        probe(sources.layout, AtHand(sources.files | {role: {}}), 1e-5)


@pytest.mark.parametrize("several", [False, True], ids=["a loop reads it", "it is read for several"])
def test_a_source_that_shrinks_while_it_is_read(several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was as long as it should be when it was opened."""
    sources = lay_out(tmp_path / "in", {"w": data(np.ones(100))}, {"e": {"w": data(np.zeros(100))}})
    path = sources.files["expert:e"]["e.safetensors"]
    size = path.stat().st_size
    prepare = OpenSources.prepare

    def shrink(self: OpenSources, source: int, part: Part) -> None:
        prepare(self, source, part)
        os.truncate(path, size - 8)

    monkeypatch.setattr(OpenSources, "prepare", shrink)
    pool = {"a": Average(), "b": Ram()}
    read: Callable[[], object]
    if several:
        read = partial(merge_candidates, sources.layout, sources.supply, pool, lambda *_: None, Means(SMALL))
    else:
        read = partial(probe, sources.layout, sources.supply, 1e-5, Means(SMALL))
    with pytest.raises(DamagedError, match=r"expert:e: e\.safetensors ends after .* bytes, within tensor `w`"):
        read()
    os.truncate(path, size)
    with pytest.raises(DamagedError, match="ends after"):
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_a_loop_that_cannot_read_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it when another try succeeds: what it has made is of zeros."""
    sources = lay_out(tmp_path / "in", {"w": data(np.ones(100))}, {"e": {"w": data(np.zeros(100))}})
    place = OpenSources.place

    def elsewhere(self: OpenSources, span: Span) -> tuple[int, int]:
        return (1 << 20) if span.source else place(self, span)[0], place(self, span)[1]  # no such descriptor

    monkeypatch.setattr(OpenSources, "place", elsewhere)
    with pytest.raises(DamagedError, match=r"expert:e: e\.safetensors cannot be read: it failed once and then did not"):
        probe(sources.layout, sources.supply, 1e-5)
    with pytest.raises(DamagedError, match="cannot be read"):
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_short_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = lay_out(
        tmp_path / "in",
        {"w": data(np.ones(100)), "i": Data("I32", (50,), bytes(200))},
        {"e": {"w": data(np.zeros(100)), "i": Data("I32", (50,), bytes(200))}},
    )
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, place: real(fd, [views[0][:3]], place))
    found = {}
    pool = {"a": Average(), "b": Average()}
    merge_candidates(
        sources.layout,
        sources.supply,
        pool,
        lambda name, chunk, out, _: found.update({(name, chunk.task.name): out.tobytes()}),
    )
    zeros = bytes(200)
    floats = bytes(400)
    assert found == {("a", "i"): zeros, ("b", "i"): zeros, ("a", "w"): floats, ("b", "w"): floats}


def test_what_a_disk_gives_is_asked_for_ahead_and_what_memory_holds_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = lay_out(tmp_path / "in", {"w": data(np.ones(100))}, {"e": {"w": data(np.zeros(100))}})
    asked: list[tuple[int, int]] = []

    def advise(_descriptor: int, start: int, size: int, advice: int) -> None:
        if advice == os.POSIX_FADV_WILLNEED:
            asked.append((start, size))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    task = sources.layout.shards[0].tensors[0]
    span = Span(0, task.base, 0, 50)
    end = task.base.start + span.nbytes
    with open_sources(sources.files, ("e",)) as opened:
        opened.prepare(0, task.base)
        opened.waited(span, 0.0)
        assert asked == []
        opened.waited(span, 1.0)
        opened.waited(Span(0, task.base, 50, 50), 1.0)
    reached = end
    for start, size in asked:
        assert start == reached, "nothing is asked for twice"
        assert size <= 1 << 20
        reached += size
    assert reached == end + span.nbytes + (16 << 20)


def test_a_file_that_is_looked_at_again_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, size, advice: asked.append(start))
    opened = OpenSources({}, ("base",), ExitStack())
    opened._waited(3, 100 << 20, 1, 1.0)
    first = len(asked)
    opened._waited(3, 1 << 20, 1, 1.0)
    assert asked[first] == 1 << 20
    assert len(asked) == 2 * first


@pytest.mark.parametrize("method", [Ties(), Ram(), RamPlus(), ModelStock(), Average()], ids=lambda method: method.name)
def test_what_the_page_cache_has_is_not_asked_for(
    method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(2)
    start = generator.standard_normal(200_000)
    experts = {n: {"w": data(start + generator.choice([0, 0.5], start.size))} for n in "ab"}
    sources = lay_out(tmp_path / "in", {"w": data(start)}, experts)
    asked: list[int] = []
    real = os.posix_fadvise

    def advise(descriptor: int, place: int, size: int, advice: int) -> None:
        asked.append(advice)
        real(descriptor, place, size, advice)

    merge_weights(sources.layout, sources.supply, method, tmp_path / "warm")
    monkeypatch.setattr(os, "posix_fadvise", advise)
    merge_weights(sources.layout, sources.supply, method, tmp_path / "out")
    assert os.POSIX_FADV_SEQUENTIAL in asked
    assert asked.count(os.POSIX_FADV_WILLNEED) <= 16, "at most where a thread was kept waiting"


@pytest.mark.parametrize("method", [Ties(), Average(), ModelStock(), Dare(), Ram(), RamPlus()], ids=lambda m: m.name)
def test_what_is_wrong_is_counted_once(method: Method, tmp_path: Path) -> None:
    """Whatever goes over it: the loop that counts, that which looks, and that which merges."""
    bad = np.ones(9001)
    bad[[3, 4500, 9000]] = np.nan, np.inf, np.nan
    experts = {"e": {"w": data(bad)}, "f": {"w": data(np.ones(9001))}}
    sources = lay_out(tmp_path / "in", {"w": data(np.zeros(9001))}, experts)
    with pytest.raises(DamagedError) as found:
        merge_weights(sources.layout, sources.supply, method, tmp_path / "out", means=Means(Resources(window_bytes=1)))
    assert "expert:e: e.safetensors: tensor `w` has 3 values that are NaN or infinite" in str(found.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_leaves_no_part(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, moved = {"w": data(np.ones(1000))}, {"w": data(np.zeros(1000))}
    sources = lay_out(tmp_path / "in", base, {"e": moved})
    real = os.pwrite

    def full(descriptor: int, content: memoryview, place: int) -> int:
        if place > 1000:
            raise OSError(code, os.strerror(code))
        return real(descriptor, content[:5], place)

    monkeypatch.setattr(output.os, "pwrite", full)
    with pytest.raises(ResourceError) as caught:
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out", means=Means(SMALL))
    assert caught.value.exit_code == 8
    assert list((tmp_path / "out").iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("merge")], "no thread is left at work"
    monkeypatch.undo()
    merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out", means=Means(SMALL))
    assert read_tensors(tmp_path / "out")["w"].values.tolist() == [0.0] * 1000


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    sources = lay_out(tmp_path / "in", {"w": data([1.0])}, {"e": {"w": data([1.0])}})
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ResourceError, match="cannot be written"):
        merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")


IDS = Data("I64", (3,), np.array([1, 2, 3]).tobytes())


@pytest.mark.parametrize("method", [Ram(), RamPlus()], ids=lambda m: m.name)
def test_what_is_not_floating_point_is_copied(method: Ram | RamPlus, tmp_path: Path) -> None:
    base = {"ids": IDS, "mask": Data("BOOL", (5,), b"\1\0\1\1\0"), "w": data([1.0])}
    sources = lay_out(tmp_path / "in", base, {"e": base | {"w": data([2.0])}})
    result = merge_weights(sources.layout, sources.supply, method, tmp_path / "out", means=Means(SMALL))
    merged = read_tensors(tmp_path / "out")
    assert merged["ids"] == IDS
    assert merged["mask"].raw == b"\1\0\1\1\0"
    assert result.probe.overlap.counts == (0, 1), "what is copied takes no part in the statistics"
    assert list(result.probe.by_tensor) == ["w"]


@pytest.mark.parametrize("method", [Ram(), RamPlus()], ids=lambda m: m.name)
def test_a_copied_tensor_that_differs(method: Ram | RamPlus, tmp_path: Path) -> None:
    other = Data("I64", (3,), np.array([1, 2, 4]).tobytes())
    sources = lay_out(tmp_path / "in", {"ids": IDS}, {"same": {"ids": IDS}, "e": {"ids": other}})
    with pytest.raises(IncompatibleError, match=r"expert:e: e\.safetensors: tensor `ids` is of type I64") as caught:
        merge_weights(sources.layout, sources.supply, method, tmp_path / "out", means=Means(SMALL))
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("chunk", [1, 12, 1 << 16])
def test_a_vocabulary_padded_differently(chunk: int, tmp_path: Path) -> None:
    """Rows that both have are merged; the base decides the shape, and what an expert lacks it did not change."""
    base = {"embed": data(np.zeros((4, 3)), "BF16")}
    experts = {
        "short": {"embed": data(np.full((2, 3), 1.0), "BF16")},
        "long": {"embed": data(np.full((6, 3), 2.0), "F32")},
        "none": {"embed": data(np.zeros((0, 3)), "BF16")},
    }
    sources = lay_out(tmp_path / "in", base, experts)
    result = merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out", means=Means(Resources(chunk, 2)))
    merged = read_tensors(tmp_path / "out")["embed"]
    assert merged.shape == (4, 3)
    assert merged.values.tolist() == [1.5] * 6 + [2.0] * 6
    assert result.probe.overlap.counts == (0, 0, 6, 6, 0, 0, 0, 0)
    assert result.bytes_read == 12 * 2 + 6 * 2 + 12 * 4


def test_damage_beyond_what_the_base_has_is_not_read(tmp_path: Path) -> None:
    experts = {"e": {"w": data([[1.0], [np.nan]])}}
    sources = lay_out(tmp_path / "in", {"w": data([[1.0]])}, experts)
    merge_weights(sources.layout, sources.supply, Ram(), tmp_path / "out")
    assert read_tensors(tmp_path / "out")["w"].values.tolist() == [1.0]

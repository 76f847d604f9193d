"""Every method against its slow reference, on hostile inputs: bit for bit, Model Stock to rounding."""

import math
import tempfile
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import from_float32, to_float32
from synthetic import Data, Sources, data, lay_out, read_tensors
from test_engine import THREE_SHARDS, checkpoint
from test_properties import DTYPES, checkpoints, finite, values

from ramekin.checkpoint.tensors import ITEM_SIZES
from ramekin.errors import DamagedError
from ramekin.merge import reading
from ramekin.merge.chunks import Chunk, Window
from ramekin.merge.engine import Means, MergedWeights, merge_candidates, merge_weights
from ramekin.merge.files import Factors, Span
from ramekin.merge.loops.on_processor import philox
from ramekin.merge.operators import averaging
from ramekin.merge.operators.cuts import Bounds, Cut, Selection
from ramekin.merge.reading import Reader
from ramekin.merge.resources import Resources
from ramekin.methods import (
    Average,
    Dare,
    DareTies,
    Method,
    ModelStock,
    Ram,
    RamPlus,
    RamUnique,
    TaskArithmetic,
    Ties,
)
from ramekin.methods.base import weights_of

Made = tuple[dict[str, Data], dict[str, dict[str, Data]]]
Slow = Callable[[str, np.ndarray, list[np.ndarray], list[str]], np.ndarray]

resources = st.builds(
    Resources,
    chunk_bytes=st.integers(1, 64) | st.just(1 << 16),
    threads=st.integers(1, 4),
    window_bytes=st.integers(1, 64) | st.just(1 << 16),
)
samples = st.sampled_from([(256, 128), (1, 1), (2, 2), (3, 1), (1, 7)])
shares = st.sampled_from([0.2, 0.5, 1 / 3, 0.9]) | st.floats(0.001, 1)


@st.composite
def padded(draw: st.DrawFn) -> Made:
    """Checkpoints of which some experts have fewer or more rows than their base."""
    base, experts = draw(checkpoints())
    for tensors in experts.values():
        for name, start in base.items():
            if start.shape and math.prod(start.shape[1:]) and draw(st.integers(0, 3)) == 0:
                row, rows = math.prod(start.shape[1:]), draw(st.integers(0, start.shape[0] + 2))
                known = tensors[name].values.tolist()
                more = draw(st.lists(values, min_size=2 * row, max_size=2 * row))
                moved = finite((known + more)[: row * rows], tensors[name].dtype)
                tensors[name] = Data(moved.dtype, (rows, *start.shape[1:]), moved.raw)
    return base, experts


def weights_for(experts: list[str], draw: st.DrawFn, least: float) -> float | dict[str, float]:
    one = st.sampled_from([0.0, 1.0, 0.4, 0.3, 1e-3]) | st.floats(least, 4)
    return draw(one | st.fixed_dictionaries(dict.fromkeys(experts, one)))


def slow(method: Method) -> Slow:
    """The reference for a method: from a tensor's name, base, experts and their names."""

    def run(tensor: str, base: np.ndarray, experts: list[np.ndarray], names: list[str]) -> np.ndarray:
        match method:
            case Average():
                return reference.average(base, experts)
            case TaskArithmetic():
                return reference.task_arithmetic(base, experts, weights_of(method.weight, names))
            case RamUnique():
                which = names.index(method.expert)
                return reference.ram_unique(base, experts, which, method.scale, method.epsilon)
            case Ties():
                weights = weights_of(method.weight, names)
                return reference.ties(base, experts, method.density, weights, method.scale)
        assert isinstance(method, Dare | DareTies)
        p, weights = method.drop_rate, weights_of(method.weight, names)
        masks = [reference.kept_at_random(len(base), p, method.seed, name, tensor) for name in names]
        if isinstance(method, Dare):
            return reference.dare(base, experts, masks, p, weights)
        return reference.dare_ties(base, experts, masks, p, weights, method.scale)

    return run


def check(sources: Sources, method: Method, out: Path, how: Resources) -> MergedWeights | None:
    """Merge, and compare every tensor with the reference; None where a result does not fit its type."""
    names, expected = list(sources.experts), {}
    tasks = {task.name: task for shard in sources.layout.shards for task in shard.tensors}
    with np.errstate(all="ignore"):
        for tensor, start in sources.base.items():
            others = [tensors[tensor].values for tensors in sources.experts.values()]
            merged = slow(method)(tensor, start.values, others, names)
            expected[tensor] = from_float32(merged, tasks[tensor].dtype)
    if not all(np.isfinite(to_float32(raw, tasks[name].dtype)).all() for name, raw in expected.items()):
        with pytest.raises(DamagedError, match="too large for"):
            merge_weights(sources.layout, sources.supply, method, out, means=Means(how))
        return None
    result = merge_weights(sources.layout, sources.supply, method, out, means=Means(how))
    assert {name: d.raw for name, d in read_tensors(out).items()} == expected
    return result


@st.composite
def methods(draw: st.DrawFn, kind: str, experts: list[str]) -> Method:
    scale = draw(st.sampled_from([0.0, 1.0, 0.7, 2.0]))
    match kind:
        case "average":
            return Average()
        case "task-arithmetic":
            return TaskArithmetic(weight=weights_for(experts, draw, -4))
        case "ram-unique":
            epsilon = draw(st.sampled_from([0.0, 1e-5, 1e-3]))
            return RamUnique(expert=draw(st.sampled_from(experts)), scale=scale, epsilon=epsilon)
        case "ties":
            return Ties(density=draw(shares), weight=weights_for(experts, draw, 0), **{"lambda": scale})
    p, seed = draw(st.sampled_from([0.0, 0.5, 0.9]) | st.floats(0, 0.99)), draw(st.integers(0, 2**63 - 1))
    if kind == "dare":
        weight = None if draw(st.booleans()) else weights_for(experts, draw, -4)
        return Dare(drop_rate=p, seed=seed, weight=weight)
    return DareTies(drop_rate=p, seed=seed, weight=weights_for(experts, draw, 0), **{"lambda": scale})


@pytest.mark.parametrize("kind", ["average", "task-arithmetic", "ram-unique", "ties", "dare", "dare-ties"])
@settings(max_examples=40, deadline=None)
@given(st.data(), padded(), st.sampled_from([None, *DTYPES]), resources, samples)
def test_merges_as_its_paper_says(
    kind: str, drawing: st.DataObject, made: Made, dtype: str | None, how: Resources, sample: tuple[int, int]
) -> None:
    method = drawing.draw(methods(kind, list(made[1])))
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_PLACES", sample[0])
        patch.setattr(reading, "_PLACE", sample[1])
        check(lay_out(Path(place) / "in", *made, dtype=dtype), method, Path(place) / "out", how)


def test_what_the_expert_did_not_change_alone_keeps_the_bases_bits(tmp_path: Path) -> None:
    base = data([-0.0, -0.0, -0.0, 1e-45])
    experts = {"a": {"w": data([1.0, 1.0, -0.0, 1.0])}, "b": {"w": data([-0.0, 2.0, -0.0, 1e-45])}}
    sources = lay_out(tmp_path / "in", {"w": base}, experts)
    check(sources, RamUnique(expert="b"), tmp_path / "out", Resources())
    assert read_tensors(tmp_path / "out")["w"].raw == base.raw


def test_a_scale_of_nothing_leaves_the_bases_bits(tmp_path: Path) -> None:
    base = data([-0.0, 0.0, 3.0])
    sources = lay_out(tmp_path / "in", {"w": base}, {"a": {"w": data([1.0, -1.0, 2.0])}})
    check(sources, RamUnique(expert="a", scale=0.0), tmp_path / "out", Resources())
    assert read_tensors(tmp_path / "out")["w"].raw == base.raw


# The cut of TIES.


def large(
    place: Path, values_of: Callable[[np.random.Generator, int], np.ndarray], n: int, dtypes: tuple[str, ...]
) -> Sources:
    """One tensor of many elements: a base of ones, and experts that are moved by what a function draws."""
    generator = np.random.default_rng(n)
    start = data(np.ones(n), "F32", (n,))
    experts = {f"e{t}": {"w": data(1 + values_of(generator, n), d, (n,))} for t, d in enumerate(dtypes)}
    return lay_out(place, {"w": start}, experts, dtype="F32")


def few(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.choice([0.0, 0.25, -0.25, 0.5, -0.5, 1.0], n, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1])


def equal(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.choice([0.5, -0.5], n)


def nothing(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.zeros(n)


def sparse(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.where(generator.random(n) < 0.001, generator.standard_normal(n), 0)


def clustered(generator: np.random.Generator, n: int) -> np.ndarray:
    """Small where a sample of 256 places looks, large and close to each other between them."""
    found = 1.0 + generator.integers(0, 50, n) * 2.0**-20
    for start in np.linspace(0, n - 128, 256).astype(np.int64):
        found[start : start + 128] = generator.integers(0, 3, min(128, n - start)) * 2.0**-10
    return found


def rising(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.linspace(-1, 3, n)


N = 90_000  # nearly three times the sample


@pytest.mark.parametrize("density", [1e-9, 0.05, 0.2, 0.4, 0.75, 1.0])
@pytest.mark.parametrize("drawn", [few, equal, nothing, sparse, clustered, rising])
def test_the_cut_is_exact(
    drawn: Callable[[np.random.Generator, int], np.ndarray], density: float, tmp_path: Path
) -> None:
    """Also where equals straddle it over many chunks and threads; k is 1 and all of them among the densities."""
    sources = large(tmp_path / "in", drawn, N, ("F32", "BF16", "F16"))
    how = Resources(chunk_bytes=30_000, threads=4)
    check(sources, Ties(density=density), tmp_path / "out", how)


def test_the_cut_is_at_one_element_of_each_tensor_at_least(tmp_path: Path) -> None:
    base = {"one": data([1.0]), "three": data([1.0, 1.0, 1.0])}
    experts = {"e": {"one": data([1.5]), "three": data([0.5, 1.25, 1.5])}}
    sources = lay_out(tmp_path / "in", base, experts)
    check(sources, Ties(density=0.01), tmp_path / "out", Resources(1, 2))
    merged = read_tensors(tmp_path / "out")
    assert merged["one"].values.tolist() == [1.5]
    assert merged["three"].values.tolist() == [0.5, 1.0, 1.0], "of two equals the first"


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
@pytest.mark.parametrize("density", [0.02, 0.2, 0.5, 0.9])
def test_ties_reads_as_good_as_always_twice(dtype: str, density: float, tmp_path: Path) -> None:
    """Weights as they are, changes of all sizes, some experts sparse."""
    generator = np.random.default_rng(3)
    start = data(0.02 * generator.standard_normal(200_000), dtype, (200, 1000))
    experts = {}
    for t, share in enumerate((0.05, 0.5, 1.0)):
        moved = start.values + (generator.random(200_000) < share) * generator.normal(0, 1e-3, 200_000)
        experts[f"e{t}"] = {"w": data(moved, dtype, (200, 1000))}
    sources = lay_out(tmp_path / "in", {"w": start}, experts)
    result = check(sources, Ties(density=density), tmp_path / "out", Resources(1 << 16, 2))
    assert result
    assert result.bytes_read <= 2 * sources.layout.input_bytes


# Masks.


def test_the_generator_gives_the_published_words() -> None:
    """The known answers that come with the generator's reference implementation."""
    ones = 0xFFFFFFFF
    known = {
        ((0, 0, 0, 0), (0, 0)): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ((ones,) * 4, (ones,) * 2): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)): (
            0xD16CFE09,
            0x94FDCCEB,
            0x5001E420,
            0x24126EA1,
        ),
    }
    for (counter, key), words in known.items():
        assert tuple(reference.philox(counter, key)) == words


def test_the_loops_generator_is_the_same() -> None:
    for key, first in (((0, 0), 0), ((0xA4093822, 0x299F31D0), 0xFFFFFFF0), ((1, 0xFFFFFFFF), 1 << 40)):
        words = np.empty((4, 40), np.uint32)
        philox(np.uint32(key[0]), np.uint32(key[1]), first, words)
        for i in range(40):
            counter = [(first + i) & 0xFFFFFFFF, (first + i) >> 32, 0, 0]
            assert words[:, i].tolist() == reference.philox(counter, key)


def test_masks_drop_as_many_as_they_should_and_differ(tmp_path: Path) -> None:
    n = 20_000
    masks = [reference.kept_at_random(n, 0.3, *key) for key in ((0, "a", "w"), (1, "a", "w"), (0, "b", "w"))]
    for mask in masks:
        assert abs(mask.mean() - 0.7) < 5 * math.sqrt(0.3 * 0.7 / n)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs((masks[i] & masks[j]).mean() - 0.49) < 5 * math.sqrt(0.49 * 0.51 / n), "independent"
    base, moved = data(np.zeros(n)), data(np.ones(n))
    sources = lay_out(tmp_path / "in", {"w": base}, {"a": {"w": moved}, "b": {"w": moved}})
    check(sources, Dare(drop_rate=0.3), tmp_path / "dare", Resources(5000, 3))
    check(sources, DareTies(drop_rate=0.3), tmp_path / "dare-ties", Resources(7000, 3))


class Zeros:
    """Loops that find nothing but zeros, as many as they are told of."""

    @staticmethod
    def count_magnitudes(*given: Any) -> None:
        _, _, _, count, low, *_, table, _, zeros, _ = given
        assert low[0] == 0
        table[0, 0] += np.uint32(count)
        zeros[0, 0] = 0x7FFFFFFF


@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 5])
def test_a_bin_may_have_more_than_a_word_can_count(chunks: int) -> None:
    """2**31 elements in each chunk, as far as the loops say."""
    selection = Selection([Bounds(0, 0x7FFFFFFF)], k=2)
    bad = np.zeros(3, np.int64)
    for _ in range(chunks):
        selection.count((None, None, None), 1 << 31, Zeros(), bad)  # type: ignore[arg-type]
    selection.settle()
    assert selection.cuts == [Cut(0, 2, chunks << 31)]


# Model Stock.


def stock(directory: Path, base: Data, *experts: Data, how: Resources | None = None, by_filter: bool = False) -> Data:
    sources = lay_out(directory / "in", {"w": base}, {f"e{t}": {"w": expert} for t, expert in enumerate(experts)})
    method = ModelStock(filter_wise=by_filter)
    merge_weights(sources.layout, sources.supply, method, directory / "out", means=Means(how or Resources()))
    return read_tensors(directory / "out")["w"]


@settings(max_examples=60, deadline=None)
@given(padded(), st.sampled_from([None, *DTYPES]), resources, st.booleans())
def test_model_stock_to_rounding(made: Made, dtype: str | None, how: Resources, by_filter: bool) -> None:
    base, experts = made
    assume(len(experts) > 1)
    assume(
        all(np.abs(d.values).max(initial=0) <= 65504 for tensors in (base, *experts.values()) for d in tensors.values())
    )
    with tempfile.TemporaryDirectory() as place:
        sources = lay_out(Path(place) / "in", base, experts, dtype=dtype)
        method, out = ModelStock(filter_wise=by_filter), Path(place) / "out"
        expected = {}
        for name, start in base.items():
            filters = start.shape[0] if by_filter and len(start.shape) > 1 and start.values.size else 1
            others = [tensors[name].values for tensors in experts.values()]
            expected[name] = reference.model_stock(start.values, others, filters)
        kinds = {task.name: task.dtype for task in sources.layout.shards[0].tensors}
        if any(
            not np.isfinite(to_float32(from_float32(e, kinds[n]), kinds[n])).all() for n, (e, _) in expected.items()
        ):
            return
        merge_weights(sources.layout, sources.supply, method, out, means=Means(how))
        for name, found in read_tensors(out).items():
            exact, size = expected[name]
            step = {"BF16": 2.0**-8, "F16": 2.0**-11, "F32": 2.0**-24}[found.dtype]
            least = {"BF16": 1e-40, "F16": 6e-8, "F32": 3e-45}[found.dtype]
            allowed = size.astype(np.float64) * 2.0**-22 + 2 * step * np.abs(exact) + least
            assert (np.abs(found.values.astype(np.float64) - exact) <= allowed).all()


@pytest.mark.parametrize("size", [1e-30, 1e-45, 1.0, 1e30])
@pytest.mark.parametrize("by_filter", [False, True])
def test_opposite_changes_leave_the_base(size: float, by_filter: bool, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    steps = np.float32(size) * generator.integers(1, 5, (7, 500)).astype(np.float32)
    base = data(np.zeros((7, 500)))
    found = stock(tmp_path, base, data(steps), data(-steps), how=Resources(4000, 3), by_filter=by_filter)
    assert (found.values == base.values).all()


@pytest.mark.parametrize("size", [1e-30, 1e-45, 1.0, 1e30])
@pytest.mark.parametrize("by_filter", [False, True])
def test_parallel_changes_are_averaged_whole(size: float, by_filter: bool, tmp_path: Path) -> None:
    """Changes of 1e-30 have squares that no float32 holds."""
    generator = np.random.default_rng(2)
    steps = np.float32(size) * generator.integers(1, 5, (7, 500)).astype(np.float32)
    base = data(np.zeros((7, 500)))
    found = stock(tmp_path, base, data(steps), data(steps), how=Resources(4000, 3), by_filter=by_filter)
    assert found.raw == data(steps).raw
    longer = stock(tmp_path / "longer", base, data(steps), data(4 * steps), by_filter=by_filter)
    assert longer.raw == data((steps + 4 * steps) * np.float32(0.5)).raw


def test_equal_experts_far_from_a_base_are_their_mean_exactly(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    base, moved = data(generator.standard_normal(3000)), data(np.where(generator.random(3000) < 0.5, 0, 1e-12))
    assert stock(tmp_path, base, moved, moved).raw == moved.raw, "not a trace of the base is left"


def test_changes_that_cancel_leave_the_base(tmp_path: Path) -> None:
    """Three changes whose sum is 0: the denominator vanishes."""
    for i, scale in enumerate((1.0, 0.1, 3e-7, 1e-30)):
        steps = [np.roll(np.array([2.0, -1.0, -1.0], np.float32) * np.float32(scale), t) for t in range(3)]
        found = stock(tmp_path / str(i), data(np.zeros(3)), *(data(step) for step in steps))
        assert (found.values == 0).all()


@pytest.mark.parametrize("by_filter", [False, True])
def test_an_expert_that_changed_nothing_is_orthogonal(by_filter: bool, tmp_path: Path) -> None:
    base = data(np.arange(6).reshape(2, 3))
    assert stock(tmp_path / "none", base, base, base, by_filter=by_filter).raw == base.raw
    moved = data(base.values.reshape(2, 3) + 1)
    assert stock(tmp_path / "one", base, moved, base, by_filter=by_filter).raw == base.raw


def test_filters_have_angles_of_their_own(tmp_path: Path) -> None:
    base = data(np.zeros((2, 2)))
    one, other = data([[1.0, 1.0], [1.0, 0.0]]), data([[1.0, 1.0], [0.0, 1.0]])
    assert stock(tmp_path / "each", base, one, other, by_filter=True).values.tolist() == [1.0, 1.0, 0.0, 0.0]
    together = 2 * (2 / 3) / (1 + 2 / 3)
    whole = stock(tmp_path / "all", base, one, other).values
    assert whole.tolist() == pytest.approx([together, together, together / 2, together / 2], rel=1e-6)


def test_products_are_the_same_bits_whatever_the_chunks_and_whoever_else_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64: few differences there would show in weights."""
    found: set[bytes] = set()
    share = ModelStock.share

    def recorded(products: Sequence[Sequence[float]]) -> float:
        found.add(np.array(products).tobytes())
        return share(products)

    monkeypatch.setattr(ModelStock, "share", staticmethod(recorded))
    generator = np.random.default_rng(9)
    shape = (5, 3001)
    start = data(generator.standard_normal(shape), "F32", shape)
    experts = {f"e{t}": {"w": data(start.values + generator.standard_normal(15005), "F32", shape)} for t in range(3)}
    sources = lay_out(tmp_path / "in", {"w": start}, experts)
    one, each = ModelStock(), ModelStock(filter_wise=True)
    hows = [Resources(1 << 20, 1), Resources(4096, 3), Resources(9000, 2), Resources(30_000, 2)]
    for how in (*hows, Resources(1 << 20, 2, window_bytes=40_000)):
        for methods_ in ({"one": one}, {"each": each}, {"one": one, "each": each, "ties": Ties()}):
            merge_candidates(sources.layout, sources.supply, methods_, lambda *_: None, means=Means(how))
    assert len(found) == 1 + 5, "of the tensor, and of each filter"


def test_filters_of_one_element_take_no_more_memory_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many filters as elements: what waits to be added up is bounded, whatever their number."""
    monkeypatch.setattr(averaging, "_PRODUCTS", 1 << 16)
    n, count, how = 3, 1 << 16, Resources(1 << 16, 2)
    shape = (count, 1)
    start = data(np.zeros(count), "BF16", shape)
    experts = {f"e{t}": {"w": data(np.full(count, 0.5 + t), "BF16", shape)} for t in range(n)}
    sources = lay_out(tmp_path / "in", {"w": start}, experts)
    merge = partial(merge_weights, sources.layout, sources.supply, means=Means(how))
    merge(ModelStock(), tmp_path / "warm")
    tracemalloc.start()
    try:
        merge(ModelStock(filter_wise=True), tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    factors, waiting = 12 * count, n * how.slots << 16
    assert peak < factors + waiting + how.slots * how.out_bytes + (1 << 20) < 8 * n * n * count
    merged = read_tensors(tmp_path / "out")["w"].values
    assert np.all(merged == 1.5), "all three changes point the same way"


# Several at once.

CANDIDATES: Mapping[str, Method] = {
    "ram": Ram(),
    "ram+": RamPlus(),
    "average": Average(),
    "task-arithmetic": TaskArithmetic(weight=0.3),
    "ties": Ties(),
    "ties, most": Ties(density=0.9, weight={"a": 1, "b": 0.5, "c": 2}),
    "dare": Dare(seed=5),
    "dare-ties": DareTies(drop_rate=0.8),
    "model-stock": ModelStock(),
    "model-stock, by filter": ModelStock(filter_wise=True),
    "ram-unique": RamUnique(expert="c", scale=1 / 3),
}


@pytest.mark.parametrize("dtypes", [("BF16",) * 4, ("F16", "F32", "BF16", "F16")], ids=["bf16", "mixed"])
@pytest.mark.parametrize(
    "how",
    [Resources(1 << 20, 1), Resources(2500, 4), Resources(1 << 20, 2, window_bytes=5000)],
    ids=["large", "small", "in pieces"],
)
def test_candidates_are_what_each_would_be_alone(
    dtypes: tuple[str, ...], how: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PLACES", 4)  # so that TIES looks at tensors as at large ones
    monkeypatch.setattr(reading, "_PLACE", 64)
    sources = checkpoint(tmp_path / "in", dtypes, shards=THREE_SHARDS)
    found: dict[str, dict[str, bytes]] = {name: {} for name in CANDIDATES}

    starts: dict[str, dict[str, bytes]] = {name: {} for name in CANDIDATES}

    def take(name: str, chunk: Chunk, out: np.ndarray, base: np.ndarray) -> None:
        tensor = chunk.task.name
        found[name][tensor] = found[name].get(tensor, b"") + out.tobytes()
        starts[name][tensor] = starts[name].get(tensor, b"") + base.tobytes()

    merge_candidates(sources.layout, sources.supply, CANDIDATES, take, means=Means(how))
    for i, (name, method) in enumerate(CANDIDATES.items()):
        merge_weights(sources.layout, sources.supply, method, tmp_path / str(i), means=Means(Resources(1 << 16, 2)))
        assert found[name] == {tensor: d.raw for tensor, d in read_tensors(tmp_path / str(i)).items()}, name
        assert starts[name] == {tensor: d.raw for tensor, d in sources.base.items()}, "the base's own bytes"


@pytest.mark.parametrize(
    ("names", "reads"),
    [(("ram", "average", "task-arithmetic", "dare", "dare-ties"), 1), (("ram", "model-stock", "average", "dare"), 2)],
)
def test_candidates_share_what_is_read(
    names: tuple[str, ...], reads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = checkpoint(tmp_path / "in")
    read: list[int] = []

    def note(chunk: Chunk) -> None:
        parts = (chunk.task.base, *chunk.task.experts)
        read.append(sum(chunk.present(part) * ITEM_SIZES[part.dtype] for part in parts))

    before, as_it_goes = Reader.before, Reader.as_it_goes

    def read_before(self: Reader, window: Window, piece: Chunk, factors: Mapping[int, Factors]) -> None:
        note(piece)
        before(self, window, piece, factors)

    def read_as_it_goes(self: Reader, window: Window, chunk: Chunk) -> list[Span]:
        note(chunk)
        return as_it_goes(self, window, chunk)

    monkeypatch.setattr(Reader, "before", read_before)
    monkeypatch.setattr(Reader, "as_it_goes", read_as_it_goes)
    methods_ = {name: CANDIDATES[name] for name in names}
    merge_candidates(sources.layout, sources.supply, methods_, lambda *_: None, means=Means(Resources(4000, 3)))
    assert sum(read) == reads * sources.layout.input_bytes


@pytest.mark.parametrize("dtypes", [("BF16",) * 4, ("F32", "BF16", "F16", "F32")], ids=["alike", "mixed"])
@pytest.mark.parametrize("name", CANDIDATES)
def test_a_loop_reads_the_files_a_window_at_a_time(name: str, dtypes: tuple[str, ...], tmp_path: Path) -> None:
    """Tensors of several windows, of an odd number of elements, one source shorter."""
    generator, size = np.random.default_rng(4), 30_011
    start = generator.choice([0.5, -0.0, 1e-3, 3.0, -2.0], size)
    base, *experts = (
        data(start[:n] + (generator.choice([0, 0, 0.25, -0.25, 1e-6], n) if t else 0), dtype, (n,))
        for t, (dtype, n) in enumerate(zip(dtypes, (size, size, size, size - 9000), strict=True))
    )
    sources = lay_out(tmp_path / "in", {"w": base}, {n: {"w": each} for n, each in zip("abc", experts, strict=True)})
    hows = [Resources(1 << 17, 2, window_bytes=8192), Resources(1 << 20, 1), Resources(20_000, 3, window_bytes=30_000)]
    assert hows[0].row_bytes(3) < base.values.size, "several windows"
    found = []
    for i, how in enumerate(hows):
        merge_weights(sources.layout, sources.supply, CANDIDATES[name], tmp_path / str(i), means=Means(how))
        found.append(read_tensors(tmp_path / str(i))["w"].raw)
    for how in hows[1:]:  # two want to see it, so it is read for both
        both, parts = dict.fromkeys("xy", CANDIDATES[name]), dict.fromkeys("xy", b"")

        def take(n: str, _: Chunk, out: np.ndarray, __: np.ndarray, parts: dict[str, bytes] = parts) -> None:
            parts[n] += out.tobytes()

        merge_candidates(sources.layout, sources.supply, both, take, means=Means(how))
        found += parts.values()
    assert found == [found[0]] * 7

"""The engine against the slow reference, on hostile inputs: bit for bit."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import from_float32
from reference import merge as reference_merge
from synthetic import Data, Sources, data, lay_out, read_tensors

from ramekin.errors import DamagedError
from ramekin.merge.engine import Means, merge_weights
from ramekin.merge.resources import Resources
from ramekin.methods import Ram, RamPlus, RamPlusSmooth
from ramekin.methods.ram import RamFamily
from ramekin.records import report_overlap

EPSILON = 1e-5
METHODS = {"ram": Ram, "ram+": RamPlus, "ram+s": RamPlusSmooth}
DTYPES = ("BF16", "F16", "F32")
HOSTILE = (
    0.0, -0.0, 1.0, -1.0, 0.1, EPSILON, -EPSILON, float(np.nextafter(np.float32(EPSILON), np.float32(1))),
    1e-45, -1e-45, 1e-40, 6e-8, 6.1e-5, 6.0975e-5, 65504.0, -65504.0, 1e30, 3.3e38, -3.3e38, 2.0**-126, 1 + 2**-8,
    1 + 2**-7 + 2**-8, 2049.0, 256.5,
)  # fmt: skip

values = st.sampled_from(HOSTILE) | st.floats(width=16, allow_nan=False, allow_infinity=False)
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
resources = st.builds(
    Resources, chunk_bytes=st.integers(1, 64), threads=st.integers(1, 4), window_bytes=st.integers(1, 64)
)


def finite(numbers: list[float], dtype: str) -> Data:
    """Those numbers in an element type, what does not fit replaced."""
    with np.errstate(over="ignore"):
        array = np.array(numbers, np.float32)
        limit = 65504.0 if dtype == "F16" else 3.3e38
    return data(np.clip(array, -limit, limit), dtype)


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[dict[str, Data], dict[str, dict[str, Data]]]:
    """A base and its experts: elements kept, moved by about epsilon, or replaced."""
    count = draw(st.integers(1, 5))
    base: dict[str, Data] = {}
    experts: dict[str, dict[str, Data]] = {f"e{t}": {} for t in range(count)}
    for name in draw(st.sampled_from([("w",), ("b", "a")])):
        shape = draw(shapes)
        size = int(np.prod(shape))
        numbers = draw(st.lists(values, min_size=size, max_size=size))
        start = finite(numbers, draw(st.sampled_from(DTYPES)))
        base[name] = Data(start.dtype, shape, start.raw)
        for tensors in experts.values():
            kind = draw(st.sampled_from(["same", "all", "some"]))
            dtype = start.dtype if kind == "same" else draw(st.sampled_from(DTYPES))
            moved = start.values.astype(np.float64).tolist()
            for i in range(size if kind != "same" else 0):
                if kind == "all" or draw(st.booleans()):
                    moved[i] = draw(values | st.sampled_from([-2, -1, 1, 2, 1e4]).map(lambda k: moved[i] + k * EPSILON))  # noqa: B023
            tensors[name] = Data(dtype, shape, finite(moved, dtype).raw)
    return base, experts


def compare(sources: Sources, method: RamFamily, out: Path, how: Resources) -> None:
    flat = {name: d.values for name, d in sources.base.items()}
    others = [{name: d.values for name, d in tensors.items()} for tensors in sources.experts.values()]
    with np.errstate(all="ignore"):
        expected = reference_merge(method.name, flat, others, method.epsilon)
    tasks = {t.name: t for shard in sources.layout.shards for t in shard.tensors}
    raws = {name: from_float32(array, tasks[name].dtype) for name, array in expected.merged.items()}
    if not all(np.isfinite(Data(tasks[n].dtype, (), raw).values).all() for n, raw in raws.items()):
        with pytest.raises(DamagedError, match="too large for"):
            merge_weights(sources.layout, sources.supply, method, out, means=Means(how))
        return
    result = merge_weights(sources.layout, sources.supply, method, out, means=Means(how))
    assert {name: d.raw for name, d in read_tensors(out).items()} == raws
    reported = report_overlap(result.probe.overlap, sources.layout.experts, result.lambdas)
    assert reported.patterns == expected.patterns
    assert result.lambdas == pytest.approx(expected.lambdas, rel=1e-15)
    for t in range(len(others)):
        assert sum(o.changed[t] for o in result.probe.by_tensor.values()) == result.probe.overlap.unique(
            t
        ) + result.probe.overlap.shared(t)


@settings(max_examples=150, deadline=None)
@given(checkpoints(), st.sampled_from(list(METHODS)), st.sampled_from([None, *DTYPES]), resources)
def test_merges_as_the_paper_says(
    made: tuple[dict[str, Data], dict[str, dict[str, Data]]], name: str, dtype: str | None, how: Resources
) -> None:
    with tempfile.TemporaryDirectory() as place:
        sources = lay_out(Path(place) / "in", *made, dtype=dtype)
        compare(sources, METHODS[name](epsilon=EPSILON), Path(place) / "out", how)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("experts", [1, 2, 3, 4, 5, 9, 16])
def test_any_number_of_experts_and_more_elements_than_a_block(name: str, experts: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(experts)
    start = data(generator.standard_normal(2500), "BF16", (50, 50))
    made = {}
    for t in range(experts):
        moved = start.values + 0.01 * (generator.random(2500) < 0.3)
        made[f"e{t}"] = {"w": data(moved, DTYPES[t % 2], (50, 50))}
    sources = lay_out(tmp_path / "in", {"w": start}, made)
    compare(sources, METHODS[name](epsilon=EPSILON), tmp_path / "out", Resources(chunk_bytes=3000, threads=2))


@pytest.mark.parametrize("name", METHODS)
def test_an_expert_that_shares_all_its_changes(name: str, tmp_path: Path) -> None:
    base = data([1.0, 2.0, 3.0])
    experts = {"one": {"w": data([1.5, 2.0, 3.0])}, "two": {"w": data([1.25, 2.5, 3.0])}, "none": {"w": base}}
    sources = lay_out(tmp_path / "in", {"w": base}, experts)
    result = merge_weights(sources.layout, sources.supply, METHODS[name](), tmp_path / "out")
    reported = report_overlap(result.probe.overlap, sources.layout.experts, result.lambdas)
    assert reported.experts["one"].rho is None
    assert result.lambdas[0] == pytest.approx({"ram": 1.0, "ram+": 1 + 0.1 * 2.0, "ram+s": 1 + 0.1}[name], rel=1e-15)
    assert result.lambdas[2] == 1.0
    compare(sources, METHODS[name](), tmp_path / "again", Resources())


@example(epsilon=0.0)
@example(epsilon=1e-45)
@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1))
def test_epsilon_is_compared_as_float32_strictly(epsilon: float) -> None:
    single = np.float32(epsilon)
    around = [single, np.nextafter(single, np.float32(2)), -single, -np.nextafter(single, np.float32(2)), 0.0]
    with tempfile.TemporaryDirectory() as place:
        sources = lay_out(Path(place) / "in", {"w": data(np.zeros(5))}, {"e": {"w": data(around)}})
        compare(sources, Ram(epsilon=epsilon), Path(place) / "out", Resources())


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_nobody_changes_is_byte_identical(dtype: str, tmp_path: Path) -> None:
    base = data([-0.0, 0.0, 1e-40, -1e-45, 5.0], dtype)
    sources = lay_out(tmp_path / "in", {"w": base}, {"a": {"w": base}, "b": {"w": base}})
    merge_weights(sources.layout, sources.supply, RamPlus(), tmp_path / "out")
    assert read_tensors(tmp_path / "out")["w"].raw == base.raw

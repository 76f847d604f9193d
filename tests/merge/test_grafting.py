"""Neurons of experts in a merge: the elements that were meant and no others, whoever writes them in whatever pieces."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crews import with_followers
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import from_float32
from synthetic import Data, Sources, data, lay_out, read_tensors, write_safetensors
from test_engine import digests

from ramekin.arm.architecture import Layer, Place, changed_places
from ramekin.arm.neurons import Neurons
from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank
from ramekin.errors import DamagedError
from ramekin.merge import orders
from ramekin.merge.arrays import CHANGE, KINDS, in_memory
from ramekin.merge.chunks import cut
from ramekin.merge.engine import Means, MergedWeights, merge_weights
from ramekin.merge.grafting import Graft, Grafts, Kept, verify_grafts
from ramekin.merge.loops.on_processor import take_over
from ramekin.merge.resources import Resources
from ramekin.methods import Average, Method, ModelStock, RamPlus, Ties
from ramekin.plan.layout import Layout, Shard

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
WIDTH, HIDDEN = 12, 5


def graft(expert: int, axis: int, indices: Sequence[int]) -> Graft:
    return Graft(expert, axis, np.array(sorted(indices), np.int64))


# Which elements.


@st.composite
def places(draw: st.DrawFn) -> tuple[tuple[int, ...], int, list[int]]:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=2)))
    axis = draw(st.integers(0, len(shape) - 1))
    indices = draw(st.sets(st.integers(0, shape[axis] - 1)))
    return shape, axis, sorted(indices)


@settings(max_examples=300, deadline=None)
@given(places(), st.data())
def test_positions_are_those_of_a_mask(place: tuple[tuple[int, ...], int, list[int]], drawing: st.DataObject) -> None:
    shape, axis, indices = place
    mask = np.zeros(shape, bool)
    mask[(slice(None),) * axis + (indices,)] = True
    first = drawing.draw(st.integers(0, mask.size - 1))
    count = drawing.draw(st.integers(1, mask.size - first))
    found = graft(0, axis, indices).positions(shape, first, count)
    assert found.dtype == np.int64
    assert found.tolist() == np.flatnonzero(mask.reshape(-1)[first : first + count]).tolist()


def test_a_chunk_looks_at_its_own_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of a large tensor would be a gigabyte for every chunk."""
    sizes: list[int] = []
    arange = np.arange
    monkeypatch.setattr(np, "arange", lambda *a: (sizes.append(len(found := arange(*a))), found)[1])
    every = Graft(0, 0, np.array(range(50_000), np.int64))
    assert len(every.positions((50_000, 4_000), 123_456_789, 10_000)) == 10_000
    assert max(sizes) <= 4_000


# One element.


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*TORCH]),
    st.sampled_from([*TORCH]),
    st.lists(st.floats(-60000, 60000, width=32) | st.sampled_from([-0.0, 1e-45, -5.9e-8, 65504.0]), min_size=1),
    st.data(),
)
def test_an_element_is_rounded_once_as_torch_does(
    source: str, target: str, values: list[float], drawing: st.DataObject
) -> None:
    mine = torch.tensor(values).to(TORCH[source])
    chosen = sorted(drawing.draw(st.sets(st.integers(0, len(values) - 1))))
    old = torch.full((len(values),), 7.0).to(TORCH[target])
    expected = old.clone()
    expected[chosen] = mine[chosen].to(TORCH[target])
    assert through(mine, None, chosen, old) == (raw_of(expected), int((~torch.isfinite(expected)).sum()))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*TORCH]), st.sampled_from([*TORCH]), st.integers(0, 1000))
def test_what_an_adapter_has_is_the_bases_element_and_its_change(source: str, target: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(20, generator=generator).to(TORCH[source])
    change = torch.randn(20, generator=generator) * 0.01
    old = torch.zeros(20).to(TORCH[target])
    expected = old.clone()
    expected[3:9] = (base.float() + change)[3:9].to(TORCH[target])
    assert through(change, base, [*range(3, 9)], old) == (raw_of(expected), 0)


def test_what_an_expert_does_not_have_is_the_bases() -> None:
    mine, base, old = torch.arange(3.0), torch.arange(10.0, 16), torch.full((6,), 7.0)
    assert through(mine, base, [1, 2, 3, 5], old, changes=False)[0] == raw_of(torch.tensor([7.0, 1, 2, 13, 7, 15]))


def raw_of(values: torch.Tensor) -> bytes:
    return values.contiguous().view(torch.uint8).numpy().tobytes()


def through(
    mine: torch.Tensor, base: torch.Tensor | None, chosen: list[int], old: torch.Tensor, *, changes: bool = True
) -> tuple[bytes, int]:
    """A chunk of two experts, of which the second gives; what is in the output, and how much of it is not finite."""
    names = {dtype: name for name, dtype in TORCH.items()}
    other = torch.full((len(old),), 9.0)
    rows = [other if base is None else base, other, mine]
    kinds = [KINDS[names[row.dtype]] for row in rows]
    kinds[2] = CHANGE if base is not None and changes else kinds[2]
    out = np.frombuffer(bytearray(raw_of(old)), np.uint8)
    bad = np.zeros(4, np.int64)
    take_over(
        in_memory([row.data_ptr() for row in rows]),
        np.array(kinds, np.uint8),
        np.array([len(old), len(mine)], np.int64),
        1,
        np.array(chosen, np.int64),
        out,
        KINDS[names[old.dtype]],
        bad,
    )
    assert bad[:-1].tolist() == [0, 0, 0]
    return out.tobytes(), int(bad[-1])


# Whole merges.

GATED = (
    Place("down.weight", 1),
    Place("gate.weight", 0),
    Place("gate.bias", 0),
    Place("up.weight", 0),
    Place("up.bias", 0),
)
FUSED = (Place("down.weight", 1), Place("gate_up.weight", 0), Place("gate_up.weight", 0, WIDTH))
CONV1D = (Place("c_proj.weight", 0), Place("c_fc.weight", 1), Place("c_fc.bias", 0))
KINDS_OF_MLP: Mapping[str, tuple[tuple[Place, ...], dict[str, tuple[int, ...]]]] = {
    "gated": (
        GATED,
        {
            "gate.weight": (WIDTH, HIDDEN),
            "gate.bias": (WIDTH,),
            "up.weight": (WIDTH, HIDDEN),
            "up.bias": (WIDTH,),
            "down.weight": (HIDDEN, WIDTH),
            "down.bias": (HIDDEN,),
        },
    ),
    "fused": (FUSED, {"gate_up.weight": (2 * WIDTH, HIDDEN), "down.weight": (HIDDEN, WIDTH)}),
    "conv1d": (
        CONV1D,
        {
            "c_fc.weight": (HIDDEN, WIDTH),
            "c_fc.bias": (WIDTH,),
            "c_proj.weight": (WIDTH, HIDDEN),
            "c_proj.bias": (HIDDEN,),
        },
    ),
}


@dataclass(frozen=True)
class Case:
    """Two layers of one kind, three experts, and what two of these give."""

    sources: Sources
    places: list[tuple[Place, ...]]
    given: dict[int, list[set[int]]]

    @property
    def grafts(self) -> Grafts:
        found: dict[str, list[Graft]] = {}
        layers = [Layer(WIDTH, "", places) for places in self.places]
        for expert, sets in self.given.items():
            rows = tuple(np.isin(np.arange(WIDTH), sorted(chosen)) for chosen in sets)
            for place, indices in changed_places(layers, Neurons(rows)):
                found.setdefault(place.tensor, []).append(graft(expert, place.axis, indices.tolist()))
        return {name: tuple(each) for name, each in found.items()}

    def expected(self, plain: Mapping[str, Data]) -> dict[str, bytes]:
        """The plain merge with whole rows and columns from the experts, element by element."""
        experts = [*self.sources.experts.values()]
        found = {}
        for name, mine in plain.items():
            values = mine.values.reshape(mine.shape).copy()
            for layer, places_ in enumerate(self.places):
                for place in (each for each in places_ if each.tensor == name):
                    for expert, sets in self.given.items():
                        theirs = experts[expert][name].values.reshape(mine.shape)
                        for j in sets[layer]:
                            at = (slice(None),) * place.axis + (place.first + j,)
                            values[at] = theirs[at]
            found[name] = from_float32(values.reshape(-1), mine.dtype)
        return found


def case(
    directory: Path, kind: str, dtypes: Sequence[str] = ("BF16",) * 4, dtype: str | None = None, shards: int = 1
) -> Case:
    generator = np.random.default_rng(len(kind))
    places_, shapes = KINDS_OF_MLP[kind]
    every = {f"{layer}.{name}": shape for layer in range(2) for name, shape in shapes.items()} | {"embed": (30, HIDDEN)}
    base = {name: data(generator.standard_normal(shape), dtypes[0], shape) for name, shape in every.items()}
    experts = {
        name: {
            n: data(start.values + generator.normal(0, 0.1, len(start.values)), kind_, start.shape)
            for n, start in base.items()
        }
        for name, kind_ in zip("abc", dtypes[1:], strict=True)
    }
    names = [*base]
    split = [names[part::shards] for part in range(shards)]
    sources = lay_out(directory / "in", base, experts, dtype=dtype, shards=split)
    moved = [tuple(replace(place, tensor=f"{layer}.{place.tensor}") for place in places_) for layer in range(2)]
    return Case(sources, moved, {0: [{0, 3, 11}, set()], 2: [{1, 4}, {0, 5, 6, 7}]})


def merge(
    made: Case, out: Path, *, method: Method | None = None, grafts: Grafts | None = None, **how: Any
) -> MergedWeights:
    grafts = made.grafts if grafts is None else grafts
    sources, means = made.sources, Means(**how)
    return merge_weights(sources.layout, sources.supply, method or Average(), out, grafts=grafts, means=means)


@pytest.mark.parametrize("kind", KINDS_OF_MLP)
@pytest.mark.parametrize(
    ("dtypes", "dtype"),
    [(("BF16",) * 4, None), (("F16", "F32", "BF16", "F16"), None), (("BF16", "F32", "F16", "BF16"), "F32")],
    ids=["bf16", "mixed", "to f32"],
)
def test_only_the_neurons_change(kind: str, dtypes: tuple[str, ...], dtype: str | None, tmp_path: Path) -> None:
    made = case(tmp_path, kind, dtypes, dtype)
    merge(made, tmp_path / "plain", grafts={})
    merge(made, tmp_path / "grafted", resources=Resources(64, 3))
    plain, grafted = read_tensors(tmp_path / "plain"), read_tensors(tmp_path / "grafted")
    assert {name: found.raw for name, found in grafted.items()} == made.expected(plain)
    differing = {name for name, found in grafted.items() if found.raw != plain[name].raw}
    assert differing == {*made.grafts}
    assert not any(name.startswith(("embed", "0.down.bias", "0.c_proj.bias")) for name in differing)


@pytest.mark.parametrize("method", [Average(), Ties(), ModelStock(), RamPlus()], ids=lambda method: method.name)
def test_pieces_threads_and_processes_decide_nothing(method: Method, tmp_path: Path) -> None:
    """Also where the method looks at tensors first, and where one file after the other is written by several."""
    made = case(tmp_path, "gated", shards=2)
    results = [
        (merge(made, tmp_path / f"{number}", method=method, resources=how), digests(tmp_path / f"{number}"))
        for number, how in enumerate([Resources(1 << 20, 1), Resources(50, 3), Resources(1, 2)])
    ]
    for size in (2, 3):
        out = tmp_path / f"crew-{size}"
        result, ends = with_followers(
            size, lambda crew, out=out: merge(made, out, method=method, resources=Resources(70, 2), team=crew)
        )
        assert ends == [0] * (size - 1), result
        results.append((result, digests(out)))
    assert all(each == results[0] for each in results)
    plain = merge(made, tmp_path / "plain", method=method, grafts={})
    merged = results[0][0]
    assert merged.probe == plain.probe, "statistics are the method's, whatever is transplanted"
    assert merged.files != plain.files


def test_no_grafts_and_no_indices_leave_every_byte(tmp_path: Path) -> None:
    made = case(tmp_path, "fused")
    results = []
    for number, grafts in enumerate([None, {}, {"0.down.weight": (graft(1, 1, []),)}]):
        sources = made.sources
        merge_weights(sources.layout, sources.supply, Average(), tmp_path / f"{number}", grafts=grafts)
        results.append(digests(tmp_path / f"{number}"))
    assert results[0] == results[1] == results[2]


def test_all_neurons_are_the_donors_mlp(tmp_path: Path) -> None:
    made = case(tmp_path, "gated")
    whole = Case(made.sources, made.places, {1: [{*range(WIDTH)}] * 2})
    merge(made, tmp_path / "plain", grafts={})
    merge(whole, tmp_path / "out")
    plain, found = read_tensors(tmp_path / "plain"), read_tensors(tmp_path / "out")
    for name, each in found.items():
        own = name.endswith((".gate.weight", ".gate.bias", ".up.weight", ".up.bias", ".down.weight"))
        assert each.raw == (made.sources.experts["b"][name].raw if own else plain[name].raw), name


def with_adapter(made: Case, directory: Path, scaling: float = 0.5) -> tuple[Case, dict[str, np.ndarray]]:
    """The last expert as an adapter of rank 2 for some tensors; and its weights as they are with it."""
    generator = np.random.default_rng(5)
    factors, weights = {}, {}
    names = [name for name, tensor in made.sources.base.items() if len(tensor.shape) == 2 and name != "embed"]
    for name in names:
        rows, columns = made.sources.base[name].shape
        factors[f"{name}.a"] = data(generator.standard_normal((2, columns)), "F32")
        factors[f"{name}.b"] = data(generator.standard_normal((rows, 2)), "F32")
    path = directory / "adapter" / "adapter_model.safetensors"
    lying = write_safetensors(path, factors)
    layout, tasks = made.sources.layout, []
    for task in layout.shards[0].tensors:
        part, start = None, made.sources.base[task.name].values.reshape(task.shape)
        if task.name in names:
            part = LowRank(lying[f"{task.name}.a"], lying[f"{task.name}.b"], scaling)
            a, b = (factors[f"{task.name}.{each}"].values for each in "ab")
            start = start + np.float32(scaling) * (b.reshape(-1, 2) @ a.reshape(2, -1))
        weights[task.name] = start
        tasks.append(replace(task, experts=(*task.experts[:2], part)))
    files = made.sources.files | {"expert:c": {path.name: path}}
    sources = Sources(Layout((Shard("model.safetensors", tuple(tasks)),), layout.experts), files, {}, {})
    return Case(sources, made.places, made.given), weights


@pytest.mark.parametrize("dtype", [None, "F32"])
def test_an_adapter_gives_neurons(dtype: str | None, tmp_path: Path) -> None:
    """Of tensors that it does not change, here biases, the base's."""
    made, weights = with_adapter(case(tmp_path, "gated", dtype=dtype), tmp_path)
    merge(made, tmp_path / "plain", grafts={})
    merge(made, tmp_path / "out", resources=Resources(100, 2))
    plain, found = read_tensors(tmp_path / "plain"), read_tensors(tmp_path / "out")
    step = 2.0**-22 if dtype == "F32" else 2.0**-8
    for layer in range(2):
        for place in made.places[layer]:
            mine = found[place.tensor].values.reshape(found[place.tensor].shape)
            before = plain[place.tensor].values.reshape(mine.shape)
            for j in range(WIDTH):
                at = (slice(None),) * place.axis + (j,)
                if j in made.given[2][layer]:
                    np.testing.assert_allclose(mine[at], weights[place.tensor][at], rtol=step, atol=step)
                elif j not in made.given[0][layer]:
                    assert mine[at].tobytes() == before[at].tobytes()
    assert found["embed"] == plain["embed"]


# What is written is looked at.


@dataclass
class Looked:
    """What verifying was given."""

    shard: Shard
    grafts: Grafts
    kept: Kept
    files: Any


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Case, Path, Looked]:
    """A merge in small pieces, and what is needed to look at it again."""
    made, seen = case(tmp_path, "gated"), []

    def looking(path: Path, *rest: Any) -> None:
        seen.append(Looked(*rest))
        verify_grafts(path, *rest)

    monkeypatch.setattr(orders, "verify_grafts", looking)
    merge(made, tmp_path / "out", resources=Resources(64, 2))
    (looked,) = seen
    return made, tmp_path / "out" / "model.safetensors", looked


def look_again(path: Path, looked: Looked) -> None:
    verify_grafts(path, looked.shard, looked.grafts, looked.kept, looked.files)


def change(path: Path, name: str, element: int) -> None:
    """Turn the lowest bit of one element."""
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    content[8 + length + header[name]["data_offsets"][0] + element * ITEM_SIZES[header[name]["dtype"]]] ^= 1
    path.write_bytes(content)


def test_what_is_right_passes(written: tuple[Case, Path, Looked]) -> None:
    made, path, looked = written
    look_again(path, looked)
    chunks = {(task.name, c.first, c.count) for task in looked.shard.tensors for c in cut(task, 64)}
    assert {*looked.kept.sums} == {each for each in chunks if each[0] in made.grafts}, "all of it was looked at"
    change(path, "embed", 3)  # what nobody gave anything to is the digest's affair
    look_again(path, looked)


@pytest.mark.parametrize(
    ("name", "row", "column", "message"),
    [
        ("0.gate.weight", 2, 1, "`0.gate.weight` has changed where no neuron was transplanted"),
        ("0.down.weight", 4, 10, "`0.down.weight` has changed where no neuron was transplanted"),
        ("1.up.bias", 11, 0, "`1.up.bias` has changed where no neuron was transplanted"),
        ("0.gate.weight", 3, 4, "neurons in `0.gate.weight` are not those of their expert"),
        ("0.down.weight", 0, 4, "neurons in `0.down.weight` are not those of their expert"),
        ("1.up.bias", 7, 0, "neurons in `1.up.bias` are not those of their expert"),
    ],
)
def test_one_bit_is_found(name: str, row: int, column: int, message: str, written: tuple[Case, Path, Looked]) -> None:
    made, path, looked = written
    shape = made.sources.base[name].shape
    change(path, name, row * (shape[1] if len(shape) > 1 else 1) + column)
    with pytest.raises(DamagedError, match=message):
        look_again(path, looked)


def test_another_donor_is_found(written: tuple[Case, Path, Looked]) -> None:
    _, path, looked = written
    name = "0.up.weight"
    swapped = tuple(replace(each, expert=(each.expert + 1) % 3) for each in looked.grafts[name])
    with pytest.raises(DamagedError, match=f"neurons in `{name}` are not those of their expert"):
        look_again(path, replace(looked, grafts=dict(looked.grafts) | {name: swapped}))


def test_of_what_an_adapter_does_not_change_the_base_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = with_adapter(case(tmp_path, "gated"), tmp_path)

    def stay(*arguments: Any) -> None:
        places, kinds, limits, expert, *rest = arguments
        if limits[expert]:
            take_over(places, kinds, limits, expert, *rest)

    monkeypatch.setattr("ramekin.merge.grafting.take_over", stay)
    with pytest.raises(DamagedError, match=r"neurons in `0\.gate\.bias` are not those of their expert"):
        merge(made, tmp_path / "out")


def test_a_chunk_that_nobody_noted_is_found(written: tuple[Case, Path, Looked]) -> None:
    _, path, looked = written
    missing = next(key for key in looked.kept.sums if key[0] == "0.gate.weight")
    sums = {key: value for key, value in looked.kept.sums.items() if key != missing}
    with pytest.raises(DamagedError, match=r"`0\.gate\.weight` was looked at in \d+ of 60 elements"):
        look_again(path, replace(looked, kept=Kept(sums)))


@pytest.mark.parametrize("size", [1, 2])
def test_a_wrong_transplantation_is_never_finished(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop takes from the first expert what the second was to give."""
    made = case(tmp_path, "fused")

    def wrong(*arguments: Any) -> None:
        take_over(*arguments[:3], 0, *arguments[4:])

    monkeypatch.setattr("ramekin.merge.grafting.take_over", wrong)
    if size == 1:
        with pytest.raises(DamagedError, match="are not those of their expert"):
            merge(made, tmp_path / "out")
    else:
        result, _ = with_followers(size, lambda crew: merge(made, tmp_path / "out", team=crew))
        assert isinstance(result, DamagedError)
        assert "are not those of their expert" in str(result)
    assert [*(tmp_path / "out").iterdir()] == []

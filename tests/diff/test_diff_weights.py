"""Differing elements, counted by streaming; beside the plainest numpy."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import Data, data, write_safetensors

from ramekin.checkpoint.modules import Part
from ramekin.diff import weights
from ramekin.diff.weights import Checkpoint, WeightDifference, count_differing
from ramekin.errors import DamagedError
from ramekin.progress import Silence
from ramekin.records import FileRecord

LAYERS = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight")


def checkpoint(directory: Path, tensors: Mapping[str, Data], files: int = 1, *, known: str = "") -> Checkpoint:
    """Tensors in so many files; `known` is the digest that a report gives each."""
    directory.mkdir(exist_ok=True)
    names = [*tensors]
    if files == 1:
        write_safetensors(directory / "model.safetensors", tensors)
    else:
        placed = {}
        for number in range(files):
            file = f"model-{number + 1:05}-of-{files:05}.safetensors"
            part = {name: tensors[name] for name in names[number::files]}
            write_safetensors(directory / file, part)
            placed |= dict.fromkeys(part, file)
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    paths = {path.name: path for path in directory.iterdir()}
    records = {name: FileRecord(size=1, sha256=known) for name in paths} if known else {}
    return Checkpoint(str(directory), paths, records)


def compared(tmp_path: Path, a: Mapping[str, Data], b: Mapping[str, Data], **options: int) -> WeightDifference:
    first, second = checkpoint(tmp_path / "a", a), checkpoint(tmp_path / "b", b, **options)
    return count_differing(first, second, Silence())


def numbers(seed: int, *shape: int, dtype: str = "BF16") -> Data:
    return data(np.random.default_rng(seed).normal(size=shape), dtype)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    rows=st.integers(0, 40),
    columns=st.integers(1, 9),
    density=st.floats(0, 1),
    dtype=st.sampled_from(["BF16", "F16", "F32"]),
    chunk=st.integers(1, 64),
)
def test_as_counted_by_numpy(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rows: int,
    columns: int,
    density: float,
    dtype: str,
    chunk: int,
) -> None:
    random = np.random.default_rng(seed)
    shape = (rows, columns)
    old = {name: numbers(seed + n, *shape, dtype=dtype) for n, name in enumerate(LAYERS)}
    moved = {name: random.random(shape) < density for name in LAYERS}
    new = {
        name: data(np.where(moved[name], each.values.reshape(shape) + 1, each.values.reshape(shape)), dtype)
        for name, each in old.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_CHUNK", chunk)
        found = compared(tmp_path_factory.mktemp("w"), old, new, files=2)
    size = 4 if dtype == "F32" else 2
    expected = {}
    for name in LAYERS:
        bits = [np.frombuffer(each[name].raw, f"<u{size}") for each in (old, new)]
        expected[name] = int((bits[0] != bits[1]).sum())
    assert {part.part: part.differing for part in found.parts} == {
        Part("embed_tokens", None): expected[LAYERS[0]],
        Part("mlp.up_proj", 0): expected[LAYERS[1]],
        Part("mlp.up_proj", 1): expected[LAYERS[2]],
    }
    assert found.differing == sum(expected.values())
    assert found.elements == 3 * rows * columns
    assert found.same_type
    assert found.by_layer() == {
        layer: (rows * columns, expected[name]) for layer, name in zip((None, 0, 1), LAYERS, strict=True)
    }
    assert found.by_module()["mlp.up_proj"] == (2 * rows * columns, expected[LAYERS[1]] + expected[LAYERS[2]])


def test_bits_count_where_the_types_are_one_and_values_where_they_are_not(tmp_path: Path) -> None:
    zeros = {LAYERS[0]: data([0.0, 1.0, 2.0], "F32")}
    negative = {LAYERS[0]: data([-0.0, 1.0, 2.0], "F32")}
    assert compared(tmp_path, zeros, negative).differing == 1
    halves = {LAYERS[0]: data([-0.0, 1.0, 2.5], "BF16")}
    other = tmp_path / "types"
    other.mkdir()
    found = compared(other, zeros, halves)
    assert (found.differing, found.same_type) == (1, False)


@pytest.mark.parametrize("types", [("F32", "BF16"), ("F16", "BF16"), ("BF16", "F16"), ("F16", "F32")], ids="-".join)
def test_values_across_types(tmp_path: Path, types: tuple[str, str]) -> None:
    a, b = (numbers(1, 50, 7, dtype=dtype) for dtype in types)
    found = compared(tmp_path, {LAYERS[0]: a}, {LAYERS[0]: b})
    assert found.differing == int((a.values != b.values).sum()) > 0


def test_rows_that_only_one_has_all_differ(tmp_path: Path) -> None:
    big = np.random.default_rng(0).normal(size=(12, 4))
    small = big[:10].copy()
    small[3, 2] += 1
    found = compared(tmp_path, {LAYERS[0]: data(big)}, {LAYERS[0]: data(small)})
    assert (found.elements, found.differing) == (48, 1 + 8)


def test_tensors_of_one_side_and_what_cannot_be_compared(tmp_path: Path) -> None:
    old = {"a.weight": numbers(0, 2, 3), "b.weight": numbers(1, 2, 3), "c.weight": numbers(2, 6)}
    new = {"a.weight": numbers(0, 2, 3), "c.weight": numbers(2, 2, 3), "d.weight": numbers(3, 1)}
    found = compared(tmp_path, old, new)
    assert (found.only_a, found.only_b, found.unlike) == (("b.weight",), ("d.weight",), ("c.weight",))
    assert (found.elements, found.differing, found.differs) == (6, 0, True)


def test_files_of_one_digest_are_not_read(tmp_path: Path) -> None:
    """The second is another in truth: whoever doubts a digest asks `ramekin verify`."""
    a = checkpoint(tmp_path / "a", {LAYERS[0]: numbers(0, 5)}, known="a" * 64)
    b = checkpoint(tmp_path / "b", {LAYERS[0]: numbers(1, 5)}, known="a" * 64)
    assert count_differing(a, b, Silence()).differing == 0
    other = Checkpoint(b.name, b.files, {name: FileRecord(size=1, sha256="b" * 64) for name in b.files})
    assert count_differing(a, other, Silence()).differing == 5


def test_a_file_that_is_none(tmp_path: Path) -> None:
    a = checkpoint(tmp_path / "a", {LAYERS[0]: numbers(0, 5)})
    b = checkpoint(tmp_path / "b", {LAYERS[0]: numbers(0, 5)})
    (tmp_path / "b/model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(DamagedError):
        count_differing(a, b, Silence())

"""The header parser against files that lie, real files, and real files with random damage."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hostile_headers import HOSTILE, TENSOR, file_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ramekin.checkpoint import header
from ramekin.checkpoint.header import Header, read_header
from ramekin.checkpoint.tensors import ITEM_SIZES
from ramekin.errors import DamagedError, IncompatibleError, Problem

DTYPES = {"F32": "float32", "F16": "float16", "I64": "int64", "U8": "uint8", "BOOL": "bool", "F64": "float64"}


def parse(content: bytes, size: int | None = None) -> Header:
    return read_header(lambda _, a, b: content[a:b], "model.safetensors", size or len(content), source="org/name")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_lies_is_refused_in_two_clear_lines(name: str) -> None:
    content, words = HOSTILE[name]
    with pytest.raises(DamagedError) as caught:
        parse(content)
    assert caught.value.exit_code == 6
    for problem in caught.value.problems:
        assert words in problem.what
        assert "org/name: model.safetensors" in problem.what
        for line in (problem.what, problem.hint):
            assert line.isprintable()
            assert 10 < len(line) < 500
            assert not line.endswith(".")


def test_all_damaged_tensors_are_told_of_at_once_up_to_a_bound() -> None:
    entries = {f"t{n}": {**TENSOR, "dtype": "X"} for n in range(50)}
    with pytest.raises(DamagedError) as caught:
        parse(file_of(entries))
    assert len(caught.value.problems) == 20
    assert "`t0`" in caught.value.problems[0].what
    assert "`t19`" in caught.value.problems[19].what


def test_too_many_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "MAX_TENSORS", 3)
    entries = {f"t{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(4)}
    with pytest.raises(DamagedError, match="4 tensors, more than 3"):
        parse(file_of(entries, 0))


def test_too_many_parts_are_refused_before_they_take_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "MAX_PARTS", 1000)
    with pytest.raises(DamagedError, match="parts, more than"):
        parse(file_of(b'{"a": [' + b"[]," * 1000 + b"[]]}", 0))


@pytest.mark.parametrize(("dtype", "bytes_"), [("F4", 8), ("F6_E2M3", 12)])
def test_elements_smaller_than_a_byte_are_quantised_weights(dtype: str, bytes_: int) -> None:
    content = file_of({"a": {"dtype": dtype, "shape": [16], "data_offsets": [0, bytes_]}}, bytes_)
    with pytest.raises(IncompatibleError, match=f"quantised to {dtype}"):
        parse(content)


def test_a_file_that_ends_early_is_damaged() -> None:
    content = file_of({"a": TENSOR})
    with pytest.raises(DamagedError, match=r"ends after 50 bytes"):
        parse(content[:50], len(content))


def test_a_file_without_tensors_and_padded_headers_are_fine() -> None:
    assert parse(file_of(b"{}      ", 0)).tensors == ()
    found = parse(file_of({"__metadata__": {"format": "pt"}, "a": TENSOR}))
    assert found.metadata == {"format": "pt"}
    assert found.tensors[0].shape == (2, 2)


@pytest.mark.parametrize(("tensors", "requests"), [(10, 1), (3000, 2)])
def test_a_header_takes_one_request_and_a_long_one_two(tensors: int, requests: int) -> None:
    entries = {f"t{n}": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(tensors)}
    content = file_of(entries, tensors)
    asked: list[tuple[int, int]] = []

    def read(_: str, start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return content[start:stop]

    found = read_header(read, "f", len(content))
    assert [t.name for t in found.tensors] == list(entries)
    assert len(asked) == requests
    assert asked[0] == (0, min(len(content), 100_000))
    assert all(stop <= len(content) for _, stop in asked)


names = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=["L", "N", "P"]), min_size=1, max_size=30
)
shapes = st.lists(st.integers(0, 4), max_size=4)
files = st.dictionaries(
    names.filter(lambda n: n != "__metadata__"), st.tuples(st.sampled_from(sorted(DTYPES)), shapes), max_size=6
)


def saved(contents: dict[str, tuple[str, list[int]]]) -> bytes:
    return save({name: np.zeros(shape, DTYPES[dtype]) for name, (dtype, shape) in contents.items()}, {"format": "np"})


@given(files)
def test_real_files_read_back(contents: dict[str, tuple[str, list[int]]]) -> None:
    content = saved(contents)
    found = parse(content)
    assert {t.name: (t.dtype, list(t.shape)) for t in found.tensors} == contents
    reached = len(content) - sum(t.nbytes for t in found.tensors)
    for tensor in found.tensors:
        assert tensor.start == reached
        reached += tensor.nbytes
    assert reached == len(content)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(files, st.randoms(use_true_random=False))
def test_random_damage_is_found_or_harmless(contents: dict[str, tuple[str, list[int]]], rng: random.Random) -> None:
    """Whatever happens to a file, it is refused as damaged, or every tensor lies inside of it."""
    content = bytearray(saved(contents))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(content), 400))
        kind = rng.random()
        if kind < 0.5:
            content[place] = rng.choice(b'0123456789{}[]",:-\\eE.\x00\xffnF')
        elif kind < 0.75:
            del content[place : place + rng.randint(1, 9)]
        else:
            content[place:place] = rng.choice([b"9", b"]", b"{", b"-", b'"', b"\\u0000", b"1e9"])
        if not content:
            break
    try:
        found = parse(bytes(content))
    except (DamagedError, IncompatibleError):
        return
    assert all(8 <= t.start <= t.start + t.nbytes <= len(content) for t in found.tensors)
    assert sum(t.nbytes for t in found.tensors) < len(content)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
keys = st.sampled_from(["dtype", "shape", "data_offsets", "x"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), anything, max_size=4), st.integers(0, 64))
def test_any_json_is_read_or_refused(entries: dict[str, object], data: int) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        found = parse(file_of(json.dumps(entries).encode(), data)).tensors
    except DamagedError as error:
        problems, found = error.problems, ()
    assert sum(tensor.nbytes for tensor in found) in (0, data)
    assert all(problem.what.isprintable() for problem in problems)


def test_item_sizes_are_those_of_the_format(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    kinds = {"bf16": torch.bfloat16, "f8": torch.float8_e4m3fn, "c64": torch.complex64, "i16": torch.int16}
    save_file({name: torch.zeros(3, dtype=kind) for name, kind in kinds.items()}, tmp_path / "f")
    content = (tmp_path / "f").read_bytes()
    found = {t.name: t for t in parse(content).tensors}
    for name, kind in kinds.items():
        assert found[name].nbytes == 3 * kind.itemsize
    assert set(ITEM_SIZES) >= {t.dtype for t in found.values()}

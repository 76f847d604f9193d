"""Conversions over every value there is, and the buffers' edges."""

import numpy as np
import pytest
import torch

from ramekin.merge.arrays import KINDS, in_memory
from ramekin.merge.chunks import Window
from ramekin.merge.loops.choosing import loops_for
from ramekin.merge.loops.on_processor import count_patterns, merge_ram
from ramekin.merge.operators.ram import Patterned
from ramekin.merge.sizes import LEAST_ROOM, MAX_EXPERTS
from ramekin.methods import Ram


def through(raw: np.ndarray, kind: str, out_kind: str, out_size: int) -> tuple[bytes, list[int]]:
    """One chunk through the merge with an expert that changed nothing: conversion alone."""
    n = raw.nbytes // (4 if kind == "F32" else 2)
    rows = np.stack([raw.view(np.uint8)] * 2)
    out = np.zeros(n * out_size, np.uint8)
    bad = np.zeros(3, np.int64)
    kinds = np.full(2, KINDS[kind], np.uint8)
    limits = np.full(1, n, np.int64)
    coefficients = np.array([0, 1], np.float32)
    merge_ram(
        in_memory([row.ctypes.data for row in rows]),
        kinds,
        limits,
        n,
        np.float32(0),
        coefficients,
        out,
        KINDS[out_kind],
        np.zeros(0, np.int64),
        bad,
    )
    return out.tobytes(), bad.tolist()


EVERY_HALF = np.arange(1 << 16, dtype=np.uint16)


def test_every_float16_becomes_its_float32() -> None:
    finite = EVERY_HALF[(EVERY_HALF & 0x7C00) != 0x7C00]
    out, bad = through(finite, "F16", "F32", 4)
    assert out == finite.view(np.float16).astype(np.float32).tobytes()
    assert bad == [0, 0, 0]


@pytest.mark.parametrize(("kind", "exponent"), [("F16", 0x7C00), ("BF16", 0x7F80)])
def test_every_half_goes_through_unchanged(kind: str, exponent: int) -> None:
    finite = EVERY_HALF[(EVERY_HALF & exponent) != exponent]
    out, bad = through(finite, kind, kind, 2)
    assert out == finite.tobytes()
    assert bad == [0, 0, 0]


@pytest.mark.parametrize(("kind", "exponent"), [("F16", 0x7C00), ("BF16", 0x7F80)])
def test_every_nan_and_infinity_is_counted(kind: str, exponent: int) -> None:
    special = EVERY_HALF[(EVERY_HALF & exponent) == exponent]
    _, bad = through(special, kind, kind, 2)
    assert bad == [len(special)] * 3


def test_rounding_is_to_nearest_even_everywhere_near_a_half_step() -> None:
    """Every pair of neighbours of both 16-bit types, their midpoint, and the float32 next to it on either side."""
    generator = np.random.default_rng(0)
    halves = EVERY_HALF[(EVERY_HALF & 0x7F80) != 0x7F80].astype(np.uint32) << 16
    near = [halves + d for d in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    steps = EVERY_HALF[(EVERY_HALF & 0x7C00) != 0x7C00].view(np.float16).astype(np.float32).view(np.uint32)
    near += [steps + d for d in (0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF)]
    midpoints = ((np.arange(1 << 12) + 0.5) * 2.0**-24).astype(np.float32).view(np.uint32)
    near += [midpoints - 1, midpoints, midpoints + 1, generator.integers(0, 1 << 32, 100_000, dtype=np.uint32)]
    bits = np.concatenate(near).astype(np.uint32)
    bits = np.ascontiguousarray(bits[(bits & 0x7F800000) != 0x7F800000])
    numbers = bits.view(np.float32)

    out, bad = through(bits, "F32", "BF16", 2)
    expected = torch.from_numpy(numbers.copy()).to(torch.bfloat16)
    assert out == expected.view(torch.int16).numpy().tobytes()
    assert bad == [0, 0, int(torch.isinf(expected).sum())]

    out, bad = through(bits, "F32", "F16", 2)
    with np.errstate(over="ignore"):
        halved = numbers.astype(np.float16)
    fits = np.isfinite(halved)
    assert np.array_equal(np.frombuffer(out, np.uint16)[fits], halved.view(np.uint16)[fits])
    assert bad == [0, 0, int((~fits).sum())]


def test_coefficients_are_rounded_once() -> None:
    operator = Patterned(Ram().coefficients([1.1, 1.0 + 1e-9, 1.2]), 1e-5, loops_for("cpu"))
    found = operator._coefficients
    third = np.float32(1 / 3)
    expected = [0, np.float32(1.1), np.float32(1), 0.5, np.float32(1.2), 0.5, 0.5, third]
    assert found.dtype == np.float32
    assert found.tolist() == [float(x) for x in expected]


def experts_of(count: int, n: int, offset: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A base and experts in bfloat16, `[n + 1, count]`, at addresses of a remainder; and what they are, in float32."""
    steps = generator.choice([0.0, 0.0, 0.5, -0.25, 1e-6, 1e-3, -3e38], (n + 1, count))
    start = generator.choice([1.0, -0.0, 3e38, 1e-3, 0.5, 1e-40], count)
    values = np.where(np.arange(n + 1)[:, None] > 0, start + steps, start)
    values = np.clip(values, -3.3e38, 3.3e38).astype(np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    rows = np.zeros((n + 1, count + 8), np.uint16)
    rows[:, offset : offset + count] = halves
    return rows[:, offset : offset + count], (halves.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 4095, 4097, 12_289])
def test_pairs_of_bfloat16_are_as_single_ones(count: int, n: int, offset: int, epsilon: float) -> None:
    """Against numpy, element by element: pairs, what is left of them, and what does not lie at a word."""
    generator = np.random.default_rng(count + n)
    rows, values = experts_of(count, n, offset, generator)
    made = in_memory([row.ctypes.data for row in rows]), np.zeros(n + 1, np.uint8), np.full(n, count, np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        changes = values[1:] - values[0]
        changed = np.abs(changes) > np.float32(epsilon)
        masks = (changed.astype(np.int64) << np.arange(n)[:, None]).sum(axis=0)
    expected = np.bincount(masks, minlength=1 << n)

    counts, bad = np.zeros(1 << n, np.int64), np.zeros(n + 2, np.int64)
    count_patterns(*made, count, np.float32(epsilon), counts, bad)
    assert counts.tolist() == expected.tolist()
    assert not bad.any(), "a difference that overflows is no fault of a source"

    factors = np.concatenate([[0], generator.uniform(0.1, 0.9, (1 << n) - 1)]).astype(np.float32)
    total = np.zeros(count, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(n):
            total = total + np.where(changed[t], changes[t], np.float32(0))
        merged = values[0] + factors[masks] * total
    merged = np.where(factors[masks] != 0, merged, values[0])
    counts[:] = 0
    out = np.zeros(2 * count + 2, np.uint8)[2 * offset :][: 2 * count]
    merge_ram(*made, count, np.float32(epsilon), factors, out, KINDS["BF16"], counts, bad)
    rounded = torch.from_numpy(merged).to(torch.bfloat16)
    assert out.tobytes() == rounded.view(torch.int16).numpy().tobytes() or not np.isfinite(merged).all()
    assert counts.tolist() == expected.tolist()
    assert bad.tolist() == [0] * (n + 1) + [int((~torch.isfinite(rounded)).sum())]


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5000, 9000])
@pytest.mark.parametrize("source", [0, 1, 3])
def test_one_special_value_anywhere_is_seen(source: int, place: int, special: float) -> None:
    values = np.ones((4, 9001), np.float32)
    values[1:, ::3] = 0.5
    values[source, place] = special
    halves = np.ascontiguousarray((values.view(np.uint32) >> 16).astype(np.uint16))
    made = in_memory([row.ctypes.data for row in halves]), np.zeros(4, np.uint8), np.full(3, 9001, np.int64)
    for merging in (False, True):
        counts, bad = np.zeros(8, np.int64), np.zeros(5, np.int64)
        if merging:
            out = np.zeros(2 * 9001, np.uint8)
            merge_ram(*made, 9001, np.float32(0), np.ones(8, np.float32), out, KINDS["BF16"], counts, bad)
        else:
            count_patterns(*made, 9001, np.float32(0), counts, bad)
        assert bad[:4].tolist() == [int(source == t) for t in range(4)]


def test_no_window_is_made_that_loops_would_leave() -> None:
    with pytest.raises(ValueError, match="no room"):
        Window(MAX_EXPERTS + 1, LEAST_ROOM)
    with pytest.raises(ValueError, match="no room"):
        Window(3, LEAST_ROOM - 1)

"""Conversions over every value there is, and the buffers' edges."""

import numpy as np
import pytest
import torch

from ramekin.merge.arrays import KINDS, in_memory
from ramekin.merge.loops.choosing import loops_for
from ramekin.merge.loops.on_processor import merge_ram
from ramekin.merge.operators.ram import Patterned
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

"""Elements of any type to float32, exactly, and back, rounded once."""

from typing import Final

import numpy as np

from ramekin.merge.arrays import BF16, CHANGE, F16, TOO_LARGE, Bytes, Counts, Floats, Halves
from ramekin.merge.loops.compiling import as_bits, as_float, compiled, floats_at, halves_at
from ramekin.merge.loops.reading import reach

SPECIAL: Final = np.uint32(0x7F800000)
"""Least magnitude, as bits, that is infinite; above it are the NaNs."""

_UPPER: Final = np.uint32(0xFFFF0000)
_SIGNLESS: Final = np.uint16(0x7FFF)


@compiled
def widened(half: np.uint16) -> np.float32:
    """A bfloat16 as a float32: its upper half."""
    return as_float(np.uint32(np.uint32(half) << np.uint32(16)))


@compiled
def lower(word: np.uint32) -> np.float32:
    """The first of two bfloat16 in a word, as a float32."""
    return as_float(np.uint32(word << np.uint32(16)))


@compiled
def upper(word: np.uint32) -> np.float32:
    """The second."""
    return as_float(np.uint32(word & _UPPER))


@compiled
def narrowed(bits: np.uint32) -> np.uint16:
    """A float32, by its bits, rounded to bfloat16, to nearest even."""
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@compiled
def special_halves(halves: Halves, exponent: np.uint16) -> int:
    """How many 16-bit floats are NaN or infinite: whose exponent, under this mask, is all ones."""
    largest = np.uint16(0)
    for i in range(len(halves)):
        largest = max(largest, np.uint16(halves[i] & _SIGNLESS))
    if largest < exponent:
        return 0
    bad = 0
    for i in range(len(halves)):
        bad += np.uint16(halves[i] & exponent) == exponent
    return bad


@compiled
def _count_from(values: Floats, n: int, least: np.uint32) -> int:
    """How many values have magnitudes, as bits, of at least `least`."""
    bad = np.uint32(0)
    for i in range(n):
        bad = np.uint32(bad + np.uint32((as_bits(values[i]) & np.uint32(0x7FFFFFFF)) >= least))
    return int(bad)


@compiled
def load(address: int, kind: int, n: int, values: Floats) -> int:
    """Convert `n` elements, from an address on, to float32; return how many are NaN or infinite."""
    if kind == BF16:  # the upper half of a float32
        halves = halves_at(address, n)
        for i in range(n):
            values[i] = widened(halves[i])
        return special_halves(halves, np.uint16(0x7F80))
    if kind == F16:
        # Exponent and fraction moved into place denote the value times 2**-112, subnormals included; the product with
        # 2**112 is exact.
        halves = halves_at(address, n)
        for i in range(n):
            shifted = as_float(np.uint32((np.uint32(halves[i]) & np.uint32(0x7FFF)) << np.uint32(13)))
            sign = np.uint32((np.uint32(halves[i]) & np.uint32(0x8000)) << np.uint32(16))
            values[i] = as_float(np.uint32(as_bits(np.float32(shifted * np.float32(2.0**112))) | sign))
        return special_halves(halves, np.uint16(0x7C00))
    words = floats_at(address, n)
    for i in range(n):
        values[i] = words[i]
    return _count_from(values, n, SPECIAL)


@compiled
def load_block(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    start: int,
    n: int,
    rows: Floats,
    bad: Counts,
) -> None:
    """Convert a block of all sources.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        start: First element.
        n: Number of elements.
        rows: `[N + 1, block]`, written: row 0 the base's values, row `t + 1` the changes `tau_t`.
        bad: `[N + 2]`, added to.
    """
    base = rows[0]
    bad[0] += load(reach(places, 0, kinds[0], start, n), kinds[0], n, base)
    for t in range(len(limits)):
        change, kind = rows[t + 1], kinds[t + 1]
        present = max(0, min(n, limits[t] - start))
        place = reach(places, t + 1, kind, start, present)
        if kind == BF16:  # in one go, for speed: the bits are the same
            halves = halves_at(place, present)
            for i in range(present):
                change[i] = widened(halves[i]) - base[i]
            bad[t + 1] += special_halves(halves, np.uint16(0x7F80))
        elif present:
            bad[t + 1] += load(place, kind, present, change)
            if kind != CHANGE:
                for i in range(present):
                    change[i] -= base[i]
        change[present:n] = np.float32(0)


@compiled
def load_values(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    start: int,
    n: int,
    rows: Floats,
    bad: Counts,
) -> None:
    """The same, but row `t + 1` holds the weights `theta_t`, not their changes."""
    base = rows[0]
    bad[0] += load(reach(places, 0, kinds[0], start, n), kinds[0], n, base)
    for t in range(len(limits)):
        values = rows[t + 1]
        present = max(0, min(n, limits[t] - start))
        if present:
            place = reach(places, t + 1, kinds[t + 1], start, present)
            bad[t + 1] += load(place, kinds[t + 1], present, values)
        if kinds[t + 1] == CHANGE:
            for i in range(present):
                values[i] += base[i]
        for i in range(present, n):
            values[i] = base[i]


@compiled
def store(values: Floats, kind: int, start: int, n: int, out: Bytes) -> int:
    """Round `n` float32 values, once and to nearest even, into the output; return how many came out not finite.

    Args:
        values: Shape `[block]`.
        kind: Element type of the output.
        start: First element to write.
        n: Number of elements.
        out: The output's bytes.
    """
    if kind == BF16:
        halves = halves_at(out.ctypes.data + 2 * start, n)
        largest = np.uint32(0)
        for i in range(n):
            b = as_bits(values[i])
            halves[i] = narrowed(b)
            largest = max(largest, np.uint32(b & np.uint32(0x7FFFFFFF)))
        return 0 if largest < TOO_LARGE else _count_from(values, n, TOO_LARGE)
    if kind == F16:
        return _store_float16(values, halves_at(out.ctypes.data + 2 * start, n))
    words = floats_at(out.ctypes.data + 4 * start, n)
    for i in range(n):
        words[i] = values[i]
    return _count_from(values, n, SPECIAL)


@compiled
def _store_float16(values: Floats, halves: Halves) -> int:
    bad = np.uint32(0)
    for i in range(len(halves)):
        b = as_bits(values[i])
        sign = np.uint16((b >> np.uint32(16)) & np.uint32(0x8000))
        b = np.uint32(b & np.uint32(0x7FFFFFFF))
        # 65520 is the first to become infinite.
        bad = np.uint32(bad + np.uint32(b >= np.uint32(0x477FF000)))
        # From 2**-14 up: the exponent moved by 112, the 13 surplus bits rounded away. Below: adding 0.5 makes the float
        # unit itself round to multiples of 2**-24, the spacing of subnormals.
        half = np.uint32(np.uint32(0xFFF) + ((b >> np.uint32(13)) & np.uint32(1)))
        normal = np.uint32(np.uint32(b - np.uint32(112 << 23) + half) >> np.uint32(13))
        small = np.uint32(as_bits(np.float32(as_float(b) + np.float32(0.5))) - np.uint32(0x3F000000))
        halves[i] = sign | np.uint16(normal if b >= np.uint32(0x38800000) else small)
    return int(bad)

"""RAM's merge of a chunk (arXiv 2601.13572, Eq. 7)."""

from typing import Final

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import BF16, TOO_LARGE, Bytes, Counts, Floats, Words
from ramekin.merge.loops.compiling import as_bits, compiled, room_for_block, room_for_rows, words_at
from ramekin.merge.loops.conversion import load_block, lower, narrowed, store, upper
from ramekin.merge.loops.counting import Four, add_to, include, pairs_of_bfloat16, reach_three, tally
from ramekin.merge.sizes import BLOCK, STRIDE

_MAGNITUDE: Final = np.uint32(0x7FFFFFFF)
_F = np.float32
_Factors = tuple[_F, _F, _F, _F, _F, _F, _F]


@compiled
def _merged(
    start: np.float32, a: np.float32, b: np.float32, c: np.float32, epsilon: np.float32, factors: _Factors
) -> tuple[np.uint32, np.uint32, np.bool_, np.bool_, np.bool_]:
    """An element of the base and of three experts merged: bits, those of the largest magnitude met, who changed it."""
    nothing = np.float32(0)
    f1, f2, f3, f4, f5, f6, f7 = factors
    from_a, from_b, from_c = a - start, b - start, c - start
    in_a, in_b, in_c = abs(from_a) > epsilon, abs(from_b) > epsilon, abs(from_c) > epsilon
    total = nothing + (from_a if in_a else nothing)
    total += from_b if in_b else nothing
    total += from_c if in_c else nothing
    without_c = (f3 if in_b else f1) if in_a else (f2 if in_b else nothing)
    with_c = (f7 if in_b else f5) if in_a else (f6 if in_b else f4)
    factor = with_c if in_c else without_c
    merged = np.float32(start + np.float32(factor * total))
    bits = as_bits(merged if factor != nothing else start)
    largest = max(as_bits(abs(from_a)), as_bits(abs(from_b)), as_bits(abs(from_c)), np.uint32(bits & _MAGNITUDE))
    return bits, largest, in_a, in_b, in_c


@compiled
def _merge_three(where: Four, pairs: int, epsilon: np.float32, factors: Floats, out: Words, counts: Counts) -> bool:
    """Merge a block of bfloat16 without storing anything between; return whether all changes and results are finite."""
    base, a = words_at(where[0], pairs), words_at(where[1], pairs)
    b, c = words_at(where[2], pairs), words_at(where[3], pairs)
    own = factors[1], factors[2], factors[3], factors[4], factors[5], factors[6], factors[7]
    zero = np.uint32(0)
    seen, largest = (zero, zero, zero, zero, zero, zero, zero), zero
    for i in range(pairs):
        bits, most, in_a, in_b, in_c = _merged(lower(base[i]), lower(a[i]), lower(b[i]), lower(c[i]), epsilon, own)
        next_bits, next_most, next_a, next_b, next_c = _merged(
            upper(base[i]), upper(a[i]), upper(b[i]), upper(c[i]), epsilon, own
        )
        out[i] = np.uint32(np.uint32(narrowed(bits)) | np.uint32(np.uint32(narrowed(next_bits)) << np.uint32(16)))
        largest = max(largest, most, next_most)
        seen = add_to(seen, in_a, in_b, in_c)
        seen = add_to(seen, next_a, next_b, next_c)
    include(2 * pairs, seen, counts)
    return bool(largest < TOO_LARGE)


@compiled
def _merge_pairs(
    places: Counts, pairs: int, epsilon: np.float32, coefficients: Floats, out: Bytes, counts: Counts
) -> bool:
    """See `pairs_of_bfloat16`; the output is in bfloat16 as well.

    Return whether sources and output are finite; if not, nothing is counted. A NaN can have any bits after it was
    rounded: the loop for all types counts what is wrong.
    """
    found = carray(room_for_block(), (8,), np.int64)
    factors = carray(room_for_block(), (8,), np.float32)
    found[:], factors[:] = 0, np.float32(0)
    for pattern in range(len(coefficients)):
        factors[pattern] = coefficients[pattern]
    for start in range(0, 2 * pairs, STRIDE):
        n = min(STRIDE, 2 * pairs - start)
        merged = words_at(out.ctypes.data + 2 * start, n // 2)
        if not _merge_three(reach_three(places, start, n), n // 2, epsilon, factors, merged, found):
            return False
    for pattern in range(len(counts)):
        counts[pattern] += found[pattern]
    return True


@compiled
def merge_ram(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    epsilon: np.float32,
    coefficients: Floats,
    out: Bytes,
    out_kind: int,
    counts: Counts,
    bad: Counts,
) -> None:
    """`theta = theta_base + coefficient * sum_t m_t tau_t`, with the coefficient of who changed the element.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        epsilon: A change must be greater than this.
        coefficients: `[2**N]`, by pattern, bit t set where expert t changed the element; that of nobody is 0.
        out: The output's bytes.
        out_kind: Its element type.
        counts: `[2**N]`, added to as by `count_patterns`; empty where nobody counts.
        bad: `[N + 2]`, added to.
    """
    pairs = pairs_of_bfloat16(places, kinds, limits, count) if out_kind == BF16 and out.ctypes.data % 4 == 0 else 0
    if pairs and not _merge_pairs(places, pairs, epsilon, coefficients, out, counts):
        pairs = 0
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    masks = carray(room_for_block(), (BLOCK,), np.uint32)
    total = carray(room_for_block(), (BLOCK,), np.float32)
    factor = carray(room_for_block(), (BLOCK,), np.float32)
    base = rows[0]
    for start in range(2 * pairs, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        total[:n] = np.float32(0)
        masks[:n] = np.uint32(0)
        for t in range(len(limits)):
            change, bit = rows[t + 1], np.uint32(1 << t)
            for i in range(n):
                changed = abs(change[i]) > epsilon
                total[i] += change[i] if changed else np.float32(0)
                masks[i] |= bit if changed else np.uint32(0)
        for i in range(n):
            factor[i] = coefficients[masks[i]]
        for i in range(n):
            # What counts for nothing leaves the base's bits: adding a zero would turn -0.0 into +0.0.
            merged = np.float32(base[i] + np.float32(factor[i] * total[i]))
            total[i] = merged if factor[i] != np.float32(0) else base[i]
        bad[-1] += store(total, out_kind, start, n, out)
        if len(counts):
            tally(masks, n, counts)

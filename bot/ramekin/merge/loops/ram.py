"""RAM's merge of a chunk (arXiv 2601.13572, Eq. 7)."""

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import BF16, BLOCK, TOO_LARGE, Bytes, Counts, Floats, Halves
from ramekin.merge.loops.compiling import as_bits, compiled, halves_at, room_for_block, room_for_rows
from ramekin.merge.loops.conversion import load_block, narrowed, special_halves, store, widened
from ramekin.merge.loops.counting import all_bfloat16, include, tally, three_halves


@compiled
def _merge_three(
    base: Halves,
    a: Halves,
    b: Halves,
    c: Halves,
    epsilon: np.float32,
    factors: Floats,
    out: Halves,
    counts: Counts,
) -> bool:
    """Merge a block of bfloat16 without storing anything between; return whether all results are finite."""
    nothing = np.float32(0)
    f1, f2, f3, f4, f5, f6, f7 = factors[1], factors[2], factors[3], factors[4], factors[5], factors[6], factors[7]
    largest = one = two = three = both = first = last = every = np.uint32(0)
    for i in range(len(base)):
        start = widened(base[i])
        from_a, from_b, from_c = widened(a[i]) - start, widened(b[i]) - start, widened(c[i]) - start
        in_a, in_b, in_c = abs(from_a) > epsilon, abs(from_b) > epsilon, abs(from_c) > epsilon
        total = nothing + (from_a if in_a else nothing)
        total += from_b if in_b else nothing
        total += from_c if in_c else nothing
        without_c = (f3 if in_b else f1) if in_a else (f2 if in_b else nothing)
        with_c = (f7 if in_b else f5) if in_a else (f6 if in_b else f4)
        factor = with_c if in_c else without_c
        merged = np.float32(start + np.float32(factor * total))
        bits = as_bits(merged if factor != nothing else start)
        out[i] = narrowed(bits)
        largest = max(largest, np.uint32(bits & np.uint32(0x7FFFFFFF)))
        one = np.uint32(one + np.uint32(in_a))
        two = np.uint32(two + np.uint32(in_b))
        three = np.uint32(three + np.uint32(in_c))
        both = np.uint32(both + np.uint32(in_a & in_b))
        first = np.uint32(first + np.uint32(in_a & in_c))
        last = np.uint32(last + np.uint32(in_b & in_c))
        every = np.uint32(every + np.uint32(in_a & in_b & in_c))
    include(len(base), one, two, three, both, first, last, every, counts)
    return bool(largest < TOO_LARGE)


@compiled
def _merge_bfloat16(
    places: Counts,
    count: int,
    epsilon: np.float32,
    coefficients: Floats,
    out: Bytes,
    counts: Counts,
    bad: Counts,
) -> bool:
    """See `all_bfloat16`; the output is in bfloat16 as well. Return whether it is finite; if not, nothing is counted.

    A NaN can have any bits after it was rounded: the loop for all types counts what is wrong.
    """
    sources, result = three_halves(places, count), halves_at(out.ctypes.data, count)
    found = carray(room_for_block(), (8,), np.int64)
    faults = carray(room_for_block(), (4,), np.int64)
    factors = carray(room_for_block(), (8,), np.float32)
    found[:], faults[:], factors[:] = 0, 0, np.float32(0)
    for pattern in range(len(coefficients)):
        factors[pattern] = coefficients[pattern]
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        base, a = sources[0][start : start + n], sources[1][start : start + n]
        b, c = sources[2][start : start + n], sources[3][start : start + n]
        merged = result[start : start + n]
        if not _merge_three(base, a, b, c, epsilon, factors, merged, found):
            return False
        for row in range(len(places)):
            faults[row] += special_halves(halves_at(places[row] + 2 * start, n), np.uint16(0x7F80))
    for pattern in range(len(counts)):
        counts[pattern] += found[pattern]
    for row in range(len(places)):
        bad[row] += faults[row]
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
        places: `[N + 1]`, addresses of the sources.
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
    halves = out_kind == BF16 and all_bfloat16(kinds, limits, count)
    if halves and _merge_bfloat16(places, count, epsilon, coefficients, out, counts, bad):
        return
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    masks = carray(room_for_block(), (BLOCK,), np.uint32)
    total = carray(room_for_block(), (BLOCK,), np.float32)
    factor = carray(room_for_block(), (BLOCK,), np.float32)
    base = rows[0]
    for start in range(0, count, BLOCK):
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
            base[i] = merged if factor[i] != np.float32(0) else base[i]
        bad[-1] += store(base, out_kind, start, n, out)
        if len(counts):
            tally(masks, n, counts)

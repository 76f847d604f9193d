"""Counting which experts changed which elements (RAM, arXiv 2601.13572, Eq. 1-2)."""

from typing import Final

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import BF16, BLOCK, Bytes, Counts, Floats, Halves, Words
from ramekin.merge.loops.compiling import compiled, halves_at, room_for_block, room_for_rows
from ramekin.merge.loops.conversion import load_block, special_halves, widened

_FEW: Final = 16  # up to so many patterns, comparing a block with each is faster than a histogram


@compiled
def mark(rows: Floats, n: int, epsilon: np.float32, masks: Words) -> None:
    """Who changed each element of a block: bit t of `masks[block]` is set where `|tau_t|` is greater than `epsilon`."""
    masks[:n] = np.uint32(0)
    for t in range(len(rows) - 1):
        change, bit = rows[t + 1], np.uint32(1 << t)
        for i in range(n):
            masks[i] |= bit if abs(change[i]) > epsilon else np.uint32(0)


@compiled
def tally(masks: Words, n: int, counts: Counts) -> None:
    """Add the patterns of a block to `counts[2**N]`."""
    if len(counts) > _FEW:
        for i in range(n):
            counts[masks[i]] += 1
        return
    rest = np.int64(n)
    for pattern in range(1, len(counts)):
        found = np.uint32(0)
        for i in range(n):
            found = np.uint32(found + np.uint32(masks[i] == np.uint32(pattern)))
        counts[pattern] += found
        rest -= found
    counts[0] += rest


@compiled
def _count_three(base: Halves, a: Halves, b: Halves, c: Halves, epsilon: np.float32, counts: Counts) -> None:
    """Count a block of bfloat16 without storing anything."""
    one = two = three = both = first = last = every = np.uint32(0)
    for i in range(len(base)):
        start = widened(base[i])
        in_a = np.uint32(abs(widened(a[i]) - start) > epsilon)
        in_b = np.uint32(abs(widened(b[i]) - start) > epsilon)
        in_c = np.uint32(abs(widened(c[i]) - start) > epsilon)
        in_ab = np.uint32(in_a & in_b)
        one = np.uint32(one + in_a)
        two = np.uint32(two + in_b)
        three = np.uint32(three + in_c)
        both = np.uint32(both + in_ab)
        first = np.uint32(first + (in_a & in_c))
        last = np.uint32(last + (in_b & in_c))
        every = np.uint32(every + (in_ab & in_c))
    include(len(base), one, two, three, both, first, last, every, counts)


@compiled
def include(
    n: int,
    one: np.uint32,
    two: np.uint32,
    three: np.uint32,
    both: np.uint32,
    first: np.uint32,
    last: np.uint32,
    every: np.uint32,
    counts: Counts,
) -> None:
    """Add to `counts[8]` the patterns of `n` elements, by inclusion and exclusion.

    Given is how many elements each set of three experts has all changed: the first alone, the second, the third; the
    first and second, the first and third, the second and third; all.
    """
    ab, ac, bc, abc = np.int64(both), np.int64(first), np.int64(last), np.int64(every)
    counts[0] += n - one - two - three + ab + ac + bc - abc
    counts[1] += one - ab - ac + abc
    counts[2] += two - ab - bc + abc
    counts[3] += ab - abc
    counts[4] += three - ac - bc + abc
    counts[5] += ac - abc
    counts[6] += bc - abc
    counts[7] += abc


@compiled
def all_bfloat16(kinds: Bytes, limits: Counts, count: int) -> bool:
    """Whether there are up to three experts, all in bfloat16 like their base, and none of them shorter."""
    alike = len(limits) <= 3
    for kind in kinds:
        alike &= kind == BF16
    for limit in limits:
        alike &= limit >= count
    return alike


@compiled
def three_halves(places: Counts, count: int) -> tuple[Halves, Halves, Halves, Halves]:
    """Base and up to three experts, all in 16 bits; one that is not there is the base itself: it changes nothing."""
    experts = len(places) - 1
    return (
        halves_at(places[0], count),
        halves_at(places[1], count),
        halves_at(places[2 if experts > 1 else 0], count),
        halves_at(places[3 if experts > 2 else 0], count),
    )


@compiled
def _count_bfloat16(places: Counts, count: int, epsilon: np.float32, counts: Counts, bad: Counts) -> None:
    """See `all_bfloat16`."""
    sources = three_halves(places, count)
    found = carray(room_for_block(), (8,), np.int64)
    found[:] = 0
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        base, a = sources[0][start : start + n], sources[1][start : start + n]
        b, c = sources[2][start : start + n], sources[3][start : start + n]
        _count_three(base, a, b, c, epsilon, found)
        for row in range(len(places)):
            bad[row] += special_halves(halves_at(places[row] + 2 * start, n), np.uint16(0x7F80))
    for pattern in range(len(counts)):
        counts[pattern] += found[pattern]


@compiled
def count_patterns(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    epsilon: np.float32,
    counts: Counts,
    bad: Counts,
) -> None:
    """Count which experts changed which elements.

    Args:
        places: `[N + 1]`, addresses of the sources.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to look at.
        epsilon: A change must be greater than this.
        counts: `[2**N]`, added to: elements by pattern, bit t set where expert t changed the element.
        bad: `[N + 2]`, added to: elements of each source that are NaN or infinite.
    """
    if all_bfloat16(kinds, limits, count):
        _count_bfloat16(places, count, epsilon, counts, bad)
        return
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    masks = carray(room_for_block(), (BLOCK,), np.uint32)
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        mark(rows, n, epsilon, masks)
        tally(masks, n, counts)

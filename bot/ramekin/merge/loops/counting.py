"""Counting which experts changed which elements (RAM, arXiv 2601.13572, Eq. 1-2)."""

from typing import Final

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import ADDRESS, BF16, Bytes, Counts, Floats, Words
from ramekin.merge.loops.compiling import as_bits, compiled, halves_at, room_for_block, room_for_rows, words_at
from ramekin.merge.loops.conversion import SPECIAL, load_block, lower, special_halves, upper
from ramekin.merge.loops.reading import reach
from ramekin.merge.sizes import BLOCK, STRIDE

_FEW: Final = 16  # up to so many patterns, comparing a block with each is faster than a histogram

Four = tuple[int, int, int, int]

_U = np.uint32
Seen = tuple[_U, _U, _U, _U, _U, _U, _U]
"""How many elements each set of three experts has all changed: the first alone, the second, the third; the first and
second, the first and third, the second and third; all."""


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
def add_to(seen: Seen, in_a: np.bool_, in_b: np.bool_, in_c: np.bool_) -> Seen:
    """Count an element by which of three experts have changed it."""
    one, two, three, both, first, last, every = seen
    return (
        np.uint32(one + np.uint32(in_a)),
        np.uint32(two + np.uint32(in_b)),
        np.uint32(three + np.uint32(in_c)),
        np.uint32(both + np.uint32(in_a & in_b)),
        np.uint32(first + np.uint32(in_a & in_c)),
        np.uint32(last + np.uint32(in_b & in_c)),
        np.uint32(every + np.uint32(in_a & in_b & in_c)),
    )


@compiled
def include(n: int, seen: Seen, counts: Counts) -> None:
    """Add to `counts[8]` the patterns of `n` elements, by inclusion and exclusion."""
    one, two, three, both, first, last, every = seen
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
def _count_three(where: Four, pairs: int, epsilon: np.float32, counts: Counts) -> bool:
    """Count a block of bfloat16 without storing anything; return whether all changes are finite."""
    base, a = words_at(where[0], pairs), words_at(where[1], pairs)
    b, c = words_at(where[2], pairs), words_at(where[3], pairs)
    zero = np.uint32(0)
    seen, largest = (zero, zero, zero, zero, zero, zero, zero), zero
    for i in range(pairs):
        start, next_start = lower(base[i]), upper(base[i])
        from_a, next_from_a = abs(lower(a[i]) - start), abs(upper(a[i]) - next_start)
        from_b, next_from_b = abs(lower(b[i]) - start), abs(upper(b[i]) - next_start)
        from_c, next_from_c = abs(lower(c[i]) - start), abs(upper(c[i]) - next_start)
        largest = max(largest, as_bits(from_a), as_bits(from_b), as_bits(from_c))
        largest = max(largest, as_bits(next_from_a), as_bits(next_from_b), as_bits(next_from_c))
        seen = add_to(seen, from_a > epsilon, from_b > epsilon, from_c > epsilon)
        seen = add_to(seen, next_from_a > epsilon, next_from_b > epsilon, next_from_c > epsilon)
    include(2 * pairs, seen, counts)
    return bool(largest < SPECIAL)


@compiled
def pairs_of_bfloat16(places: Counts, kinds: Bytes, limits: Counts, count: int) -> int:
    """How many pairs of elements can be taken a word at a time, from the first on.

    That is, if there are up to three experts, all in bfloat16 like their base, and none of them shorter.
    """
    alike = len(limits) <= 3
    for source in range(len(kinds)):
        alike &= kinds[source] == BF16 and places[source, ADDRESS] % 4 == 0
    for limit in limits:
        alike &= limit >= count
    return count // 2 if alike else 0


@compiled
def reach_three(places: Counts, start: int, n: int) -> Four:
    """Where a block of the base and of three experts is, all in 16 bits; an expert that is not there is the base."""
    experts = len(places) - 1
    base = reach(places, 0, BF16, start, n)
    return (
        base,
        reach(places, 1, BF16, start, n),
        reach(places, 2, BF16, start, n) if experts > 1 else base,
        reach(places, 3, BF16, start, n) if experts > 2 else base,
    )


@compiled
def _note_special(where: Four, n: int, bad: Counts) -> None:
    """Count what is NaN or infinite in a block of each source that there is."""
    bad[0] += special_halves(halves_at(where[0], n), np.uint16(0x7F80))
    bad[1] += special_halves(halves_at(where[1], n), np.uint16(0x7F80))
    if len(bad) > 3:
        bad[2] += special_halves(halves_at(where[2], n), np.uint16(0x7F80))
    if len(bad) > 4:
        bad[3] += special_halves(halves_at(where[3], n), np.uint16(0x7F80))


@compiled
def _count_pairs(places: Counts, pairs: int, epsilon: np.float32, counts: Counts, bad: Counts) -> None:
    """See `pairs_of_bfloat16`."""
    found = carray(room_for_block(), (8,), np.int64)
    found[:] = 0
    for start in range(0, 2 * pairs, STRIDE):
        n = min(STRIDE, 2 * pairs - start)
        where = reach_three(places, start, n)
        if not _count_three(where, n // 2, epsilon, found):
            _note_special(where, n, bad)
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
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to look at.
        epsilon: A change must be greater than this.
        counts: `[2**N]`, added to: elements by pattern, bit t set where expert t changed the element.
        bad: `[N + 2]`, added to: elements of each source that are NaN or infinite.
    """
    pairs = pairs_of_bfloat16(places, kinds, limits, count)
    if pairs:
        _count_pairs(places, pairs, epsilon, counts, bad)
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    masks = carray(room_for_block(), (BLOCK,), np.uint32)
    for start in range(2 * pairs, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        mark(rows, n, epsilon, masks)
        tally(masks, n, counts)

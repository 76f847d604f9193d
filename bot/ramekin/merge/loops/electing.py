"""TIES's sign election (arXiv 2306.01708) over a chunk: changes trimmed to the largest, or dropped at random.

Magnitudes are compared by their bits: those of a float32 without its sign order as the number does.
"""

from typing import Final

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import SPARE, Bytes, Counts, Floats, Words
from ramekin.merge.loops.compiling import as_bits, compiled, room, room_for_block, room_for_rows
from ramekin.merge.loops.conversion import load_block, store
from ramekin.merge.loops.masking import KEPT, drop, keep
from ramekin.merge.sizes import BLOCK, MAX_EXPERTS

_MAGNITUDE: Final = np.uint32(0x7FFFFFFF)

_NOWHERE: Final = SPARE - 1
_room_for_counts: Final = room(8 * (MAX_EXPERTS + 2))


@compiled
def magnitudes(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    starts: Counts,
    each: int,
    out: Words,
    bad: Counts,
) -> None:
    """Write `|tau_t|` of every expert, as bits, at some places to `out[N, elements]`, one place after the other.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements that there are.
        starts: The first element of each place.
        each: Elements of a place, at most a block; fewer where there are no more.
        out: Written.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    done = 0
    for start in starts:
        n = min(each, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        for t in range(len(limits)):
            change = rows[t + 1]
            for i in range(n):
                out[t, done + i] = as_bits(change[i]) & _MAGNITUDE
        done += n


@compiled
def count_magnitudes(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    low: Words,
    high: Words,
    shift: Words,
    above: Counts,
    table: Words,
    ones: Words,
    zeros: Words,
    bad: Counts,
) -> None:
    """Count, for every expert, the magnitudes in bins between two bounds, and those above.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to look at.
        low: `[N]`, least magnitude that has a bin.
        high: `[N]`, largest.
        shift: `[N]`, a bin has `2**shift` magnitudes.
        above: `[N]`, added to: magnitudes greater than `high`.
        table: `[N, bins + SPARE]`, added to; the last ones are for what has no bin.
        ones: `[N, bins + SPARE]`, united with the bits that are set in any magnitude of the bin.
        zeros: `[N, bins + SPARE]`, united with those that are clear in any: where none is in both, all in it are equal.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    bits = carray(room_for_block(), (BLOCK,), np.uint32)
    bins = carray(room_for_block(), (BLOCK,), np.uint32)
    nowhere = np.uint32(table.shape[1] - SPARE)
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        for t in range(len(limits)):
            change, lower, upper, width = rows[t + 1], low[t], high[t], shift[t]
            greater = inside = np.uint32(0)
            for i in range(n):
                b = np.uint32(as_bits(change[i]) & _MAGNITUDE)
                bits[i] = b
                greater = np.uint32(greater + np.uint32(b > upper))
                inside = np.uint32(inside + np.uint32(b >= lower))
            above[t] += greater
            if inside == greater:
                continue
            if lower == upper:  # as usual in bfloat16, where a cut is one of few magnitudes
                table[t, 0] += inside - greater
                ones[t, 0] |= lower
                zeros[t, 0] |= ~lower & _MAGNITUDE
                continue
            # Without a branch that depends on the element, which no processor could predict.
            for i in range(n):
                beyond = np.uint32(bits[i] - lower)
                bins[i] = (beyond >> width) if beyond <= np.uint32(upper - lower) else nowhere + np.uint32(i & _NOWHERE)
            for i in range(n):
                place, b = bins[i], bits[i]
                table[t, place] += np.uint32(1)
                united, cleared = ones[t, place] | b, zeros[t, place] | (~b & _MAGNITUDE)
                if united != ones[t, place]:
                    ones[t, place] = united
                if cleared != zeros[t, place]:
                    zeros[t, place] = cleared


@compiled
def count_equals(places: Counts, kinds: Bytes, limits: Counts, count: int, cuts: Words, equals: Counts) -> None:
    """Add to `equals[N]` how many magnitudes of each expert are its cut exactly."""
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    bad = carray(_room_for_counts(), (len(places) + 1,), np.int64)
    bad[:] = 0
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        for t in range(len(limits)):
            change, cut = rows[t + 1], cuts[t]
            found = np.uint32(0)
            for i in range(n):
                found = np.uint32(found + np.uint32((as_bits(change[i]) & _MAGNITUDE) == cut))
            equals[t] += found


@compiled
def _trim(change: Floats, n: int, cut: np.uint32, allowed: int) -> int:
    """Set to 0 what is smaller than the cut, and of what equals it all but the first `allowed`; return what is left."""
    equals = np.uint32(0)
    for i in range(n):
        equals = np.uint32(equals + np.uint32((as_bits(change[i]) & _MAGNITUDE) == cut))
    if equals <= allowed or allowed == 0:
        least = cut if equals <= allowed else np.uint32(cut + np.uint32(1))
        stays = carray(room_for_block(), (BLOCK,), np.uint32)
        for i in range(n):
            stays[i] = KEPT if (as_bits(change[i]) & _MAGNITUDE) >= least else np.uint32(0)
        keep(change, n, stays)
        return int(max(0, allowed - int(equals)))
    for i in range(n):
        b = np.uint32(as_bits(change[i]) & _MAGNITUDE)
        if b == cut and allowed:
            allowed -= 1
        elif b <= cut:
            change[i] = np.float32(0)
    return 0


@compiled
def _elect(rows: Floats, n: int, weights: Floats, scale: np.float32, merged: Floats) -> None:
    """`theta_base + scale * mean` of a block, the weighted mean of the changes whose sign is the elected one.

    Args:
        rows: `[N + 1, block]`, the base and the changes; those that take no part are 0.
        n: Elements.
        weights: `[N]`.
        scale: Factor on the mean.
        merged: `[block]`, written.
    """
    base = rows[0]
    weight_sum = carray(room_for_block(), (BLOCK,), np.float32)
    elected = carray(room_for_block(), (BLOCK,), np.float32)
    weight_sum[:n] = elected[:n] = merged[:n] = np.float32(0)
    for t in range(len(weights)):
        change, weight = rows[t + 1], weights[t]
        for i in range(n):
            elected[i] += np.float32(weight * change[i])
    for t in range(len(weights)):
        change, weight = rows[t + 1], weights[t]
        for i in range(n):
            agrees = (change[i] > 0) if elected[i] >= 0 else (change[i] < 0)
            merged[i] += np.float32(weight * change[i]) if agrees else np.float32(0)
            weight_sum[i] += weight if agrees else np.float32(0)
    for i in range(n):
        mean = np.float32(merged[i] / (weight_sum[i] if weight_sum[i] > 0 else np.float32(1)))
        merged[i] = base[i] + np.float32(scale * mean)


@compiled
def merge_trimmed(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    cuts: Words,
    allowed: Counts,
    weights: Floats,
    scale: np.float32,
    out: Bytes,
    out_kind: int,
    bad: Counts,
) -> None:
    """TIES: of each expert the changes of largest magnitude, then election and mean.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        cuts: `[N]`, least magnitude that is kept.
        allowed: `[N]`, how many of the chunk's magnitudes that equal the cut are kept; the first ones are.
        weights: `[N]`.
        scale: lambda.
        out: The output's bytes.
        out_kind: Its element type.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    merged = carray(room_for_block(), (BLOCK,), np.float32)
    left = carray(_room_for_counts(), (len(allowed),), np.int64)
    for t in range(len(allowed)):
        left[t] = allowed[t]
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        for t in range(len(limits)):
            left[t] = _trim(rows[t + 1], n, cuts[t], left[t])
        _elect(rows, n, weights, scale, merged)
        bad[-1] += store(merged, out_kind, start, n, out)


@compiled
def merge_dropped(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    first: int,
    keys: Words,
    threshold: np.uint64,
    rescale: np.float32,
    weights: Floats,
    scale: np.float32,
    elect: bool,
    out: Bytes,
    out_kind: int,
    bad: Counts,
) -> None:
    """DARE: changes dropped at random and the others rescaled, then summed, or elected as TIES does.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        first: Index of the chunk's first element in its tensor.
        keys: `[N, 2]`, the masks' keys.
        threshold: As in `drop`.
        rescale: Factor on the changes that are left; 1 where it is part of the weights.
        weights: `[N]`.
        scale: lambda.
        elect: Whether signs are elected.
        out: The output's bytes.
        out_kind: Its element type.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    merged = carray(room_for_block(), (BLOCK,), np.float32)
    base = rows[0]
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        for t in range(len(limits)):
            change = rows[t + 1]
            drop(change, n, keys[t, 0], keys[t, 1], first + start, threshold)
            if elect:
                for i in range(n):
                    change[i] *= rescale
        if elect:
            _elect(rows, n, weights, scale, merged)
        else:
            merged[:n] = np.float32(0)
            for t in range(len(limits)):
                change, weight = rows[t + 1], weights[t]
                for i in range(n):
                    merged[i] += np.float32(weight * change[i])
            for i in range(n):
                merged[i] += base[i]
        bad[-1] += store(merged, out_kind, start, n, out)

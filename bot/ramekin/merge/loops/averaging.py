"""Averages, and weighted sums of changes, of a chunk."""

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import Bytes, Counts, Floats
from ramekin.merge.loops.compiling import compiled, room_for_block, room_for_rows
from ramekin.merge.loops.conversion import load_block, load_values, store
from ramekin.merge.sizes import BLOCK


@compiled
def merge_average(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    factors: Floats,
    row: int,
    first: int,
    out: Bytes,
    out_kind: int,
    bad: Counts,
) -> None:
    """`theta = share * (scale * sum_t theta_t) + rest * theta_base`.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        factors: `[filters, 3]`: scale, share and rest of each filter. Where rest is 0 the base takes no part, and
            where share is 1 the mean is taken as it is.
        row: Elements of a filter.
        first: Index of the chunk's first element among those that the filters share; that of filter 0 is 0.
        out: The output's bytes.
        out_kind: Its element type.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    total = carray(room_for_block(), (BLOCK,), np.float32)
    base = rows[0]
    start = 0
    while start < count:
        filter_, within = divmod(first + start, row)
        n = min(BLOCK, count - start, row - within)
        scale, share, rest = factors[filter_, 0], factors[filter_, 1], factors[filter_, 2]
        load_values(places, kinds, limits, start, n, rows, bad)
        total[:n] = np.float32(0)
        for t in range(len(limits)):
            values = rows[t + 1]
            for i in range(n):
                total[i] += values[i]
        for i in range(n):
            total[i] *= scale
        if rest != np.float32(0) or share != np.float32(1):
            for i in range(n):
                total[i] = np.float32(share * total[i]) + np.float32(rest * base[i])
        bad[-1] += store(total, out_kind, start, n, out)
        start += n


@compiled
def merge_sum(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    weights: Floats,
    out: Bytes,
    out_kind: int,
    bad: Counts,
) -> None:
    """`theta = theta_base + sum_t weight_t tau_t` (task arithmetic).

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        weights: `[N]`.
        out: The output's bytes.
        out_kind: Its element type.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    total = carray(room_for_block(), (BLOCK,), np.float32)
    base = rows[0]
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        total[:n] = np.float32(0)
        for t in range(len(limits)):
            change, weight = rows[t + 1], weights[t]
            for i in range(n):
                total[i] += np.float32(weight * change[i])
        for i in range(n):
            total[i] += base[i]
        bad[-1] += store(total, out_kind, start, n, out)

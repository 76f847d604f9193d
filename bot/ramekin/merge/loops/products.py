"""Inner products of the experts' changes, in float64 and in an order that nothing else decides.

The elements of a filter are cut into blocks from its beginning; a block's products are summed by halving, and the
blocks of a filter in order. So neither chunks nor threads play a part.
"""

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import Bytes, Counts, Doubles
from ramekin.merge.loops.compiling import compiled, room_for_block, room_for_rows
from ramekin.merge.loops.conversion import load_block
from ramekin.merge.sizes import BLOCK


@compiled
def multiply(
    places: Counts,
    kinds: Bytes,
    limits: Counts,
    count: int,
    row: int,
    first: int,
    sums: Doubles,
    bad: Counts,
) -> None:
    """Sum the products of every two experts' changes, by block.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to look at.
        row: Elements of a filter.
        first: Place of the chunk's first element in its filter, a multiple of the block.
        sums: `[blocks, N, N]`, written: the upper triangle, one matrix per block of a filter, in order.
        bad: `[N + 2]`, added to.
    """
    rows = carray(room_for_rows(), (len(places), BLOCK), np.float32)
    products = carray(room_for_block(), (BLOCK,), np.float64)
    start = place = 0
    while start < count:
        n = min(BLOCK, count - start, row - (first + start) % row)
        load_block(places, kinds, limits, start, n, rows, bad)
        for t in range(len(limits)):
            for u in range(t, len(limits)):
                one, other = rows[t + 1], rows[u + 1]
                products[n:] = 0.0
                for i in range(n):
                    products[i] = np.float64(one[i]) * np.float64(other[i])
                half = BLOCK // 2
                while half:
                    for i in range(half):
                        products[i] += products[half + i]
                    half //= 2
                sums[place, t, u] = products[0]
        start += n
        place += 1


@compiled
def accumulate(sums: Doubles, count: int, row: int, first: int, totals: Doubles) -> None:
    """Add the blocks of a chunk, as `multiply` left them, to `totals[filters, N, N]`, one after the other.

    Args:
        sums: `[blocks, N, N]`.
        count: Elements of the chunk.
        row: Elements of a filter.
        first: Index of the chunk's first element.
        totals: Added to.
    """
    start = place = 0
    while start < count:
        filter_, within = divmod(first + start, row)
        for t in range(sums.shape[1]):
            for u in range(sums.shape[2]):
                totals[filter_, t, u] += sums[place, t, u]
        start += min(BLOCK, count - start, row - within)
        place += 1

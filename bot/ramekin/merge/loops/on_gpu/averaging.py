"""Averages, and weighted sums of changes; see `loops.averaging`."""

import numpy as np
import torch
from torch import Tensor

from ramekin.merge.loops.compiling import Bytes, Counts, Floats
from ramekin.merge.loops.on_gpu.lanes import Rows


def merge_average(rows: Rows, factors: Floats, row: int, first: int, out: Bytes, out_kind: int, bad: Counts) -> None:
    """See `loops.averaging.merge_average`."""
    base, total = rows.base(), rows.zeros()
    for t in range(rows.experts):
        total.add_(rows.weights(t, base))
    used = factors[first // row : (first + max(rows.count, 1) - 1) // row + 1]
    if len(used) == 1:
        scale, share, rest = map(float, used[0])
        total.mul_(scale)
        if rest != 0 or share != 1:
            total.mul_(share).add_(base.mul_(rest))
    else:
        scales, shares, rests = _spread(rows, used, row, first % row)
        total.mul_(scales)
        whole = (rests == 0).logical_and_(shares == 1)
        total = torch.where(whole, total, shares.mul_(total).add_(base.mul_(rests)))
    rows.store(total, out, out_kind, bad)


def _spread(rows: Rows, factors: Floats, row: int, within: int) -> tuple[Tensor, ...]:
    """The factors of every element of the chunk, three times `[count]`.

    Args:
        rows: The chunk.
        factors: `[filters, 3]`, those of the filters that the chunk has a part of.
        row: Elements of a filter.
        within: Place of the first element in its filter.
    """
    lengths = np.full(len(factors), row, np.int64)
    lengths[0] -= within
    lengths[-1] -= lengths.sum() - rows.count
    repeats, columns = rows.put(lengths), rows.put(factors.T)
    return tuple(column.repeat_interleave(repeats, output_size=rows.count) for column in columns)


def merge_sum(rows: Rows, weights: Floats, out: Bytes, out_kind: int, bad: Counts) -> None:
    """See `loops.averaging.merge_sum`."""
    base = rows.base()
    total = rows.zeros()
    for t in range(rows.experts):
        total.add_(rows.change(t, base).mul_(float(weights[t])))
    rows.store(total.add_(base), out, out_kind, bad)

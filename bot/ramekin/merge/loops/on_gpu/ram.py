"""Overlap counts, and RAM's merge; see `loops.counting` and `loops.ram`."""

import numpy as np
import torch
from torch import Tensor

from ramekin.merge.loops.compiling import Bytes, Counts, Floats
from ramekin.merge.loops.on_gpu.lanes import Rows


def count_patterns(rows: Rows, epsilon: np.float32, counts: Counts, bad: Counts) -> None:
    """See `loops.counting.count_patterns`."""
    base, masks = rows.base(), rows.zeros(torch.int32)
    for t in range(rows.experts):
        masks.add_(_changed(rows.change(t, base), epsilon), alpha=1 << t)
    counts += _tally(masks, len(counts))
    rows.check(bad)


def merge_ram(
    rows: Rows,
    epsilon: np.float32,
    coefficients: Floats,
    out: Bytes,
    out_kind: int,
    counts: Counts,
    bad: Counts,
) -> None:
    """See `loops.ram.merge_ram`."""
    base, masks, total = rows.base(), rows.zeros(torch.int32), rows.zeros()
    for t in range(rows.experts):
        change = rows.change(t, base)
        changed = _changed(change, epsilon)
        masks.add_(changed, alpha=1 << t)
        total.add_(change.masked_fill_(changed.logical_not_(), 0.0))
    factors = rows.put(coefficients).index_select(0, masks)
    merged = torch.where(factors != 0, total.mul_(factors).add_(base), base)  # see `loops.ram`
    rows.store(merged, out, out_kind, bad)
    if len(counts):
        counts += _tally(masks, len(counts))


def _changed(change: Tensor, epsilon: np.float32) -> Tensor:
    return change.abs() > float(epsilon)


def _tally(masks: Tensor, patterns: int) -> Counts:
    found: Counts = masks.bincount(minlength=patterns).cpu().numpy()
    return found

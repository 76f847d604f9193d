"""Trimming or dropping of changes, and the election of signs; see `loops.electing`."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from ramekin.merge.loops.compiling import Bytes, Counts, Floats, Words
from ramekin.merge.loops.on_gpu.lanes import Rows
from ramekin.merge.loops.on_gpu.masking import drop

_MAGNITUDE: Final = 0x7FFFFFFF


def count_magnitudes(
    rows: Rows,
    low: Words,
    high: Words,
    shift: Words,
    above: Counts,
    table: Words,
    ones: Words,
    zeros: Words,
    bad: Counts,
) -> None:
    """See `loops.electing.count_magnitudes`.

    `ones` and `zeros` are united with the bits of the least and of the largest magnitude in each bin: where these are
    not equal, some bit is in both, and that is all that is asked of them.
    """
    base = rows.base()
    for t in range(rows.experts):
        lower, upper = int(low[t]), min(int(high[t]), _MAGNITUDE)
        if lower > _MAGNITUDE:  # beyond every magnitude
            continue
        bits = _magnitudes(rows.change(t, base))
        greater = bits > upper
        above[t] += int(greater.count_nonzero())
        bits = bits[(bits >= lower).logical_and_(greater.logical_not_())]
        places = ((bits - lower) >> int(shift[t])).long()
        counts = places.bincount(minlength=table.shape[1])
        least = torch.full_like(counts, _MAGNITUDE, dtype=torch.int32).scatter_reduce_(0, places, bits, "amin")
        most = torch.zeros_like(least).scatter_reduce_(0, places, bits, "amax")
        met = counts != 0
        table[t] += counts.cpu().numpy().astype(np.uint32)
        ones[t] |= ((least | most) * met).cpu().numpy().view(np.uint32)
        zeros[t] |= (((least & most) ^ _MAGNITUDE) * met).cpu().numpy().view(np.uint32)
    rows.check(bad)


def count_equals(rows: Rows, cuts: Words, equals: Counts) -> None:
    """See `loops.electing.count_equals`."""
    base = rows.base()
    found = [(_magnitudes(rows.change(t, base)) == int(cut)).count_nonzero() for t, cut in enumerate(cuts)]
    equals += torch.stack(found).cpu().numpy()


def merge_trimmed(
    rows: Rows, cuts: Words, allowed: Counts, weights: Floats, scale: np.float32, out: Bytes, out_kind: int, bad: Counts
) -> None:
    """See `loops.electing.merge_trimmed`."""
    base = rows.base()
    changes = [rows.change(t, base) for t in range(rows.experts)]
    for change, cut, most in zip(changes, cuts, allowed, strict=True):
        _trim(change, int(cut), int(most))
    rows.store(_elect(base, changes, weights, scale), out, out_kind, bad)


def merge_dropped(
    rows: Rows,
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
    """See `loops.electing.merge_dropped`."""
    base, total = rows.base(), rows.zeros()
    changes = []
    for t, (key0, key1) in enumerate(keys):
        change = rows.change(t, base)
        drop(change, (int(key0), int(key1)), first, threshold)
        if elect:
            changes.append(change.mul_(float(rescale)))
        else:
            total.add_(change.mul_(float(weights[t])))
    merged = _elect(base, changes, weights, scale) if elect else total.add_(base)
    rows.store(merged, out, out_kind, bad)


def _magnitudes(change: Tensor) -> Tensor:
    """`|tau|` as bits, int32."""
    return change.view(torch.int32) & _MAGNITUDE


def _trim(change: Tensor, cut: int, allowed: int) -> None:
    """Set to 0 what is smaller than the cut, and of what equals it all but the first `allowed`."""
    bits = _magnitudes(change)
    if allowed >= len(change):
        keep = bits >= cut
    else:
        keep = bits > cut
        if allowed > 0:
            equal = bits == cut
            keep |= equal & (equal.cumsum(0, dtype=torch.int32) <= allowed)
    change.masked_fill_(keep.logical_not_(), 0.0)


def _elect(base: Tensor, changes: list[Tensor], weights: Floats, scale: np.float32) -> Tensor:
    """`theta_base + scale * mean`, the weighted mean of the changes whose sign is the elected one.

    Args:
        base: `[count]`.
        changes: `[N]` times `[count]`, those that take no part 0; overwritten.
        weights: `[N]`.
        scale: Factor on the mean.
    """
    merged, weight_sum = torch.zeros_like(base), torch.zeros_like(base)
    for change, weight in zip(changes, weights, strict=True):
        merged.add_(change * float(weight))
    positive = merged >= 0
    merged.zero_()
    for change, weight in zip(changes, weights, strict=True):
        agrees = torch.where(positive, change > 0, change < 0)
        weight_sum.add_(agrees, alpha=float(weight))  # exact: the weight times 0 or 1
        merged.add_(change.mul_(float(weight)).masked_fill_(agrees.logical_not_(), 0.0))
    merged.div_(weight_sum.masked_fill_((weight_sum > 0).logical_not_(), 1.0))
    return merged.mul_(float(scale)).add_(base)

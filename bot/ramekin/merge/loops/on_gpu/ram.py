"""Overlap counts, and RAM's merge; see `loops.counting` and `loops.ram`."""

from typing import Final

import numpy as np
import triton.language as tl

from ramekin.merge.arrays import Bytes, Counts, Floats
from ramekin.merge.loops.on_gpu.elements import begin, first_change, store
from ramekin.merge.loops.on_gpu.lanes import Result, Rows
from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel

_HISTOGRAM: Final = tl.constexpr(1024)  # so many patterns fit the memory that the threads of a program share


@kernel
def _tally(masks: tl.tensor, inside: tl.tensor, counts: tl.tensor, patterns: tl.constexpr) -> None:
    """Count the patterns of a program's elements."""
    if patterns <= _HISTOGRAM:
        bins = tl.arange(0, patterns)
        found = tl.histogram(masks, patterns)
        found -= tl.where(bins == 0, BLOCK - tl.sum(inside.to(tl.int32)), 0)  # what is not there has changed nothing
        tl.atomic_add(counts + bins, found.to(tl.int64), mask=found != 0)
    else:
        tl.atomic_add(counts + masks, tl.full([BLOCK], 1, tl.int64), mask=inside)


@kernel
def _count_patterns(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    epsilon: tl.tensor,
    counts: tl.tensor,
    bad: tl.tensor,
    patterns: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    i, inside, base = begin(there, stride, count, bad, kinds)
    masks = tl.zeros([BLOCK], tl.int32)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        masks |= tl.where(tl.abs(change) > epsilon, 1 << t, 0)
    _tally(masks, inside, counts, patterns)


@kernel
def _merge_ram(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    epsilon: tl.tensor,
    coefficients: tl.tensor,
    counts: tl.tensor,
    out: tl.tensor,
    bad: tl.tensor,
    patterns: tl.constexpr,
    kind: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    i, inside, base = begin(there, stride, count, bad, kinds)
    masks, total = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        changed = tl.abs(change) > epsilon
        masks |= tl.where(changed, 1 << t, 0)
        total += tl.where(changed, change, 0.0)
    factor = tl.load(coefficients + masks)
    merged = tl.where(factor != 0.0, base + factor * total, base)  # see `loops.ram`
    store(merged, out, i, inside, bad, experts, kind)
    if patterns:
        _tally(masks, inside, counts, patterns)


def count_patterns(rows: Rows, epsilon: np.float32, counts: Counts, bad: Counts) -> None:
    """See `loops.counting.count_patterns`."""
    found, faults = rows.zeros(len(counts)), rows.zeros(len(bad))
    rows.start(_count_patterns, float(epsilon), found, faults, patterns=len(counts))
    rows.add(found, counts)
    rows.add(faults, bad)


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
    found = rows.zeros(len(counts))
    arguments = float(epsilon), rows.put(coefficients), found
    rows.merge(_merge_ram, Result(out, out_kind, bad), *arguments, patterns=len(counts))
    rows.add(found, counts)

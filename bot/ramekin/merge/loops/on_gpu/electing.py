"""Trimming or dropping of changes, and the election of signs; see `loops.electing`."""

import numpy as np
import torch
import triton.language as tl
from torch import Tensor

from ramekin.merge.arrays import Bytes, Counts, Floats, Words
from ramekin.merge.loops.on_gpu.elements import (
    MAGNITUDE,
    begin,
    bits_of,
    first_change,
    indices,
    load_base,
    load_change,
    store,
)
from ramekin.merge.loops.on_gpu.lanes import Result, Rows
from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel
from ramekin.merge.loops.on_gpu.masking import dropped


@kernel
def _count_magnitudes(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    bounds: tl.tensor,
    above: tl.tensor,
    tables: tl.tensor,
    bad: tl.tensor,
    bins: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    """`bounds` are `[N, 3]`: low, high and shift; `tables` `[3, N, bins]`: counts, ones and zeros."""
    i, inside, base = begin(there, stride, count, bad, kinds)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        bits = bits_of(change) & MAGNITUDE
        low = tl.load(bounds + 3 * t).to(tl.uint32, bitcast=True)
        high = tl.load(bounds + 3 * t + 1).to(tl.uint32, bitcast=True)
        shift = tl.load(bounds + 3 * t + 2).to(tl.uint32, bitcast=True)
        greater = tl.sum((inside & (bits > high)).to(tl.int32))
        if greater > 0:
            tl.atomic_add(above + t, greater.to(tl.int64))
        among = inside & (bits >= low) & (bits <= high)
        place = tables + t * bins + ((bits - low) >> shift).to(tl.int32)
        tl.atomic_add(place, tl.full([BLOCK], 1, tl.int32), mask=among)
        tl.atomic_or(place + experts * bins, bits.to(tl.int32), mask=among)
        tl.atomic_or(place + 2 * experts * bins, (bits ^ MAGNITUDE).to(tl.int32), mask=among)


@kernel
def _count_equals(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    cuts: tl.tensor,
    equals: tl.tensor,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    """`equals` are `[N, programs]`."""
    i = indices()
    inside = i < count
    base = load_base(there, stride, i, inside, kinds)
    for t in tl.static_range(experts):
        change = load_change(there, stride, limits, base, i, inside, t, kinds, limited)
        cut = tl.load(cuts + t).to(tl.uint32, bitcast=True)
        equal = inside & ((bits_of(change) & MAGNITUDE) == cut)
        tl.store(equals + t * tl.num_programs(0) + tl.program_id(0), tl.sum(equal.to(tl.int32)).to(tl.int64))


@kernel
def _trimmed(
    change: tl.tensor,
    cuts: tl.tensor,
    allowed: tl.tensor,
    before: tl.tensor,
    t: tl.constexpr,
    contested: tl.constexpr,
) -> tl.tensor:
    """The changes, 0 where they are smaller than the cut, or equal it when enough have before them."""
    bits = bits_of(change) & MAGNITUDE
    cut = tl.load(cuts + t).to(tl.uint32, bitcast=True)
    keep = bits >= cut
    if contested:
        equal = bits == cut
        rank = tl.load(before + t * tl.num_programs(0) + tl.program_id(0)) + tl.cumsum(equal.to(tl.int32))
        keep &= (bits > cut) | (rank <= tl.load(allowed + t))
    return tl.where(keep, change, 0.0)


@kernel
def _agreeing(change: tl.tensor, elected: tl.tensor) -> tl.tensor:
    """Where a change has the elected sign; what was trimmed or dropped has none."""
    return tl.where(elected >= 0.0, change > 0.0, change < 0.0)


@kernel
def _elected(base: tl.tensor, total: tl.tensor, weight_sum: tl.tensor, scale: tl.tensor) -> tl.tensor:
    """`theta_base + scale * mean`."""
    return base + scale * tl.div_rn(total, tl.where(weight_sum > 0.0, weight_sum, 1.0))


@kernel
def _merge_trimmed(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    cuts: tl.tensor,
    allowed: tl.tensor,
    before: tl.tensor,
    weights: tl.tensor,
    scale: tl.tensor,
    out: tl.tensor,
    bad: tl.tensor,
    contested: tl.constexpr,
    kind: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    """`before` are `[N, programs]`: how many magnitudes equal the cut in the programs before."""
    i, inside, base = begin(there, stride, count, bad, kinds)
    elected = tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        change = _trimmed(change, cuts, allowed, before, t, contested)
        elected += tl.load(weights + t) * change
    total, weight_sum = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = load_change(there, stride, limits, base, i, inside, t, kinds, limited)
        change = _trimmed(change, cuts, allowed, before, t, contested)
        agrees, weight = _agreeing(change, elected), tl.load(weights + t)
        total += tl.where(agrees, weight * change, 0.0)
        weight_sum += tl.where(agrees, weight, 0.0)
    store(_elected(base, total, weight_sum, scale), out, i, inside, bad, experts, kind)


@kernel
def _merge_dropped(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    first: tl.tensor,
    keys: tl.tensor,
    threshold: tl.tensor,
    weights: tl.tensor,
    out: tl.tensor,
    bad: tl.tensor,
    kind: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    i, inside, base = begin(there, stride, count, bad, kinds)
    place = i.to(tl.int64) + first
    total = tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        change = dropped(change, keys, t, place, threshold)
        total += tl.load(weights + t) * change
    store(total + base, out, i, inside, bad, experts, kind)


@kernel
def _merge_dropped_and_elected(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    first: tl.tensor,
    keys: tl.tensor,
    threshold: tl.tensor,
    rescale: tl.tensor,
    weights: tl.tensor,
    scale: tl.tensor,
    out: tl.tensor,
    bad: tl.tensor,
    kind: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    i, inside, base = begin(there, stride, count, bad, kinds)
    place = i.to(tl.int64) + first
    elected = tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        change = dropped(change, keys, t, place, threshold) * rescale
        elected += tl.load(weights + t) * change
    total, weight_sum = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = load_change(there, stride, limits, base, i, inside, t, kinds, limited)
        change = dropped(change, keys, t, place, threshold) * rescale
        agrees, weight = _agreeing(change, elected), tl.load(weights + t)
        total += tl.where(agrees, weight * change, 0.0)
        weight_sum += tl.where(agrees, weight, 0.0)
    store(_elected(base, total, weight_sum, scale), out, i, inside, bad, experts, kind)


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
    """See `loops.electing.count_magnitudes`; what has no bin is not counted anywhere."""
    greater, faults, tables = rows.zeros(len(above)), rows.zeros(len(bad)), rows.zeros(3 * table.size, torch.int32)
    bounds = rows.put(np.stack((low, high, shift), axis=1))
    rows.start(_count_magnitudes, bounds, greater, tables, faults, bins=table.shape[1])
    counts, united, cleared = tables.cpu().numpy().view(np.uint32).reshape(3, *table.shape)
    table += counts
    ones |= united
    zeros |= cleared
    rows.add(greater, above)
    rows.add(faults, bad)


def count_equals(rows: Rows, cuts: Words, equals: Counts) -> None:
    """See `loops.electing.count_equals`."""
    rows.add(_equals(rows, rows.put(cuts)).sum(1), equals)


def merge_trimmed(
    rows: Rows, cuts: Words, allowed: Counts, weights: Floats, scale: np.float32, out: Bytes, out_kind: int, bad: Counts
) -> None:
    """See `loops.electing.merge_trimmed`."""
    bits, most = rows.put(cuts), rows.put(allowed)
    contested = bool(np.any(allowed < rows.count))
    before = most
    if contested:
        equals = _equals(rows, bits)
        before = equals.cumsum(1) - equals
    result = Result(out, out_kind, bad)
    rows.merge(_merge_trimmed, result, bits, most, before, rows.put(weights), float(scale), contested=contested)


def _equals(rows: Rows, cuts: Tensor) -> Tensor:
    """How many magnitudes equal their cut, `[N, programs]`."""
    equals = rows.zeros(rows.experts * rows.programs)
    rows.start(_count_equals, cuts, equals)
    return equals.view(rows.experts, rows.programs)


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
    masks, result = (first, rows.put(keys), int(threshold)), Result(out, out_kind, bad)
    if elect:
        elected = float(rescale), rows.put(weights), float(scale)
        rows.merge(_merge_dropped_and_elected, result, *masks, *elected)
    else:
        rows.merge(_merge_dropped, result, *masks, rows.put(weights))

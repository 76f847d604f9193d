"""Averages, and weighted sums of changes; see `loops.averaging`."""

import triton.language as tl

from ramekin.merge.arrays import Bytes, Counts, Floats
from ramekin.merge.loops.on_gpu.elements import as_weights, begin, check, first_change, load_expert, store
from ramekin.merge.loops.on_gpu.lanes import Result, Rows
from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel


@kernel
def _merge_average(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    factors: tl.tensor,
    row: tl.tensor,
    within: tl.tensor,
    out: tl.tensor,
    bad: tl.tensor,
    kind: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    """`within` is the place of the chunk's first element in its filter, whose factors are the first ones."""
    i, inside, base = begin(there, stride, count, bad, kinds)
    total = tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        found, has = load_expert(there, stride, limits, i, inside, t, kinds, limited)
        check(found, bad, t + 1)
        total += as_weights(found, has, base, t, kinds)
    own = factors + 3 * ((i.to(tl.int64) + within) // row)
    scale = tl.load(own, mask=inside, other=0.0)
    share = tl.load(own + 1, mask=inside, other=0.0)
    rest = tl.load(own + 2, mask=inside, other=0.0)
    mean = total * scale
    mixed = share * mean + rest * base
    store(tl.where((rest == 0.0) & (share == 1.0), mean, mixed), out, i, inside, bad, experts, kind)


@kernel
def _merge_sum(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    weights: tl.tensor,
    out: tl.tensor,
    bad: tl.tensor,
    kind: tl.constexpr,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    i, inside, base = begin(there, stride, count, bad, kinds)
    total = tl.zeros([BLOCK], tl.float32)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        total += tl.load(weights + t) * change
    store(total + base, out, i, inside, bad, experts, kind)


def merge_average(rows: Rows, factors: Floats, row: int, first: int, out: Bytes, out_kind: int, bad: Counts) -> None:
    """See `loops.averaging.merge_average`."""
    used = factors[first // row : (first + max(rows.count, 1) - 1) // row + 1]
    rows.merge(_merge_average, Result(out, out_kind, bad), rows.put(used), row, first % row)


def merge_sum(rows: Rows, weights: Floats, out: Bytes, out_kind: int, bad: Counts) -> None:
    """See `loops.averaging.merge_sum`."""
    rows.merge(_merge_sum, Result(out, out_kind, bad), rows.put(weights))

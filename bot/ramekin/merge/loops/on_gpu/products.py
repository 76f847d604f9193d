"""Inner products of the experts' changes, in float64 and in the same order; see `loops.products`."""

from typing import Final

import torch
import triton.language as tl

from ramekin.merge.arrays import Counts, Doubles, blocks_of
from ramekin.merge.loops.on_gpu.elements import check, first_change, load_base, load_change
from ramekin.merge.loops.on_gpu.lanes import Rows
from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel

_HALVINGS: Final = tl.constexpr(BLOCK.value.bit_length() - 1)


@kernel
def _by_halving(products: tl.tensor) -> tl.tensor:
    """The sum of a block: always one half added to the other, whichever threads have them."""
    for k in tl.static_range(_HALVINGS):
        products = tl.sum(tl.reshape(products, [2, BLOCK >> (k + 1)]), axis=0)
    return tl.sum(products)


@kernel
def _multiply(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    count: tl.tensor,
    row: tl.tensor,
    within: tl.tensor,
    sums: tl.tensor,
    bad: tl.tensor,
    kinds: tl.constexpr,
    experts: tl.constexpr,
    limited: tl.constexpr,
) -> None:
    """A program has one block of a filter; `within` is the place of the chunk's first element in its filter."""
    program = tl.program_id(0).to(tl.int64)
    number = program + within // BLOCK
    blocks = (row + BLOCK - 1) // BLOCK
    start = number // blocks * row + number % blocks * BLOCK - within
    lane = tl.arange(0, BLOCK)
    i = start + lane
    inside = (i < count) & (number % blocks * BLOCK + lane < row)
    base = load_base(there, stride, i, inside, kinds)
    check(base, bad, 0)
    for t in tl.static_range(experts):
        change = first_change(there, stride, limits, base, i, inside, bad, t, kinds, limited)
        one = change.to(tl.float64)
        for u in tl.static_range(t, experts):
            other = load_change(there, stride, limits, base, i, inside, u, kinds, limited)
            tl.store(sums + (program * experts + t) * experts + u, _by_halving(one * other.to(tl.float64)))


def multiply(rows: Rows, row: int, first: int, sums: Doubles, bad: Counts) -> None:
    """See `loops.products.multiply`."""
    used = sums[: blocks_of(rows.count, row, first)]
    found, faults = rows.zeros(used.size, torch.float64), rows.zeros(len(bad))
    rows.start(_multiply, row, first % row, found, faults, programs=len(used))
    used[:] = found.cpu().numpy().reshape(used.shape)
    rows.add(faults, bad)

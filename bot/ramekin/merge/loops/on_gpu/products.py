"""Inner products of the experts' changes, in float64 and in the same order; see `loops.products`."""

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from ramekin.merge.loops.compiling import BLOCK, Counts, Doubles
from ramekin.merge.loops.on_gpu.lanes import Rows

_ONE: Final = 1


def multiply(rows: Rows, row: int, first: int, sums: Doubles, bad: Counts) -> None:
    """See `loops.products.multiply`."""
    base = rows.base()
    changes = [rows.change(t, base) for t in range(rows.experts)]
    pieces = _pieces(rows.count, row, first % row)
    for t, one in enumerate(changes):
        for u, other in enumerate(changes[t:], t):
            products = torch.mul(one.double(), other.double())
            blocks = [
                _by_block(products[start : start + filters * size].view(filters, size))
                for start, filters, size in pieces
            ]
            if blocks:
                found = torch.cat(blocks).cpu().numpy()
                sums[: len(found), t, u] = found
    rows.check(bad)


def _pieces(count: int, row: int, within: int) -> list[tuple[int, int, int]]:
    """A chunk as runs of filters, or parts of them, that are alike: start, how many, and elements of each."""
    head = min(count, row - within) if within else 0
    filters = (count - head) // row
    tail = count - head - filters * row
    runs = [(0, _ONE, head), (head, filters, row), (count - tail, _ONE, tail)]
    return [(start, number, size) for start, number, size in runs if number and size]


def _by_block(products: Tensor) -> Tensor:
    """Sum `[filters, elements]` by block and by halving, in float64: `[filters * blocks]`.

    A block that is not full is filled with zeros. Of a filter that is shorter than a block, only as many as the last
    halvings need: what the first ones add to the others is 0, and changes at most the sign of a zero.
    """
    filters, size = products.shape
    width = min(BLOCK, 1 << (size - 1).bit_length())
    blocks = -(-size // width)
    folded = pad(products, (0, blocks * width - size)).view(filters * blocks, width)
    if width < BLOCK:
        folded.add_(0.0)
    while width > 1:
        width //= 2
        folded[:, :width].add_(folded[:, width : 2 * width])
    return folded[:, 0]

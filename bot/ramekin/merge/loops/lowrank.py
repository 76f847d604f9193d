"""What an adapter of low rank adds to a weight (LoRA, arXiv 2106.09685), element by element, in a fixed order."""

import numpy as np

from ramekin.merge.arrays import Floats
from ramekin.merge.loops.compiling import compiled


@compiled
def form_changes(a: Floats, b: Floats, scaling: np.float32, transposed: bool, first: int, out: Floats) -> None:
    """Write `scaling * (B A)`, or its transpose, from element `first` on, to `out[n]`.

    The products of an element are summed in float32 over the rank, in order, and the sum is scaled last; so an element
    does not depend on which others are formed with it.

    Args:
        a: `[r, in]`.
        b: `[out, r]`.
        scaling: Factor on the product.
        transposed: Whether the weight is stored as `[in, out]`.
        first: Row-major index of the first element.
        out: `[n]`, written.
    """
    width = b.shape[0] if transposed else a.shape[1]
    done = 0
    while done < len(out):
        row, column = divmod(first + done, width)
        n = min(len(out) - done, width - column)
        part = out[done : done + n]
        part[:] = np.float32(0)
        for r in range(a.shape[0]):
            if transposed:
                factor = a[r, row]
                for i in range(n):
                    part[i] += np.float32(b[column + i, r] * factor)
            else:
                factor, other = b[row, r], a[r, column : column + n]
                for i in range(n):
                    part[i] += np.float32(factor * other[i])
        for i in range(n):
            part[i] *= scaling
        done += n

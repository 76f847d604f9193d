"""RAM, RAM+, RAM+s and ram-unique at work (`ramekin.methods.ram`): a factor for every pattern of who changed what."""

from collections.abc import Sequence

import numpy as np

from ramekin.merge.arrays import Bytes
from ramekin.merge.chunks import Chunk, Window
from ramekin.merge.loops.choosing import Loops
from ramekin.merge.operators.base import Operator, Sampler, TensorWork
from ramekin.plan.layout import TensorTask


class Patterned(Operator, TensorWork):
    """The sum of the changes times the factor of their pattern; the same on every tensor.

    Args:
        coefficients: `2**N` factors in float64; rounded to float32 once.
        epsilon: A change must be greater than this.
        loops: The loops.
        counts: Whether it counts the patterns while it is at it.
    """

    needs = ("merge_ram",)

    def __init__(self, coefficients: Sequence[float], epsilon: float, loops: Loops, *, counts: bool = False) -> None:
        self.counts = counts
        self._coefficients = np.array(coefficients, np.float64).astype(np.float32)
        self._epsilon = np.float32(epsilon)
        self._loops = loops

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Itself."""
        return self

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        """See `loops.ram.merge_ram`."""
        counts = window.counts[0] if self.counts else window.counts[0, :0]
        self._loops.merge_ram(
            *window.sources, chunk.count, self._epsilon, self._coefficients, out, chunk.out_kind, counts, window.bad
        )

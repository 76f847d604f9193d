"""The average, task arithmetic and Model Stock at work (`ramekin.methods.averaging`, `ramekin.methods.model_stock`)."""

import math
from collections.abc import Sequence

import numpy as np

from ramekin.merge.chunks import Chunk, Slot
from ramekin.merge.loops.choosing import Loops
from ramekin.merge.loops.compiling import Bytes, Doubles
from ramekin.merge.loops.products import accumulate, blocks_of
from ramekin.merge.operators.base import Operator, Sampler, TensorWork
from ramekin.methods import ModelStock, TaskArithmetic
from ramekin.methods.base import weights_of
from ramekin.plan.layout import TensorTask


class Averaging(Operator, TensorWork):
    """`(1/N) sum_t theta_t`; the same on every tensor."""

    def __init__(self, experts: int, loops: Loops) -> None:
        self._factors = np.array([[1.0 / experts, 1.0, 0.0]]).astype(np.float32)
        self._loops = loops

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Itself."""
        return self

    def merge(self, chunk: Chunk, slot: Slot, out: Bytes) -> None:
        """See `loops.averaging.merge_average`: one filter, as long as need be."""
        self._loops.merge_average(
            *slot.sources, chunk.count, self._factors, chunk.task.numel, chunk.first, out, chunk.out_kind, slot.bad
        )


class Summing(Operator, TensorWork):
    """`theta_base + sum_t weight_t tau_t`; the same on every tensor."""

    def __init__(self, weights: Sequence[float], loops: Loops) -> None:
        self._weights = np.array(weights, np.float64).astype(np.float32)
        self._loops = loops

    @classmethod
    def of(cls, method: TaskArithmetic, experts: Sequence[str], loops: Loops) -> "Summing":
        """Task arithmetic."""
        return cls(weights_of(method.weight, experts), loops)

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Itself."""
        return self

    def merge(self, chunk: Chunk, slot: Slot, out: Bytes) -> None:
        """See `loops.averaging.merge_sum`."""
        self._loops.merge_sum(*slot.sources, chunk.count, self._weights, out, chunk.out_kind, slot.bad)


class Stock(Operator):
    """Model Stock: each tensor is read once for its angles, and once more."""

    def __init__(self, method: ModelStock, experts: int, loops: Loops) -> None:
        self.method = method
        self.experts = experts
        self.loops = loops

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Begin to measure."""
        return _StockWork(self, task)


class _StockWork(TensorWork):
    """One tensor: `[filters, N, N]` inner products first, then the merge with `[filters, 3]` factors."""

    def __init__(self, stock: Stock, task: TensorTask) -> None:
        self._stock = stock
        by_filter = stock.method.filter_wise and len(task.shape) > 1 and task.numel
        filters = task.shape[0] if by_filter else 1
        self.row = math.prod(task.shape) // filters or 1
        self._products = np.zeros((filters, stock.experts, stock.experts))
        self._factors = np.zeros((filters, 3), np.float32)
        self._settled = False

    @property
    def looking(self) -> bool:
        return not self._settled

    def look(self, chunk: Chunk, slot: Slot) -> Doubles:
        n = self._stock.experts
        sums = np.zeros((blocks_of(chunk.count, self.row, chunk.first), n, n))
        self._stock.loops.multiply(*slot.sources, chunk.count, self.row, chunk.first, sums, slot.bad)
        return sums

    def take(self, chunk: Chunk, seen: object) -> None:
        assert isinstance(seen, np.ndarray)  # noqa: S101 - what `look` gave
        accumulate(seen, chunk.count, self.row, chunk.first, self._products)

    def settle(self) -> None:
        scale = 1.0 / self._stock.experts
        for factors, products in zip(self._factors, self._products.tolist(), strict=True):
            share = self._stock.method.share(products)
            factors[:] = scale, share, 1.0 - share
        self._settled = True

    def merge(self, chunk: Chunk, slot: Slot, out: Bytes) -> None:
        self._stock.loops.merge_average(
            *slot.sources, chunk.count, self._factors, self.row, chunk.first, out, chunk.out_kind, slot.bad
        )

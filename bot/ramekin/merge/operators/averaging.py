"""The average, task arithmetic and Model Stock at work (`ramekin.methods.averaging`, `ramekin.methods.model_stock`)."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from ramekin.merge.arrays import Bytes, Doubles, blocks_of
from ramekin.merge.chunks import Chunk, Window
from ramekin.merge.loops.choosing import Loops
from ramekin.merge.loops.on_processor import accumulate
from ramekin.merge.operators.base import Operator, Sampler, TensorWork
from ramekin.merge.sizes import BLOCK
from ramekin.methods import ModelStock, TaskArithmetic
from ramekin.methods.base import weights_of
from ramekin.plan.layout import TensorTask

_PRODUCTS: Final = 1 << 20
"""Bytes, for each expert, of the products of a chunk that wait to be added up: no more than TIES has for its cuts."""


class Averaging(Operator, TensorWork):
    """`(1/N) sum_t theta_t`; the same on every tensor."""

    needs = ("merge_average",)

    def __init__(self, experts: int, loops: Loops) -> None:
        self._factors = np.array([[1.0 / experts, 1.0, 0.0]]).astype(np.float32)
        self._loops = loops

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Itself."""
        return self

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        """See `loops.averaging.merge_average`: one filter, as long as need be."""
        self._loops.merge_average(
            *window.sources, chunk.count, self._factors, chunk.task.numel, chunk.first, out, chunk.out_kind, window.bad
        )


class Summing(Operator, TensorWork):
    """`theta_base + sum_t weight_t tau_t`; the same on every tensor."""

    needs = ("merge_sum",)

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

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        """See `loops.averaging.merge_sum`."""
        self._loops.merge_sum(*window.sources, chunk.count, self._weights, out, chunk.out_kind, window.bad)


class Stock(Operator):
    """Model Stock: each tensor is read once for its angles, and once more."""

    needs = ("multiply", "merge_average")

    def __init__(self, method: ModelStock, experts: int, loops: Loops) -> None:
        self.method = method
        self.experts = experts
        self.loops = loops

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Begin to measure."""
        return _StockWork(self, task)


class _StockWork(TensorWork):
    """One tensor: the inner products `[N, N]` of each filter first, then the merge with `[filters, 3]` factors.

    Products are kept of the filter at work alone: a tensor may have as many filters as elements.
    """

    def __init__(self, stock: Stock, task: TensorTask) -> None:
        self._stock = stock
        by_filter = stock.method.filter_wise and len(task.shape) > 1 and task.numel
        filters = task.shape[0] if by_filter else 1
        self.row = math.prod(task.shape) // filters or 1
        # Where filters are longer than a block, the last block of each is not full: half as many elements are safe.
        fill = self.row if self.row <= BLOCK else BLOCK // 2
        self.most = max(1, _PRODUCTS // (8 * stock.experts)) * fill
        self._begun: Doubles | None = None
        self._factors = np.zeros((filters, 3), np.float32)
        self._settled = False

    @property
    def looking(self) -> bool:
        return not self._settled

    def look(self, chunk: Chunk, window: Window) -> Doubles:
        n = self._stock.experts
        sums = np.zeros((blocks_of(chunk.count, self.row, chunk.first), n, n))
        self._stock.loops.multiply(*window.sources, chunk.count, self.row, chunk.first, sums, window.bad)
        return sums

    def take(self, chunk: Chunk, seen: object) -> None:
        assert isinstance(seen, np.ndarray)  # noqa: S101 - what `look` gave
        n = self._stock.experts
        first, within = divmod(chunk.first, self.row)
        whole, rest = divmod(within + chunk.count, self.row)
        products = np.zeros((whole + bool(rest), n, n))
        if self._begun is not None:
            products[0] = self._begun
        accumulate(seen, chunk.count, self.row, within, products)
        self._begun = products[-1].copy() if rest else None
        scale = 1.0 / n
        for factors, each in zip(self._factors[first : first + whole], products, strict=False):
            share = self._stock.method.share(each.tolist())
            factors[:] = scale, share, 1.0 - share

    def settle(self) -> None:
        self._settled = True

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        self._stock.loops.merge_average(
            *window.sources, chunk.count, self._factors, self.row, chunk.first, out, chunk.out_kind, window.bad
        )

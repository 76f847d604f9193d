"""TIES, DARE and DARE with TIES at work (`ramekin.methods.ties`, `ramekin.methods.dare`)."""

import math
import threading
from collections.abc import Sequence

import numpy as np

from ramekin.merge.arrays import Bytes, Counts, Floats
from ramekin.merge.chunks import Chunk, Window
from ramekin.merge.loops.choosing import Loops
from ramekin.merge.operators.base import Operator, Sampler, TensorWork
from ramekin.merge.operators.cuts import Cut, Selection, exact_cut, likely_bounds
from ramekin.methods import Dare, DareTies, Ties
from ramekin.methods.base import weights_of
from ramekin.plan.layout import TensorTask

_ALL = np.iinfo(np.int64).max


class Trimming(Operator):
    """TIES: each tensor is read once for its cuts, and once more.

    Args:
        density: Share of each tensor's changes that is kept.
        weights: `[N]`.
        scale: lambda.
        loops: The loops.
    """

    needs = ("count_magnitudes", "count_equals", "merge_trimmed")

    def __init__(self, density: float, weights: Sequence[float], scale: float, loops: Loops) -> None:
        self.density = density
        self.weights: Floats = np.array(weights, np.float64).astype(np.float32)
        self.scale = np.float32(scale)
        self.loops = loops

    @classmethod
    def of(cls, method: Ties, experts: Sequence[str], loops: Loops) -> "Trimming":
        """TIES with its parameters."""
        return cls(method.density, weights_of(method.weight, experts), method.scale, loops)

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Look here and there for where the cuts may be."""
        k = max(1, math.floor(self.density * task.numel))
        if k >= task.numel:
            return _TrimmedWork(self, [Cut(0, _ALL, 0)] * len(task.experts))
        magnitudes = sample()
        if magnitudes[0].size == task.numel:
            return _TrimmedWork(self, [exact_cut(each.reshape(-1), k) for each in magnitudes])
        bounds = [likely_bounds(each, k / task.numel) for each in magnitudes]
        return _TrimmedWork(self, Selection(bounds, k))


class _TrimmedWork(TensorWork):
    """One tensor: the cuts first, then the merge."""

    def __init__(self, trimming: Trimming, cuts: Selection | list[Cut]) -> None:
        self._trimming = trimming
        self._selection = cuts if isinstance(cuts, Selection) else None
        self._budget: _Budget | None = None
        if isinstance(cuts, list):
            self._know(cuts)

    def _know(self, cuts: list[Cut]) -> None:
        self._cuts = np.array([cut.bits for cut in cuts], np.uint32)
        # A cut at 0 keeps every change there is: what is 0 has no sign and no say.
        budget = np.array([_ALL if cut.kept >= cut.equals or not cut.bits else cut.kept for cut in cuts], np.int64)
        self._budget = _Budget(budget)

    @property
    def looking(self) -> bool:
        return self._budget is None

    def look(self, chunk: Chunk, window: Window) -> None:
        assert self._selection  # noqa: S101
        self._selection.count(window.sources, chunk.count, self._trimming.loops, window.bad)

    def settle(self) -> None:
        assert self._selection  # noqa: S101
        self._selection.settle()
        if self._selection.done:
            self._know([cut for cut in self._selection.cuts if cut])

    @property
    def whole(self) -> bool:
        """Chunks draw on the budget in order: piece by piece, each would wait for all of the one before."""
        return bool(self._budget and self._budget.contested)

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        trimming, budget = self._trimming, self._budget
        assert budget  # noqa: S101
        allowed = budget.kept
        if budget.contested:
            equals = np.zeros(len(self._cuts), np.int64)
            trimming.loops.count_equals(*window.sources, chunk.count, self._cuts, equals)
            allowed = budget.draw(chunk.first, chunk.count, equals)
        trimming.loops.merge_trimmed(
            *window.sources,
            chunk.count,
            self._cuts,
            allowed,
            trimming.weights,
            trimming.scale,
            out,
            chunk.out_kind,
            window.bad,
        )

    def abandon(self) -> None:
        if self._budget:
            self._budget.abandon()


class _Budget:
    """How many magnitudes that equal the cut are still kept: handed to the chunks of a tensor in their order.

    Args:
        kept: `[N]`; the largest integer for those that keep all.
    """

    def __init__(self, kept: Counts) -> None:
        self.kept = kept
        self.contested = bool(np.any(kept != _ALL))
        self._left = kept.copy()
        self._next = 0
        self._abandoned = False
        self._turn = threading.Condition()

    def draw(self, first: int, count: int, equals: Counts) -> Counts:
        """What a chunk may keep; waits until all chunks before it have drawn."""
        with self._turn:
            self._turn.wait_for(lambda: self._next == first or self._abandoned)
            allowed = np.where(self.kept == _ALL, _ALL, np.minimum(self._left, equals))
            self._left -= np.where(self.kept == _ALL, 0, allowed)
            self._next = first + count
            self._turn.notify_all()
        return allowed

    def abandon(self) -> None:
        """Let nobody wait: a chunk has failed, and so has the merge."""
        with self._turn:
            self._abandoned = True
            self._turn.notify_all()


class Dropping(Operator, TensorWork):
    """DARE and DARE with TIES; the same on every tensor but for the keys of the masks."""

    needs = ("merge_dropped",)

    def __init__(self, method: Dare | DareTies, experts: tuple[str, ...], loops: Loops) -> None:
        self._method = method
        self._experts = experts
        self._loops = loops
        self._elect = isinstance(method, DareTies)
        weights = weights_of(method.weight, experts)
        rescale = 1.0 / (1.0 - method.drop_rate)
        self._threshold = np.uint64(math.ceil(method.drop_rate * 2**32))
        self._scale = np.float32(method.scale if isinstance(method, DareTies) else 1.0)
        self._rescale = np.float32(rescale)
        exact = weights if self._elect else [weight * rescale for weight in weights]
        self._weights = np.array(exact, np.float64).astype(np.float32)

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Itself."""
        return self

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        """See `loops.electing.merge_dropped`."""
        keys = [self._method.mask_key(expert, chunk.task.name) for expert in self._experts]
        words = np.array([(key & 0xFFFFFFFF, key >> 32) for key in keys], np.uint32)
        self._loops.merge_dropped(
            *window.sources,
            chunk.count,
            chunk.first,
            words,
            self._threshold,
            self._rescale,
            self._weights,
            self._scale,
            self._elect,
            out,
            chunk.out_kind,
            window.bad,
        )

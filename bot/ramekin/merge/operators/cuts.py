"""The exact cut of TIES: the k-th largest magnitude of a tensor, found in as good as always one look at it.

A sample tells roughly where the cut is. One look counts what is greater and fills a histogram of what is near, over the
bits of the float32 magnitudes, which order as the numbers do. If all that fell into the cut's bin is equal, the cut is
known; if not, or if the sample has misled, the bounds are narrower now, and another look follows. The result is exact
whatever the sample was.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from ramekin.merge.arrays import SPARE, Counts, Words
from ramekin.merge.loops.choosing import Loops
from ramekin.merge.sizes import BINS

_LARGEST: Final = 0x7FFFFFFF
_MOST: Final = (1 << 32) - 1  # of what a bin of a thread's table can count
_MARGIN: Final = 6.0  # standard errors of the sample


@dataclass(frozen=True)
class Cut:
    """What is kept of one expert's changes in a tensor.

    Attributes:
        bits: Magnitudes above are kept, as float32 bits.
        kept: How many of those that equal it are kept: the first ones.
        equals: How many there are.
    """

    bits: int
    kept: int
    equals: int


@dataclass(frozen=True)
class Bounds:
    """Where a cut must or should be: magnitudes, as bits, both included."""

    low: int
    high: int

    @property
    def shift(self) -> int:
        """A bin has `2**shift` magnitudes."""
        return max(0, (self.high - self.low).bit_length() - BINS.bit_length() + 1)

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return ((self.high - self.low) >> self.shift) + 1


ANYWHERE: Final = Bounds(0, _LARGEST)
_NOWHERE: Final = 0xFFFFFFFF  # no magnitude is as large


def exact_cut(magnitudes: Words, k: int) -> Cut:
    """The k-th largest of all magnitudes, `[n]`."""
    bits = int(np.partition(magnitudes, len(magnitudes) - k)[len(magnitudes) - k])
    greater = int(np.count_nonzero(magnitudes > bits))
    return Cut(bits, k - greater, int(np.count_nonzero(magnitudes == bits)))


def likely_bounds(sample: Words, share: float) -> Bounds:
    """Where the magnitude is that a share of all exceed, from a sample `[places, block]`.

    Neighbours are alike, so it is the places, not the elements, that count as independent.
    """
    ordered = np.sort(sample, axis=None)
    size = len(ordered)
    middle = ordered[min(size - 1, int(size * (1.0 - share)))]
    above = (sample >= middle).mean(axis=1)
    error = float(above.std() / len(sample) ** 0.5) + 1.0 / size
    low, high = (1.0 - share - _MARGIN * error) * size, (1.0 - share + _MARGIN * error) * size
    return Bounds(int(ordered[int(low)]) if low >= 0 else 0, int(ordered[int(high)]) if high < size else _LARGEST)


class Selection:
    """The cuts of all experts in one tensor, looked for together.

    Args:
        bounds: `[N]`, where they probably are.
        k: How many magnitudes are kept of each expert.
    """

    def __init__(self, bounds: list[Bounds], k: int) -> None:
        self.cuts: list[Cut | None] = [None] * len(bounds)
        self._bounds = bounds
        self._known = [ANYWHERE] * len(bounds)
        self._k = k
        self._tables: deque[_Table] = deque()
        self._totals: Counts | None = None
        self._folding = threading.Lock()

    @property
    def done(self) -> bool:
        """Whether every cut is known."""
        return all(self.cuts)

    def count(self, sources: tuple[object, ...], count: int, loops: Loops, bad: Counts) -> None:
        """Count a chunk. Called from any thread: each works in a table of its own."""
        try:
            table = self._tables.pop()
        except IndexError:
            table = _Table.of([None if cut else bounds for cut, bounds in zip(self.cuts, self._bounds, strict=True)])
        if table.seen + count > _MOST:
            self._fold(table)
        table.seen += count
        loops.count_magnitudes(
            *sources, count, table.low, table.high, table.shift, table.above, table.counts, table.ones, table.zeros, bad
        )
        self._tables.append(table)

    def _fold(self, table: "_Table") -> None:
        """Take over what a table has counted, before one of its bins can overflow: the loop counts in 32 bits."""
        with self._folding:
            if self._totals is None:
                self._totals = np.zeros(table.counts.shape, np.int64)
            self._totals += table.counts
        table.counts[:] = 0
        table.seen = 0

    def settle(self) -> None:
        """Find the cuts in what was counted, or narrower bounds."""
        tables = [*self._tables]
        self._tables.clear()
        above = np.sum([table.above for table in tables], axis=0)
        for t, bounds in enumerate(self._bounds):
            if self.cuts[t] is None:
                self._settle(t, bounds, int(above[t]), tables)
        self._totals = None

    def _settle(self, t: int, bounds: Bounds, above: int, tables: list["_Table"]) -> None:
        counts: Counts = np.zeros(bounds.bins, np.int64)
        for table in tables:
            counts += table.counts[t, : bounds.bins]
        if self._totals is not None:
            counts += self._totals[t, : bounds.bins]
        from_the_top = np.cumsum(counts[::-1])
        known = self._known[t]
        if above >= self._k:
            self._known[t] = Bounds(bounds.high + 1, known.high)
        elif above + from_the_top[-1] < self._k:
            self._known[t] = Bounds(known.low, bounds.low - 1)
        else:
            bins = int(np.searchsorted(from_the_top, self._k - above)) + 1  # that hold what is missing
            place, at_least = len(counts) - bins, above + int(from_the_top[bins - 1])
            ones = int(np.bitwise_or.reduce([table.ones[t, place] for table in tables]))
            zeros = int(np.bitwise_or.reduce([table.zeros[t, place] for table in tables]))
            if not ones & zeros:  # no bit is both set and clear in the bin: all its magnitudes are equal
                equals = int(counts[place])
                self.cuts[t] = Cut(ones, self._k - (at_least - equals), equals)
                return
            low = bounds.low + (place << bounds.shift)
            self._known[t] = Bounds(low, min(bounds.high, low + (1 << bounds.shift) - 1))
        self._bounds[t] = self._known[t]


@dataclass
class _Table:
    """One thread's counts for N experts, of so many elements; see `loops.electing.count_magnitudes`."""

    low: Words
    high: Words
    shift: Words
    above: Counts
    counts: Words
    ones: Words
    zeros: Words
    seen: int = 0

    @classmethod
    def of(cls, bounds: list[Bounds | None]) -> "_Table":
        bins = max(b.bins for b in bounds if b) + SPARE
        return cls(
            low=np.array([b.low if b else _NOWHERE for b in bounds], np.uint32),
            high=np.array([b.high if b else _NOWHERE for b in bounds], np.uint32),
            shift=np.array([b.shift if b else 0 for b in bounds], np.uint32),
            above=np.zeros(len(bounds), np.int64),
            counts=np.zeros((len(bounds), bins), np.uint32),
            ones=np.zeros((len(bounds), bins), np.uint32),
            zeros=np.zeros((len(bounds), bins), np.uint32),
        )

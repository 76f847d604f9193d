"""Tensors cut into chunks, and chunks through several threads, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank
from ramekin.merge.arrays import FILE, KINDS, LOST, Bytes, Counts, in_memory
from ramekin.merge.resources import Resources
from ramekin.merge.sizes import BLOCK, LEAST_ROOM, MAX_EXPERTS
from ramekin.plan.layout import Part, TensorTask

_J = TypeVar("_J")
_CHANGE_SIZE = 4  # what an adapter adds is formed in float32
_LINE = 64  # bytes of a cache line: what there is of one source shares none with another
READ = 256 << 10  # bytes that a loop reads at a time, if there is room


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive elements of one tensor.

    Attributes:
        task: The tensor.
        first: Index of the first element, row-major.
        count: Number of elements; 0 for the only chunk of an empty tensor.
        last: Whether the tensor ends here.
    """

    task: TensorTask
    first: int
    count: int
    last: bool

    @property
    def out_kind(self) -> int:
        """Element type of the output, as the loops number them."""
        return KINDS[self.task.dtype]

    @property
    def out_bytes(self) -> int:
        """Bytes of the output."""
        return self.count * ITEM_SIZES[self.task.dtype]

    def present(self, part: Part) -> int:
        """How many of the elements a source has: fewer where its vocabulary is shorter than the base's."""
        if part is None:
            return 0
        if isinstance(part, LowRank):
            return self.count
        return min(max(part.numel - self.first, 0), self.count)

    def pieces(self, piece_bytes: int, row: int = 0) -> Iterator["Chunk"]:
        """The chunk in order, cut as `cut` does, for what needs less of it at a time; none of an empty one."""
        for first, count in _runs(self.first, self.count, max(1, piece_bytes // element_bytes(self.task)), row):
            yield Chunk(self.task, first, count, last=self.last and first + count == self.first + self.count)


def element_bytes(task: TensorTask) -> int:
    """Bytes of the widest element that any buffer must hold for a tensor."""
    sizes = [ITEM_SIZES[task.dtype], ITEM_SIZES[task.base.dtype]]
    sizes += [_CHANGE_SIZE if isinstance(part, LowRank) else ITEM_SIZES[part.dtype] for part in task.experts if part]
    return max(sizes)


def cut(task: TensorTask, chunk_bytes: int, row: int = 0) -> Iterator[Chunk]:
    """Cut a tensor into chunks of at most so many bytes of any one source, and at least one element.

    Args:
        task: The tensor.
        chunk_bytes: Most bytes of one source in a chunk.
        row: If not 0, chunks end at multiples of so many elements, or, within such a row, of a block; then they have
            at least a block.
    """
    for first, count in _runs(0, task.numel, max(1, chunk_bytes // element_bytes(task)), row):
        yield Chunk(task, first, count, last=first + count == task.numel)
    if not task.numel:
        yield Chunk(task, 0, 0, last=True)


def _runs(first: int, count: int, step: int, row: int) -> Iterator[tuple[int, int]]:
    """First element and number of elements of each run of at most `step`."""
    end = first + count
    while first < end:
        most = step
        if row and step < end - first:
            within = first % row
            whole = not within and step >= row
            most = step // row * row if whole else min(max(step // BLOCK, 1) * BLOCK, row - within)
        count = min(most, end - first)
        yield first, count
        first += count


class Window:
    """What one thread has of all sources at a time, for N experts: on a processor little enough to stay in its caches.

    Either it is filled before the loops begin, or the loops read the files as they go.

    Args:
        experts: N.
        size: Bytes of one source.
        loops: How many go over it: what is wrong with the sources, each of them finds.
        thresholds: By how many thresholds patterns are counted.

    Attributes:
        places: `[N + 1, COLUMNS]`, where what there is of base and experts is.
        kinds: `[N + 1]`, their element types, as the loops number them.
        limits: `[N]`, how many of the elements at work each expert has.
        counts: `[thresholds, 2**N]`, elements by pattern.
        bad: `[N + 2]`, faults that the loop at work has found in each source and, last, in the output.
    """

    def __init__(self, experts: int, size: int, loops: int = 1, thresholds: int = 1) -> None:
        if experts > MAX_EXPERTS or size < LEAST_ROOM:
            raise ValueError("loops have no room for more experts, or want more of a source at once")
        self._rows: Bytes = np.empty((experts + 1, -(-size // _LINE) * _LINE), np.uint8)
        self.places = in_memory([row.ctypes.data for row in self._rows])
        self.kinds: Bytes = np.zeros(experts + 1, np.uint8)
        self.limits: Counts = np.zeros(experts, np.int64)
        self.counts: Counts = np.zeros((thresholds, 1 << experts), np.int64)
        self._bad: Counts = np.zeros((loops, experts + 2), np.int64)
        self.turn_to(0)

    @property
    def sources(self) -> tuple[Counts, Bytes, Counts]:
        """What every loop takes first."""
        return self.places, self.kinds, self.limits

    def expect(self, source: int, kind: int, elements: int, size: int) -> Bytes:
        """Room for so many bytes of a source, of an element type, which the caller fills."""
        self._say(source, kind, elements)
        self.places[source, FILE] = -1
        return self._rows[source, :size]

    def read_from(self, source: int, kind: int, elements: int, file: int, start: int, most: int = READ) -> None:
        """Say which file a loop is to read a source's elements from, from which byte on, and how many bytes at once."""
        self._say(source, kind, elements)
        self.places[source, FILE:] = file, start, elements, min(self._rows.shape[1], most), 0, 0, 0

    @property
    def lost(self) -> list[int]:
        """The sources of which a loop could not read something."""
        return np.flatnonzero(self.places[:, LOST]).tolist()

    def _say(self, source: int, kind: int, elements: int) -> None:
        self.kinds[source] = kind
        if source:
            self.limits[source - 1] = elements

    def turn_to(self, loop: int) -> None:
        """Say which loop is next."""
        self.bad: Counts = self._bad[loop]

    def give(self, counts: Counts, bad: Counts) -> None:
        """Say what was found since the last time; what several loops found in a source is told once."""
        counts[:] = self.counts
        bad[:-1], bad[-1] = self._bad[:, :-1].max(axis=0), self._bad[:, -1].sum()
        self.counts[:], self._bad[:] = 0, 0


@dataclass(frozen=True)
class Slot:
    """What comes of one chunk in flight, for N experts and one or more results.

    Attributes:
        outs: `[results, bytes]`.
        counts: `[thresholds, 2**N]`, elements by pattern.
        bad: `[N + 2]`, faults found in each source and, last, in the output.
    """

    outs: Bytes
    counts: Counts
    bad: Counts

    @classmethod
    def make(cls, experts: int, out_bytes: int = 0, results: int = 1, thresholds: int = 1) -> "Slot":
        """Buffers for so many bytes of each result, and for the counts by each threshold."""
        return cls(
            outs=np.empty((results, out_bytes), np.uint8),
            counts=np.zeros((thresholds, 1 << experts), np.int64),
            bad=np.zeros(experts + 2, np.int64),
        )


@dataclass(frozen=True)
class Landing:
    """A job that is no work: all before it are to be landed first."""


def in_order(
    jobs: Iterable[_J | Landing], work: Callable[[_J, Slot], None], make_slot: Callable[[], Slot], resources: Resources
) -> Generator[tuple[_J, Slot], None, None]:
    """Do jobs in several threads and give them back in order, each with its buffers.

    Jobs are begun in order. A slot belongs to the caller until the next job is asked for. Closing the iterator, or an
    error in `work`, waits for the jobs at work and drops the others.
    """
    free = deque(make_slot() for _ in range(resources.slots))
    flying: deque[tuple[_J, Slot, Future[None]]] = deque()
    pool = ThreadPoolExecutor(resources.threads, thread_name_prefix="merge")
    try:
        for job in jobs:
            if isinstance(job, Landing):
                while flying:
                    yield _landed(flying, free)
                continue
            if not free:
                yield _landed(flying, free)
            slot = free.popleft()
            flying.append((job, slot, pool.submit(work, job, slot)))
        while flying:
            yield _landed(flying, free)
    finally:
        pool.shutdown(cancel_futures=True)


def _landed(flying: deque[tuple[_J, Slot, Future[None]]], free: deque[Slot]) -> tuple[_J, Slot]:
    job, slot, future = flying.popleft()
    future.result()
    free.append(slot)  # taken only once the caller asks for the next job, and so has done with it
    return job, slot

"""Tensors cut into chunks, and chunks through several threads, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank
from ramekin.merge.arrays import BLOCK, KINDS, Bytes, Counts
from ramekin.merge.mapping import Piece
from ramekin.merge.resources import Resources
from ramekin.plan.layout import Part, TensorTask

_J = TypeVar("_J")
_CHANGE_SIZE = 4  # what an adapter adds is formed in float32


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
    step = max(1, chunk_bytes // element_bytes(task))
    first = 0
    while first < task.numel or first == 0:
        count = min(step, task.numel - first)
        if row and count < task.numel - first:
            within = first % row
            if not within and step >= row:
                count = step // row * row
            else:
                count = min(max(step // BLOCK, 1) * BLOCK, row - within, task.numel - first)
        yield Chunk(task, first, count, last=first + count == task.numel)
        first += count
        if not count:
            return


@dataclass(frozen=True)
class Slot:
    """What belongs to one chunk in flight, for N experts and one or more results.

    Attributes:
        places: `[N + 1]`, addresses of base and experts while the chunk is at work.
        kinds: `[N + 1]`, their element types, as the loops number them.
        limits: `[N]`, how many of the chunk's elements each expert has.
        kept: What is at these addresses.
        outs: `[results, bytes]`.
        counts: `[thresholds, 2**N]`, elements by pattern.
        bad: `[N + 2]`, faults found in each source and, last, in the output.
    """

    places: Counts
    kinds: Bytes
    limits: Counts
    kept: list[Piece]
    outs: Bytes
    counts: Counts
    bad: Counts

    @property
    def sources(self) -> tuple[Counts, Bytes, Counts]:
        """What every loop takes first."""
        return self.places, self.kinds, self.limits

    @classmethod
    def make(cls, experts: int, out_bytes: int = 0, results: int = 1, thresholds: int = 1) -> "Slot":
        """Buffers for so many bytes of each result, and for the counts by each threshold."""
        return cls(
            places=np.zeros(experts + 1, np.int64),
            kinds=np.zeros(experts + 1, np.uint8),
            limits=np.zeros(experts, np.int64),
            kept=[],
            outs=np.empty((results, out_bytes), np.uint8),
            counts=np.zeros((thresholds, 1 << experts), np.int64),
            bad=np.zeros(experts + 2, np.int64),
        )

    def put(self, source: int, kind: int, held: Piece | None, limit: int) -> None:
        """Say what a source has of the chunk: an element type, elements in memory, and how many."""
        if held:
            self.kept.append(held)
        self.places[source], self.kinds[source] = held.address if held else 0, kind
        if source:
            self.limits[source - 1] = limit

    def drop(self) -> None:
        """Give back the sources' memory."""
        for held in self.kept:
            held.drop()
        self.kept.clear()
        self.places[:] = 0


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

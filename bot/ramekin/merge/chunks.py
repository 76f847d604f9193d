"""Tensors cut into chunks, and chunks through several threads, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, Tensor
from ramekin.merge.kernels import Bytes, Counts
from ramekin.merge.resources import Resources
from ramekin.plan.layout import TensorTask


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive elements of one tensor.

    Attributes:
        task: The tensor.
        first: Index of the first element, row-major.
        count: Number of elements; 0 for the only chunk of an empty tensor.
        offset: Place of the first element's bytes in the data of the output.
        last: Whether the tensor ends here.
    """

    task: TensorTask
    first: int
    count: int
    offset: int
    last: bool


def cut(tasks: Iterable[TensorTask], chunk_bytes: int) -> Iterator[Chunk]:
    """Cut tensors into chunks of at most so many bytes of any one source, and at least one element."""
    begin = 0
    for task in tasks:
        widest = max(ITEM_SIZES[dtype] for dtype in (task.dtype, task.base.dtype, *(e.dtype for e in task.experts)))
        step = max(1, chunk_bytes // widest)
        for first in range(0, max(task.numel, 1), step):
            count = min(step, task.numel - first)
            offset = begin + first * ITEM_SIZES[task.dtype]
            yield Chunk(task, first, count, offset, last=first + count == task.numel)
        begin += task.nbytes


def present_elements(tensor: Tensor, chunk: Chunk) -> int:
    """How many of a chunk's elements a source has: fewer where its vocabulary is shorter than the base's."""
    return min(max(tensor.numel - chunk.first, 0), chunk.count)


@dataclass(frozen=True)
class Slot:
    """The buffers of one chunk in flight, for N experts.

    Attributes:
        raw: `[N + 1, bytes]`, what was read of base and experts.
        kinds: `[N + 1]`, their element types, as the kernels number them.
        limits: `[N]`, how many of the chunk's elements each expert has.
        out: `[bytes]`, the result.
        counts: `[2**N]`, elements by pattern.
        bad: `[N + 2]`, faults found in each source and, last, in the output.
    """

    raw: Bytes
    kinds: Bytes
    limits: Counts
    out: Bytes
    counts: Counts
    bad: Counts

    @classmethod
    def make(cls, experts: int, row_bytes: int) -> "Slot":
        """Buffers for rows of so many bytes."""
        return cls(
            raw=np.empty((experts + 1, row_bytes), np.uint8),
            kinds=np.zeros(experts + 1, np.uint8),
            limits=np.zeros(experts, np.int64),
            out=np.empty(row_bytes, np.uint8),
            counts=np.zeros(1 << experts, np.int64),
            bad=np.zeros(experts + 2, np.int64),
        )


def in_order(
    chunks: Iterable[Chunk], work: Callable[[Chunk, Slot], None], experts: int, resources: Resources
) -> Generator[tuple[Chunk, Slot], None, None]:
    """Work on chunks in several threads and give them back in order, each with its buffers.

    A slot belongs to the caller until the next chunk is asked for. Closing the iterator, or an error in `work`, waits
    for the chunks at work and drops the others.
    """
    free = deque(Slot.make(experts, resources.row_bytes) for _ in range(resources.slots))
    flying: deque[tuple[Chunk, Slot, Future[None]]] = deque()
    pool = ThreadPoolExecutor(resources.threads, thread_name_prefix="merge")
    try:
        for chunk in chunks:
            if not free:
                yield _landed(flying, free)
            slot = free.popleft()
            flying.append((chunk, slot, pool.submit(work, chunk, slot)))
        while flying:
            yield _landed(flying, free)
    finally:
        pool.shutdown(cancel_futures=True)


def _landed(flying: deque[tuple[Chunk, Slot, Future[None]]], free: deque[Slot]) -> tuple[Chunk, Slot]:
    chunk, slot, future = flying.popleft()
    future.result()
    free.append(slot)  # taken only once the caller asks for the next chunk, and so has done with it
    return chunk, slot

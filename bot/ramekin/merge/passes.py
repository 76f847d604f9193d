"""One pass over the inputs: what is read, looked at, merged and written of each chunk, in any thread."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor
from ramekin.merge.arrays import CHANGE, F32, KINDS, Bytes, Floats, Words
from ramekin.merge.chunks import Chunk, Landing, Slot, cut, element_bytes, in_order
from ramekin.merge.files import Factors, OpenSources
from ramekin.merge.loops.choosing import Loops, loops_for
from ramekin.merge.loops.on_processor import form_changes, magnitudes
from ramekin.merge.mapping import Piece
from ramekin.merge.operators import Operator, TensorWork
from ramekin.merge.resources import Resources
from ramekin.plan.layout import Part, TensorTask

Write = Callable[[Chunk, int, Bytes], None]
"""Is given each finished chunk, the number of the operator and its bytes; from any thread."""

_PLACES: Final = 256
_PLACE: Final = 128  # elements read at each place of a sample


@dataclass
class TensorJob:
    """A tensor at work.

    Attributes:
        task: The tensor.
        works: What each operator does to it.
        factors: The adapters' factors for it, by source.
        looks: How often it is read.
    """

    task: TensorTask
    works: Sequence[TensorWork] = ()
    factors: Mapping[int, Factors] = field(default_factory=dict)
    looks: int = 1


@dataclass(frozen=True)
class Job:
    """A chunk of it, to be looked at or, at last, to be finished.

    Attributes:
        lookers: Numbers of the operators that look at it; none where it is finished.
        seen: What looking found, by the number of the operator.
    """

    tensor: TensorJob
    chunk: Chunk
    lookers: Sequence[int] = ()
    seen: dict[int, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """What one pass does.

    Attributes:
        sources: Where it reads.
        resources: What it may use.
        operators: The methods at work, none for a pass that only counts.
        write: Where results go.
        thresholds: A change must be greater than one of these to be counted by it; none if nothing is counted.
    """

    sources: OpenSources
    resources: Resources
    operators: Sequence[Operator] = ()
    write: Write | None = None
    thresholds: Sequence[float] = ()

    @property
    def _loops(self) -> Loops:
        return loops_for(self.resources.device, self.resources.local_rank)

    def over(self, tasks: Iterable[TensorTask]) -> Generator[tuple[Chunk, Slot, TensorJob], None, None]:
        """Go over tensors; give back each chunk once, in order, with its results and counts.

        To be closed before the sources and the writer are.

        Raises:
            DamagedError: A file is absent or ends too early.
            ResourceError: The disk is full.
        """
        experts = len(self.sources.roles) - 1
        tasks = tuple(tasks)
        for task in tasks:
            self._look_at_sizes(task)

        def slot() -> Slot:
            results, thresholds = max(1, len(self.operators)), max(1, len(self.thresholds))
            return Slot.make(experts, self.resources.out_bytes, results, thresholds)

        for job, buffers in in_order(self._jobs(tasks), self._work, slot, self.resources):
            if not job.lookers:
                yield job.chunk, buffers, job.tensor
            else:
                for number, seen in job.seen.items():
                    job.tensor.works[number].take(job.chunk, seen)

    def _jobs(self, tasks: Iterable[TensorTask]) -> Iterator[Job | Landing]:
        """Look at each tensor for as long as an operator wants to, then finish it."""
        for task in tasks:
            tensor = self._begin(task)
            while any(work.looking for work in tensor.works):
                yield from self._looks(tensor)
                yield Landing()
                for work in tensor.works:
                    if work.looking:
                        work.settle()
            yield from (Job(tensor, chunk) for chunk in cut(task, self._chunk_bytes(tensor)))

    def _chunk_bytes(self, tensor: TensorJob) -> int:
        """Bytes of one source in a chunk; more where only counting is to be done, on what files hold."""
        alone = not self.operators and not tensor.factors and tensor.task.operation != "copy"
        return self.resources.reading_bytes(len(tensor.task.experts)) if alone else self.resources.chunk_bytes

    def _looks(self, tensor: TensorJob) -> Iterator[Job]:
        """One look for all operators whose chunks may end at the same places."""
        looking = {number: work.row for number, work in enumerate(tensor.works) if work.looking}
        rows = sorted({row for row in looking.values() if row}) or [0]
        for row in rows:
            tensor.looks += 1
            lookers = [number for number, own in looking.items() if (own or rows[0]) == row]
            most = [tensor.works[number].most * element_bytes(tensor.task) for number in lookers]
            size = min([self.resources.chunk_bytes, *filter(None, most)])
            yield from (Job(tensor, chunk, lookers) for chunk in cut(tensor.task, size, row))

    def _begin(self, task: TensorTask) -> TensorJob:
        factors = {
            source: self.sources.factors(source, part)
            for source, part in enumerate(task.experts, 1)
            if isinstance(part, LowRank)
        }
        if task.operation == "copy" or not task.numel:
            return TensorJob(task, (), factors)

        def sample() -> Words:
            return self._sample(TensorJob(task, (), factors))

        return TensorJob(task, tuple(operator.on(task, sample) for operator in self.operators), factors)

    def _work(self, job: Job, slot: Slot) -> None:
        try:
            self._do(job, slot)
        except BaseException:
            for work in job.tensor.works:
                work.abandon()
            raise

    def _do(self, job: Job, slot: Slot) -> None:
        chunk = job.chunk
        slot.counts[:] = 0
        slot.bad[:] = 0
        if chunk.task.operation == "copy":
            self._copy(chunk, slot)
        else:
            try:
                self._open_sources(job.tensor, chunk, slot)
                self._compute(job, slot)
            finally:
                slot.drop()
            self._look_at_sizes(chunk.task)
        if self.write and not job.lookers:
            for number in range(len(self.operators)):
                self.write(chunk, number, slot.outs[number, : chunk.out_bytes])

    def _compute(self, job: Job, slot: Slot) -> None:
        chunk = job.chunk
        self._loops.begin()
        if job.lookers:
            for number in job.lookers:
                job.seen[number] = job.tensor.works[number].look(chunk, slot)
        elif not any(operator.counts for operator in self.operators):
            self._count(chunk, slot)
        for number, work in enumerate(() if job.lookers else job.tensor.works):
            found = slot.bad.copy()
            work.merge(chunk, slot, slot.outs[number])
            # Every loop counts what is wrong with the sources; it is told once.
            slot.bad[:-1] = np.maximum(found[:-1], slot.bad[:-1] - found[:-1])

    def _count(self, chunk: Chunk, slot: Slot) -> None:
        """Count the patterns by every threshold; what is wrong with the sources is told once."""
        for threshold, counts in zip(self.thresholds, slot.counts, strict=False):
            slot.bad[:] = 0
            self._loops.count_patterns(*slot.sources, chunk.count, np.float32(threshold), counts, slot.bad)

    def _open_sources(self, tensor: TensorJob, chunk: Chunk, slot: Slot) -> None:
        """Have all that the sources have of a chunk in memory."""
        for source, part in enumerate((tensor.task.base, *tensor.task.experts)):
            present = chunk.present(part)
            held: Piece | None = None
            if isinstance(part, LowRank):
                held = Piece.of(self._form(tensor, source, part, chunk.first, chunk.count))
            elif part and present:
                size = ITEM_SIZES[part.dtype]
                held = self.sources.piece(source, part, chunk.first * size, present * size)
            slot.put(source, _kind(part), held, present)

    def _look_at_sizes(self, task: TensorTask) -> None:
        """See that the files are as long as they should be: what a mapping has beyond a file's end reads as zeros.

        Raises:
            DamagedError: One is not.
        """
        for source, part in enumerate((task.base, *task.experts)):
            self.sources.prepare(source, part)

    def _form(self, tensor: TensorJob, source: int, part: LowRank, first: int, count: int) -> Bytes:
        factors = tensor.factors[source]
        formed: Floats = np.empty(count, np.float32)
        form_changes(factors.a, factors.b, np.float32(part.scaling), part.transposed, first, formed)
        return formed.view(np.uint8)

    def _read(self, source: int, tensor: Tensor, first: int, count: int) -> Bytes:
        size = ITEM_SIZES[tensor.dtype]
        found: Bytes = np.empty(count * size, np.uint8)
        if count:
            self.sources.read(source, tensor, first * size, found.data)
        return found

    def _sample(self, tensor: TensorJob) -> Words:
        """Magnitudes of the experts' changes, `[N, places, elements]`: all there are, or some here and there."""
        task = tensor.task
        pieces = [(0, task.numel)]
        if task.numel > _PLACES * _PLACE:
            starts = np.linspace(0, task.numel - _PLACE, _PLACES).astype(np.int64)
            pieces = [(int(start), _PLACE) for start in starts]
        count = sum(piece[1] for piece in pieces)
        experts = len(task.experts)
        slot = Slot.make(experts)
        for source, part in enumerate((task.base, *task.experts)):
            found = np.concatenate([self._piece(tensor, source, part, first, size) for first, size in pieces])
            kind = _kind(part)
            slot.put(source, kind, Piece.of(found), len(found) // (2 if kind < F32 else 4))
        sampled: Words = np.empty((experts, count), np.uint32)
        for expert in range(experts):
            magnitudes(*slot.sources, count, expert, sampled[expert], slot.bad)
        return sampled.reshape(experts, len(pieces), -1)

    def _piece(self, tensor: TensorJob, source: int, part: Part, first: int, count: int) -> Bytes:
        if isinstance(part, LowRank):
            return self._form(tensor, source, part, first, count)
        if part is None:
            return np.empty(0, np.uint8)
        return self._read(source, part, first, min(max(part.numel - first, 0), count))

    def _copy(self, chunk: Chunk, slot: Slot) -> None:
        base = self._read(0, chunk.task.base, chunk.first, chunk.count)
        slot.outs[:, : len(base)] = base
        for t, part in enumerate(chunk.task.experts):
            if isinstance(part, Tensor):
                other = self._read(t + 1, part, chunk.first, chunk.present(part))
                differ = np.count_nonzero(base[: len(other)] != other)
                slot.bad[t + 1] = differ + (part.dtype != chunk.task.base.dtype)


def _kind(part: Part) -> int:
    """How the loops number what a source has of a tensor."""
    if part is None:
        return 0
    return CHANGE if isinstance(part, LowRank) else KINDS.get(part.dtype, 0)

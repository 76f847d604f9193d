"""One pass over the inputs: what is read, looked at, merged and written of each chunk, in any thread."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor
from ramekin.merge.chunks import Chunk, Landing, Slot, cut, element_bytes, in_order
from ramekin.merge.files import Factors, OpenSources
from ramekin.merge.loops.choosing import Loops, loops_for
from ramekin.merge.loops.compiling import Bytes, Words
from ramekin.merge.loops.conversion import CHANGE, KINDS
from ramekin.merge.loops.electing import magnitudes
from ramekin.merge.loops.lowrank import form_changes
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
        seen: What looking found, by the number of the operator.
    """

    tensor: TensorJob
    chunk: Chunk
    final: bool = True
    seen: dict[int, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """What one pass does.

    Attributes:
        sources: Where it reads.
        resources: What it may use.
        operators: The methods at work, none for a pass that only counts.
        write: Where results go.
        threshold: A change must be greater than this to be counted; None if nothing is counted.
    """

    sources: OpenSources
    resources: Resources
    operators: Sequence[Operator] = ()
    write: Write | None = None
    threshold: float | None = None

    @property
    def _loops(self) -> Loops:
        return loops_for(self.resources.device)

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
            for source, part in enumerate((task.base, *task.experts)):
                self.sources.prepare(source, part)

        def slot() -> Slot:
            return Slot.make(experts, self.resources.row_bytes, max(1, len(self.operators)))

        for job, buffers in in_order(self._jobs(tasks), self._work, slot, self.resources):
            if job.final:
                yield job.chunk, buffers, job.tensor
            else:
                for number, seen in job.seen.items():
                    job.tensor.works[number].take(job.chunk, seen)

    def _jobs(self, tasks: Iterable[TensorTask]) -> Iterator[Job | Landing]:
        """Look at each tensor for as long as an operator wants to, then finish it."""
        for task in tasks:
            tensor = self._begin(task)
            row = max((work.row for work in tensor.works), default=0)
            while looking := [work for work in tensor.works if work.looking]:
                tensor.looks += 1
                yield from (Job(tensor, chunk, final=False) for chunk in cut(task, self.resources.chunk_bytes, row))
                yield Landing()
                for work in looking:
                    work.settle()
            yield from (Job(tensor, chunk) for chunk in cut(task, self.resources.chunk_bytes, row))

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
        self._fill(job.tensor, [(chunk.first, chunk.count)], slot)
        if not job.final:
            for number, work in enumerate(job.tensor.works):
                if work.looking:
                    job.seen[number] = work.look(chunk, slot)
            return
        if chunk.task.operation == "copy":
            self._copy(chunk, slot)
        elif self.threshold is not None and not any(operator.counts for operator in self.operators):
            self._loops.count_patterns(*slot.sources, chunk.count, np.float32(self.threshold), slot.counts, slot.bad)
        for number, work in enumerate(job.tensor.works):
            found = slot.bad.copy()
            work.merge(chunk, slot, slot.outs[number])
            # Every loop counts what is wrong with the sources; it is told once.
            slot.bad[:-1] = np.maximum(found[:-1], slot.bad[:-1] - found[:-1])
        if self.write:
            for number in range(len(self.operators)):
                self.write(chunk, number, slot.outs[number, : chunk.out_bytes])

    def _fill(self, tensor: TensorJob, pieces: Sequence[tuple[int, int]], slot: Slot) -> None:
        """Read pieces of a tensor, each a first element and a count, one after the other into the buffers."""
        for source, part in enumerate((tensor.task.base, *tensor.task.experts)):
            slot.kinds[source] = CHANGE if isinstance(part, LowRank) else KINDS.get(part.dtype, 0) if part else 0
            place = 0
            for first, count in pieces:
                place += self._fill_piece(tensor, source, part, (first, count), slot.raw[source], place)
            if source:
                slot.limits[source - 1] = place

    def _fill_piece(
        self, tensor: TensorJob, source: int, part: Part, piece: tuple[int, int], row: Bytes, place: int
    ) -> int:
        first, count = piece
        if isinstance(part, LowRank):
            factors = tensor.factors[source]
            out = row.view(np.float32)[place : place + count]
            form_changes(factors.a, factors.b, np.float32(part.scaling), part.transposed, first, out)
            return count
        if not isinstance(part, Tensor):
            return 0
        count, size = min(max(part.numel - first, 0), count), ITEM_SIZES[part.dtype]
        if count:
            self.sources.read(source, part, first * size, row[place * size : (place + count) * size].data)
        return count

    def _sample(self, tensor: TensorJob) -> Words:
        """Magnitudes of the experts' changes, `[N, places, elements]`: all there are, or some here and there."""
        task = tensor.task
        room = (self.resources.row_bytes - 64) // element_bytes(task)
        size = _PLACES * _PLACE
        if task.numel <= min(size, room):
            pieces = [(0, task.numel)]
        else:
            each = max(1, min(_PLACE, room // _PLACES))
            places = min(_PLACES, room // each)
            starts = np.linspace(0, task.numel - each, places).astype(np.int64)
            pieces = [(int(start), each) for start in np.unique(starts)]
        count = sum(piece[1] for piece in pieces)
        experts = len(task.experts)
        slot = Slot.make(experts, max(count * element_bytes(task), 8) // 8 * 8 + 64)
        self._fill(tensor, pieces, slot)
        found = np.empty((experts, count), np.uint32)
        for expert in range(experts):
            magnitudes(*slot.sources, count, expert, found[expert], slot.bad)
        return found.reshape(experts, len(pieces), -1)

    def _copy(self, chunk: Chunk, slot: Slot) -> None:
        size = ITEM_SIZES[chunk.task.base.dtype]
        slot.outs[:, : chunk.count * size] = slot.raw[0, : chunk.count * size]
        for t, part in enumerate(chunk.task.experts):
            if isinstance(part, Tensor):
                compared = slot.limits[t] * ITEM_SIZES[part.dtype]
                differ = np.count_nonzero(slot.raw[0, :compared] != slot.raw[t + 1, :compared])
                slot.bad[t + 1] = differ + (part.dtype != chunk.task.base.dtype)

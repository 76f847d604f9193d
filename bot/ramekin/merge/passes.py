"""One pass over the inputs: what is read, looked at, merged and written of each chunk, in any thread."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank
from ramekin.merge.arrays import Bytes, Words
from ramekin.merge.chunks import Chunk, Landing, Slot, Window, cut, element_bytes, in_order
from ramekin.merge.files import Factors, OpenSources
from ramekin.merge.loops.choosing import Loops, loops_for
from ramekin.merge.operators import Operator, TensorWork
from ramekin.merge.reading import Reader
from ramekin.merge.resources import Resources
from ramekin.plan.layout import TensorTask

Write = Callable[[Chunk, int, Bytes], None]
"""Is given each finished chunk, the number of the operator and its bytes; from any thread."""


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
        row: Where its pieces may end, as its own end: see `TensorWork.row`.
        seen: What looking found in each piece, and the number of the operator.
    """

    tensor: TensorJob
    chunk: Chunk
    lookers: Sequence[int] = ()
    row: int = 0
    seen: list[tuple[Chunk, int, object]] = field(default_factory=list)


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
    def _reader(self) -> Reader:
        return Reader(self.sources)

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
        experts, here = len(self.sources.roles) - 1, threading.local()
        results, thresholds = max(1, len(self.operators)), max(1, len(self.thresholds))
        tasks = tuple(tasks)
        for task in tasks:
            for source, part in enumerate((task.base, *task.experts)):
                self.sources.prepare(source, part)

        def slot() -> Slot:
            return Slot.make(experts, self.resources.out_bytes, results, thresholds)

        def window() -> Window:
            if not hasattr(here, "window"):
                loops = len(self.thresholds) + len(self.operators)
                here.window = Window(experts, self.resources.row_bytes(experts), max(1, loops), thresholds)
            own: Window = here.window
            return own

        def work(job: Job, slot: Slot) -> None:
            try:
                self._do(job, slot, window())
            except BaseException:
                for work in job.tensor.works:
                    work.abandon()
                raise

        needed = {name for operator in self.operators for name in operator.needs}
        self._loops.load(needed | ({"count_patterns"} if self.thresholds else set()))

        for job, found in in_order(self._jobs(tasks), work, slot, self.resources):
            if not job.lookers:
                yield job.chunk, found, job.tensor
            else:
                for piece, number, seen in job.seen:
                    job.tensor.works[number].take(piece, seen)

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
        """Bytes of one source in a chunk."""
        if any(work.whole for work in tensor.works) and not self._direct(tensor):
            return self._piece_bytes(tensor)
        alone = not self.operators and tensor.task.operation != "copy"
        return self.resources.counting_bytes if alone else self.resources.chunk_bytes

    def _piece_bytes(self, tensor: TensorJob) -> int:
        return self.resources.piece_bytes(len(tensor.task.experts))

    def _looks(self, tensor: TensorJob) -> Iterator[Job]:
        """One look for all operators whose chunks may end at the same places."""
        looking = {number: work.row for number, work in enumerate(tensor.works) if work.looking}
        rows = sorted({row for row in looking.values() if row}) or [0]
        for row in rows:
            tensor.looks += 1
            lookers = [number for number, own in looking.items() if (own or rows[0]) == row]
            most = [tensor.works[number].most * element_bytes(tensor.task) for number in lookers]
            size = min([self.resources.chunk_bytes, *filter(None, most)])
            yield from (Job(tensor, chunk, lookers, row) for chunk in cut(tensor.task, size, row))

    def _begin(self, task: TensorTask) -> TensorJob:
        factors = {
            source: self.sources.factors(source, part)
            for source, part in enumerate(task.experts, 1)
            if isinstance(part, LowRank)
        }
        if task.operation == "copy" or not task.numel:
            return TensorJob(task, (), factors)

        def sample() -> Words:
            return self._reader.sample(task, factors)

        return TensorJob(task, tuple(operator.on(task, sample) for operator in self.operators), factors)

    def _do(self, job: Job, slot: Slot, window: Window) -> None:
        chunk = job.chunk
        if chunk.task.operation == "copy":
            self._reader.copy(chunk, slot)
        else:
            if self._direct(job.tensor, job.lookers):
                self._read_as_it_goes(job, slot, window)
            else:
                for piece in chunk.pieces(self._piece_bytes(job.tensor), job.row):
                    self._reader.before(window, piece, job.tensor.factors)
                    self._compute(job, piece, slot, window)
            window.give(slot.counts, slot.bad)
        if self.write and not job.lookers:
            for number in range(len(self.operators)):
                self.write(chunk, number, slot.outs[number, : chunk.out_bytes])

    def _direct(self, tensor: TensorJob, lookers: Sequence[int] = ()) -> bool:
        """Whether a loop can read the files itself: what several want is read once for all, and a GPU reads none."""
        merging = () if lookers else self.operators
        counting = 0 if lookers or any(operator.counts for operator in merging) else len(self.thresholds)
        several = len(lookers) + len(merging) + counting > 1
        return not (several or tensor.factors or self.resources.device == "cuda")

    def _read_as_it_goes(self, job: Job, slot: Slot, window: Window) -> None:
        """Have the loop read what it needs, and ask for what comes next if it had to wait."""
        spans = self._reader.as_it_goes(window, job.chunk)
        started = time.perf_counter() - time.thread_time()
        self._compute(job, job.chunk, slot, window)
        waited = time.perf_counter() - time.thread_time() - started
        self._reader.check(window, spans)
        for span in spans:
            self.sources.waited(span, waited)

    def _compute(self, job: Job, piece: Chunk, slot: Slot, window: Window) -> None:
        """Have the loops go over a piece of a chunk, or all of it."""
        self._loops.begin()
        works = job.tensor.works
        if job.lookers:
            # What is wrong with the sources is told when they are merged.
            job.seen.extend((piece, number, works[number].look(piece, window)) for number in job.lookers)
            return
        if not any(operator.counts for operator in self.operators):
            for number, (threshold, counts) in enumerate(zip(self.thresholds, window.counts, strict=False)):
                window.turn_to(number)
                self._loops.count_patterns(*window.sources, piece.count, np.float32(threshold), counts, window.bad)
        size = ITEM_SIZES[piece.task.dtype]
        start = (piece.first - job.chunk.first) * size
        for number, work in enumerate(works):
            window.turn_to(len(self.thresholds) + number)
            work.merge(piece, window, slot.outs[number, start : start + piece.count * size])

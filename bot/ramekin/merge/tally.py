"""What the chunks of a pass add up to: overlap counts, bytes, and what is wrong with the data."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor
from ramekin.errors import DamagedError, IncompatibleError, Problem, RamekinError
from ramekin.merge.chunks import Chunk, Slot
from ramekin.merge.files import OpenSources
from ramekin.merge.statistics import Probe, TensorOverlap
from ramekin.methods.ram import Overlap
from ramekin.plan.layout import Layout, Part, TensorTask
from ramekin.progress import Bar


@dataclass(frozen=True)
class Fault:
    """What is wrong with a tensor.

    Attributes:
        tensor: Its name.
        kind: The error that it is.
        problem: In words.
    """

    tensor: str
    kind: type[RamekinError]
    problem: Problem


@dataclass(frozen=True)
class Found:
    """What a pass found, or a part of one.

    Attributes:
        statistics: The overlap statistics of its tensors, by each threshold.
        faults: Everything that is wrong with them.
    """

    statistics: tuple[Probe, ...]
    faults: tuple[Fault, ...]


class Tally:
    """Adds up chunks that arrive in order.

    Args:
        sources: Names the sources.
        bar: Is told of the bytes that were read.
        thresholds: By how many thresholds changes are counted.

    Attributes:
        bytes_read: Bytes of tensor data that were read.
        faults: What is wrong with the tensors that are complete.
    """

    def __init__(self, sources: OpenSources, bar: Bar, thresholds: int = 1) -> None:
        experts = len(sources.roles) - 1
        self.bytes_read = 0
        self.faults: list[Fault] = []
        self._sources = sources
        self._bar = bar
        self._counts = np.zeros((thresholds, 1 << experts), np.int64)
        self._tensor = np.zeros((thresholds, 1 << experts), np.int64)
        self._bad = np.zeros(experts + 2, np.int64)
        self._by_tensor: list[dict[str, TensorOverlap]] = [{} for _ in range(thresholds)]

    def add(self, chunk: Chunk, slot: Slot, looks: int = 1) -> None:
        """Take what was found in a chunk that was read so many times."""
        task = chunk.task
        read = sum(_bytes(part, chunk) for part in (task.base, *task.experts))
        self.bytes_read += read * looks
        self._bar.advance(read)
        self._tensor += slot.counts
        self._bad += slot.bad
        if chunk.last:
            if task.operation == "merge":
                for found, counts in zip(self._by_tensor, self._tensor, strict=True):
                    found[task.name] = TensorOverlap.of(counts)
                self._counts += self._tensor
            if self._bad.any():
                self._complain(task)
            self._tensor[:] = 0
            self._bad[:] = 0

    def found(self) -> Found:
        """All of it, once the last tensor is complete."""
        statistics = (
            Probe(overlap=Overlap(tuple(counts.tolist())), by_tensor=dict(found), bytes_read=self.bytes_read)
            for counts, found in zip(self._counts, self._by_tensor, strict=True)
        )
        return Found(tuple(statistics), tuple(self.faults))

    def _complain(self, task: TensorTask) -> None:
        *sources, output = self._bad.tolist()
        for source, (part, count) in enumerate(zip((task.base, *task.experts), sources, strict=True)):
            if part is None:
                continue
            tensor = part.b if isinstance(part, LowRank) else part
            where = f"{self._sources.name(source, tensor)}: tensor `{task.name}`"
            if count and task.operation == "merge":
                values = "1 value that is" if count == 1 else f"{count:,} values that are"
                what = f"{where} has {values} NaN or infinite"
                self._note(task, DamagedError, what, "these weights are damaged: pin another revision of this source")
            elif count:
                what = f"{where} is of type {tensor.dtype}, cannot be merged, and differs from the base's"
                self._note(task, IncompatibleError, what, "merge only experts that share this tensor with their base")
        if output and not any(sources):
            values = "1 value" if output == 1 else f"{output:,} values"
            what = f"tensor `{task.name}` would have {values} too large for {task.dtype}"
            self._note(task, DamagedError, what, "choose `output.dtype: float32`, or check the experts' weights")

    def _note(self, task: TensorTask, kind: type[RamekinError], what: str, hint: str) -> None:
        self.faults.append(Fault(task.name, kind, Problem(what, hint)))


def _bytes(part: Part, chunk: Chunk) -> int:
    """Bytes of a chunk, as a source has it; an adapter's factors are read once, with the tensor's last chunk."""
    if isinstance(part, Tensor):
        return chunk.present(part) * ITEM_SIZES[part.dtype]
    return part.nbytes if part and chunk.last else 0


def check(faults: Iterable[Fault], layout: Layout | None = None) -> None:
    """Raise all faults of one kind together, damage before the rest.

    Args:
        faults: The faults.
        layout: Their order, where they come from several processes.

    Raises:
        DamagedError: A source holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
    """
    faults = list(faults)
    if layout and faults:
        names = (task.name for shard in layout.shards for task in shard.tensors)
        places = {name: place for place, name in enumerate(names)}
        faults.sort(key=lambda fault: places[fault.tensor])
    for kind in (DamagedError, IncompatibleError):
        if problems := [fault.problem for fault in faults if fault.kind is kind]:
            raise kind(problems=problems)

"""One pass over the inputs of one file: what is done to each chunk, in any thread."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, Tensor
from ramekin.merge.chunks import Chunk, Slot, cut, in_order, present_elements
from ramekin.merge.files import OpenSources
from ramekin.merge.kernels import KINDS, Bytes, Floats, count_patterns, merge_ram
from ramekin.merge.output import ShardWriter
from ramekin.merge.resources import Resources
from ramekin.plan.layout import TensorTask


@dataclass(frozen=True)
class Pass:
    """What one pass does.

    Attributes:
        sources: Where it reads.
        epsilon: A change must be greater than this.
        coefficients: `[2**N]`, factor on the sum of the changes by pattern; None for a pass that only counts.
        writer: Where it writes, for a pass that merges.
        counting: Whether the patterns are counted.
    """

    sources: OpenSources
    epsilon: float
    coefficients: Floats | None = None
    writer: ShardWriter | None = None
    counting: bool = True

    def over(self, tasks: tuple[TensorTask, ...], resources: Resources) -> Generator[tuple[Chunk, Slot], None, None]:
        """Go over tensors; give back each chunk, in order, with its result and counts.

        To be closed before the sources and the writer are.

        Raises:
            DamagedError: A file is absent or ends too early.
            ResourceError: The disk is full.
        """
        for task in tasks:
            for source, tensor in enumerate((task.base, *task.experts)):
                self.sources.prepare(source, tensor)
        experts = len(self.sources.roles) - 1
        return in_order(cut(tasks, resources.chunk_bytes), self._work, experts, resources)

    def _work(self, chunk: Chunk, slot: Slot) -> None:
        slot.counts[:] = 0
        slot.bad[:] = 0
        for source, tensor in enumerate((chunk.task.base, *chunk.task.experts)):
            self._fill(source, tensor, chunk, slot)
        if chunk.task.operation == "copy":
            self._copy(chunk, slot)
        else:
            self._merge(chunk, slot)
        if self.writer:
            self.writer.write(chunk.offset, output_of(chunk, slot))

    def _fill(self, source: int, tensor: Tensor, chunk: Chunk, slot: Slot) -> None:
        count, size = present_elements(tensor, chunk), ITEM_SIZES[tensor.dtype]
        if source:
            slot.limits[source - 1] = count
        slot.kinds[source] = KINDS.get(tensor.dtype, 0)  # tensors of other types are copied
        if count:
            row = slot.raw[source, : count * size]
            self.sources.read(source, tensor, chunk.first * size, row.data)

    def _merge(self, chunk: Chunk, slot: Slot) -> None:
        rows = (slot.raw, slot.kinds, slot.limits, chunk.count, np.float32(self.epsilon))
        if self.coefficients is None:
            count_patterns(*rows, slot.counts, slot.bad)
            return
        counts = slot.counts if self.counting else slot.counts[:0]
        merge_ram(*rows, self.coefficients, slot.out, KINDS[chunk.task.dtype], counts, slot.bad)

    def _copy(self, chunk: Chunk, slot: Slot) -> None:
        size = ITEM_SIZES[chunk.task.base.dtype]
        slot.out[: chunk.count * size] = slot.raw[0, : chunk.count * size]
        for t, tensor in enumerate(chunk.task.experts):
            compared = slot.limits[t] * ITEM_SIZES[tensor.dtype]
            differ = np.count_nonzero(slot.raw[0, :compared] != slot.raw[t + 1, :compared])
            slot.bad[t + 1] = differ + (tensor.dtype != chunk.task.base.dtype)


def output_of(chunk: Chunk, slot: Slot) -> Bytes:
    """The bytes that a chunk adds to the output."""
    return slot.out[: chunk.count * ITEM_SIZES[chunk.task.dtype]]

"""What a loop finds in its window: what is read as it goes, or was read or formed before; and what needs no loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor
from ramekin.merge.arrays import CHANGE, KINDS, Words
from ramekin.merge.chunks import READ, Chunk, Slot, Window
from ramekin.merge.files import Factors, OpenSources, Span
from ramekin.merge.loops.on_processor import form_changes, magnitudes
from ramekin.merge.sizes import BLOCK, LEAST_ROOM
from ramekin.plan.layout import TensorTask

_PLACES: Final = 256
_PLACE: Final = 128  # elements read at each place of a sample


@dataclass(frozen=True)
class Reader:
    """Reads for the loops, in any thread.

    Attributes:
        sources: Where it reads.
    """

    sources: OpenSources

    def as_it_goes(self, window: Window, chunk: Chunk, most: int = READ) -> list[Span]:
        """Have loops read a chunk themselves, at most so many bytes of a source at a time; what they may read."""
        spans = []
        for source, part in enumerate((chunk.task.base, *chunk.task.experts)):
            present = chunk.present(part)
            if not isinstance(part, Tensor) or not present:
                window.expect(source, 0, 0, 0)
                continue
            span = Span(source, part, chunk.first, present)
            window.read_from(source, KINDS[part.dtype], present, *self.sources.place(span), most)
            spans.append(span)
        return spans

    def check(self, window: Window, spans: Sequence[Span]) -> None:
        """Raise what has kept a loop from reading.

        Raises:
            DamagedError: A file ends too early or cannot be read.
        """
        lost = window.lost
        for span in spans:
            if span.source in lost:
                raise self.sources.lost(span)

    def before(self, window: Window, piece: Chunk, factors: Mapping[int, Factors]) -> None:
        """Have all that the sources have of a piece in memory.

        Raises:
            DamagedError: A file ends too early or cannot be read.
        """
        for source, part in enumerate((piece.task.base, *piece.task.experts)):
            present = piece.present(part)
            if isinstance(part, LowRank):
                own, changes = factors[source], window.expect(source, CHANGE, present, 4 * present).view(np.float32)
                form_changes(own.a, own.b, np.float32(part.scaling), part.transposed, piece.first, changes)
                continue
            size = ITEM_SIZES[part.dtype] if part else 0
            into = window.expect(source, KINDS[part.dtype] if part else 0, present, present * size)
            if part and present:
                self.sources.read(source, part, piece.first * size, into.data)

    def sample(self, task: TensorTask, factors: Mapping[int, Factors]) -> Words:
        """Magnitudes of the experts' changes, `[N, places, elements]`: all there are, or some here and there."""
        few = task.numel <= _PLACES * _PLACE
        each = BLOCK if few else _PLACE
        starts = np.arange(0, task.numel, BLOCK) if few else np.linspace(0, task.numel - _PLACE, _PLACES).astype(int)
        size = task.numel if few else _PLACES * _PLACE
        sampled: Words = np.empty((len(task.experts), size), np.uint32)
        window, whole = Window(len(task.experts), LEAST_ROOM), Chunk(task, 0, task.numel, last=True)
        if factors:
            for number, start in enumerate(starts.tolist()):
                piece = Chunk(task, start, min(each, task.numel - start), last=False)
                self.before(window, piece, factors)
                found = np.empty((len(task.experts), piece.count), np.uint32)
                magnitudes(*window.sources, piece.count, np.zeros(1, np.int64), each, found, window.bad)
                sampled[:, number * each :][:, : piece.count] = found
        else:
            spans = self.as_it_goes(window, whole, 4 * each)  # bytes for any element
            self.sources.ask(spans, starts.tolist(), each)
            magnitudes(*window.sources, task.numel, starts, each, sampled, window.bad)
            self.check(window, spans)
        return sampled.reshape(len(sampled), 1 if few else _PLACES, -1)

    def copy(self, chunk: Chunk, slot: Slot) -> None:
        """Take over a chunk from the base, and count where an expert differs."""
        base = self.sources.whole(chunk)
        slot.outs[:, : len(base)] = base
        slot.counts[:], slot.bad[:] = 0, 0
        for t, part in enumerate(chunk.task.experts):
            if isinstance(part, Tensor):
                other = self.sources.bytes_of(Span(t + 1, part, chunk.first, chunk.present(part)))
                differ = np.count_nonzero(base[: len(other)] != other)
                slot.bad[t + 1] = differ + (part.dtype != chunk.task.base.dtype)

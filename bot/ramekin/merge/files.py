"""The sources' weight files: where they are, and opened for reading at any place from any thread."""

import errno
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor
from ramekin.errors import DamagedError, ResourceError
from ramekin.merge.arrays import KINDS, Bytes, Floats
from ramekin.merge.chunks import Chunk
from ramekin.merge.loops.on_processor import load
from ramekin.plan.layout import Part, Shard

SourceFiles = Mapping[str, Mapping[str, Path]]
"""Local path of every weight file, by role (`base` or `expert:NAME`) and name in its checkpoint."""


class Supply(Protocol):
    """Where the files come from: they may be there only while they are needed."""

    def steps(self, shard: Shard) -> Sequence[Shard]:
        """A shard cut into runs of its tensors, in the order of their data: as much of it as is held at a time."""

    def holding(self, shard: Shard) -> AbstractContextManager[SourceFiles]:
        """Every file that a step's tensors are read from, for as long as the context lasts."""


@dataclass(frozen=True)
class AtHand:
    """Files that are all there, and stay."""

    files: SourceFiles

    def steps(self, shard: Shard) -> Sequence[Shard]:
        """All of it at once."""
        return (shard,)

    def holding(self, shard: Shard) -> AbstractContextManager[SourceFiles]:
        """All of them."""
        return nullcontext(self.files)


@dataclass(frozen=True)
class Factors:
    """An adapter's factors for one tensor, in memory.

    Attributes:
        a: `[r, in]`, float32.
        b: `[out, r]`, float32.
    """

    a: Floats
    b: Floats


@dataclass(frozen=True, slots=True)
class Span:
    """Some consecutive elements of a source's tensor.

    Attributes:
        source: Its number, the base's 0.
        tensor: The tensor.
        first: Index of the first element.
        count: Number of elements.
    """

    source: int
    tensor: Tensor
    first: int
    count: int

    @property
    def start(self) -> int:
        """The tensor's byte that they begin with."""
        return self.first * ITEM_SIZES[self.tensor.dtype]

    @property
    def nbytes(self) -> int:
        """How many bytes they are."""
        return self.count * ITEM_SIZES[self.tensor.dtype]


_AHEAD: Final = 16 << 20  # bytes that the system is asked to fetch before they are needed
_ASKED: Final = 1 << 20  # bytes of one such request: Linux may leave out what is beyond
_NOTICED: Final = 0.002  # seconds: shorter waits are those of any thread
_FAST: Final = 1e9  # bytes a second: what takes longer than this has not come from the page cache


def roles_of(experts: Iterable[str]) -> tuple[str, ...]:
    """The roles of all sources, base first, in the order of the rows of every buffer."""
    return ("base", *(f"expert:{name}" for name in experts))


class OpenSources:
    """Descriptors of all weight files that a layout reads.

    Args:
        files: Where the files are.
        roles: The sources, base first.
        stack: Closes what is opened.
    """

    def __init__(self, files: SourceFiles, roles: tuple[str, ...], stack: ExitStack) -> None:
        self.roles = roles
        self._files = files
        self._stack = stack
        self._open: dict[tuple[int, str], int] = {}
        self._asked: dict[int, int] = {}

    def prepare(self, source: int, part: Part) -> None:
        """Open the files of what a source has of a tensor, so that it is open for every thread.

        Raises:
            DamagedError: The file is absent, cannot be opened, or ends before the tensor does.
            ResourceError: Too many files are open.
        """
        if part is None:
            return
        for tensor in (part.a, part.b) if isinstance(part, LowRank) else (part,):
            descriptor = self._open.get((source, tensor.file))
            if descriptor is None:
                descriptor = self._open[source, tensor.file] = self._opened(source, tensor)
            size = os.fstat(descriptor).st_size
            if size < tensor.start + tensor.nbytes:
                raise self._truncated(source, tensor, size)

    def factors(self, source: int, product: LowRank) -> Factors:
        """Read an adapter's factors for one tensor.

        Raises:
            DamagedError: The file ends too early or cannot be read.
        """
        return Factors(self._whole(source, product.a), self._whole(source, product.b))

    def _whole(self, source: int, tensor: Tensor) -> Floats:
        raw = self.bytes_of(Span(source, tensor, 0, tensor.numel))
        values: Floats = np.empty(tensor.numel, np.float32)
        if tensor.numel:
            load(raw.ctypes.data, KINDS[tensor.dtype], tensor.numel, values)
        return values.reshape(tensor.shape)

    def read(self, source: int, tensor: Tensor, start: int, into: memoryview) -> None:
        """Fill a buffer with a tensor's bytes from `start` on.

        Raises:
            DamagedError: The file ends too early or cannot be read.
        """
        descriptor = self._open[source, tensor.file]
        place, view = tensor.start + start, into
        started = time.perf_counter()
        try:
            while view:
                got = os.preadv(descriptor, [view], place)
                if not got:
                    raise self._truncated(source, tensor, place)
                view, place = view[got:], place + got
        except OSError as error:
            raise self._unreadable(source, tensor, error.strerror) from error
        self._waited(descriptor, place, len(into), time.perf_counter() - started)

    def place(self, span: Span) -> tuple[int, int]:
        """The file's descriptor, and the byte in it that a span begins with, for whoever reads by himself."""
        return self._open[span.source, span.tensor.file], span.tensor.start + span.start

    def waited(self, span: Span, seconds: float) -> None:
        """Whoever has read a span by himself waited so long."""
        descriptor, start = self.place(span)
        self._waited(descriptor, start + span.nbytes, span.nbytes, seconds)

    def lost(self, span: Span) -> DamagedError:
        """Why whoever read a span by himself could not: it is read once more."""
        piece = np.empty(min(span.nbytes, _ASKED), np.uint8).data
        try:
            for start in range(0, span.nbytes, _ASKED):
                self.read(span.source, span.tensor, span.start + start, piece[: span.nbytes - start])
        except DamagedError as error:
            return error
        return self._unreadable(span.source, span.tensor, "it failed once and then did not")

    def _waited(self, descriptor: int, place: int, size: int, seconds: float) -> None:
        """Have the system fetch what comes after a place, if what came before it has come from a disk.

        It is not asked otherwise: for what it has in memory, asking takes half as long as reading.
        """
        if seconds <= max(size / _FAST, _NOTICED):
            return
        asked, end = self._asked.get(descriptor, 0), place + _AHEAD
        begin = max(place, asked) if asked <= end + _AHEAD else place  # long before: that was another look at the file
        self._asked[descriptor] = max(begin, end)
        for step in range(begin, end, _ASKED):
            os.posix_fadvise(descriptor, step, min(_ASKED, end - step), os.POSIX_FADV_WILLNEED)

    def ask(self, spans: Iterable[Span], starts: Sequence[int], each: int) -> None:
        """Have the system fetch some elements here and there, all at once, if the files come from a disk.

        Args:
            spans: What they are elements of.
            starts: The first element of each place, counted from the beginning of a span.
            each: Elements of a place.
        """
        if not self._asked:
            return
        for span in spans:
            descriptor, begin = self.place(span)
            size = ITEM_SIZES[span.tensor.dtype]
            for start in starts:
                os.posix_fadvise(descriptor, begin + start * size, each * size, os.POSIX_FADV_WILLNEED)

    def whole(self, chunk: Chunk) -> Bytes:
        """The base's bytes of a chunk.

        Raises:
            DamagedError: The file ends too early or cannot be read.
        """
        return self.bytes_of(Span(0, chunk.task.base, chunk.first, chunk.count))

    def bytes_of(self, span: Span) -> Bytes:
        """The bytes of a span.

        Raises:
            DamagedError: The file ends too early or cannot be read.
        """
        found: Bytes = np.empty(span.nbytes, np.uint8)
        if span.count:
            self.read(span.source, span.tensor, span.start, found.data)
        return found

    def name(self, source: int, tensor: Tensor) -> str:
        """A source's file as messages name it."""
        return f"{self.roles[source]}: {tensor.file}"

    def _opened(self, source: int, tensor: Tensor) -> int:
        path = self._files.get(self.roles[source], {}).get(tensor.file)
        if path is None:
            raise DamagedError(f"{self.name(source, tensor)} was not fetched", "fetch the sources again")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            what = f"{self.name(source, tensor)} cannot be opened at {path}: {error.strerror}"
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise ResourceError(what, "raise the limit on open files (`ulimit -n`)") from error
            raise DamagedError(what, "fetch the sources again") from error
        self._stack.callback(os.close, descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return descriptor

    def _unreadable(self, source: int, tensor: Tensor, why: str | None) -> DamagedError:
        return DamagedError(f"{self.name(source, tensor)} cannot be read: {why}", "check the disk, fetch it again")

    def _truncated(self, source: int, tensor: Tensor, size: int) -> DamagedError:
        return DamagedError(
            f"{self.name(source, tensor)} ends after {size:,} bytes, within tensor `{tensor.name}`",
            "the file is damaged: remove it and fetch it again",
        )


@contextmanager
def open_sources(files: SourceFiles, experts: Iterable[str]) -> Iterator[OpenSources]:
    """Open sources for as long as the context lasts."""
    with ExitStack() as stack:
        yield OpenSources(files, roles_of(experts), stack)

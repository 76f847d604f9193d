"""Weights as they arrive: every tensor's digest is taken, and what is wanted of them is written."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from ramekin.atomic import enough_disk
from ramekin.checkpoint.header import header_length, parse_header
from ramekin.download import Wanted, new_digest
from ramekin.errors import DamagedError
from ramekin.plan.steps import Span

TensorDigests = Mapping[str, str]
"""sha256 of every tensor of a file, by its place: `START-STOP`, in decimal."""

Described = tuple[str, str, tuple[int, ...], int]
"""A tensor's name, element type, dimensions and place in its file."""

_CHUNK: Final = 1 << 22


class Run:
    """Neighbouring tensors of a file, received by themselves.

    Args:
        run: Where they are.
        tensors: Where each of them is.
        aside: What of it is written, and into which file, which is there already; every byte keeps its place.
    """

    def __init__(self, run: Span, tensors: Iterable[Span], aside: Iterable[tuple[Span, Path]]) -> None:
        self.start, self.stop = run.start, run.stop
        self._tensors = tuple(tensors)
        self._aside = tuple(aside)
        self.restart()

    def restart(self) -> None:
        """Begin again."""
        self.received = 0
        self._digests = {span: hashlib.sha256() for span in self._tensors}
        sections: list[tuple[Span, Callable[[int, memoryview], None]]] = []
        sections += [(span, _digesting(digest)) for span, digest in self._digests.items()]
        sections += [(span, _writing(path)) for span, path in self._aside]
        self._sections = _Sections(sections)

    def take(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._sections.take(self.start + self.received, piece)
        self.received += len(piece)

    @property
    def tensor_digests(self) -> TensorDigests:
        """What the tensors have turned out to be."""
        return {str(span): digest.hexdigest() for span, digest in self._digests.items()}


class Passage(Run):
    """A whole file that passes through.

    Args:
        wanted: The file.
        tensors: Where the tensors are whose digests are taken.
        aside: As for a run.
    """

    def __init__(self, wanted: Wanted, tensors: Iterable[Span], aside: Iterable[tuple[Span, Path]]) -> None:
        self._wanted = wanted
        super().__init__(Span(0, wanted.file.size), tensors, aside)

    def restart(self) -> None:
        """Begin again."""
        super().restart()
        self._digest = new_digest(self._wanted.file)
        self._header = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(piece)
        missing = self._header_size - len(self._header)
        while missing > 0 and self.received <= len(self._header) < self.received + len(piece):
            begin = len(self._header) - self.received
            self._header += piece[begin : begin + missing]
            missing = self._header_size - len(self._header)
        super().take(piece)

    @property
    def _header_size(self) -> int:
        """Bytes of the header: as many as tell its length, until they are here."""
        size, label = self._wanted.file.size, str(self._wanted)
        return 8 if len(self._header) < 8 else 8 + header_length(bytes(self._header[:8]), size, label)

    def check(self, tensors: Collection[Described]) -> None:
        """Hold the file that has passed against the lock, and its header against what the plan has seen of its tensors.

        Raises:
            DamagedError: It is another.
        """
        if self._digest.hexdigest() != (self._wanted.file.sha256 or self._wanted.file.blob):
            raise self._wanted.damaged()
        name, source = self._wanted.name, self._wanted.source.source
        header = parse_header(bytes(self._header[8:]), name, self._wanted.file.size, source=source)
        if not set(tensors) <= {(found.name, found.dtype, found.shape, found.start) for found in header.tensors}:
            raise DamagedError(
                "the fetched files are not laid out as their headers said when the merge was planned",
                "run the same command again; if it stays so, do not trust the source",
            )


def holds(path: Path, tensors: Iterable[Span], known: TensorDigests) -> bool:
    """Whether a file has the right content where some tensors are."""
    return all(known.get(str(span)) == _digest_of(path, span) for span in tensors)


def _digest_of(path: Path, span: Span) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for place in range(span.start, span.stop, _CHUNK):
            file.seek(place)
            digest.update(file.read(min(_CHUNK, span.stop - place)))
    return digest.hexdigest()


class _Sections:
    """Sections of a stream, each of which is given its bytes with their place, in order."""

    def __init__(self, sections: Iterable[tuple[Span, Callable[[int, memoryview], None]]]) -> None:
        self._sections = sorted(sections, key=lambda section: section[0])
        self._first = 0

    def take(self, place: int, piece: bytes) -> None:
        """Give the next bytes to the sections that they belong to."""
        view, end = memoryview(piece), place + len(piece)
        while self._first < len(self._sections) and self._sections[self._first][0].stop <= place:
            self._first += 1
        for number in range(self._first, len(self._sections)):
            span, use = self._sections[number]
            if span.start >= end:
                return
            begin, stop = max(span.start, place), min(span.stop, end)
            if begin < stop:
                use(begin, view[begin - place : stop - place])


def _digesting(digest: "hashlib._Hash") -> Callable[[int, memoryview], None]:
    return lambda _, data: digest.update(data)


def _writing(path: Path) -> Callable[[int, memoryview], None]:
    def write(place: int, data: memoryview) -> None:
        # Opened each time: a file that passes may be put aside in hundreds of parts.
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            with enough_disk(path):
                while data:
                    written = os.pwrite(descriptor, data, place)
                    data, place = data[written:], place + written
        finally:
            os.close(descriptor)

    return write

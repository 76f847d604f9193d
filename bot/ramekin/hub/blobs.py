"""Files on disk, named by their sha256. Written beside, flushed, then renamed: a kill leaves no half file."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ramekin.hub.records import git_blob_id

CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Sparse:
    """A file that is mostly a hole, so that a test can have a huge one for nothing.

    Attributes:
        header: The first bytes.
        hole: Number of zero bytes that follow.
        sha256: The digest that the Hub *declares* for it. Not computed, as hashing a hole of 15 GB takes as long as
            hashing data; where none is given one is made up from header and size.
    """

    header: bytes
    hole: int
    sha256: str | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.header) + self.hole

    @property
    def declared(self) -> str:
        """The digest that it is filed under."""
        return self.sha256 or hashlib.sha256(b"sparse %d\0" % self.hole + self.header).hexdigest()


Content = bytes | str | Path | Sparse


@dataclass(frozen=True)
class Blob:
    """A stored file."""

    sha256: str
    size: int


class Blobs:
    """The content-addressed directory.

    Args:
        root: Where the files go.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)  # what a killed process left
        self._incoming.mkdir(parents=True)

    def path(self, sha256: str) -> Path:
        """Where the file with this digest is, or would be."""
        return self._root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether it is there."""
        return self.path(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """The whole content; for small files."""
        return self.path(sha256).read_bytes()

    def git_id(self, sha256: str) -> str:
        """The git blob id of the content; reads all of it."""
        return git_blob_id(self.read(sha256))

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """A path for a file in the making; gone afterwards unless it was kept."""
        path = self._incoming / secrets.token_hex(8)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, draft: Path, sha256: str) -> Blob:
        """Move a finished draft to its address."""
        target = self.path(sha256)
        size = draft.stat().st_size
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(target)
            flush_directory(target.parent)
        return Blob(sha256, size)

    def add(self, content: Content) -> Blob:
        """Store content from memory, from a file, or as a hole."""
        with self.draft() as draft:
            if isinstance(content, Sparse):
                with draft.open("wb") as file:
                    file.write(content.header)
                    file.truncate(content.size)
                return self.keep(draft, content.declared)
            if isinstance(content, Path):
                digest = hashlib.sha256()
                with content.open("rb") as source, draft.open("wb") as file:
                    copy_hashing(source, file, digest)
                return self.keep(draft, digest.hexdigest())
            data = content.encode() if isinstance(content, str) else content
            draft.write_bytes(data)
            return self.keep(draft, hashlib.sha256(data).hexdigest())


class Digest(Protocol):
    """What takes bytes in, such as a hash."""

    def update(self, data: bytes, /) -> None:
        """Take some more."""


def copy_hashing(source: BinaryIO, target: BinaryIO, digest: Digest) -> None:
    """Copy the rest of one file into another and tell the digest what went through."""
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)


def write_atomically(target: Path, data: bytes) -> None:
    """Replace a small file so that a reader, or a restart after a kill, finds the old or the new one, never a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    flush_directory(target.parent)


def flush_directory(directory: Path) -> None:
    """Make a rename inside the directory last."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

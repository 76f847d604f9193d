"""Digests of files, and a memory of those already taken.

Weights are large and are asked for often (lock, fetch, verify), so a file whose size, times and inode are as they were
is not read again, as git does with its index.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ramekin.atomic import write_atomically
from ramekin.errors import ResourceError

_CHUNK: Final = 1 << 22


def sha256_of(path: Path, advance: Callable[[int], None] | None = None) -> str:
    """The sha256 of a file's content, in hex."""
    return _hash(path, hashlib.sha256(), advance)


def blob_id_of(path: Path) -> str:
    """The id that git gives a blob with this content: sha1 over `blob SIZE NUL` and the content, in hex."""
    return _hash(path, hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False), None)


def json_digest(content: object) -> str:
    """The sha256 of what JSON can say, in hex, whatever the order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(path: Path, digest: "hashlib._Hash", advance: Callable[[int], None] | None) -> str:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            if advance:
                advance(len(piece))
    return digest.hexdigest()


class DigestMemory:
    """sha256 of files by their path, size, modification time and inode, kept in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, list[object]] = {}
        try:
            known = json.loads(path.read_text())
            self._known = known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            pass  # a memory that is lost or torn costs reading the files once more

    def sha256(self, path: Path, advance: Callable[[int], None] | None = None) -> str:
        """The file's sha256, read only if the file is not as it was when it was last read."""
        real = path.resolve()
        mark = _mark(real)
        known = self._known.get(str(real))
        if isinstance(known, list) and known[:-1] == mark and isinstance(known[-1], str):
            return known[-1]
        digest = sha256_of(real, advance)
        if _mark(real) == mark:
            self._remember(real, [*mark, digest])
        return digest

    def note(self, path: Path, sha256: str) -> None:
        """Remember the digest of a file that was just written."""
        real = path.resolve()
        self._remember(real, [*_mark(real), sha256])

    def _remember(self, real: Path, entry: list[object]) -> None:
        with self._lock:
            self._known[str(real)] = entry
            # Where it cannot be kept, on a full or a read-only disk, files are read once more the next time.
            with contextlib.suppress(OSError, ResourceError):
                write_atomically(self._path, json.dumps(self._known).encode())


def _mark(path: Path) -> list[object]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]

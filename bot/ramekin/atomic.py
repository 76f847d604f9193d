"""Files that appear whole or not at all."""

import ctypes
import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ramekin.errors import ResourceError

_WRITE_OUT: Final = 2  # SYNC_FILE_RANGE_WRITE
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def enough_disk(where: Path) -> Iterator[None]:
    """Turn a full disk into a `ResourceError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ResourceError(
            f"{where}: no space left on the device", "free some space, or choose another disk with --out or HF_HOME"
        ) from error


@contextmanager
def exclusive(path: Path) -> Iterator[io.FileIO]:
    """A file open for reading and appending, made if it is not there, and kept from every other process until closed.

    Nothing is buffered: what was written is in the file, also when the process is killed.
    """
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file.fileno(), path):
                yield file
                return
        finally:
            file.close()
        # Whoever had it has renamed or removed it meanwhile: what we hold has no name any more.


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file or directory is the one that is found under a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def append(file: io.FileIO, content: bytes) -> None:
    """Write all of `content`, which a file without a buffer need not do at once."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by way of a neighbour, so that a reader sees the old content or the new, and never a part.

    The neighbour has the same name in every process: what a killed one left of it, the next one takes for its own.

    Raises:
        ResourceError: The disk is full; the old content is still there.
    """
    fresh = path.with_name(f".{path.name}.part")
    with enough_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(fresh) as file:
            try:
                file.truncate(0)
                append(file, content)
                os.fsync(file.fileno())
                fresh.replace(path)
            except BaseException:
                if is_at(file.fileno(), fresh):
                    fresh.unlink()
                raise


def sync_directory(path: Path) -> None:
    """Make renames inside a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_to_sync(descriptor: int, place: int, size: int) -> None:
    """Have the system write a range to the disk, without waiting: a later fsync finds little left to do."""
    if _sync_file_range:
        _sync_file_range(descriptor, place, size, _WRITE_OUT)  # a request: what fails here, the fsync tells


def _system_call() -> Callable[[int, int, int, int], int] | None:
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):  # not Linux
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


_sync_file_range: Final = _system_call()

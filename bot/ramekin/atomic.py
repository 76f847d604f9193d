"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ramekin.errors import ResourceError

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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by way of a neighbour, so that a reader sees the old content or the new, and never a part.

    Raises:
        ResourceError: The disk is full; the old content is still there.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    with enough_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make renames inside a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""`merge.lock` on disk, beside its manifest."""

from pathlib import Path

from pydantic import ValidationError

from ramekin.atomic import write_atomically
from ramekin.errors import LockError
from ramekin.lock.model import Lock
from ramekin.text import printable


def lock_path(manifest: Path) -> Path:
    """`merge.lock` for `merge.yaml`, and likewise for any other name."""
    return manifest.with_suffix(".lock")


def read_lock(path: Path) -> Lock | None:
    """Read a lock, or None where there is none.

    Raises:
        LockError: The file is there and is not a lock.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(f"{path}: {error.strerror or error}", "check the file's permissions") from error
    try:
        return Lock.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise LockError(
            f"{path}: is no lock of this version: {printable(where)}: {printable(first['msg'])}",
            "restore it from git, or delete it and run `ramekin lock` again",
        ) from error


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock whole, or leave the old one."""
    write_atomically(path, lock.to_json().encode())

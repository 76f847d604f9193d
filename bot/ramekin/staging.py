"""A directory that appears complete or not at all, and work that goes on where it was interrupted.

Everything is written into a hidden neighbour of the directory, with a small journal of what is finished; at the end
the neighbour is renamed.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ramekin.atomic import enough_disk, is_at, sync_directory, write_atomically
from ramekin.errors import (
    DamagedError,
    EvaluationError,
    LostError,
    PublishError,
    RamekinError,
    SourceError,
    TemplateError,
    UsageError,
)
from ramekin.records import FileRecord
from ramekin.report import REPORT_NAME, Report, read_report
from ramekin.room import existing
from ramekin.text import printable

_JOURNAL: Final = "journal.json"
_PARTS: Final = ".sources"
_LONGEST_SUFFIX: Final = len("..discarded")


class Staging:
    """The unfinished directory of one merge.

    Attributes:
        directory: Where to write.
        journal: What is finished so far; changed by `save` only.
        parts: Where low-disk mode has what it needs of the sources; it goes with the end of the work.
    """

    def __init__(self, out: Path, key: str) -> None:
        self._out = out
        self._key = key
        self.directory = staging_directory(out)
        self.journal: dict[str, Any] = {}
        self.parts = self.directory / _PARTS

    def save(self, **entries: Any) -> None:
        """Add entries to the journal, durably."""
        self.journal |= entries
        write_atomically(self.directory / _JOURNAL, json.dumps({"key": self._key} | self.journal).encode())

    def finish(self, *, replace: bool = False) -> None:
        """Put the directory in its place."""
        self.clear_parts()
        (self.directory / _JOURNAL).unlink(missing_ok=True)
        with enough_disk(self._out.parent):
            for path in (p for p in self.directory.rglob("*") if p.is_dir()):
                sync_directory(path)
            sync_directory(self.directory)
            if replace and self._out.exists():
                discard(self._out)
            elif self._out.is_dir():
                self._out.rmdir()  # it was found empty
            self.directory.rename(self._out)
            sync_directory(self._out.parent)

    def clear_parts(self) -> None:
        """Remove what low-disk mode has left of the sources."""
        shutil.rmtree(self.parts, ignore_errors=True)

    def abandon(self) -> None:
        """Leave nothing: another process was faster."""
        shutil.rmtree(self.directory)

    def take_up(self) -> None:
        """Read the journal of an interrupted run; what belongs to another merge is cleared away."""
        try:
            journal = json.loads((self.directory / _JOURNAL).read_text())
        except (OSError, ValueError):
            journal = {}
        if isinstance(journal, dict) and journal.pop("key", None) == self._key:
            self.journal = journal
            return
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def staging_directory(out: Path) -> Path:
    """Where a directory is written until it is complete."""
    return out.with_name(f".{out.name}.partial")


def discard(directory: Path) -> None:
    """Remove a directory, which goes at once or not at all, and what a kill has left of one that was going."""
    going = _going(directory)
    shutil.rmtree(going, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        directory.rename(going)
    shutil.rmtree(going, ignore_errors=True)


def _going(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.discarded")


@contextlib.contextmanager
def workplace(directory: Path) -> Iterator[Path]:
    """A place for a merge that nobody asked to keep, for one process at a time.

    What is in it stays for the next run if the work is interrupted or publishing fails, and else goes with it.

    Raises:
        PublishError: Another process is at work there.
    """
    with enough_disk(directory.parent), _alone(directory) as alone:
        if not alone:
            raise PublishError(
                f"{directory}: another ramekin process is merging for the same repository",
                "wait for it, then run the same command again",
            )
        yield directory / "merge"
        _remove(directory)


def clear_workplace(directory: Path) -> None:
    """Remove what a run left that was killed after it had published, unless somebody is at work there."""
    if directory.parent.is_dir():
        with _alone(directory) as alone:
            if alone:
                _remove(directory)


def _remove(directory: Path) -> None:
    discard(directory / "merge")  # first: half a merge must never be taken for a whole one
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        directory.parent.rmdir()  # unless another merge is under way


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Make a directory and lock it; yields whether it could be locked."""
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(directory, os.O_RDONLY)
        except FileNotFoundError:  # its owner has just removed it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        else:
            if is_at(descriptor, directory):
                yield True
                return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def staged(out: Path, key: str) -> Iterator[Staging]:
    """Open the staging directory of `out`, one process at a time.

    An interruption leaves it for the next run to go on, and so does a Hub that cannot be reached; any other error, such
    as a full disk, leaves nothing behind.

    Raises:
        UsageError: Another process is writing the same directory.
    """
    staging = Staging(out, key)
    with enough_disk(out.parent), _alone(staging.directory) as alone:
        if not alone:
            raise UsageError(
                f"{out}: another ramekin process is writing it", "wait for it, or choose another directory with --out"
            )
        shutil.rmtree(_going(out), ignore_errors=True)
        staging.take_up()
        try:
            yield staging
        except LostError:
            raise  # another process was interrupted
        except (SourceError, PublishError, EvaluationError, TemplateError):
            # The network, which low-disk mode and tasks need to the end, what measures, or a card template: what is
            # done need not be done again.
            raise
        except (RamekinError, OSError):
            shutil.rmtree(staging.directory, ignore_errors=True)
            raise


def finished(
    out: Path, key: str, *, replace: bool = False, elsewhere: Callable[[FileRecord], bool] = lambda _: False
) -> Report | None:
    """The report of `out` if it holds this merge already, None if it is free.

    Args:
        out: The directory.
        key: The merge's key.
        replace: Whether another merge there may be replaced.
        elsewhere: Tells whether a file that is not there need not be: low-disk mode uploads before it commits.

    Raises:
        UsageError: Something else is there, or nothing can be.
    """
    _check_place(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if (out / REPORT_NAME).is_file():
        try:
            report = read_report(out)
        except DamagedError:
            report = None
        files = report.output.files.items() if report and report.key == key else ()
        if report and files and all((out / name).is_file() or elsewhere(record) for name, record in files):
            return report
        if replace:
            return None
    raise UsageError(f"{out}: exists and holds something else", "choose another directory with --out, or remove it")


def _check_place(out: Path) -> None:
    """Refuse a directory that could not be made."""
    try:
        Path(f"{out.absolute()}{'x' * _LONGEST_SUFFIX}").exists()  # says whether our neighbours' names are too long
        place = existing(out)
        reason = "" if place.is_dir() or place == out.absolute() else f"{printable(place)} is not a directory"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    if reason:
        raise UsageError(f"{printable(out)}: cannot be written: {reason}", "choose another directory with --out")

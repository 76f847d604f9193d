"""Whether this machine has the disk and the memory that a plan asks for."""

import os
import resource
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ramekin.control_group import memory_left
from ramekin.errors import Problem, ResourceError

SPARE: Final = 64 << 20
"""Bytes of disk that are left alone."""
_STATUS: Final = Path("/proc/self/status")


def check_room(short: Iterable["Shortage"], memory: int) -> None:
    """Find out before anything is written whether there is room.

    Args:
        short: The disks that are too small.
        memory: Bytes of memory that are needed.

    Raises:
        ResourceError: There is not; every shortage is named.
    """
    problems = [disk.problem for disk in short]
    available = memory_available()
    if available is not None and memory > available:
        problems.append(
            Problem(
                f"{memory / 2**20:.0f} MiB of memory are needed, {available / 2**20:.0f} MiB are available",
                "raise the limit, or use a larger machine",
            )
        )
    if problems:
        raise ResourceError(problems=problems)


def peak_memory() -> int:
    """Bytes that this process has had resident at most.

    What the system says of its resource usage would be the maximum with that of whoever started it.
    """
    with suppress(OSError, ValueError, LookupError, StopIteration):
        lines = (line.split() for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return next(int(words[1]) for words in lines) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check_disk(directory: Path, needed: int, free: int) -> None:
    """Find out whether there is room, where it is known how much of it there is.

    Raises:
        ResourceError: There is not.
    """
    if needed > free:
        raise ResourceError(problems=[Shortage(directory, needed, free).problem])


@dataclass(frozen=True)
class Shortage:
    """A disk that is too small: what is needed on it and what is free, in bytes."""

    place: Path
    needed: int
    free: int

    @property
    def problem(self) -> Problem:
        """What is to be said of it."""
        return Problem(
            f"{self.place}: {self.needed / 1e9:.2f} GB of disk are needed, {self.free / 1e9:.2f} GB are free",
            "free some space, or choose another disk with --out or HF_HOME",
        )


def shortages(needs: Iterable[tuple[Path, int]], *, reusable: int = 0) -> list[Shortage]:
    """The disks on which there is too little room.

    Args:
        needs: Directories with the bytes that will be written below them.
        reusable: Bytes that an interrupted run has written below the last of them, and that count as free.
    """
    by_device: dict[int, tuple[Path, int, int]] = {}
    needs = tuple(needs)
    for number, (directory, size) in enumerate(needs, 1):
        place = existing(directory)
        device = place.stat().st_dev
        _, before, ours = by_device.get(device, (place, 0, 0))
        by_device[device] = (place, before + size, ours + (reusable if number == len(needs) else 0))
    found = [Shortage(place, size, free_disk(place) + ours) for place, size, ours in by_device.values()]
    return [short for short in found if short.needed and short.needed + SPARE > short.free]


def free_disk(directory: Path) -> int:
    """Bytes that are free on the disk that a directory is on, or would be."""
    return shutil.disk_usage(existing(directory)).free


def allocated(directory: Path) -> int:
    """Bytes of disk that the files below a directory take; 0 where it does not exist."""
    found = 0
    with suppress(OSError):  # a name that cannot be is told by whoever writes there
        for path in directory.rglob("*"):
            with suppress(OSError):  # it has just gone
                found += path.lstat().st_blocks * 512 if path.is_file() else 0
    return found


@contextmanager
def enough_to_load() -> Iterator[None]:
    """Around the loading of large libraries: under a limit on memory, what cannot be loaded has no room.

    Raises:
        ResourceError: There is a limit (`ulimit -v`), and a library cannot be mapped below it.
    """
    try:
        yield
    except (ImportError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) or _limit() is None:
            raise
        raise ResourceError(
            "there is not enough memory to load what merges", "raise the limit, or use a larger machine"
        ) from error


def existing(directory: Path) -> Path:
    """The nearest directory above that exists."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    return place


def memory_available() -> int | None:
    """Bytes of memory that this process may still take, by the system, its control groups and its limits."""
    bounds = [bound for bound in (_system(), memory_left(), _limit()) if bound is not None]
    return min(bounds) if bounds else None


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _limit() -> int | None:
    """What `ulimit -v` leaves: it counts addresses, of which a process has more than memory."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(0, soft - pages * os.sysconf("SC_PAGE_SIZE"))

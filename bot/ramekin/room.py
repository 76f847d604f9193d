"""Whether this machine has the disk and the memory that a plan asks for."""

import os
import resource
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ramekin.errors import Problem, ResourceError

_SPARE: Final = 64 << 20
"""Bytes of disk that are left alone."""
_CGROUP: Final = Path("/sys/fs/cgroup")


def check_room(needs: Iterable[tuple[Path, int]], memory: int) -> None:
    """Find out before anything is written whether there is room.

    Args:
        needs: Directories with the bytes that will be written below them.
        memory: Bytes of memory that are needed.

    Raises:
        ResourceError: There is not; every shortage is named.
    """
    problems = []
    by_device: dict[int, tuple[Path, int]] = {}
    for directory, size in needs:
        place = existing(directory)
        device = place.stat().st_dev
        by_device[device] = (place, by_device.get(device, (place, 0))[1] + size)
    for place, size in by_device.values():
        free = shutil.disk_usage(place).free
        if size and size + _SPARE > free:
            problems.append(
                Problem(
                    f"{place}: {size / 1e9:.2f} GB of disk are needed, {free / 1e9:.2f} GB are free",
                    "free some space, or choose another disk with --out or HF_HOME",
                )
            )
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
    """Bytes of memory that this process may still take, by the system, its control group and its limits."""
    bounds = [bound for bound in (_system(), _control_group(), _limit()) if bound is not None]
    return min(bounds) if bounds else None


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _control_group() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        cached = (_CGROUP / "memory.stat").read_text().splitlines()
        inactive = next((int(line.split()[1]) for line in cached if line.startswith("inactive_file ")), 0)
        return None if limit == "max" else int(limit) - used + inactive
    except (OSError, ValueError):
        return None


def _limit() -> int | None:
    """What `ulimit -v` leaves: it counts addresses, of which a process has more than memory."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(0, soft - pages * os.sysconf("SC_PAGE_SIZE"))

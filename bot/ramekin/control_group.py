"""What a process's control groups leave it of memory: containers, services and batch jobs have their limits there."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

_NO_LIMIT: Final = 1 << 62
"""From here on a number means that there is no limit: the first version writes the largest one that it can hold."""

_VERSIONS: Final = (
    ("", ("", "unified"), "memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "memory",
        ("memory",),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)
"""By the controller in `/proc/self/cgroup`, which the second version leaves empty: where its groups are mounted, and
the files of a group: its limit, what it uses, and what of that the page cache holds and gives back when asked."""


def memory_left(root: Path = Path("/")) -> int | None:
    """Bytes that this process's control group and all groups above it leave; None without any limit.

    In a container a group may have a name that is not to be found there: then it is what is mounted that counts.

    Args:
        root: Where the system's `proc` and `sys` are.
    """
    groups = {controller: path for line in _lines(root / "proc/self/cgroup") for controller, path in _named(line)}
    found = []
    for controller, mounts, limit, usage, cache in _VERSIONS:
        for mount in mounts:
            place = root / "sys/fs/cgroup" / mount
            for directory in _upwards(place, groups.get(controller, "/")):
                with suppress(OSError, ValueError):
                    found.append(_left(directory, limit, usage, cache))
    limits = [bound for bound in found if bound is not None]
    return min(limits) if limits else None


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().splitlines()
    return []


def _named(line: str) -> Iterator[tuple[str, str]]:
    """The group of each controller in a line such as `4:cpu,memory:/user`."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    for controller in controllers.split(","):
        yield controller, path


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """A group and those above it, up to what is mounted. One that lies outside of that begins with `/..`."""
    parts = PurePosixPath(group).parts[1:]
    if ".." not in parts:
        for length in range(len(parts), 0, -1):
            yield mount.joinpath(*parts[:length])
    yield mount


def _left(directory: Path, limit: str, usage: str, cache: tuple[str, str]) -> int | None:
    """What one group leaves; None without a limit."""
    stated = (directory / limit).read_text().strip()
    if stated == "max" or int(stated) >= _NO_LIMIT:
        return None
    used = int((directory / usage).read_text())
    entries = dict(line.split() for line in _lines(directory / "memory.stat"))
    reclaimable = sum(int(entries.get(name, 0)) for name in cache)
    return max(0, int(stated) - max(0, used - reclaimable))

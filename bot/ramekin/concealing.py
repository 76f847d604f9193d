"""What this process was started with, out of the sight of others: the system shows it long after it was taken out.

A variable that is removed is removed from a list. Its text stays where the system has put it, and any process of the
same user reads it in `/proc`: so would the child that runs a stranger's model, of the parent that started it.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/self/stat")
_ADDRESSES: Final = slice(47, 49)
"""Where it has the beginning and the end of the first environment, after the program's name."""


def conceal(names: Iterable[str]) -> None:
    """Overwrite the first values of variables that are there no more. Where the system does not show them: nothing.

    Args:
        names: The variables.
    """
    begin, end = _first_environment()
    gone = {os.fsencode(name) for name in names if name not in os.environ}
    place = begin
    for entry in ctypes.string_at(begin, end - begin).split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name in gone:
            ctypes.memset(place + len(name) + 1, 0, len(value))
        place += len(entry) + 1


def _first_environment() -> tuple[int, int]:
    """Addresses of its beginning and end; the same twice where nobody knows."""
    try:
        # The name of the program may have blanks and brackets in it.
        fields = _STAT.read_text("utf-8", "replace").rpartition(") ")[2].split()
        begin, end = map(int, fields[_ADDRESSES])
    except (OSError, ValueError):
        return 0, 0
    return (begin, end) if 0 < begin < end else (0, 0)

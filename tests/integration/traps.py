"""Traps in a command under test: the process is killed at a chosen one of the many small things that it does.

Everything that it does to files and to sockets is an event with a label, such as `rename merge.lock` or
`send POST /api/models/demo/agent/commit/main`. An event comes before the thing is done.
"""

import importlib
import itertools
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_AUDITED = {
    "open": lambda args: f"open {_name(args[0])}" if args[2] & (os.O_WRONLY | os.O_RDWR) else None,
    "os.rename": lambda args: f"rename {_name(args[1])}",
    "os.remove": lambda args: f"remove {_name(args[0])}",
    "os.mkdir": lambda args: f"mkdir {_name(args[0])}",
    "os.rmdir": lambda args: f"rmdir {_name(args[0])}",
    "os.truncate": lambda args: "truncate",
    "fcntl.flock": lambda args: "flock",
    "socket.connect": lambda args: "connect",
}
TRAFFIC = re.compile("connect|send|recv|pread")


def _name(path: object) -> str:
    return Path(os.fsdecode(path)).name if isinstance(path, str | bytes | os.PathLike) else "?"


class Trap:
    """Counts events, and kills at one of them.

    Args:
        at: Number of the event, from 1; never if None.
        label: Count only events whose label this regular expression matches.
        after: Count only what comes after an event whose label this one matches.
        tear: The event is the syncing of a file: lose the second half of it first, as when writing was half done.
        number: The signal; by default one that ends the process on the spot.
    """

    def __init__(
        self,
        at: int | None = None,
        label: str = "",
        *,
        after: str = "",
        tear: bool = False,
        number: int = signal.SIGKILL,
    ) -> None:
        self._at = at
        self._label = re.compile(label)
        self._after = re.compile(after) if after else None
        self._tear = tear
        self._number = number
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()  # tearing a file is an event too
        self.labels: list[str] = []

    def event(self, label: str, descriptor: int | None = None) -> None:
        """Something is about to be done."""
        with self._lock:
            if self._after:
                self._after = None if self._after.match(label) else self._after
                return
            if not self._label.match(label):
                return
            self.labels.append(label)
            if next(self._numbers) != self._at:
                return
            if self._tear and descriptor is not None:
                os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), self._number)

    def wrap(self, owner: Any, name: str, label: Callable[..., tuple[str, int | None]]) -> None:
        """Make every call of a function an event."""
        real = getattr(owner, name)

        def wrapped(*args: Any, **options: Any) -> Any:
            self.event(*label(*args))
            return real(*args, **options)

        setattr(owner, name, wrapped)


def arm(request: dict[str, Any]) -> Callable[[], None]:
    """Set a trap in this process; returns what is to be called when the process has survived."""
    request = dict(request)
    journal = request.pop("journal", None)
    trap = Trap(**request)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in _AUDITED and (label := _AUDITED[event](args)):
            trap.event(label)

    sys.addaudithook(audit)
    trap.wrap(os, "fsync", lambda fd: (f"fsync {_name(_path_of(fd))}", fd))
    trap.wrap(os, "pwrite", lambda fd, *_: ("pwrite", fd))
    trap.wrap(os, "preadv", lambda *_: ("pread", None))
    for module in ("ramekin.atomic", "ramekin.fetch"):
        writer = importlib.import_module(module)
        trap.wrap(writer, "append", lambda file, _: (f"write {_name(file.name)}", None))
    trap.wrap(socket.socket, "sendall", lambda _, data, *more: (f"send {_first_line(data)}", None))
    trap.wrap(socket.socket, "send", lambda _, data, *more: (f"send {_first_line(data)}", None))
    trap.wrap(socket.socket, "recv", lambda *_: ("recv", None))

    def finished() -> None:
        if journal:
            Path(journal).write_text("\n".join(trap.labels))

    return finished


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _first_line(data: bytes) -> str:
    line = bytes(data[:200]).partition(b"\r\n")[0]
    found = re.match(rb"(GET|PUT|POST|HEAD|DELETE) (\S+)", line)
    return found[0].decode() if found else "body"

"""Child processes that measure: without any token, told of line by line, and gone when nobody waits for them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ramekin.errors import UsageError
from ramekin.text import printable

Tell = Callable[[str], None]

_GRACE: Final = 3.0
"""Seconds to end in, when asked to."""
_LINE: Final = 400
_MOST_LINES: Final = 2_000
_REDRAWN: Final = 20.0
"""Seconds between two states of a bar that are told: a bar is redrawn by going back to the beginning of its line."""
_PIECE: Final = 1 << 16
_TETHER: Final = Path(__file__).with_name("tether.py")
_OF_JSON: Final = '{}[]", \t0123456789'
"""What lines of JSON begin with, however it is laid out."""


@dataclass(frozen=True)
class Surroundings:
    """What a child process finds around it.

    Attributes:
        directory: Where it works.
        environment: Its variables.
    """

    directory: Path
    environment: Mapping[str, str]

    def given(self, **variables: str) -> "Surroundings":
        """The same with more variables."""
        return Surroundings(self.directory, {**self.environment, **variables})


@contextmanager
def child(
    command: Sequence[str], surroundings: Surroundings, tell: Tell, *, answers: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program; with the block it ends, and so does whatever it has started.

    Args:
        command: The program with its arguments.
        surroundings: Where it works, and with what.
        tell: Is given each line of its other output.
        answers: Whether it is asked something by way of its input; it has none otherwise.

    Raises:
        UsageError: The system does not start it.
    """
    # As a file and isolated: it starts at once, and what lies in the directory is no module of it.
    tethered = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *command]
    try:
        process = subprocess.Popen(
            tethered,
            cwd=surroundings.directory,
            env=dict(surroundings.environment),
            stdin=subprocess.PIPE if answers else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own, that can be ended as a whole
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"`{printable(command[0])}` cannot be started: {printable(error)}", "check `evaluate` in the manifest"
        ) from error
    assert process.stderr  # noqa: S101 - asked for above
    listener = threading.Thread(target=_listen, args=(process.stderr, tell), name="listener", daemon=True)
    listener.start()
    try:
        yield process
    finally:
        _end(process)
        listener.join(_GRACE)
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group: politely, and then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            if sign == signal.SIGTERM:
                continue  # those that it has started may be less polite
            return


def _listen(stream: IO[bytes], tell: Tell) -> None:
    """Tell the lines of a stream until it ends."""
    _read(stream, tell, lambda piece: None)
    with suppress(OSError):
        stream.close()


def _read(stream: IO[bytes], tell: Tell, take: Callable[[bytes], None]) -> None:
    lines, said = _Lines(), 0
    with suppress(OSError, ValueError):
        while piece := os.read(stream.fileno(), _PIECE):
            take(piece)
            for line in lines.of(piece):
                said += 1
                if said <= _MOST_LINES:
                    tell(printable(line, _LINE))
                elif said == _MOST_LINES + 1:
                    tell("what follows is not shown")


class _Lines:
    """Bytes as lines; of a line that is written again and again, one state from time to time."""

    def __init__(self) -> None:
        self._rest = b""
        self._told = time.monotonic()

    def of(self, piece: bytes) -> Iterator[str]:
        """The lines that a piece completes."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            yield from self._shown(line.rpartition(b"\r")[2] if not line.endswith(b"\r") else line[:-1])
        *states, last = self._rest.split(b"\r")
        if states:
            self._rest = last
            if states[-1] and time.monotonic() - self._told > _REDRAWN:
                self._told = time.monotonic()
                yield from self._shown(states[-1])
        self._rest = self._rest[-_PIECE:]

    def _shown(self, line: bytes) -> Iterator[str]:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            yield text


@dataclass(frozen=True)
class Ended:
    """How a program has ended.

    Attributes:
        code: Its exit code; below 0 the signal that has ended it; None if it took too long.
        out: The end of what it has printed.
    """

    code: int | None
    out: bytes


def run(command: Sequence[str], surroundings: Surroundings, tell: Tell, *, timeout: float, most: int) -> Ended:
    """Run a program to its end.

    Args:
        command: The program with its arguments.
        surroundings: Where it works, and with what.
        tell: Is given each line of its other output, and those of its output that do not look like JSON.
        timeout: Seconds that it may take.
        most: Bytes of its output that are kept, the last ones.

    Raises:
        UsageError: The system does not start it.
    """
    with child(command, surroundings, tell) as process:
        assert process.stdout  # noqa: S101 - asked for above
        kept = bytearray()
        reader = threading.Thread(target=_keep, args=(process.stdout, kept, most, tell), name="reader", daemon=True)
        reader.start()
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        _end(process)  # what it has started, and holds the pipe open
        reader.join(_GRACE)
        return Ended(code, bytes(kept))


def _keep(stream: IO[bytes], kept: bytearray, most: int, tell: Tell) -> None:
    """Keep the end of a stream, and tell what in it is for people."""

    def take(piece: bytes) -> None:
        kept.extend(piece)
        del kept[:-most]

    _read(stream, lambda line: None if line[0] in _OF_JSON else tell(line), take)

"""What a job does: unpack what was sent along, run the command that was asked for, and send back what became of it.

The command runs in a process of its own: if the system ends it, for lack of memory above all, somebody is left to tell.
The manifest's directory is made anew in a temporary one, which goes with the job.
"""

import base64
import contextlib
import io
import json
import os
import signal
import sys
import tarfile
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final

from ramekin.environment import withdraw_tokens
from ramekin.jobs.message import encode

PREFIX: Final = "RAMEKIN_JOB_"
"""Variables that say what a job is to do begin so."""
_LARGEST: Final = 64 << 20


def main() -> int:
    """Be the job; returns the command's exit code."""
    mark, arguments, files = receive(os.environ)
    with tempfile.TemporaryDirectory(prefix="ramekin-job-") as name:
        unpack(files, Path(name))
        with contextlib.chdir(name):
            code, printed = _run(arguments)
    for line in told(mark, code, printed):
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return code if code >= 0 else 128 - code


def receive(env: MutableMapping[str, str]) -> tuple[str, list[str], bytes]:
    """The delimiter, the command's arguments and the packed files; taken out, so that no process inherits them."""
    given = {name: env.pop(name) for name in list(env) if name.startswith(PREFIX)}
    pieces = [given[f"{PREFIX}FILES_{number}"] for number in range(int(given[f"{PREFIX}FILES"]))]
    arguments = json.loads(given[f"{PREFIX}ARGUMENTS"])
    return given[f"{PREFIX}MARK"], [str(one) for one in arguments], base64.b64decode("".join(pieces))


def unpack(files: bytes, directory: Path) -> None:
    """Write the files into a directory, and nowhere else."""
    with tarfile.open(fileobj=io.BytesIO(files), mode="r:xz") as archive:
        archive.extractall(directory, filter="data")


def told(mark: str, code: int, printed: bytes) -> list[str]:
    """What is sent back, as lines of the log that begin on a line of their own.

    Args:
        mark: The delimiter.
        code: The command's exit code; below zero the signal that has ended it.
        printed: What it has printed with `--json`.
    """
    result = _result(printed)
    # The plan is known where the job was started; its sources may be private.
    result.pop("plan", None)
    message = {"code": code, "result": result}
    lines = encode(mark, message) or encode(mark, {"code": code, "result": result | {"report": None}})
    return ["", *lines]


def _result(printed: bytes) -> dict[str, Any]:
    try:
        value = json.loads(printed)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _run(arguments: list[str]) -> tuple[int, bytes]:
    """The command's exit code, and what it has printed on stdout. Its stderr is the job's log."""
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.dup2(its, 1)
        os.close(its)
        _command(arguments)
    os.close(its)
    withdraw_tokens()  # the command has its own; what it starts could read them here
    with _passing_on(child), os.fdopen(ours, "rb") as stream:
        printed = stream.read(_LARGEST)
        while stream.read(1 << 20):  # what is too much is not kept, and must not keep it waiting
            pass
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), printed


def _command(arguments: list[str]) -> None:
    """Be the command; never returns."""
    code = 70
    try:
        from ramekin.__main__ import main as ramekin

        sys.argv = ["ramekin", *arguments]
        code = ramekin()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def _passing_on(child: int) -> Iterator[None]:
    """Let the command end in its own way when the job is cancelled: the Hub tells its first process only."""

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())

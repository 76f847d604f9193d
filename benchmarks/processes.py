"""Whole processes, measured by what the operating system says of them once they are over."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class FailedError(Exception):
    """A process that did not succeed."""


@dataclass(frozen=True)
class Measured:
    """One finished process.

    Attributes:
        wall: Seconds from start to end.
        processor: Seconds of all its threads, in user mode and in the kernel.
        peak: Largest resident memory, bytes; it includes the pages of files that are mapped into it.
    """

    wall: float
    processor: float
    peak: int


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None, log: Path | None = None) -> Measured:
    """Run a command that has to succeed.

    What it prints goes to `log`, or nowhere. `wait4` counts what the process itself has waited for, too. The peak is
    never less than the peak of the process that calls this, which a child has until it starts its program: keep that
    one small.

    Raises:
        FailedError: It did not succeed.
    """
    with open(log or os.devnull, "wb") as output:  # noqa: PTH123
        started = time.perf_counter()
        process = subprocess.Popen(list(command), env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace")[-2000:] if log else ""
        raise FailedError(f"{' '.join(command)}: exit {process.returncode}\n{said}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

"""The server of `forking` as tests talk to it: one process for all tests of a worker, whatever Hub they have."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.leaks import WATCH

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """The process, and what talks to it."""

    process: subprocess.Popen[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: Mapping[str, Any]) -> int:
        """Send a request; returns the answer, a number."""
        with self.lock:
            assert self.process.stdin
            assert self.process.stdout
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            return int(self.process.stdout.readline())

    def wait(self, pid: int, timeout: float) -> int:
        """Wait for a command's end, and kill it if that takes too long; returns its exit code."""
        timer = threading.Timer(timeout, os.kill, (pid, 9))
        timer.start()
        try:
            return self.ask({"wait": pid})
        finally:
            timer.cancel()

    def start(
        self, arguments: Iterable[str], directory: Path, environment: Mapping[str, str], **more: Any
    ) -> "Started":
        """Start one command; `more` is what a request can hold beside."""
        arguments = tuple(arguments)
        WATCH.process(environment, directory, arguments)
        said = Path(tempfile.mkdtemp(prefix="ramekin-said-"))
        request = {"arguments": arguments, "directory": str(directory), "environment": dict(environment)}
        return Started(self, self.ask(request | {"out": str(said / "out"), "err": str(said / "err")} | more), said)

    def run(
        self,
        arguments: Iterable[str],
        directory: Path,
        environment: Mapping[str, str],
        timeout: float = 60.0,
        **more: Any,
    ) -> tuple[int, str, str]:
        """Run one command; returns its exit code, and what it printed on stdout and on stderr."""
        return self.start(arguments, directory, environment, **more).wait(timeout)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Started:
    """A command that runs."""

    server: Server
    pid: int
    said: Path

    def wait(self, timeout: float = 60.0) -> tuple[int, str, str]:
        """Wait for its end; returns its exit code, and what it printed on stdout and on stderr."""
        try:
            code = self.server.wait(self.pid, timeout)
            return code, (self.said / "out").read_text("utf-8"), (self.said / "err").read_text("utf-8")
        finally:
            shutil.rmtree(self.said)


@functools.cache
def server(*flags: str) -> Server:
    """The server of this process, started when it is first needed.

    Args:
        flags: What it has imported beside what every merge needs; see `forking`.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "RAMEKIN_"))}
    # The Hub's client decides about bars when it is imported; see `Hub.env`.
    environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": str(ROOT)}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    quiet = ("-W", "ignore") if flags else ()  # what is imported then warns of itself
    process = subprocess.Popen(
        [sys.executable, *quiet, "-m", "tests.integration.forking", *flags],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    made = Server(process)
    atexit.register(made.close)
    return made

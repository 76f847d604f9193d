"""Jobs of the embedded Hub in forks of a process that has imported everything, or acted in this one."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ramekin.hub.machines import Machines, Running, Task
from ramekin.jobs.message import encode
from tests.integration.conftest import Done
from tests.integration.kitchen import Child, Kitchen, Server


def main() -> int:
    """Be `python3 -c SCRIPT`, in a fork."""
    python, option, script = sys.argv[1:]
    assert (python, option) == ("python3", "-c")
    sys.argv = ["-c"]
    exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - that is what it is for
    return 0


@dataclass
class Forked:
    """A job's process."""

    child: Child

    def lines(self) -> Iterable[bytes]:
        with self.child.out.open("rb") as stream:
            yield from stream

    def wait(self) -> int:
        return ended(self.child).code

    def send(self, number: int) -> None:
        if _state(self.child.pid) not in ("Z", ""):
            os.kill(self.child.pid, number)


def forks(server: Server) -> Any:
    """Starts jobs in forks."""

    def launch(command: list[str], environment: Mapping[str, str], directory: Path) -> Running:
        log = directory / "log"
        os.mkfifo(log)
        request = {
            "program": "tests.integration.jobbing",
            "arguments": command,
            "directory": str(directory),
            "environment": dict(environment),
            "out": str(log),
            "err": str(log),
            "clock": 100.0,
        }
        return Forked(Child(server, server.ask(request), log, Path(os.devnull)))

    return launch


@dataclass
class Acted:
    """A job that is acted: it says what it is told to, and waits to be ended if it is to."""

    said: list[str]
    code: int = 0
    waits: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    def lines(self) -> Iterable[bytes]:
        for line in self.said:
            yield line.encode() + b"\n"
        if self.waits:
            self.over.wait(30)

    def wait(self) -> int:
        return self.code

    def send(self, number: int) -> None:
        self.code = -number
        self.over.set()


def acts(*said: str, code: int = 0, waits: bool = False, message: Mapping[str, Any] | None = None) -> Any:
    """Starts jobs that are acted, and send this message."""

    def launch(_: list[str], environment: Mapping[str, str], __: Path) -> Running:
        told = encode(environment["RAMEKIN_JOB_MARK"], dict(message)) if message is not None else []
        return Acted([*said, *told], code, waits)

    return launch


def failed(code: int, what: str, hint: str = "do something", **more: Any) -> dict[str, Any]:
    """The message of a job that has failed."""
    problem = {"what": what, "hint": hint, "path": None, "line": None} | more
    return {"code": code, "result": {"error": {"reason": "x", "exit_code": code, "problems": [problem]}}}


def ended(child: Child) -> Done:
    """Wait for a fork without keeping the server from starting others meanwhile."""
    end = time.monotonic() + 60
    while _state(child.pid) not in ("Z", ""):
        if time.monotonic() > end:
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.005)
    if child.err == Path(os.devnull):
        return Done(child.server.ask({"wait": child.pid}), "", "")
    return child.wait()


def run(made: Kitchen, *arguments: str, **options: Any) -> Done:
    """Run the manifest as a job."""
    return ended(made.start("run", "--on", "hf-jobs:cpu-basic", *arguments, **options))


def tasks(machines: Machines, target: str) -> list[Task]:
    """The jobs that publish to a repository."""
    name = "ramekin-" + target.replace("/", "-")
    return [task for task in machines.all() if task.asked["labels"]["name"] == name]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""

"""Jobs of the Hub, run for real: each is a process of this machine, with the environment it was given and no other."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

Stage = Literal["SCHEDULING", "RUNNING", "COMPLETED", "CANCELED", "ERROR", "DELETED"]

_GRACE: Final = 5.0
"""Seconds that a job has to end when it is told to."""
_FLAVORS: Final = (
    # name, what people read, processors, memory, disk, accelerator, micro-dollars a minute
    ("cpu-basic", "CPU Basic", "2 vCPU", "16 GB", "50 GB", None, 167),
    ("cpu-upgrade", "CPU Upgrade", "8 vCPU", "32 GB", "50 GB", None, 500),
    ("t4-small", "Nvidia T4 - small", "4 vCPU", "15 GB", "50 GB", ("T4", "16 GB"), 6667),
    ("a10g-small", "Nvidia A10G - small", "4 vCPU", "15 GB", "110 GB", ("A10G", "24 GB"), 16667),
)


class Running(Protocol):
    """A process that was started for a job."""

    def lines(self) -> Iterable[bytes]:
        """What it prints, as it comes, to its end."""

    def wait(self) -> int:
        """Wait for its end; returns its exit code, below zero the signal that has ended it."""

    def send(self, number: int) -> None:
        """Send it a signal."""


Launch = Callable[[list[str], Mapping[str, str], Path], Running]
"""Starts a command with an environment in a directory."""


@dataclass
class _Process:
    """A process of this machine, and all that it starts."""

    process: "subprocess.Popen[bytes]"

    def lines(self) -> Iterable[bytes]:
        assert self.process.stdout  # noqa: S101 -- it was asked for
        with self.process.stdout as stream:
            yield from stream

    def wait(self) -> int:
        return self.process.wait()

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number) if number == signal.SIGKILL else self.process.send_signal(number)


def in_a_process(command: list[str], environment: Mapping[str, str], directory: Path) -> Running:
    """Start a command as a process of this machine."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return _Process(process)


@dataclass
class Task:
    """One job.

    Attributes:
        number: Its id.
        namespace: Whose it is.
        starter: The user who has started it.
        asked: What it was started with.
        stage: How far it is.
        message: What the Hub says about that.
        log: Its lines, each with the time at which it came.
    """

    number: str
    namespace: str
    starter: str
    asked: Mapping[str, Any]
    stage: Stage = "SCHEDULING"
    message: str | None = None
    log: list[tuple[datetime, str]] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    running: Running | None = field(default=None, repr=False)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.stage not in ("SCHEDULING", "RUNNING")

    def end(self, stage: Stage, message: str | None = None) -> None:
        """Set how it has ended, unless that is set already."""
        if not self.over:
            self.stage, self.message, self.finished = stage, message, datetime.now(UTC)


class Machines:
    """All jobs of a Hub.

    Args:
        url: The Hub's address, which jobs find in their environment.
        launch: Starts processes; None where no jobs are run. May be replaced.
    """

    def __init__(self, url: str, launch: Launch | None) -> None:
        self.url = url
        self.launch = launch
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Task]:
        """All jobs, the newest first."""
        with self._lock:
            return [*reversed(self._tasks.values())]

    def find(self, namespace: str, number: str) -> Task | None:
        """A job by its id."""
        task = self._tasks.get(number)
        return task if task and task.namespace == namespace and task.stage != "DELETED" else None

    def start(self, namespace: str, starter: str, asked: Mapping[str, Any]) -> Task:
        """Start a job."""
        task = Task(secrets.token_hex(12), namespace, starter, asked)
        with self._lock:
            self._tasks[task.number] = task
        assert self.launch  # noqa: S101 -- nothing is started otherwise
        threading.Thread(target=self._run, args=(task, self.launch), name=f"job-{task.number}", daemon=True).start()
        return task

    def stop(self, task: Task, stage: Stage = "CANCELED", message: str | None = None) -> None:
        """End a job from outside: politely where it is cancelled, else at once."""
        task.end(stage, message)
        running = task.running
        if running is None:
            return
        running.send(signal.SIGTERM if stage == "CANCELED" else signal.SIGKILL)
        timer = threading.Timer(_GRACE, running.send, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """End all jobs."""
        for task in self.all():
            if not task.over:
                self.stop(task, "DELETED")

    def _run(self, task: Task, launch: Launch) -> None:
        directory = Path(tempfile.mkdtemp(prefix="embedded-hub-job-"))
        try:
            self._carry_out(task, directory, launch)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _carry_out(self, task: Task, directory: Path, launch: Launch) -> None:
        command = [*task.asked["command"], *task.asked.get("arguments", ())]
        environment = self._environment(task, directory)
        timeout = task.asked.get("timeoutSeconds")
        if task.over:
            return
        try:
            task.running = launch(command, environment, directory)
        except OSError as error:
            task.end("ERROR", f"Job failed with exit code: 127. Reason: StartError ({error.strerror})")
            return
        task.started = datetime.now(UTC)
        if task.finished:  # cancelled meanwhile
            task.running.send(signal.SIGTERM)
        else:
            task.stage = "RUNNING"
        timer = threading.Timer(timeout or 1800, self.stop, (task, "ERROR", "Job timeout"))
        timer.daemon = True
        timer.start()
        for line in task.running.lines():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            task.log.append((datetime.now(UTC), text))
        code = task.running.wait()
        timer.cancel()
        code = 128 - code if code < 0 else code
        if code:
            task.end("ERROR", f"Job failed with exit code: {code}. Reason: {'OOMKilled' if code == 137 else 'Error'}")
        else:
            task.end("COMPLETED")

    def _environment(self, task: Task, directory: Path) -> dict[str, str]:
        """What a job finds: what it was given, where the Hub is, and a Python that has what its image would have."""
        own = {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "JOB_ID": task.number,
            "ACCELERATOR": str(task.asked.get("flavor")),
        }
        given = {**task.asked.get("environment", {}), **task.asked.get("secrets", {})}
        return own | {name: str(value) for name, value in given.items()}


def flavors() -> list[dict[str, Any]]:
    """The machines that there are to choose from."""
    return [
        {
            "name": name,
            "prettyName": pretty,
            "cpu": cpu,
            "ram": ram,
            "ephemeralStorage": storage,
            "accelerator": {
                "type": "gpu", "model": gpu[0], "quantity": "1", "vram": gpu[1], "manufacturer": "Nvidia"
            } if gpu else None,
            "unitCostMicroUSD": cost,
            "unitCostUSD": cost / 1e6,
            "unitLabel": "minute",
        }
        for name, pretty, cpu, ram, storage, gpu, cost in _FLAVORS
    ]  # fmt: skip

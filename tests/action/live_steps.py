"""Steps of workflows as processes: on an embedded Hub and a loopback GitHub, with all that a runner gives them."""

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner_protocol import Command, commands, outputs
from tests.github import events, loopback
from tests.github.events import Event
from tests.github.loopback import Loopback
from tests.github.state import Comment
from tests.github.world import World
from tests.integration.conftest import EXPERTS, family_files, push
from tests.integration.served import Server, server
from tests.leaks import WATCH

from ramekin.hub import Hub, Options, serve
from ramekin.hub.records import DEFAULT_BRANCH

REPOSITORY = "acme/agents"
PROGRAM = "ramekin.action.entry"


@dataclass(frozen=True)
class Step:
    """A step that is over.

    Attributes:
        code: Its exit code.
        printed: What it printed, but for masks.
        masks: What it had masked.
        outputs: Its outputs.
        summary: Its summary.
    """

    code: int
    printed: str
    masks: tuple[str, ...]
    outputs: dict[str, str]
    summary: str

    @property
    def commands(self) -> list[Command]:
        """What the runner was told."""
        return commands(self.printed)

    def annotations(self, level: str) -> list[tuple[str | None, str | None, str]]:
        """File, line and text of what is shown on lines."""
        found = [each for each in self.commands if each.name == level]
        return [(each.properties.get("file"), each.properties.get("line"), each.data) for each in found]


@dataclass
class Live:
    """One test's repository on GitHub, and its target on the Hub."""

    hub: Hub
    github: Loopback
    server: Server
    directory: Path
    number: int
    name: str = REPOSITORY
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def world(self) -> World:
        return self.github.world

    @property
    def target(self) -> str:
        return f"demo/merged-{self.number}"

    def manifest(self, method: str = "ram+", repo: str | None = None, more: str = "", **sources: str) -> str:
        """A manifest, to a target of this test's own."""
        named = {name: f"demo/{name}" for name in EXPERTS} | sources
        experts = "".join(f"  {name}: {source}\n" for name, source in named.items())
        return (
            f"version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: {method}\n"
            f"output:\n  repo: {repo or self.target}\n{more}"
        )

    # What happens on GitHub

    def propose(self, files: Mapping[str, str | bytes | None], branch: str = "topic") -> Event:
        """A pull request; returns its event."""
        self.world.push(self.name, files, branch=branch, base="main")
        issue = self.world.open_pull(self.name, branch)
        return events.pull_request(self.world, self.name, issue)

    def merge(self, opened: Event) -> Event:
        """Merge a pull request; returns the push."""
        before = self.world.head(self.name)
        assert before
        self.world.merge(self.name, opened.payload["number"])
        return self.pushed(before)

    def pushed(self, before: str) -> Event:
        return events.push(self.world, self.name, before=before)

    def dispatched(self) -> Event:
        return events.workflow_dispatch(self.world, self.name)

    def comment(self, opened: Event) -> Comment:
        """The only comment on a pull request."""
        (found,) = self.world.repository(self.name).issues[opened.payload["number"]].comments
        return found

    def state(self, opened: Event) -> str:
        """What the comment remembers of how far things are."""
        found = re.match(r"<!-- ramekin:plan (\{.*\}) -->", self.comment(opened).body)
        assert found
        return str(json.loads(found[1])["state"])

    # Steps

    def environment(self, event: Event, token: str | None, env: Mapping[str, str], **inputs: str) -> dict[str, str]:
        """What a runner gives a step; `token` is the Hub's."""
        place = self.directory / f"step-{next(self.numbers)}"
        checkout, temporary = place / "checkout", place / "temp"
        for path in (checkout, temporary):
            path.mkdir(parents=True)
        for path, data in self.world.repository(self.name).git.files(event.sha).items():
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout / path).write_bytes(data)
        (temporary / "event.json").write_text(json.dumps(event.payload))
        for name in ("output", "summary"):
            (temporary / name).touch()
        given = {"github_token": self.token(event.name), "hf_token": token or ""} | inputs
        variables = self.hub.env(self.directory / "home") | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_EVENT_NAME": event.name,
            "GITHUB_EVENT_PATH": str(temporary / "event.json"),
            "GITHUB_OUTPUT": str(temporary / "output"),
            "GITHUB_STEP_SUMMARY": str(temporary / "summary"),
            "GITHUB_REPOSITORY": self.name,
            "GITHUB_REF": event.ref,
            "GITHUB_SHA": event.sha,
            "GITHUB_RUN_ID": f"{place.name.removeprefix('step-')}000",
            "GITHUB_WORKSPACE": str(checkout),
            "RUNNER_TEMP": str(temporary),
            "RAMEKIN_RETRY_WAIT": "0.01",
            **{f"RAMEKIN_INPUT_{name.upper()}": value for name, value in given.items()},
        }
        variables.pop("HF_TOKEN")
        return variables | dict(env)

    def token(self, event: str) -> str:
        """The token of a job, as our workflows have it."""
        return self.world.job_token(self.name, contents="read", pull_requests="write")

    def step(
        self,
        event: Event,
        *,
        token: str | None = "",
        env: Mapping[str, str] | None = None,
        trap: Mapping[str, Any] | None = None,
        fresh: bool = False,
        **inputs: str,
    ) -> Step:
        """A step of a workflow: a fork, or a process that is really new.

        Args:
            event: What starts it.
            token: The Hub's token; the owner's if left out, none where a pull request is planned.
            env: More variables.
            trap: Where it is to be killed; see `tests.integration.traps`.
            fresh: Whether it is a process of its own.
            inputs: The Action's.
        """
        given = (None if event.name == "pull_request" else self.hub.token) if token == "" else token
        variables = self.environment(event, given, env or {}, **inputs)
        place = Path(variables["GITHUB_WORKSPACE"])
        if fresh:
            command = [sys.executable, "-P", "-m", "ramekin.action"]
            said = self.directory / "said"  # not through a pipe, which is watched: what is to be masked is told by name
            with said.open("w") as file:
                code = subprocess.run(
                    command,
                    cwd=place,
                    env={"PATH": os.environ["PATH"]} | variables,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=60,
                    check=False,
                ).returncode
            printed, err = said.read_text(), ""
        else:
            code, printed, err = self.server.run(
                (), place, variables, program=PROGRAM, clock=100.0, trap=dict(trap) if trap else None
            )
        masks = tuple(re.findall(r"(?m)^::add-mask::(.*)$", printed))
        printed = re.sub(r"(?m)^::add-mask::.*\n", "", printed)
        output, summary = (Path(variables[name]).read_text() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
        comments = [each.body for issue in self.world.repository(self.name).issues.values() for each in issue.comments]
        WATCH.text("what a step has left", printed, err, output, summary, *comments)
        assert "Traceback" not in printed + err, printed + err
        return Step(code, printed + err, masks, outputs(output), summary)

    def ok(self, event: Event, **options: Any) -> Step:
        """A step that has to succeed."""
        done = self.step(event, **options)
        assert done.code == 0, f"{done.code}\n{done.printed}\n{done.summary}"
        return done

    # What is on the Hub

    def commits(self, repo: str | None = None) -> list[str]:
        """Titles of the target's commits, oldest first, without the one that it was created with."""
        found = self.hub.store.find(repo or self.target)
        if found is None:
            return []
        head = found.read_commit(found.refs()[DEFAULT_BRANCH])
        return [commit.title for commit in found.history(head) if commit.title != "initial commit"][::-1]

    def weights(self, repo: str | None = None) -> dict[str, str]:
        """sha256 of every published file of weights."""
        found = self.hub.store.get(repo or self.target)
        tree = found.tree(found.read_commit(found.refs()[DEFAULT_BRANCH]))
        return {path: entry.sha256 for path, entry in tree.items() if path.startswith("model")}

    def writes(self) -> list[str]:
        """Requests that were to change something on the Hub."""
        return [
            f"{each.method} {each.path}"
            for each in self.hub.log.requests()
            if each.method not in {"GET", "HEAD"} and not re.search(r"paths-info|oauth/token", each.path)
        ]


@contextlib.contextmanager
def opened(root: Path) -> Iterator[tuple[Hub, Loopback]]:
    """A Hub with the family, and a GitHub."""
    with serve(root / "hub", options=Options(jobs=True)) as hub, loopback.serve(root / "github") as github:
        for name in ("base", *EXPERTS):
            push(hub, name, family_files(name))
        yield hub, github


_NUMBERS = itertools.count(1)


@contextlib.contextmanager
def live(hub: Hub, github: Loopback, directory: Path) -> Iterator[Live]:
    """A fresh repository on GitHub; the Hub forgets its faults and its log."""
    number = next(_NUMBERS)
    name = f"acme/agents-{number}"
    hub.log.clear()
    hub.faults.clear()
    github.faults.clear()
    github.world.create(name, {"README.md": "# Agents\n"})
    made = Live(hub, github, server(), directory, number, name)
    try:
        yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)

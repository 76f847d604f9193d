"""`update` from weeks of a repository's life: the whole step, with GitHub's and the Hub's own clients over loopback."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from desks import BRANCH, LOCK, ONE
from tests.github import events
from tests.github.loopback import Loopback, serve
from tests.github.state import BOT, Issue
from tests.github.world import World
from tests.integration.conftest import family_files, push
from tests.leaks import WATCH

from ramekin.action.entry import step
from ramekin.hub import Hub
from ramekin.hub import serve as serve_hub
from ramekin.lock.model import Lock
from ramekin.terminal import Terminal

REPOSITORY = "acme/agents"
MANIFEST = """version: 1
base: demo/base
experts:
  coder: demo/coder
  tool: demo/tool
method:
  name: average
output:
  repo: demo/agent
"""


@dataclass
class Office:
    """A repository on a loopback GitHub, an embedded Hub, and a runner."""

    github: Loopback
    hub: Hub
    place: Path
    token: str
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    count: int = 0

    def update(self, event: Any = None, *, stale: bool = False, **inputs: str) -> int:
        """One step of `update`; returns its exit code."""
        world, self.count = self.github.world, self.count + 1
        work = self.place / f"work-{self.count}"
        head = world.head(REPOSITORY)
        if not stale:
            self.checked_out = head
        for path, content in world.repository(REPOSITORY).git.files(self.checked_out or "main").items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content)
        payload = self.place / "event.json"
        payload.write_text(json.dumps(event.payload if event else {}))
        env = self.hub.env(self.place / "home") | {
            "RAMEKIN_RETRY_WAIT": "0.01",
            "RAMEKIN_INPUT_MANIFEST": "merges/*.yaml",
            "RAMEKIN_INPUT_COMMAND": "update",
            "RAMEKIN_INPUT_GITHUB_TOKEN": self.token,
            "GITHUB_EVENT_NAME": event.name if event else "schedule",
            "GITHUB_EVENT_PATH": str(payload),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SHA": self.checked_out or "",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_WORKSPACE": str(work),
            "RUNNER_TEMP": str(self.place / "temporary"),
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_RUN_ID": str(self.count),
            "GITHUB_OUTPUT": str(self.place / "output"),
            "GITHUB_STEP_SUMMARY": str(self.place / "summary"),
        }
        env |= {f"RAMEKIN_INPUT_{name.upper()}": value for name, value in inputs.items()}
        for name in ("output", "summary"):
            (self.place / name).write_text("")
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):  # where a runner looks for commands
            code = step(env, Terminal(color=False, out=stream, err=stream))
        masked = [line for line in stream.getvalue().splitlines() if not line.startswith("::add-mask::")]
        self.log, self.summary = "\n".join(masked), (self.place / "summary").read_text()
        WATCH.text("an update's log and summary", self.log, self.summary)
        return code

    def wait(self, **by: float) -> None:
        self.github.world.clock.move(**by)

    def pulls(self, state: str = "open") -> list[Any]:
        return self.github.world.pulls(REPOSITORY, by=BOT, state=state)

    def lock(self, branch: str) -> Lock:
        content = self.github.world.read(REPOSITORY, LOCK, branch)
        assert content
        return Lock.model_validate_json(content)

    def written(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.github.requests if each.method not in {"GET", "HEAD"}]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with serve_hub(tmp_path / "hub") as hub, serve(tmp_path / "github") as github:
        for name in ("base", "coder", "tool"):
            push(hub, name, family_files(name))
        github.world.create(REPOSITORY, {str(ONE): MANIFEST, "README.md": "Agents\n"})
        token = github.world.job_token(REPOSITORY, contents="write", pull_requests="write", issues="write")
        WATCH.token(token)
        yield Office(github, hub, tmp_path, token)


def test_weeks_of_a_repository(office: Office) -> None:  # noqa: PLR0915 - one story
    world, hub = office.github.world, office.hub

    # No lock: proposed at once, with its plan. Told again, nothing is written.
    assert office.update(dashboard="true") == 0, office.log
    (first,) = office.pulls()
    (plan,) = world.comments(REPOSITORY, first.number, by=BOT)
    assert "Planned" in plan.body
    assert "demo/agent" in plan.body
    (board,) = world.issues(REPOSITORY, by=BOT)
    assert f"pull request {first.number}" in board.body
    office.github.requests.clear()
    assert office.update(dashboard="true") == 0, office.log
    assert set(office.written()) == {"POST /api/graphql"}
    world.merge(REPOSITORY, first.number)

    # A README costs nothing; new weights wait, then are one pull request.
    push(hub, "tool", {"README.md": b"better words"})
    new = push(hub, "coder", {"model.safetensors": family_files("coder", 9)["model.safetensors"]})
    assert office.update() == 0, office.log
    assert office.pulls() == []
    office.wait(hours=25)
    assert office.update() == 0, office.log
    (second,) = office.pulls()
    assert second.number > first.number
    assert office.lock(BRANCH).experts["coder"].commit == new
    assert office.lock(BRANCH).experts["tool"] == office.lock("main").experts["tool"]
    assert "| `coder` |" in second.body
    assert "`model.safetensors`" in second.body
    assert len(re.findall(r"\(\d{4}-\d\d-\d\d\)", second.body)) == 2  # days of the old commit and the new one

    # Another expert joins it, though GitHub stops answering in the middle and the checkout is an old one.
    tool = push(hub, "tool", {"model.safetensors": family_files("tool", 8)["model.safetensors"]})
    assert office.update() == 0, office.log
    world.push(REPOSITORY, {"README.md": "More agents\n"})
    office.wait(hours=25)
    office.github.limit(14)
    assert office.update(stale=True) == 7
    assert "rate limit" in office.log
    office.github.limit(None)
    assert office.update(stale=True) == 0, office.log
    (again,) = office.pulls()
    assert again.number == second.number
    assert [pinned.commit for pinned in office.lock(BRANCH).experts.values()] == [new, tool]
    assert len(world.comments(REPOSITORY, again.number, by=BOT)) == 1

    # Weights that do not fit are not proposed, and shown.
    broken = family_files("coder", 9) | {"config.json": family_files("coder")["config.json"].replace(b"32", b"64", 1)}
    push(hub, "coder", broken | {"model.safetensors": b"\x02\0\0\0\0\0\0\0{}"})
    assert office.update() == 0, office.log
    office.wait(hours=25)
    assert office.update() in {5, 6}
    assert "cannot be used" in office.pulls()[0].body
    assert office.update() == 0, office.log  # it rests
    assert "::warning title=ramekin,file=merges/one.yaml::not tried again yet" in office.log

    # A person takes over.
    theirs = world.push(REPOSITORY, {"notes.md": "mine"}, branch=BRANCH)
    office.github.requests.clear()
    assert office.update(dashboard="true") == 0, office.log
    assert world.head(REPOSITORY, BRANCH) == theirs
    assert "somebody else has pushed" in office.summary
    assert "Left alone" in world.issues(REPOSITORY, by=BOT)[0].body

    # Merged with that, and with the expert mended, the branch is ours again.
    world.merge(REPOSITORY, again.number)
    push(hub, "coder", family_files("coder", 9))
    assert office.update(dashboard="true") == 0, office.log
    assert world.head(REPOSITORY, BRANCH) != theirs
    assert office.pulls() == []


def test_a_ticked_box_of_the_dashboard(office: Office) -> None:
    world = office.github.world
    assert office.update(dashboard="true") == 0, office.log
    (first,) = office.pulls()
    world.close(REPOSITORY, first.number)
    assert office.update(dashboard="true") == 0, office.log
    assert office.pulls() == []
    (board,) = world.issues(REPOSITORY, by=BOT)
    event = events.issues(world, REPOSITORY, board)
    assert office.update(event, dashboard="true") == 0, office.log
    assert office.pulls() == []
    world.tick(REPOSITORY, board.number, str(ONE))
    assert office.update(events.issues(world, REPOSITORY, board), dashboard="true") == 0, office.log
    assert len(office.pulls()) == 1
    assert "[x]" not in world.issues(REPOSITORY, by=BOT)[0].body


def test_ten_manifests_three_experts_and_a_rate_limit_in_the_middle(office: Office) -> None:
    world, hub = office.github.world, office.hub
    push(hub, "memory", family_files("memory"))
    three = MANIFEST.replace("method:", "  memory: demo/memory\nmethod:")
    names = [str(ONE), *(f"merges/m{number}.yaml" for number in range(9))]
    repos = {name: f"repo: demo/agent-{number}" for number, name in enumerate(names)}
    world.push(REPOSITORY, {name: three.replace("repo: demo/agent", repo) for name, repo in repos.items()})
    assert office.update() == 0, office.log
    for issue in office.pulls():
        world.merge(REPOSITORY, issue.number)
    assert office.update() == 0, office.log
    assert office.pulls() == []
    moved = {name: push(hub, name, family_files(name, 7)) for name in ("coder", "tool", "memory")}
    assert office.update() == 0, office.log  # seen, and not yet proposed
    office.wait(hours=25)

    opened: set[int] = set()
    for requests in (3, 17, 31, 58):
        office.github.limit(requests)
        assert office.update() == 7
        assert "rate limit" in office.log
        assert opened <= {issue.number for issue in office.pulls()}  # nothing that was there is lost
        opened = {issue.number for issue in office.pulls()}
        assert len(opened) < len(names)
    assert opened
    office.github.limit(None)
    assert office.update() == 0, office.log
    pulls = office.pulls()
    assert len(pulls) == len(names)
    assert len({issue.pull.branch for issue in pulls}) == len(names)
    assert opened < {issue.number for issue in pulls}
    for issue in pulls:
        assert len(world.comments(REPOSITORY, issue.number, by=BOT)) == 1
        (lock,) = (path for _, path, _ in changes(world, issue))
        pinned = Lock.model_validate_json(world.read(REPOSITORY, lock, issue.pull.branch) or b"")
        assert {name: source.commit for name, source in pinned.experts.items()} == moved
    assert office.update() == 0, office.log
    assert [issue.number for issue in office.pulls()] == [issue.number for issue in pulls]


def changes(world: World, issue: Issue) -> list[tuple[str, str, str | None]]:
    """What a pull request changes."""
    git = world.repository(REPOSITORY).git
    assert issue.pull
    base = git.merge_base("main", issue.pull.head)
    assert base
    return git.changed(base, issue.pull.head)

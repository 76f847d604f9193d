"""The real `action.yml`, run by `act` in the workflows that `ramekin init` writes, in a repository that is not ours.

From a pull request with a manifest to a published model, then new weights of an expert, the pull request of the bot,
its merge, and the second publication. Every event is sent twice, and old ones come again when it is too late.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.github import acting, events, loopback
from tests.github.events import Event
from tests.github.loopback import Loopback
from tests.github.state import BOT, Issue
from tests.integration.conftest import EXPERTS, family_files, push

from ramekin.hub import Hub, serve
from ramekin.hub.records import DEFAULT_BRANCH
from ramekin.lock.model import Lock
from ramekin.origin import Origin
from ramekin.starter import Choices, starter_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(acting.missing() is not None, reason=str(acting.missing())),
    pytest.mark.timeout(300),
]

REPOSITORY = "kin/models"
TARGET = "demo/generalist"
ACTION = "0123456789abcdef0123456789abcdef01234567"
UPDATE = "ramekin/update/"


@dataclass
class Stage:
    """A repository of somebody's on GitHub, with our workflows, and the Hub."""

    hub: Hub
    github: Loopback
    place: Path

    def send(self, workflow: str, event: Event, **permissions: str) -> acting.Acted:
        """Let GitHub start a workflow for an event, with the rights that it asks for."""
        token = self.github.world.job_token(REPOSITORY, **permissions)
        secrets = {"GITHUB_TOKEN": token} | ({} if workflow == "plan" else {"HF_TOKEN": self.hub.token})
        env = {
            name: value
            for name, value in self.hub.env(self.place / "hf-home", token="", base={}).items()
            if name != "HF_TOKEN"
        }
        return acting.act(
            self.github,
            event,
            self.place,
            workflow=f"ramekin-{workflow}.yml",
            secrets=secrets,
            env=env | {"RAMEKIN_RETRY_WAIT": "0.01"},
            actions={f"ramekin-bot/ramekin@{ACTION}": acting.slim_action(self.place, compiled=workflow == "run")},
        )

    def plan(self, event: Event) -> acting.Acted:
        return self.send("plan", event, contents="read", pull_requests="write")

    def run(self, event: Event) -> acting.Acted:
        return self.send("run", event, contents="read", pull_requests="write")

    def update(self) -> acting.Acted:
        event = events.schedule(self.github.world, REPOSITORY)
        return self.send("update", event, contents="write", pull_requests="write")

    def merge(self, issue: Issue) -> Event:
        before = self.github.world.head(REPOSITORY)
        assert before
        self.github.world.merge(REPOSITORY, issue.number)
        return events.push(self.github.world, REPOSITORY, before=before)

    def told(self, issue: Issue) -> str:
        """What the one comment on a pull request says."""
        (comment,) = self.github.world.comments(REPOSITORY, issue.number, by=BOT)
        return comment.body

    def published(self) -> list[str]:
        """Keys of the target's commits, oldest first."""
        found = self.hub.store.find(TARGET)
        if found is None:
            return []
        commits = found.history(found.read_commit(found.refs()[DEFAULT_BRANCH]))
        keys = (re.search(r"sha256:[0-9a-f]{64}", f"{each.title}\n{each.message}") for each in commits)
        return [key[0] for key in keys if key][::-1]

    def writes(self) -> int:
        """How often GitHub was asked to change something."""
        return len([each for each in self.github.requests if each.method != "GET" and "graphql" not in each.path])


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve(tmp_path / "hub") as hub, loopback.serve(tmp_path / "github", tls=True) as github:
        for name in ("base", *EXPERTS):
            push(hub, name, family_files(name))
        github.world.create(REPOSITORY, {"README.md": "# Models\n", **workflows()})
        yield Stage(hub, github, tmp_path)


def workflows() -> Mapping[str, str]:
    """What `ramekin init` writes; but for plans with the machine's own packages, since to install takes longest."""
    files = starter_files(Choices(), Origin("0.1.0", ACTION, "v0.1.0"))
    texts = {path.as_posix(): text for path, text in files.items() if path.name != "merge.yaml"}
    for command in ("run", "update"):
        name, line = f".github/workflows/ramekin-{command}.yml", f"          command: {command}\n"
        assert line in texts[name]
        texts[name] = texts[name].replace(line, f"{line}          python: system\n")
    return texts


def manifest(method: str = "ram+") -> str:
    experts = "".join(f"  {name}: demo/{name}\n" for name in EXPERTS)
    return (
        f"version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: {method}\n"
        f"output:\n  repo: {TARGET}\n  private: true\n"
    )


def succeeded(acted: acting.Acted) -> acting.Acted:
    assert acted.code == 0, acted.log + acted.errors
    assert "Traceback" not in acted.log
    return acted


def test_the_whole_story(stage: Stage) -> None:
    first, pushed = published_by_a_pull_request(stage)
    update, second = updated_by_the_bot(stage)
    everything_comes_again(stage, (first, update), (second, pushed))


def published_by_a_pull_request(stage: Stage) -> tuple[Issue, Event]:
    """A pull request with a manifest is planned in one comment, merged, run, and followed. Each event comes twice."""
    world = stage.github.world
    world.push(REPOSITORY, {"merge.yaml": manifest()}, branch="generalist", base="main")
    first = world.open_pull(REPOSITORY, "generalist", title="A generalist")
    opened = events.pull_request(world, REPOSITORY, first)
    planned = succeeded(stage.plan(opened))
    told, writes = stage.told(first), stage.writes()
    assert "Planned" in told
    assert "Planned" in planned.summary
    assert planned.outputs["key"] in told
    assert planned.outputs["changed"] == "false"
    succeeded(stage.plan(opened))
    assert (stage.told(first), stage.writes()) == (told, writes)
    assert stage.published() == []

    pushed = stage.merge(first)
    ran = succeeded(stage.run(pushed))
    assert ran.outputs["changed"] == "true"
    assert ran.outputs["failure-reason"] == ""
    assert ran.outputs["repo"] == TARGET
    assert ran.outputs["key"] == planned.outputs["key"]
    assert stage.published() == [ran.outputs["key"]]
    published = stage.told(first)
    assert "Published" in published
    assert ran.outputs["commit"][:7] in published
    again = succeeded(stage.run(pushed))
    assert again.outputs["changed"] == "false"
    assert again.outputs["commit"] == ran.outputs["commit"]
    succeeded(stage.plan(opened))  # late: what it would tell is over
    assert stage.told(first) == published
    assert stage.published() == [ran.outputs["key"]]
    return first, pushed


def updated_by_the_bot(stage: Stage) -> tuple[Issue, Event]:
    """The bot proposes the lock that is missing, then one with an expert's new weights; each is merged and run."""
    world = stage.github.world
    (key,) = stage.published()
    succeeded(stage.update())
    (pins,) = world.pulls(REPOSITORY, by=BOT)
    assert pins.pull
    assert pins.pull.branch.startswith(UPDATE)
    locking = stage.merge(pins)
    assert Lock.model_validate_json(world.read(REPOSITORY, "merge.lock") or b"").key == key
    assert succeeded(stage.run(locking)).outputs["changed"] == "false"

    push(stage.hub, "tool", family_files("tool", seed=99))
    succeeded(stage.update())
    assert len(world.pulls(REPOSITORY, by=BOT)) == 1  # the new weights have to be known for a day
    world.clock.move(hours=25)
    proposed = succeeded(stage.update())
    writes = stage.writes()
    succeeded(stage.update())
    assert stage.writes() == writes
    _, update = world.pulls(REPOSITORY, by=BOT)
    assert proposed.outputs["changed"] == "true"
    assert proposed.outputs["url"] == f"{stage.github.url}/{REPOSITORY}/pull/{update.number}"
    assert "tool" in update.body
    assert "Planned" in stage.told(update)  # GitHub starts no workflow for what a job has opened
    assert changed_files(stage, update) == ["merge.lock"]

    second = stage.merge(update)
    ran = succeeded(stage.run(second))
    assert ran.outputs["changed"] == "true"
    assert ran.outputs["key"] != key
    assert stage.published() == [key, ran.outputs["key"]]
    assert "Published" in stage.told(update)
    return update, second


def everything_comes_again(stage: Stage, issues: tuple[Issue, ...], pushes: tuple[Event, ...]) -> None:
    """Old events, the newest first: they find everything done, and change nothing."""
    world = stage.github.world
    keys, told = stage.published(), [stage.told(each) for each in issues]
    for event in pushes:
        late = succeeded(stage.run(event))
        assert late.outputs["changed"] == "false"
        assert late.outputs["key"] == keys[-1]
    succeeded(stage.update())
    assert stage.published() == keys
    assert [stage.told(each) for each in issues] == told
    assert len(world.pulls(REPOSITORY, by=BOT)) == 2
    assert all(each.state == "closed" for each in world.pulls(REPOSITORY))


def changed_files(stage: Stage, issue: Issue) -> list[str]:
    """The files that a pull request changes."""
    git = stage.github.world.repository(REPOSITORY).git
    assert issue.pull
    base = git.merge_base("main", issue.pull.head)
    assert base
    return [path for _, path, _ in git.changed(base, issue.pull.head)]

"""Manifests on paper, whose plans refuse what a test says, and what tests ask of them."""

from pathlib import Path
from typing import Any

import pytest
from paper import Paper, PaperGitHub, PaperHub

from ramekin.action.job import Job, Result
from ramekin.action.planning import Planned
from ramekin.action.proposals.branch import branch_name
from ramekin.action.sticky import Marker, show
from ramekin.errors import IncompatibleError
from ramekin.github.client import GitHub
from ramekin.github.refusals import GitHubError
from ramekin.lock.file import lock_path, read_lock
from ramekin.lock.model import Lock

ONE = Path("merges/one.yaml")
LOCK = "merges/one.lock"
BRANCH = branch_name(ONE)
READS = {"now", "pulls", "comments", "head", "commit", "read", "last", "contains", "issues"}


def make_desk(
    place: Path, monkeypatch: pytest.MonkeyPatch, bad: set[str], files: dict[str, bytes], *, locked: bool = True
) -> Paper:
    """Manifests with the pull requests of their first locks merged."""
    hub = PaperHub()
    for name in ("base", "coder", "tool", "memory"):
        hub.push(f"lab/{name}")
    github = PaperGitHub(files)
    made = Paper(github, hub, place / "work")
    monkeypatch.setattr(GitHub, "of", lambda settings, wait: made.github)
    monkeypatch.setattr("ramekin.client.HubClient", lambda environment, bearer: hub)
    monkeypatch.setattr("ramekin.action.proposals.proposing.plan_one", lambda *a, **k: plan_by(bad, *a, **k))
    monkeypatch.setattr("ramekin.action.proposals.proposing.tell_plan", tell_plan)
    if locked:
        made.update()
        for pull in github.opened():
            github.merge(pull.number)
        made.update()
        assert github.branches.keys() == {"main"}
    return made


def plan_by(bad: set[str], job: Job, root: Path, path: Path, **_: Any) -> Planned:
    lock = read_lock(root / lock_path(path))
    assert lock
    wrong = [role for role, pinned in lock.sources.items() if pinned.commit in bad]
    return Planned(path, error=IncompatibleError(f"`{wrong[0]}` has other shapes", "wait for it") if wrong else None)


def tell_plan(job: Job, number: int, planned: Planned, head: str) -> Result:
    try:
        show(job.github, number, Marker(planned.manifest.as_posix(), head, "planned"), "the plan")
    except GitHubError as error:
        return Result(planned.manifest, warnings=(str(error),))
    return Result(planned.manifest)


def lock_on(github: PaperGitHub, branch: str, path: str = LOCK) -> Lock:
    content = github.content(branch, path)
    assert content
    return Lock.model_validate_json(content)


def pinned(github: PaperGitHub, role: str, branch: str = BRANCH) -> str:
    return lock_on(github, branch).sources[role].commit


def proposed(desk: Paper, repo: str = "lab/coder", content: str = "w1") -> int:
    """An expert moves, the cooldown passes, and a pull request is there."""
    desk.hub.push(repo, model_safetensors=content)
    desk.update()
    desk.wait(hours=25)
    desk.update()
    (pull,) = desk.github.opened()
    return pull.number


def writes(github: PaperGitHub) -> list[str]:
    """The requests that changed something."""
    return [name for name in github.asked if name.split("_")[0] not in READS]

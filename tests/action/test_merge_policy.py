"""`policy: merge`: what is due is merged and published at once, and its lock committed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from desks import BRANCH, LOCK, ONE, lock_on, make_desk, proposed, writes
from paper import Killed, Paper, manifest

from ramekin.action.job import Job, Result
from ramekin.errors import IncompatibleError, ResourceError
from ramekin.github.refusals import ConflictError, ForbiddenError
from ramekin.lock.file import lock_path, read_lock
from ramekin.lock.making import LockPolicy


@dataclass
class Oven:
    """What merges and publishes."""

    published: list[str] = field(default_factory=list)
    runs: int = 0
    bad: set[str] = field(default_factory=set)
    after: Callable[[], None] = lambda: None

    def run_one(self, job: Job, root: Path, path: Path, *, lock: LockPolicy, **_: Any) -> Result:
        assert lock == LockPolicy(locked=True, write=False)
        found = read_lock(root / lock_path(path))
        assert found
        self.runs += 1
        if self.bad & {pinned.commit for pinned in found.sources.values()}:
            return Result(path, error=IncompatibleError("`expert:coder` has other shapes", "wait for it"))
        fresh = found.key not in self.published
        if fresh:
            self.published.append(found.key)
        self.after()
        return Result(path, changed=fresh, key=found.key, repo="acme/agent", commit="c" * 40, url="https://hub/x")


@pytest.fixture
def oven(monkeypatch: pytest.MonkeyPatch) -> Oven:
    made = Oven()
    monkeypatch.setattr("ramekin.action.proposals.merging.run_one", made.run_one)
    return made


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    return make_desk(tmp_path, monkeypatch, set(), {str(ONE): manifest("coder", "tool")})


def move(desk: Paper, repo: str = "lab/coder", content: str = "w1") -> str:
    """An expert moves, and the cooldown is over."""
    commit = desk.hub.push(repo, model_safetensors=content)
    desk.update(policy="merge")
    desk.wait(hours=24)
    return commit


def test_the_lock_is_committed_once_its_merge_is_published(desk: Paper, oven: Oven) -> None:
    new = move(desk)
    assert oven.runs == 0
    before = desk.github.branches["main"]
    (result,) = desk.update(policy="merge")
    assert (result.changed, result.error, result.commit) == (True, None, "c" * 40)
    lock = lock_on(desk.github, "main")
    assert lock.experts["coder"].commit == new
    assert oven.published == [lock.key] == [result.key]
    commit, files = desk.github.commits[desk.github.branches["main"]]
    assert commit.parents == (before,)
    assert {path for path in files if files[path] != desk.github.commits[before][1].get(path)} == {LOCK}
    assert desk.github.opened() == []
    assert desk.github.branches.keys() == {"main"}
    desk.github.asked.clear()
    (result,) = desk.update(policy="merge")
    assert not result.changed
    assert writes(desk.github) == []
    assert oven.runs == 1


def test_what_waits_is_not_forgotten_over_it(desk: Paper, oven: Oven) -> None:
    move(desk)
    tool = desk.hub.push("lab/tool", model_safetensors="w1")
    desk.update(policy="merge")
    assert oven.runs == 1
    desk.wait(hours=24)
    desk.update(policy="merge")
    assert oven.runs == 2
    assert lock_on(desk.github, "main").experts["tool"].commit == tool


def test_a_failure_is_remembered_and_backs_off(desk: Paper, oven: Oven) -> None:
    oven.bad.add(move(desk))
    before = desk.github.branches["main"]
    failed = []
    for hours in (1, 1, 2, 2):
        (result,) = desk.update(policy="merge")
        failed.append(isinstance(result.error, IncompatibleError))
        desk.wait(hours=hours)
    assert failed == [True, False, True, False]
    assert oven.runs == 2
    assert desk.github.branches["main"] == before
    oven.bad.clear()
    desk.update(policy="merge")
    assert oven.runs == 3
    assert desk.github.branches.keys() == {"main"}


@pytest.mark.parametrize("kind", ["killed", "limited"])
def test_ended_between_publishing_and_the_lock_only_the_lock_is_left_to_do(desk: Paper, oven: Oven, kind: str) -> None:
    move(desk)

    def end() -> None:
        if kind == "killed":
            raise Killed
        desk.github.limited_from = 0

    oven.after = end
    with desk.cut():
        desk.update(policy="merge")
    assert len(oven.published) == 1
    assert lock_on(desk.github, "main").key not in oven.published
    assert (desk.directory / LOCK).read_bytes() == desk.github.content("main", LOCK)
    oven.after = lambda: None
    (result,) = desk.update(policy="merge")
    assert (result.error, result.changed) == (None, True)
    assert lock_on(desk.github, "main").key == oven.published[0]
    assert len(oven.published) == 1


def test_other_files_may_change_meanwhile(desk: Paper, oven: Oven) -> None:
    new = move(desk)
    desk.github.before["advance_branch"] = lambda: desk.github.person("main", {"README.md": b"words"}) and None
    (result,) = desk.update(policy="merge")
    assert result.error is None
    assert lock_on(desk.github, "main").experts["coder"].commit == new
    assert desk.github.content("main", "README.md") == b"words"


def test_a_manifest_that_changes_meanwhile_keeps_its_lock(desk: Paper, oven: Oven) -> None:
    move(desk)
    text = manifest("coder", "tool", repo="acme/other")
    oven.after = lambda: desk.github.person("main", {str(ONE): text}) and None
    (result,) = desk.update(policy="merge")
    assert isinstance(result.error, ConflictError)
    assert lock_on(desk.github, "main").key not in oven.published


def test_a_protected_branch_is_told(desk: Paper, oven: Oven, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ForbiddenError("GitHub answered 403: protected branch", "let it push")

    move(desk)
    monkeypatch.setattr(desk.github, "advance_branch", refuse)
    (result,) = desk.update(policy="merge")
    assert isinstance(result.error, ForbiddenError)
    assert result.commit == "c" * 40  # it is published all the same


def test_an_open_pull_request_from_before_is_withdrawn(desk: Paper, oven: Oven) -> None:
    number = proposed(desk)
    (result,) = desk.update(policy="merge")
    assert result.changed
    assert desk.github.opened() == []
    assert "Closed by ramekin" in desk.github.live(number).body
    assert desk.github.branches.keys() == {"main"}


def test_what_a_branch_pins_is_not_merged_unseen(desk: Paper, oven: Oven) -> None:
    assert proposed(desk)
    newest = desk.hub.push("lab/coder", model_safetensors="w2")
    desk.update(policy="merge")
    assert oven.runs == 0  # it waits for the newest, as if nothing had been proposed
    desk.wait(hours=24)
    desk.update(policy="merge")
    assert oven.runs == 1
    assert lock_on(desk.github, "main").experts["coder"].commit == newest


def test_an_open_pull_request_does_not_keep_a_failure_from_resting(desk: Paper, oven: Oven) -> None:
    number = proposed(desk)
    oven.bad.add(desk.hub.head("lab/coder"))
    for _ in range(3):
        desk.update(policy="merge")
    assert oven.runs == 1
    assert [pull.number for pull in desk.github.opened()] == [number]


def test_what_was_declined_is_not_merged(desk: Paper, oven: Oven) -> None:
    desk.github.close(proposed(desk))
    desk.wait(hours=30)
    desk.update(policy="merge")
    assert oven.runs == 0


def test_somebody_elses_branch_stops_it(desk: Paper, oven: Oven) -> None:
    desk.github.person(BRANCH, {"mine": b"1"})
    move(desk)
    (result,) = desk.update(policy="merge")
    assert oven.runs == 0
    assert "somebody else" in result.warnings[0]


def test_a_run_that_lacks_room_backs_off_too(desk: Paper, oven: Oven, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: Job, root: Path, path: Path, **_: Any) -> Result:
        return Result(path, error=ResourceError("not enough disk", "free some"))

    monkeypatch.setattr("ramekin.action.proposals.merging.run_one", full)
    move(desk)
    assert [bool(desk.update(policy="merge")[0].error) for _ in range(2)] == [True, False]

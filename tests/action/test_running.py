"""A run looks at how things are: what event has started it, how late and how often, does not matter."""

import contextlib
import hashlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from acted_samples import READY, make_job
from hypothesis import given, settings
from hypothesis import strategies as st
from small_github import SmallGitHub, refusing, write

from ramekin.action import following, running
from ramekin.action.account import Account
from ramekin.action.event import Event
from ramekin.action.job import Result
from ramekin.action.naming import slug
from ramekin.action.running import run_all, run_one
from ramekin.action.settings import Inputs
from ramekin.action.sticky import Sticky
from ramekin.action.telling import tell
from ramekin.errors import PublishError, SourceError, UsageError
from ramekin.github.refusals import ForbiddenError, GitHubError, RateLimitError
from ramekin.pipeline import Outcome
from ramekin.plan.model import Plan, Target
from ramekin.preparing import Request
from ramekin.publish.committing import Published

MANIFEST = Path("merge.yaml")
REPO = "my-org/agent-7b"


def manifest(number: int) -> bytes:
    """A manifest, one of a series."""
    return (
        f"version: 1\nbase: demo/base\nexperts:\n  coder: demo/coder@v{number}\n  tool: demo/tool\n"
        f"method:\n  name: ram+\noutput:\n  repo: {REPO}\n"
    ).encode()


def key(text: bytes) -> str:
    return "sha256:" + hashlib.sha256(text).hexdigest()


@dataclass
class Hub:
    """What is published, in order, and how a run gets there: the pipeline, without anything heavy."""

    published: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    moved: str = ""
    requests: list[Request] = field(default_factory=list)

    def plan(self, text: bytes, *, token: bool = True) -> Plan:
        """The plan of a manifest, for somebody who sees the private target or does not."""
        made = key(text + self.moved.encode())
        held = self.published[-1] if self.published and token else None
        target = Target(repo=REPO, exists=False, state="absent")
        if held:
            target = Target(repo=REPO, exists=True, state="ours", head=f"{len(self.published):040x}", key=held)
        sources = tuple(
            each.model_copy(update={"commit": made[-40:]} if each.role == "expert:coder" else {})
            for each in READY.sources
        )
        return READY.model_copy(
            update={
                "key": made,
                "action": "nothing" if held == made else "publish",
                "reason": "the Hub holds this merge already" if held == made else "the Hub holds another",
                "target": target,
                "sources": sources,
            }
        )

    def run(self, bench: Any, request: Request) -> Outcome:
        """Stands for `ramekin.pipeline.run`."""
        self.requests.append(request)
        plan = self.plan(request.manifest.read_bytes())
        request.approve(plan)
        if plan.action == "nothing":
            return Outcome(plan, published=self.at(fresh=False))
        if self.failure:
            raise self.failure
        self.published.append(plan.key)
        return Outcome(plan, published=self.at(fresh=True))

    def at(self, *, fresh: bool) -> Published:
        commit = f"{len(self.published):040x}"
        return Published(REPO, commit, f"https://huggingface.co/{REPO}/commit/{commit}", fresh=fresh)


@dataclass
class World:
    """A repository, a Hub, and a runner."""

    directory: Path
    github: SmallGitHub = field(default_factory=SmallGitHub)
    hub: Hub = field(default_factory=Hub)
    printed: io.StringIO = field(default_factory=io.StringIO)
    runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def job(self, event: str = "push", sha: str = "", ref: str = "refs/heads/main", **inputs: Any) -> Any:
        """A job of a workflow, with its checkout."""
        sha = sha or self.github.history[-1][0]
        workspace = self.directory / "checkout"
        write(workspace, dict(self.github.history)[sha])
        job = make_job(
            Event(event),
            self.printed,
            event_name=event,
            sha=sha,
            ref=ref,
            workspace=workspace,
            temporary=self.directory / "temp",
            run_id=str(next(self.runs)),
            inputs=Inputs(**inputs),
        )
        job.__dict__["github"] = self.github
        return job

    def run(self, event: str = "push", sha: str = "", **inputs: Any) -> Result:
        """Run; there is one manifest."""
        (result,) = run_all(self.job(event, sha, **inputs))
        return result

    def pull(self, number: int, path: str = "merge.yaml", *, token: bool = False) -> int:
        """A pull request with a manifest, planned by somebody without a token, and merged; returns its number."""
        text = manifest(number)
        pull = self.github.merge({path: text})
        plan = self.hub.plan(text, token=token).model_copy(update={"manifest": path})
        tell(self.job("pull_request"), pull.number, Account(Path(path), pull.head, plan=plan))
        return pull.number

    def sticky(self, number: int, path: str = "merge.yaml") -> Sticky:
        found = Sticky.find(self.github, number, path)  # type: ignore[arg-type]
        assert found
        return found

    def state(self, number: int) -> str:
        return self.sticky(number).marker.state


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tmp_path, monkeypatch)


def make_world(directory: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(directory)
    monkeypatch.setattr("ramekin.pipeline.run", made.hub.run)
    monkeypatch.setattr(following, "published_report", lambda *_: None)
    return made


def test_the_comment_follows_from_the_plan_to_the_commit(world: World) -> None:
    number = world.pull(1)
    assert world.state(number) == "planned"
    shown: list[str] = []
    edit = world.github.edit_comment
    world.github.__dict__["edit_comment"] = lambda comment, body: (shown.append(body), edit(comment, body))
    result = world.run()
    assert [("Running" in body, "Published" in body) for body in shown] == [(True, False), (False, True)]
    assert all("https://github.com/acme/agents/actions/runs/2" in body for body in shown)
    assert (result.changed, result.repo, result.key) == (True, REPO, world.hub.published[0])
    assert result.url in world.github.comment_of(number).body
    assert result.key in world.github.comment_of(number).body
    assert "Published" in result.summary
    assert result.error is None
    assert "::group::run merge.yaml" in world.printed.getvalue()


def test_a_doubled_run_says_nothing_to_do_and_leaves_the_comment(world: World) -> None:
    number = world.pull(1)
    world.run()
    before = world.github.comment_of(number)
    again = world.run()
    assert world.github.comment_of(number) == before
    assert (again.changed, again.error, len(world.hub.published)) == (False, None, 1)
    assert again.commit == world.hub.at(fresh=False).commit
    assert "Nothing to do" in again.summary


def test_an_old_event_never_publishes_the_old_manifest_over_the_new_one(world: World) -> None:
    first, second = world.pull(1), world.pull(2)
    old = world.github.history[0][0]
    late = world.run(sha=old)  # the first event comes when the branch has moved on
    assert world.hub.published == [key(manifest(2))]
    assert late.key == key(manifest(2))
    assert (world.state(first), world.state(second)) == ("planned", "published")
    assert "has moved on" in world.printed.getvalue()
    before = world.github.comment_of(second)
    assert not world.run().changed  # the second event, that has been overtaken by the first
    assert not world.run(sha=old).changed  # and the first one once more
    assert world.github.comment_of(second) == before
    assert world.hub.published == [key(manifest(2))]


def test_a_late_event_for_what_is_gone_does_nothing(world: World) -> None:
    world.pull(1)
    old = world.github.history[-1][0]
    world.github.push({"merge.yaml": None, "README.md": b"nothing here"})
    assert run_all(world.job(sha=old)) == ()
    assert world.hub.published == []
    assert "is not there any more" in world.printed.getvalue()
    with pytest.raises(UsageError, match="no such file"):
        run_all(world.job())


def test_where_only_the_commit_is_another_the_checkout_will_do(world: World) -> None:
    world.pull(1)
    old = world.github.history[-1][0]
    world.github.push({"README.md": b"more"})
    world.github.push({"README.md": None})
    world.github.asked.clear()
    assert world.run(sha=old).changed
    assert "archive" not in world.github.asked


@pytest.mark.parametrize(("event", "ref"), [("push", "refs/heads/topic"), ("push", "refs/tags/main")])
def test_a_push_elsewhere_is_none_of_its_business(world: World, event: str, ref: str) -> None:
    world.pull(1)
    assert run_all(world.job(event, ref=ref)) == ()
    assert world.hub.requests == []
    assert "::notice" in world.printed.getvalue()


def test_a_dispatch_from_another_branch_is_refused(world: World) -> None:
    world.pull(1)
    with pytest.raises(UsageError, match="is not the default branch"):
        run_all(world.job("workflow_dispatch", ref="refs/heads/topic"))
    assert world.hub.requests == []


# What was agreed to


def test_a_private_target_that_the_planner_could_not_see_changes_no_plan(world: World) -> None:
    world.pull(1)
    world.run()
    number = world.pull(2)  # planned without a token: as if nothing were published
    approved = world.sticky(number).marker.approved
    assert approved
    assert not approved.saw_target
    assert world.run().changed
    assert world.state(number) == "published"


def test_plan_changed_stops_before_anything_is_written_and_a_dispatch_goes_on(world: World) -> None:
    number = world.pull(1)
    world.hub.moved = "an expert"
    result = world.run()
    assert world.hub.published == []
    assert result.error
    assert (result.error.reason, result.error.exit_code) == ("lock", 3)
    assert result.error.problems[0].what.startswith("plan-changed: ")
    body = world.github.comment_of(number).body
    assert world.state(number) == "changed"
    for text in (body, result.summary):
        assert "the plan has changed" in text
        assert "`coder`" in text
        assert key(manifest(1))[-40:][:12] in text
        assert key(manifest(1) + b"an expert")[-40:][:12] in text
    assert world.run().error  # the event once more
    assert world.hub.published == []
    assert world.run("workflow_dispatch").changed
    assert world.state(number) == "published"
    before = world.github.comment_of(number)
    assert world.run().error is None  # and once more after it
    assert world.github.comment_of(number) == before


def test_a_target_that_the_planner_saw_must_be_as_it_was_until_it_is_published(world: World) -> None:
    world.pull(1)
    world.run()
    number = world.pull(2, token=True)
    world.hub.published.append(key(b"somebody else's"))
    changed = world.run()
    assert changed.error
    assert "target" in changed.error.problems[0].what
    assert world.run("workflow_dispatch").changed
    # Somebody has damaged what is published. It is put right by what was agreed to, though the target is another now.
    world.hub.published.append(key(b"damaged"))
    assert world.run().changed
    assert world.state(number) == "published"


def test_a_push_without_a_pull_request_is_a_decision_too(world: World) -> None:
    number = world.pull(1)
    world.run()
    before = world.github.comment_of(number)
    world.github.push({"merge.yaml": manifest(2)})
    result = world.run()
    assert result.changed
    assert world.github.comment_of(number) == before


def test_a_push_of_something_else_follows_the_pull_request_of_the_manifest(world: World) -> None:
    number = world.pull(1)
    world.hub.failure = SourceError("the Hub is away", "try again")
    assert world.run().error
    assert world.state(number) == "failed"
    world.hub.failure = None
    world.github.push({"README.md": b"more"})
    assert world.run().changed
    assert world.state(number) == "published"


def test_a_lock_that_came_later_than_the_manifest_decides(world: World) -> None:
    world.pull(1)
    world.run()
    locked = world.github.merge({"merge.lock": b"{}"})
    plan = world.hub.plan(manifest(1) + b"", token=False).model_copy(update={"manifest": "merge.yaml"})
    tell(world.job("pull_request"), locked.number, Account(MANIFEST, locked.head, plan=plan))
    world.github.push({"README.md": b"more"})
    world.hub.published.append(key(b"another"))
    assert world.run("workflow_dispatch").changed
    assert world.state(locked.number) == "published"


# When things go wrong


def test_a_failure_is_told_with_reason_hint_and_link(world: World) -> None:
    number = world.pull(1)
    world.hub.failure = SourceError("demo/coder: is gated", "ask for access")
    result = world.run()
    assert result.error
    assert result.error.reason == "source"
    (problem,) = result.error.problems
    assert (problem.path, problem.line) == (MANIFEST, 4)
    for text in (world.github.comment_of(number).body, result.summary):
        assert "Failed" in text
        assert "is gated" in text
        assert "ask for access" in text
    assert "actions/runs/2" in world.github.comment_of(number).body
    assert result.key == key(manifest(1))


def test_a_defect_is_a_failure_like_any_other(world: World) -> None:
    number = world.pull(1)
    world.hub.failure = ZeroDivisionError("of all things")
    result = world.run()
    assert result.error
    assert result.error.reason == "internal"
    assert world.state(number) == "failed"


def test_one_of_several_that_fails_stops_no_other(world: World) -> None:
    for number, name in enumerate(("a", "b", "c"), 1):
        world.pull(number, f"merges/{name}.yaml")
    world.github.push({"merges/b.yaml": b"version: 1\nbase: [1]\n"})
    results = run_all(world.job(manifest="merges/*.yaml"))
    assert [(result.manifest.name, result.changed) for result in results] == [
        ("a.yaml", True),
        ("b.yaml", False),
        ("c.yaml", True),
    ]
    assert results[1].error
    assert results[1].error.reason == "usage"
    assert {(problem.path, problem.line is None) for problem in results[1].error.problems} == {
        (Path("merges/b.yaml"), False)
    }
    assert world.printed.getvalue().count("::endgroup::") == 3


def test_cancelled_is_told_and_goes_on_up(world: World) -> None:
    number = world.pull(1)
    world.hub.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.state(number) == "cancelled"
    assert "Cancelled" in world.github.comment_of(number).body
    world.hub.failure = None
    assert world.run("workflow_dispatch").changed
    assert world.state(number) == "published"


def test_killed_while_it_was_running(world: World) -> None:
    number = world.pull(1)
    world.hub.failure = SystemExit(137)  # nothing is told any more
    with pytest.raises(SystemExit):
        world.run()
    assert world.state(number) == "running"
    world.hub.failure = None
    assert world.run().changed
    assert world.state(number) == "published"


def test_cancelled_when_all_is_done_says_what_is_done(world: World) -> None:
    number = world.pull(1)
    edit = world.github.edit_comment

    def interrupted(comment: int, body: str) -> None:
        if "Published" in body:
            del world.github.__dict__["edit_comment"]
            raise KeyboardInterrupt
        edit(comment, body)

    world.github.__dict__["edit_comment"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.state(number) == "published"
    before = world.github.comment_of(number)
    assert not world.run("workflow_dispatch").changed
    assert world.github.comment_of(number) == before


@pytest.mark.parametrize("end", [SystemExit(137), KeyboardInterrupt(), PublishError("tagging failed", "try again")])
def test_ended_after_the_commit_and_before_the_comment(world: World, end: BaseException) -> None:
    number = world.pull(1)
    world.hub.failure = end
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        world.run()
    world.hub.published.append(key(manifest(1)))
    result = world.run()
    assert (result.changed, result.error) == (False, None)
    assert "Nothing to do" in result.summary
    assert world.state(number) == "published"
    assert result.url in world.github.comment_of(number).body


def test_what_was_published_before_the_pull_request_is_nothing_to_do(world: World) -> None:
    world.hub.published.append(key(manifest(1)))
    number = world.pull(1)
    assert not world.run().changed
    assert world.state(number) == "nothing"
    before = world.github.comment_of(number)
    assert not world.run().changed
    assert world.github.comment_of(number) == before


@pytest.mark.parametrize("method", ["edit_comment", "comments"])
def test_a_comment_that_cannot_be_written_fails_nothing(world: World, method: str) -> None:
    world.pull(1)
    with refusing(world.github, **{method: ForbiddenError("the token may not", "give it the right")}):
        result = world.run()
    assert result.changed
    assert result.error is None
    assert result.warnings


def test_whether_people_agreed_must_be_known_after_a_push(world: World) -> None:
    world.pull(1)
    limit = RateLimitError("GitHub wants to be left alone until 12:00", "wait")
    with refusing(world.github, comments=limit):
        result = world.run()
    assert result.error is limit
    assert "GitHub wants to be left alone" in result.summary
    assert world.hub.published == []
    with refusing(world.github, comments=limit):
        result = world.run("workflow_dispatch")
    assert result.changed
    assert any("no pull request follows" in warning for warning in result.warnings)


def test_nothing_is_run_while_nobody_knows_whether_the_checkout_is_old(world: World) -> None:
    world.pull(1)
    with refusing(world.github, head=GitHubError("GitHub is away", "wait")), pytest.raises(GitHubError):
        world.run("workflow_dispatch")
    assert world.hub.requests == []


def test_a_race_that_was_lost_leaves_the_comment_to_the_winner(world: World) -> None:
    number = world.pull(1)
    winner = world.job()

    def lose(bench: Any, request: Request) -> Outcome:
        request.approve(world.hub.plan(manifest(1)))
        world.hub.published.append(key(manifest(1)))
        told = replace(Account(MANIFEST, "1" * 40, "published"), published=world.hub.at(fresh=True))
        tell(winner, number, told)
        raise PublishError("lost a race", "look again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ramekin.pipeline.run", lose)
        assert world.run().error
    assert world.state(number) == "published"


def test_a_run_beside_it_that_finds_all_done_leaves_the_comment_too(world: World) -> None:
    number = world.pull(1)
    winner = world.job()

    def find(bench: Any, request: Request) -> Outcome:
        world.hub.published.append(key(manifest(1)))
        told = replace(Account(MANIFEST, "1" * 40, "published"), published=world.hub.at(fresh=True))
        tell(winner, number, told)
        return world.hub.run(bench, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ramekin.pipeline.run", find)
        result = world.run()
    assert (result.error, result.changed) == (None, False)
    assert world.state(number) == "published"


def test_a_failure_to_look_again_does_not_hide_what_is_published(world: World) -> None:
    number = world.pull(1)
    world.run()
    before = world.github.comment_of(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.hub, "plan", lambda _: (_ for _ in ()).throw(SourceError("the Hub is away", "wait")))
        result = world.run()
    assert result.error
    assert "Failed" in result.summary
    assert world.github.comment_of(number) == before


def test_what_merges_has_to_be_installed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.pull(1)
    monkeypatch.setattr(running, "find_spec", lambda name: None if name in {"torch", "numba"} else object())
    with pytest.raises(UsageError) as caught:
        world.run()
    (problem,) = caught.value.problems
    assert problem.what == "a run needs numba, torch, which this Python has not installed"
    assert "ramekin[merge]" in problem.hint
    result = run_one(world.job(), world.directory / "checkout", MANIFEST)
    assert result.error
    assert result.error.problems[0].what == problem.what


# What reaches the pipeline


def test_the_inputs_reach_the_pipeline(world: World) -> None:
    world.pull(1)
    world.run(pr=True, adopt=True, allow_private_sources=True, allowed_namespaces="my-org, other")
    world.run()
    given_all, given_none = world.hub.requests
    assert given_all.pull_request
    assert given_all.allowed.adopt
    assert given_all.allowed.private_sources
    assert given_all.allowed.namespaces == {"my-org", "other"}
    assert not given_none.pull_request
    assert not given_none.allowed.adopt
    assert given_none.allowed.namespaces is None
    assert (given_none.trusted, given_none.lock.write) == (True, False)


def test_what_nobody_has_read_may_name_nothing_outside(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    text = manifest(1).replace(b"demo/base", str(tmp_path / "secret").encode())
    world.github.push({"merge.yaml": text})
    job = world.job("issue_comment")
    refused = run_one(job, world.directory / "checkout", MANIFEST, pull_request=True, trusted=False)
    assert refused.error
    assert "leads out of the repository" in refused.error.problems[0].what
    assert world.hub.requests == []
    world.github.push({"merge.yaml": manifest(1)})
    run_one(world.job("issue_comment"), world.directory / "checkout", MANIFEST, pull_request=True, trusted=False)
    (request,) = world.hub.requests
    assert (request.trusted, request.pull_request) == (False, True)


def test_a_run_elsewhere_needs_nothing_installed_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.pull(1)
    sent: list[str] = []

    def run_on(bench: Any, request: Request, place: str) -> Outcome:
        sent.append(place)
        return world.hub.run(bench, request)

    monkeypatch.setattr("ramekin.jobs.run_on", run_on, raising=False)
    monkeypatch.setattr(running, "find_spec", lambda _: None)
    assert world.run(on="hf-jobs:a10g-small").changed
    assert sent == ["hf-jobs:a10g-small"]


@given(st.text("aB./-_ é", min_size=1, max_size=80).map(Path), st.text("aB./-_ é", min_size=1, max_size=80).map(Path))
def test_slugs_are_names_of_their_own(one: Path, other: Path) -> None:
    assert (slug(one) == slug(other)) == (one.as_posix() == other.as_posix())
    assert set(slug(one)) <= {*"abcdefghijklmnopqrstuvwxyz0123456789-"}
    assert len(slug(one)) <= 70
    assert not slug(one).startswith("-")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_events_doubled_lost_and_in_any_order_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = make_world(tmp_path_factory.mktemp("world"), patch)
        keys: list[str] = []
        pending: list[str] = []
        for number in range(data.draw(st.integers(1, 4))):
            world.pull(number)
            keys.append(key(manifest(number)))
            pending += [world.github.history[-1][0]] * data.draw(st.integers(0, 2), "sent")
            while pending and data.draw(st.booleans(), "delivered"):
                world.run(sha=pending.pop(data.draw(st.integers(0, len(pending) - 1), "which")))
        for sha in data.draw(st.permutations(pending)):
            world.run(sha=sha)
        world.run("workflow_dispatch")
        order = [keys.index(each) for each in world.hub.published]
        assert order == sorted(set(order)), "an old state came after a newer one, or one came twice"
        assert order[-1] == len(keys) - 1
        for number, made in enumerate(keys, 1):
            assert world.state(number) == ("published" if made in world.hub.published else "planned")

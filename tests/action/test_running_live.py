"""`run` as a step of a workflow, on an embedded Hub and a loopback GitHub, with unmodified clients."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from acted_samples import READY, make_job
from live_steps import Live, live
from tests.github.loopback import Loopback
from tests.integration.conftest import family_files, push
from tests.integration.jobbing import acts, failed, forks, tasks

from ramekin.action.account import Account
from ramekin.action.current import Current
from ramekin.action.event import Event
from ramekin.action.following import find_follow
from ramekin.action.telling import tell
from ramekin.hub import Hub, Job
from ramekin.secret import Secret
from ramekin.workbench import Workbench


def test_from_the_pull_request_to_the_second_publication(stage: Live) -> None:
    first = stage.propose({"merge.yaml": stage.manifest()})
    planned = stage.ok(first)
    assert stage.state(first) == "planned"
    assert stage.commits() == []
    pushed = stage.merge(first)
    run = stage.ok(pushed)
    assert stage.state(first) == "published"
    body = stage.comment(first).body
    report = json.loads(Path(run.outputs["report"]).read_text())
    assert run.outputs["changed"] == "true"
    assert run.outputs["key"] == planned.outputs["key"] == report["key"]
    assert run.outputs["repo"] == report["output"]["repo"] == stage.target
    assert run.outputs["commit"] == report["output"]["commit"]
    assert run.outputs["url"] == f"{stage.hub.url}/{stage.target}/commit/{run.outputs['commit']}"
    assert run.outputs["failure-reason"] == ""
    assert run.outputs["key"] in body
    assert run.outputs["commit"][:7] in body
    assert "Published" in run.summary
    assert "::group::run merge.yaml" in run.printed
    (kept,) = stage.commits()
    # The event once more.
    again = stage.ok(pushed)
    assert again.outputs == run.outputs | {"changed": "false", "report": again.outputs["report"]}
    assert json.loads(Path(again.outputs["report"]).read_text())["key"] == report["key"]
    assert stage.comment(first).body == body
    # The private target is there now, and whoever plans without a token does not see it.
    second = stage.propose({"merge.yaml": stage.manifest("ties")}, "second")
    stage.ok(second)
    assert "nothing is published yet" in stage.comment(second).body.lower()
    newer = stage.merge(second)
    late = stage.ok(pushed)  # the first event comes late: it works on what there is now
    assert "has moved on" in late.printed
    assert late.outputs["key"] != run.outputs["key"]
    assert stage.ok(newer).outputs["changed"] == "false"
    assert stage.state(second) == "published"
    assert stage.comment(first).body == body
    assert len(stage.commits()) == 2
    assert stage.commits()[0] == kept


def test_plan_changed_writes_nothing_shows_the_difference_and_a_dispatch_goes_on(stage: Live) -> None:
    expert = f"demo/moving-{stage.number}"
    push(stage.hub, expert, family_files("tool"))
    opened = stage.propose({"merge.yaml": stage.manifest(tool=expert)})
    stage.ok(opened)
    moved = push(stage.hub, expert, family_files("tool", seed=7))
    pushed = stage.merge(opened)
    stage.hub.log.clear()
    stopped = stage.step(pushed)
    assert stopped.code == 3
    assert stopped.outputs["failure-reason"] == "lock"
    assert stopped.outputs["changed"] == "false"
    assert stage.writes() == []
    assert stage.hub.store.find(stage.target) is None
    ((file, _, text),) = stopped.annotations("error")
    assert file == "merge.yaml"
    assert text.startswith("plan-changed: ")
    assert stage.state(opened) == "changed"
    for shown in (stage.comment(opened).body, stopped.summary, text):
        assert moved[:12] in shown
        assert expert in shown
    stage.ok(stage.dispatched())
    assert stage.state(opened) == "published"
    assert len(stage.commits()) == 1
    assert stage.ok(pushed).outputs["changed"] == "false"
    assert stage.state(opened) == "published"


COMMIT = "send POST /api/models/.*/commit/main"


@pytest.mark.parametrize(
    ("trap", "code"),
    [
        ({"label": "pwrite"}, -9),
        ({"label": COMMIT}, -9),
        ({"label": "mkdir", "after": COMMIT}, -9),
        ({"label": "pwrite", "number": signal.SIGTERM}, 143),
        ({"label": "fsync", "number": signal.SIGINT}, 130),
    ],
    ids=["merging", "committing", "after the commit", "SIGTERM", "Ctrl-C"],
)
def test_killed_and_dispatched_again_it_goes_on(
    stage: Live, trap: dict[str, object], code: int, reference: dict[str, str]
) -> None:
    opened = stage.propose({"merge.yaml": stage.manifest()})
    stage.ok(opened)
    stopped = stage.step(stage.merge(opened), trap={"at": 1, **trap})
    assert stopped.code == code
    assert stage.state(opened) == ("running" if code < 0 else "cancelled")
    again = stage.ok(stage.dispatched())
    assert len(stage.commits()) == 1
    assert stage.weights() == reference
    # Where the commit was made already, there is nothing left to do but to say so.
    fresh = "after" not in trap
    assert again.outputs["changed"] == str(fresh).lower()
    assert ("Nothing to do" in again.summary) != fresh
    assert stage.state(opened) == "published"
    assert again.outputs["commit"][:7] in stage.comment(opened).body
    assert Path(again.outputs["report"]).is_file()


@pytest.fixture(scope="module")
def reference(services: tuple[Hub, Loopback], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The weights of a run that nothing has stopped."""
    with live(*services, tmp_path_factory.mktemp("reference")) as stage:
        before = stage.world.head(stage.name)
        assert before
        stage.world.push(stage.name, {"merge.yaml": stage.manifest()})
        stage.ok(stage.pushed(before))
        return stage.weights()


def test_each_of_several_manifests_is_done_and_those_that_fail_are_shown_on_their_lines(stage: Live) -> None:
    first, last = (stage.manifest(repo=f"demo/{name}-{stage.number}") for name in ("first", "last"))
    opened = stage.propose(
        {
            "merges/a.yaml": first,
            "merges/b.yaml": stage.manifest(tool="demo/absent"),
            "merges/c.yaml": last,
            "merges/d.yaml": "version: 1\nbase: [1]\n",
        }
    )
    pushed = stage.merge(opened)
    done = stage.step(pushed, manifest="merges/*.yaml")
    assert done.code == 4
    assert done.outputs["changed"] == "true"
    assert done.outputs["failure-reason"] == "source"
    assert done.outputs["repo"].split("\n")[0] == f"demo/first-{stage.number}"
    assert done.outputs["repo"].split("\n")[2] == f"demo/last-{stage.number}"
    assert [bool(line) for line in done.outputs["report"].split("\n")] == [True, False, True]
    assert {(file, line) for file, line, _ in done.annotations("error")} >= {("merges/b.yaml", "5")}
    assert {file for file, _, _ in done.annotations("error")} == {"merges/b.yaml", "merges/d.yaml"}
    assert len(stage.commits(f"demo/first-{stage.number}")) == len(stage.commits(f"demo/last-{stage.number}")) == 1
    assert [each.data for each in done.commands if each.name == "group"] == [
        f"run merges/{name}.yaml" for name in "abcd"
    ]
    assert [done.summary.count(f"merges/{name}.yaml") > 0 for name in "abcd"] == [True] * 4


def test_trusted_publishing_needs_no_token_and_hides_those_that_it_gets(stage: Live) -> None:
    targets = [f"demo/trusted-{stage.number}-{name}" for name in "ab"]
    for target in targets:
        stage.hub.store.create_repo(target, private=True)
        stage.hub.trust.add(target)
    job = Job(repository="octo/merges")
    env = stage.hub.trust.environment(job)
    stage.world.push(stage.name, {f"{name}.yaml": stage.manifest(repo=targets["ab".index(name)]) for name in "ab"})
    stage.hub.log.clear()
    done = stage.ok(stage.dispatched(), token=None, env=env, manifest="?.yaml")
    assert done.outputs["changed"] == "true"
    assert [len(stage.commits(target)) for target in targets] == [1, 1]
    exchanged = [mask for mask in done.masks if mask.startswith("hf_jwt_")]
    proofs = [mask for mask in done.masks if mask.startswith("eyJ")]
    assert len(exchanged) == len(proofs) == 2
    assert env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] in done.masks
    # The masks come before anything that might show what they mask, and nothing has: `step` looks through all of it.
    assert not any(mask in done.printed + done.summary + str(done.outputs) for mask in done.masks)
    assert {each.user for each in stage.hub.log.requests("POST", "/commit/main$")} == {"[OIDC]"}


def test_a_comment_that_may_not_be_written_fails_nothing(stage: Live) -> None:
    opened = stage.propose({"merge.yaml": stage.manifest()})
    stage.ok(opened)
    pushed = stage.merge(opened)
    reader = stage.world.job_token(stage.name, contents="read", pull_requests="read")
    done = stage.ok(pushed, github_token=reader)
    assert done.outputs["changed"] == "true"
    assert any("may not comment" in text for _, _, text in done.annotations("warning"))
    assert stage.state(opened) == "planned"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [({"allowed_namespaces": "other"}, "is in no namespace that may be written to"), ({}, "was not made by ramekin")],
)
def test_what_is_not_allowed_is_refused_on_the_line_of_the_target(
    stage: Live, inputs: dict[str, str], said: str
) -> None:
    stage.hub.store.create_repo(stage.target, private=True)
    stage.hub.store.commit(stage.target, {"notes.txt": b"somebody's"})
    opened = stage.propose({"merge.yaml": stage.manifest()})
    stage.ok(opened)
    done = stage.step(stage.merge(opened), **inputs)
    assert (done.code, done.outputs["failure-reason"]) == (7, "publish")
    assert [each[:2] for each in done.annotations("error") if said in each[2]] == [("merge.yaml", "10")]
    assert stage.state(opened) == "failed"
    assert said in stage.comment(opened).body
    if not inputs:
        stage.ok(stage.dispatched(), adopt="true")
        assert stage.state(opened) == "published"


def test_as_a_pull_request_on_the_hub_once(stage: Live) -> None:
    stage.hub.store.create_repo(stage.target, private=True)
    opened = stage.propose({"merge.yaml": stage.manifest()})
    stage.ok(opened)
    pushed = stage.merge(opened)
    done = stage.ok(pushed, pr="true")
    assert "/discussions/" in done.outputs["url"]
    assert stage.commits() == []
    body = stage.comment(opened).body
    assert done.outputs["url"].removeprefix(stage.hub.url) in body
    again = stage.ok(pushed, pr="true")
    assert again.outputs["url"] == done.outputs["url"]
    assert again.outputs["changed"] == "false"
    assert "the pull request on the Hub is there already" in again.summary
    assert stage.comment(opened).body == body


def test_a_job_of_the_hub_runs_it_and_the_comment_follows(stage: Live) -> None:
    stage.hub.machines.launch = forks(stage.server)
    first = stage.propose({"merge.yaml": stage.manifest()})
    stage.ok(first)
    pushed = stage.merge(first)
    run = stage.ok(pushed, fresh=True, on="hf-jobs:cpu-basic")  # its fork would keep the job's from starting
    (task,) = tasks(stage.hub.machines, stage.target)
    assert f"{stage.hub.url}/jobs/demo/{task.number}" in run.printed
    assert (run.outputs["changed"], run.outputs["repo"], run.outputs["failure-reason"]) == ("true", stage.target, "")
    assert json.loads(Path(run.outputs["report"]).read_text())["output"]["commit"] == run.outputs["commit"]
    assert stage.state(first) == "published"
    assert run.outputs["commit"][:7] in stage.comment(first).body
    assert stage.ok(pushed, on="hf-jobs:cpu-basic").outputs["changed"] == "false"
    assert len(tasks(stage.hub.machines, stage.target)) == 1
    # What fails there fails the step in the same words.
    stage.hub.machines.launch = acts("one line", message=failed(8, "there is not enough memory"))
    second = stage.propose({"merge.yaml": stage.manifest("ties")}, "second")
    stage.ok(second)
    done = stage.step(stage.merge(second), on="hf-jobs:cpu-basic")
    assert (done.code, done.outputs["failure-reason"]) == (8, "resources")
    assert "not enough memory" in stage.comment(second).body
    assert stage.state(second) == "failed"


def test_as_a_process_of_its_own(stage: Live) -> None:
    stage.world.push(stage.name, {"merge.yaml": stage.manifest(more="  private: true\n")})
    dispatched = stage.dispatched()
    first = stage.ok(dispatched)
    again = stage.ok(dispatched, fresh=True)
    assert again.outputs == first.outputs | {"changed": "false", "report": again.outputs["report"]}
    refused = stage.step(dispatched, fresh=True, manifest="-x.yaml")
    assert (refused.code, refused.outputs["failure-reason"]) == (2, "usage")


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_however_it_was_merged_its_comment_is_found(stage: Live, method: str) -> None:
    token = Secret(stage.token("push"))
    job = make_job(Event("push"), github_token=token, repository=stage.name, api_url=stage.github.api_url)
    job = replace(job, bench=Workbench(replace(job.bench.environment, retry_wait=0.01), job.bench.terminal))
    manifest, number = Path("a/merge.yaml"), 0
    for branch, files in (("one", {"a/merge.yaml": "1"}), ("two", {"a/merge.lock": "2"}), ("three", {"b.txt": "3"})):
        stage.world.push(stage.name, {f"{branch}.txt": "x"}, branch=branch, base="main")
        stage.world.push(stage.name, files, branch=branch)
        pull = stage.world.open_pull(stage.name, branch).number
        if branch != "three":
            number = pull
            tell(job, number, Account(manifest, "ab" * 20, plan=READY))
        stage.world.merge(stage.name, pull, method=method)
    head = stage.world.head(stage.name)
    assert head
    found = find_follow(job, Current(Path(), head), manifest)
    assert found
    assert found.number == number
    assert found.approved
    assert found.approved.hash == READY.hash
    assert find_follow(job, Current(Path(), head), Path("b.yaml")) is None

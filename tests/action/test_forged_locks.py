"""Locks in a stranger's pull request that say of sources what is not so."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from live_steps import Live, Step
from tests.github import events
from tests.integration.conftest import family_files, push


@pytest.fixture
def lock(stage: Live, tmp_path: Path) -> Any:
    """The lock that `ramekin lock` writes."""
    place = tmp_path / "own"
    place.mkdir()
    (place / "merge.yaml").write_text(stage.manifest())
    code, _, err = stage.server.run(("lock", "merge.yaml"), place, stage.hub.env(tmp_path / "home"))
    assert code == 0, err
    return json.loads((place / "merge.lock").read_text())


def planned(stage: Live, lock: Any) -> Step:
    """The plan of a fork's pull request with a lock."""
    fork = stage.world.fork(stage.name, "eve").name
    stage.world.push(fork, {"merge.yaml": stage.manifest(), "merge.lock": json.dumps(lock)}, branch="topic")
    issue = stage.world.open_pull(stage.name, "topic", by="eve", source=fork)
    return stage.step(events.pull_request(stage.world, stage.name, issue))


def refused(step: Step, what: str) -> None:
    assert (step.code, step.outputs["failure-reason"]) == (3, "lock"), step.printed
    ((file, _, told),) = step.annotations("error")
    assert (file, what in told) == ("merge.lock", True), told


def test_an_honest_one_is_planned_also_when_its_source_has_moved(stage: Live, lock: Any) -> None:
    push(stage.hub, "demo/coder", family_files("coder", seed=31))
    try:
        step = planned(stage, lock)
    finally:
        push(stage.hub, "demo/coder", family_files("coder"))
    assert step.code == 0, step.printed
    assert lock["experts"]["coder"]["commit"][:7] in step.summary


def test_a_commit_of_somebody_elses_pull_request_on_the_hub_is_not_the_experts(stage: Live, lock: Any) -> None:
    api = HfApi(stage.hub.url, stage.hub.token)
    files = [CommitOperationAdd("notes.txt", b"new\n")]
    made = api.create_commit("demo/coder", files, commit_message="Better weights", create_pr=True)
    lock["experts"]["coder"]["commit"] = made.oid
    refused(planned(stage, lock), f"demo/coder what is not so: commit {made.oid[:7]} is not in the history of `main`")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"card": {"license": "mit", "parents": {"demo/base": "apache-2.0"}}}, "licence"),
        ({"card": {"license": "apache-2.0", "parents": {}}}, "licence"),
        ({"source": "demo/tool", "named": "demo/coder"}, "repository"),
        ({"private": True}, "visibility"),
        ({"kind": "local"}, "kind"),
    ],
    ids=["licence", "parents", "another-repository", "visibility", "kind"],
)
def test_what_is_not_so_is_refused(stage: Live, lock: Any, change: dict[str, Any], what: str) -> None:
    lock["experts"]["coder"] |= change
    refused(planned(stage, lock), f"demo/coder what is not so: its {what}")

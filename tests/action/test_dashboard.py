"""The dashboard issue: written only when it says something else, and obeyed where a box is ticked."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from desks import ONE, make_desk, proposed, writes
from paper import BOT, Paper, manifest

from ramekin.action.event import Event
from ramekin.action.proposals.dashboard import Dashboard
from ramekin.action.sticky import Marker, State, show
from ramekin.action.updating import update_all
from ramekin.github.records import Issue


@pytest.fixture
def bad() -> set[str]:
    return set()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: set[str]) -> Paper:
    files = {str(ONE): manifest("coder", "tool"), "merges/two.yaml": manifest("memory", repo="acme/two")}
    made = make_desk(tmp_path, monkeypatch, bad, files)
    made.inputs = replace(made.inputs, dashboard=True)
    made.update()
    return made


def board(desk: Paper) -> Issue:
    (found,) = [issue for issue in desk.github.listed if issue.author == BOT]
    return found


def tick(desk: Paper, path: Path = ONE) -> Event:
    """Somebody ticks a box; returns what GitHub sends."""
    issue = board(desk)
    name = re.escape(f"`{path.as_posix()}`")
    body, count = re.subn(rf"- \[ \] (<!--[^>]*--> {name})", r"- [x] \1", issue.body)
    assert count == 1
    desk.github.listed = [replace(each, body=body) if each == issue else each for each in desk.github.listed]
    return Event("issues", issue=issue.number)


def test_it_lists_all_manifests_and_is_left_alone_while_nothing_changes(desk: Paper) -> None:
    text = board(desk).body
    for name in ("one", "two"):
        row = next(line for line in text.splitlines() if line.startswith(f"| `merges/{name}.yaml`"))
        assert "up to date" in row
        assert "sha256:" in row
        assert "no (" not in row
    assert "- [ ]" not in text
    desk.github.asked.clear()
    for _ in range(3):
        desk.wait(hours=7)
        desk.update()
    assert writes(desk.github) == []
    desk.github.listed = [replace(issue, body=issue.body.replace("\n", "\r\n") + "\n") for issue in desk.github.listed]
    desk.update()
    assert writes(desk.github) == []  # GitHub's own line breaks


def test_it_tells_of_drift_proposals_and_failures_with_their_run(desk: Paper, bad: set[str]) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    bad.add(desk.hub.push("lab/memory", model_safetensors="w1"))
    desk.update()
    assert "`coder` has moved to" in board(desk).body
    assert "waits until 2026-03-02 06:00 UTC" in board(desk).body
    desk.wait(hours=24)
    desk.update()
    text = board(desk).body
    (pull,) = desk.github.opened()
    assert f"[pull request {pull.number}]({pull.url})" in text
    assert "`expert:memory` has other shapes" in text
    assert "https://github.com/acme/agents/actions/runs/" in text
    assert text.count("- [ ]") == 1
    assert "tried again after 2026-03-02 08:00 UTC" in text


@pytest.mark.parametrize(("state", "again"), [("failed", [77]), ("cancelled", [77]), ("changed", [])])
def test_the_run_of_a_lock_that_was_merged_is_linked_and_started_again(
    desk: Paper, state: State, again: list[int]
) -> None:
    desk.github.merge(proposed(desk))
    desk.update()
    row = next(line for line in board(desk).body.splitlines() if line.startswith("| `merges/one.yaml`"))
    assert "acme/agent](https://huggingface.co/acme/agent): no |" in row
    number = max(pull.number for pull in desk.github.pulls)
    run = "https://github.com/acme/agents/actions/runs/77"
    show(desk.github, number, Marker(ONE.as_posix(), "5e" * 20, state, run=run), "Failed")  # type: ignore[arg-type]
    desk.update()
    assert f"no ([failed run]({run}))" in board(desk).body
    assert board(desk).body.count("- [ ]") == len(again)
    if again:
        desk.update(tick(desk))
        assert f"no ([run, started again]({run}))" in board(desk).body
        desk.update()
    assert desk.github.reruns == again


def test_a_ticked_box_tries_again_what_rests(desk: Paper, bad: set[str]) -> None:
    bad.add(desk.hub.push("lab/coder", model_safetensors="w1"))
    desk.update()
    desk.wait(hours=24)
    desk.update()
    bad.clear()
    one, _ = desk.update()
    assert not one.changed  # it rests
    one, two = desk.update(tick(desk))
    assert one.changed
    assert not two.changed
    assert "- [" not in board(desk).body


def test_a_ticked_box_that_fails_again_is_free_again_and_counts_from_one(desk: Paper, bad: set[str]) -> None:
    bad.add(desk.hub.push("lab/coder", model_safetensors="w1"))
    desk.update()
    for _ in range(3):
        desk.wait(hours=24)
        desk.update()
    assert "(3 times, last on " in board(desk).body
    desk.update(tick(desk))
    assert "(once on " in board(desk).body
    assert "- [ ]" in board(desk).body


def test_a_ticked_box_brings_back_what_was_declined_once(desk: Paper) -> None:
    first = proposed(desk)
    desk.github.close(first)
    desk.update()
    assert "declined" in board(desk).body
    one, _ = desk.update(tick(desk))
    assert one.changed
    (second,) = desk.github.opened()
    assert second.number != first
    desk.update()
    assert desk.github.opened() == [second]  # though the first one stays closed
    desk.github.close(second.number)
    desk.wait(hours=30)
    desk.update()
    assert desk.github.opened() == []


def test_a_box_stays_ticked_until_the_run_could_do_it(desk: Paper, bad: set[str]) -> None:
    bad.add(desk.hub.push("lab/memory", model_safetensors="w1"))
    desk.update()
    desk.wait(hours=24)
    desk.update()
    bad.clear()
    event = tick(desk, Path("merges/two.yaml"))
    with desk.cut(limited_from=9):
        desk.update(event)
    assert "- [x]" in board(desk).body
    _, two = desk.update()
    assert two.changed
    assert "- [" not in board(desk).body


@pytest.mark.parametrize("what", ["another issue", "no box", "no dashboard", "a stranger's dashboard"])
def test_other_issues_are_nothing_to_us(desk: Paper, bad: set[str], what: str) -> None:
    bad.add(desk.hub.push("lab/coder", model_safetensors="w1"))
    desk.update()
    desk.wait(hours=24)
    desk.update()
    bad.clear()
    event, inputs = Event("issues", issue=board(desk).number), {}
    if what == "another issue":
        tick(desk)
        event = Event("issues", issue=77)
    elif what == "no dashboard":
        event, inputs = tick(desk), {"dashboard": False}
    elif what == "a stranger's dashboard":
        tick(desk)
        theirs = replace(board(desk), author="eve")
        desk.github.listed = [theirs]
        event = Event("issues", issue=theirs.number)
    desk.github.asked.clear()
    assert desk.update(event, **inputs) == ()
    assert set(desk.github.asked) <= {"issues"}


def test_a_box_that_is_ticked_while_a_job_runs_stays_ticked(desk: Paper, bad: set[str]) -> None:
    bad.add(desk.hub.push("lab/coder", model_safetensors="w1"))
    desk.update()
    desk.wait(hours=24)
    desk.update()
    old = Dashboard.find(desk.github, desk.inputs.manifest)  # type: ignore[arg-type]
    tick(desk)
    lists = dict.fromkeys(("new", "waiting", "failures", "problems"), ())
    nothing = lists | dict.fromkeys(("strange", "key", "run"), "")
    row = {"manifest": ONE.as_posix(), "headline": "x", "pull": None, "repo": "a/b", "published": "no", "retry": True}
    rows = [nothing | row | {"merged": False}]
    assert old.show(desk.github, rows, "https://huggingface.co")  # type: ignore[arg-type]
    assert "- [x]" in board(desk).body


def test_two_workflows_have_two_dashboards_and_a_double_is_left_alone(desk: Paper) -> None:
    desk.github.listed.append(replace(board(desk), number=99))
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    bodies = {issue.number: issue.body for issue in desk.github.listed}
    assert "has moved" in bodies.pop(min(bodies))
    assert "has moved" not in bodies.pop(99)
    desk.update(manifest="merges/two.yaml")
    assert len(desk.github.listed) == 3


def test_ticks_of_hostile_texts_name_nothing(desk: Paper) -> None:
    for line in (
        "- [x] <!-- ramekin:retry {} --> x",
        '- [x] <!-- ramekin:retry {"manifest":1} --> x',
        "- [x] <!-- ramekin:retry {" + "[" * 9000 + "} --> x",
        '- [ ] <!-- ramekin:retry {"manifest":"a"} --> x',
        '[x] <!-- ramekin:retry {"manifest":"a"} --> x',
    ):
        assert Dashboard(1, line, "x").ticked == frozenset()
    assert Dashboard(1, '* [X] <!-- ramekin:retry {"manifest":"a"} --> x', "x").ticked == {"a"}


def test_a_dashboard_that_cannot_be_written_fails_nothing(desk: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    from ramekin.github.refusals import ForbiddenError

    def refuse(*_: object) -> None:
        raise ForbiddenError("GitHub answered 403", "allow it")

    monkeypatch.setattr(desk.github, "edit_issue", refuse)
    desk.hub.push("lab/coder", model_safetensors="w1")
    results = update_all(desk.job(Event("schedule")))
    assert [result.error for result in results] == [None, None]
    assert "dashboard could not be written" in results[-1].warnings[0]

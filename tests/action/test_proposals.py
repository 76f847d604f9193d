"""`update`: what is proposed, when, and what people do to proposals."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desks import BRANCH, LOCK, ONE, lock_on, make_desk, pinned, proposed, writes
from paper import BOT, REPOSITORY, START, Paper, PaperGitHub, manifest

from ramekin.action.event import Event
from ramekin.action.job import Result
from ramekin.action.proposals.branch import branch_name
from ramekin.action.proposals.state import Failure, Proposal, Seen, State, name_of
from ramekin.action.proposals.wording import Row, _rendered
from ramekin.action.updating import update_all
from ramekin.errors import IncompatibleError, SourceError
from ramekin.github.refusals import ForbiddenError, RateLimitError

RUN = f"https://github.com/{REPOSITORY}/actions/runs/12345678901"


@pytest.fixture
def bad() -> set[str]:
    """Commits that fit no base."""
    return set()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: set[str]) -> Paper:
    """One manifest of a base and three experts, with a lock that is up to date."""
    made = make_desk(tmp_path, monkeypatch, bad, {str(ONE): manifest("coder", "tool")})
    made.hub.asked.clear()
    return made


# What is proposed, and when


def test_a_readme_that_was_edited_costs_nothing(desk: Paper) -> None:
    desk.hub.push("lab/coder", README_md="better words")
    desk.github.asked.clear()
    for _ in range(2):
        (result,) = desk.update()
        desk.wait(hours=30)
        assert (result.changed, result.error, result.warnings) == (False, None, ())
    assert writes(desk.github) == []
    assert desk.github.branches.keys() == {"main"}


def test_new_weights_are_one_pull_request_after_the_cooldown(desk: Paper) -> None:
    old, new = desk.hub.head("lab/coder"), desk.hub.push("lab/coder", model_safetensors="w1")
    (result,) = desk.update()
    assert not result.changed
    assert "waits until 2026-03-02 06:00 UTC" in result.summary
    desk.wait(hours=23)
    desk.update()
    assert desk.github.opened() == []
    desk.wait(hours=1)
    (result,) = desk.update()
    (pull,) = desk.github.opened()
    assert (result.changed, result.url, result.error) == (True, pull.url, None)
    assert (pull.branch, pull.base, pull.author) == (BRANCH, "main", BOT)
    assert pull.title == "Update the sources of merges/one.yaml: coder"
    row = next(line for line in pull.body.splitlines() if line.startswith("| `coder`"))
    assert f"https://huggingface.co/lab/coder/compare/{old}..{new}" in row
    assert "2026-02-28" in row
    assert "`model.safetensors`" in row
    assert pinned(desk.github, "expert:coder") == new
    commit, files = desk.github.commits[desk.github.branches[BRANCH]]
    assert commit.parents == (desk.github.branches["main"],)
    before = desk.github.commits[commit.parents[0]][1]
    assert {path for path in files if files[path] != before.get(path)} == {LOCK}
    assert [comment.author for comment in desk.github.said[pull.number]] == [BOT]


def test_nothing_is_written_again_while_nothing_happens(desk: Paper) -> None:
    proposed(desk)
    desk.github.asked.clear()
    desk.hub.asked.clear()
    for hours in (1, 40):
        desk.wait(hours=hours)
        (result,) = desk.update()
        assert result.url
    assert writes(desk.github) == []
    assert not [asked for asked in desk.hub.asked if asked[0] == "committed"]


def test_a_second_expert_joins_the_same_pull_request(desk: Paper) -> None:
    number = proposed(desk)
    tool = desk.hub.push("lab/tool", model_safetensors="w1")
    desk.update()
    assert "Not in here yet" in desk.github.live(number).body
    desk.wait(hours=24)
    desk.update()
    (pull,) = desk.github.opened()
    assert pull.number == number
    assert pull.title.endswith(": coder, tool")
    assert pinned(desk.github, "expert:tool") == tool
    assert len(desk.github.commits[pull.head][0].parents) == 1
    assert len(desk.github.said[number]) == 1


def test_a_push_during_the_cooldown_restarts_it_for_that_expert_only(desk: Paper) -> None:
    first, last = desk.hub.push("lab/coder", model_safetensors="w1"), ""
    tool = desk.hub.push("lab/tool", model_safetensors="w1")
    desk.update()
    for hours in (10, 10):
        desk.wait(hours=hours)
        last = desk.hub.push("lab/coder", model_safetensors=f"w{desk.github.now_is}")
        desk.update()
    desk.wait(hours=4)
    desk.update()
    (pull,) = desk.github.opened()
    assert pinned(desk.github, "expert:tool") == tool
    assert pinned(desk.github, "expert:coder") not in {first, last}
    desk.wait(hours=20)
    desk.update()
    assert [each.number for each in desk.github.opened()] == [pull.number]
    assert pinned(desk.github, "expert:coder") == last


def test_a_readme_edited_during_the_cooldown_does_not_restart_it(desk: Paper) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    desk.wait(hours=23)
    desk.hub.push("lab/coder", README_md="words")
    desk.update()
    desk.wait(hours=1)
    desk.update()
    (pull,) = desk.github.opened()
    desk.hub.push("lab/coder", README_md="more words")
    desk.github.asked.clear()
    desk.update()
    assert writes(desk.github) == []
    assert desk.github.opened() == [pull]


def test_a_push_to_what_is_proposed_waits_for_its_own_cooldown(desk: Paper) -> None:
    number = proposed(desk)
    first, second = pinned(desk.github, "expert:coder"), desk.hub.push("lab/coder", model_safetensors="w2")
    desk.update()
    assert pinned(desk.github, "expert:coder") == first
    desk.wait(hours=24)
    desk.update()
    assert pinned(desk.github, "expert:coder") == second
    assert [pull.number for pull in desk.github.opened()] == [number]


def test_no_cooldown_for_a_lock_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk(tmp_path, monkeypatch, set(), {str(ONE): manifest("coder")}, locked=False)
    (result,) = desk.update()
    assert result.changed
    (pull,) = desk.github.opened()
    assert pull.title == "Pin the sources of merges/one.yaml"
    assert pull.body.count("| \N{EN DASH} |") == 2
    assert desk.directory.joinpath(LOCK).exists() is False
    desk.github.asked.clear()
    desk.update()
    assert writes(desk.github) == []
    first = pinned(desk.github, "expert:coder")
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    assert pinned(desk.github, "expert:coder") == first  # from now on there is something to keep
    desk.wait(hours=24)
    desk.update()
    assert pinned(desk.github, "expert:coder") == desk.hub.head("lab/coder")
    assert desk.github.opened()[0].title == "Pin the sources of merges/one.yaml"


def test_an_expert_that_the_manifest_has_got_meanwhile_is_pinned_at_once(desk: Paper) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.github.person("main", {str(ONE): manifest("coder", "memory")})
    desk.update()
    (pull,) = desk.github.opened()
    lock = lock_on(desk.github, BRANCH)
    assert lock.sources.keys() == {"base", "expert:coder", "expert:memory"}
    assert lock.sources["expert:coder"].files["model.safetensors"].size == 2
    assert "w1" not in lock.to_json()
    assert "| `tool` |" in pull.body  # dropped
    assert "| `coder` |" not in pull.body  # it waits
    old = lock_on(desk.github, "main").sources["expert:coder"].commit
    assert lock.sources["expert:coder"].commit == old


def test_a_push_that_was_taken_back_leaves_nothing(desk: Paper) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    assert BRANCH in desk.github.branches
    desk.hub.push("lab/coder", model_safetensors="w0")
    desk.update()
    assert desk.github.branches.keys() == {"main"}


def test_a_proposal_of_which_nothing_is_left_is_closed_with_a_word_and_can_come_back(desk: Paper) -> None:
    number = proposed(desk)
    desk.hub.push("lab/coder", model_safetensors="w0")
    desk.update()
    assert desk.github.opened() == []
    assert "Closed by ramekin" in desk.github.live(number).body
    assert desk.github.branches.keys() == {"main"}
    assert proposed(desk) != number  # closed by us it was not declined


# What people do


def test_what_was_closed_is_not_proposed_again_but_other_sources_are(desk: Paper) -> None:
    number, old = proposed(desk), lock_on(desk.github, "main")
    desk.github.close(number)
    for _ in range(3):
        desk.wait(hours=30)
        (result,) = desk.update()
        assert "declined" in result.summary
        desk.hub.push("lab/coder", README_md=f"words {desk.github.now_is}")  # another commit of the same weights
    assert desk.github.opened() == []
    second = proposed(desk, "lab/tool")
    assert second != number
    new = {role for role, pin in lock_on(desk.github, BRANCH).sources.items() if pin != old.sources[role]}
    assert new == {"expert:coder", "expert:tool"}
    desk.hub.push("lab/tool", model_safetensors="w0")  # what is left has been declined
    desk.update()
    assert desk.github.opened() == []


def test_closed_by_deleting_the_branch_counts_as_well(desk: Paper) -> None:
    proposed(desk)
    desk.github.delete(BRANCH)
    desk.wait(hours=30)
    desk.update()
    assert desk.github.opened() == []
    assert desk.github.branches.keys() == {"main"}


def test_a_branch_deleted_during_the_cooldown_begins_it_anew(desk: Paper) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    desk.github.delete(BRANCH)
    desk.wait(hours=25)
    desk.update()
    assert desk.github.opened() == []
    desk.wait(hours=25)
    desk.update()
    assert len(desk.github.opened()) == 1


@pytest.mark.parametrize("parents", [1, 2], ids=["commit", "merge commit of the button"])
def test_a_persons_push_means_hands_off(desk: Paper, parents: int) -> None:
    number = proposed(desk)
    theirs = desk.github.person(BRANCH, {"notes.md": b"mine"} if parents == 1 else {}, parents=parents)
    desk.hub.push("lab/tool", model_safetensors="w1")
    desk.github.asked.clear()
    for _ in range(2):
        desk.wait(hours=30)
        (result,) = desk.update()
        assert "somebody else has pushed" in result.warnings[0]
        assert "somebody else has pushed" in result.summary
    assert writes(desk.github) == []
    assert desk.github.branches[BRANCH] == theirs
    desk.github.close(number)
    desk.wait(hours=30)
    desk.update()
    assert desk.github.branches[BRANCH] == theirs


def test_an_amended_lock_means_hands_off_though_the_author_is_still_ours(desk: Paper) -> None:
    proposed(desk)
    commit, files = desk.github.commits[desk.github.branches[BRANCH]]
    text = files[LOCK].replace(b"lab/tool", b"lab/eval")
    amended = desk.github._commit(commit.parents, commit.message, files | {LOCK: text}, BOT)
    desk.github.branches[BRANCH] = amended
    (result,) = desk.update()
    assert "somebody else has pushed" in result.warnings[0]
    assert desk.github.branches[BRANCH] == amended


def test_a_branch_of_our_name_that_somebody_made_is_left_alone(desk: Paper) -> None:
    theirs = desk.github.person(BRANCH, {"mine.txt": b"1"})
    desk.hub.push("lab/coder", model_safetensors="w1")
    for _ in range(2):
        (result,) = desk.update()
        desk.wait(hours=30)
        assert "somebody else has pushed" in result.warnings[0]
    assert desk.github.branches[BRANCH] == theirs
    assert desk.github.opened() == []


def test_a_forks_branch_of_our_name_is_nothing_to_us(desk: Paper) -> None:
    url = f"https://github.com/{REPOSITORY}/pull/9"
    fork = replace(desk.github.pulls[0], number=9, author="eve", state="open", source="eve/agents", url=url)
    desk.github.pulls.append(fork)
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    desk.wait(hours=25)
    desk.update()
    number = next(pull.number for pull in desk.github.opened() if pull.author == BOT)
    assert number != 9
    assert desk.github.live(9) == fork


def test_a_pull_request_that_somebody_opened_from_our_branch_is_theirs(desk: Paper) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    theirs = replace(desk.github.open_pull(BRANCH, "main", "mine", "words"), author="ada")
    desk.github.put(theirs)
    desk.wait(hours=30)
    (result,) = desk.update()
    assert "somebody else has opened" in result.warnings[0]
    assert desk.github.opened() == [theirs]


def test_a_mark_in_a_strangers_pull_request_declines_nothing(desk: Paper) -> None:
    number = proposed(desk)
    pull = desk.github.live(number)
    desk.github.put(replace(pull, author="eve", state="closed"))
    (result,) = desk.update()
    assert result.changed
    assert desk.github.opened()[0].number != number


def test_merged_and_moved_again_it_is_a_new_pull_request_on_the_same_branch(desk: Paper) -> None:
    first = proposed(desk)
    desk.github.merge(first)
    desk.hub.push("lab/coder", model_safetensors="w2")
    desk.update()  # the old branch is still there
    desk.wait(hours=24)
    desk.update()
    (second,) = desk.github.opened()
    assert second.number != first
    assert second.branch == BRANCH
    assert desk.github.commits[second.head][0].parents == (desk.github.branches["main"],)
    assert lock_on(desk.github, BRANCH).experts["coder"].commit == desk.hub.head("lab/coder")


def test_the_branch_goes_once_it_is_merged(desk: Paper) -> None:
    number = proposed(desk)
    desk.github.merge(number)
    desk.update()
    assert desk.github.branches.keys() == {"main"}
    assert desk.github.live(number).merged


def test_a_branch_that_a_person_helped_with_is_free_again_once_it_is_merged(desk: Paper) -> None:
    number = proposed(desk)
    desk.github.person(BRANCH, {"notes.md": b"mine"})
    pull = desk.github.live(number)
    desk.github.put(replace(pull, state="closed", merged=True))  # squashed: its commit is in no history
    desk.github.person("main", {LOCK: desk.github.content(BRANCH, LOCK) or b""})
    (result,) = desk.update()
    assert result.warnings == ()
    assert desk.github.branches.keys() == {"main"}


def test_the_default_branch_moves_on(desk: Paper) -> None:
    number = proposed(desk)
    before = desk.github.branches[BRANCH]
    desk.github.person("main", {"README.md": b"words"})
    desk.update()
    assert desk.github.branches[BRANCH] == before
    desk.github.person("main", {str(ONE): manifest("coder", "tool", more="card:\n  title: Agent\n")})
    desk.update()
    after = desk.github.commits[desk.github.branches[BRANCH]][0]
    assert after.sha != before
    assert after.parents == (desk.github.branches["main"],)
    assert [pull.number for pull in desk.github.opened()] == [number]
    lock = lock_on(desk.github, "main").model_copy(update={"key": "sha256:" + "0" * 64})
    desk.github.person("main", {LOCK: lock.to_json().encode()})
    desk.update()
    last = desk.github.commits[desk.github.branches[BRANCH]][0]
    assert last.parents == (desk.github.branches["main"],)
    assert len(desk.github.opened()) == 1


def test_a_pull_request_that_was_aimed_elsewhere_is_left_alone(desk: Paper) -> None:
    number = proposed(desk)
    desk.github.branches["next"] = desk.github.branches["main"]
    desk.github.put(replace(desk.github.live(number), base="next"))
    desk.hub.push("lab/tool", model_safetensors="w1")
    (result,) = desk.update()
    assert "goes to another branch" in result.warnings[0]
    assert len(desk.github.opened()) == 1


# What fails


@pytest.mark.parametrize("kind", ["vanished", "gated"])
def test_a_source_that_is_gone_holds_up_nothing_else_and_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    files = {f"merges/{name}.yaml": manifest("coder", *more) for name, more in {"one": ("tool",), "two": ()}.items()}
    desk = make_desk(tmp_path, monkeypatch, set(), files)
    desk.hub.push("lab/coder", model_safetensors="w1")
    kept = desk.hub.repos["lab/tool"]
    if kind == "vanished":
        del desk.hub.repos["lab/tool"]
    else:
        desk.hub.gated.add("lab/tool")
    errors = []
    for hours in (1, 1, 1, 3, 1):  # fails at 0 h, rests until 2 h, fails at 2 h, rests until 6 h, fails at 6 h
        one, two = desk.update()
        assert two.error is None
        errors.append(isinstance(one.error, SourceError))
        if not errors[-1]:
            assert "not tried again yet" in one.warnings[0]
        desk.wait(hours=hours)
    assert errors == [True, False, True, False, True]
    desk.wait(hours=24)
    desk.update()
    assert {pull.branch for pull in desk.github.opened()} == {branch_name(Path("merges/two.yaml"))}
    desk.hub.repos["lab/tool"] = kept
    desk.hub.gated.clear()
    one, _ = desk.update()
    assert (one.error, one.warnings) == (None, ())
    state = State.in_message(desk.github.commits[desk.github.branches[BRANCH]][0].message)
    assert state
    assert state.failures == {}


def test_new_weights_that_do_not_fit_are_not_proposed_and_back_off(desk: Paper, bad: set[str]) -> None:
    broken = desk.hub.push("lab/coder", model_safetensors="w1")
    bad.add(broken)
    desk.update()
    desk.wait(hours=24)
    failed, hour = [], 0
    for step in (1, 1, 3, 1, 7, 1, 15, 1, 31, 1, 63, 1):
        (result,) = desk.update()
        if result.error:
            failed.append(hour)
            assert isinstance(result.error, IncompatibleError)
        else:
            assert "not tried again yet: `expert:coder` has other shapes" in result.warnings[0]
        assert "tried again after" in result.summary
        desk.wait(hours=step)
        hour += step
    assert failed == [0, 2, 6, 14, 30, 62]
    assert desk.github.opened() == []
    bad.clear()
    desk.wait(days=6)
    (result,) = desk.update()
    assert result.changed
    (pull,) = desk.github.opened()
    state = State.in_body(pull.body)
    assert state
    assert state.failures == {}


def test_the_back_off_is_five_days_at_most(desk: Paper, bad: set[str]) -> None:
    bad.add(desk.hub.push("lab/coder", model_safetensors="w1"))
    desk.update()
    for _ in range(12):
        desk.wait(days=5)
        (result,) = desk.update()
        assert result.error
    desk.wait(days=4, hours=23)
    (result,) = desk.update()
    assert result.error is None
    bad.clear()
    desk.hub.push("lab/coder", model_safetensors="w2")  # another set is tried without waiting for the first
    desk.update()
    desk.wait(hours=24)
    (result,) = desk.update()
    assert result.changed


def test_what_is_proposed_stays_when_a_later_expert_does_not_fit(desk: Paper, bad: set[str]) -> None:
    number = proposed(desk)
    before = desk.github.branches[BRANCH]
    bad.add(desk.hub.push("lab/tool", model_safetensors="w1"))
    desk.update()
    desk.wait(hours=24)
    (result,) = desk.update()
    assert isinstance(result.error, IncompatibleError)
    assert desk.github.branches[BRANCH] == before
    body = desk.github.live(number).body
    assert "Newer commits cannot be used" in body
    assert "| `coder` |" in body
    assert "| `tool` |" not in body
    desk.hub.push("lab/tool", model_safetensors="w0")
    desk.update()
    assert "cannot be used" not in desk.github.live(number).body


def test_the_networks_failures_are_not_remembered(desk: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise SourceError("lab/base: the network gave up", "later") from ConnectionError("reset")

    monkeypatch.setattr(desk.hub, "state", down)
    desk.github.asked.clear()
    (result,) = desk.update()
    assert isinstance(result.error, SourceError)
    assert writes(desk.github) == []


def test_a_manifest_with_a_mistake_fails_alone(desk: Paper) -> None:
    desk.github.person("main", {"merges/two.yaml": b"version: 1\nbasis: x\n"})
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    desk.wait(hours=24)
    one, two = desk.update()
    assert one.changed
    assert two.error
    assert two.error.reason == "usage"


def test_a_token_that_may_not_is_told_for_each(desk: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise ForbiddenError("GitHub answered 403: Actions is not permitted to create pull requests", "allow it")

    monkeypatch.setattr(desk.github, "open_pull", refused)
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    desk.wait(hours=24)
    (result,) = desk.update()
    assert isinstance(result.error, ForbiddenError)
    monkeypatch.undo()


# Races


@pytest.mark.parametrize("moment", ["set_branch", "open_pull"])
def test_another_job_that_is_faster_wins_and_the_slower_finds_it(desk: Paper, moment: str) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.update()
    desk.wait(hours=24)
    desk.github.before[moment] = lambda: done.extend(desk.update())
    done: list[Result] = []
    (slower,) = desk.update()
    assert done[0].changed
    assert (slower.error, slower.warnings) == (None, ())
    (pull,) = desk.github.opened()
    assert slower.url == pull.url
    assert len(desk.github.said[pull.number]) == 1


def test_another_job_that_remembers_first_is_found_too(desk: Paper) -> None:
    desk.hub.push("lab/coder", model_safetensors="w1")
    desk.github.before["set_branch"] = lambda: done.extend(desk.update())
    done: list[Result] = []
    (slower,) = desk.update()
    assert (slower.error, slower.warnings) == (None, ())
    head = desk.github.commits[desk.github.branches[BRANCH]][0]
    assert head.parents == (desk.github.branches["main"],)
    assert len(done) == 1


def test_a_person_who_is_faster_is_not_overrun(desk: Paper) -> None:
    number = proposed(desk)
    desk.hub.push("lab/tool", model_safetensors="w1")
    desk.update()
    desk.wait(hours=24)
    theirs: list[str] = []
    desk.github.before["set_branch"] = lambda: theirs.append(desk.github.person(BRANCH, {"a": b"1"}))
    (result,) = desk.update()
    assert desk.github.branches[BRANCH] == theirs[0]
    assert "somebody else has pushed" in result.warnings[0]
    assert [pull.number for pull in desk.github.opened()] == [number]


def test_a_late_job_works_on_what_is_there_now(desk: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checkout has a manifest that is gone; nothing of it is proposed."""
    job = desk.job(Event("schedule"))
    desk.github.person("main", {str(ONE): manifest("coder", repo="acme/other")})

    def archive(commit: str, directory: Path) -> Path:
        for path, data in desk.github.commits[commit][1].items():
            place = directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return directory

    monkeypatch.setattr(desk.github, "archive", archive, raising=False)
    (result,) = update_all(job)
    assert result.repo == "acme/other"
    assert lock_on(desk.github, BRANCH).experts.keys() == {"coder"}


# Many at once


def many(place: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> Paper:
    """Manifests of the same experts, three of which have moved, and the cooldown is over."""
    files = {f"merges/m{n}.yaml": manifest("coder", "tool", "memory", repo=f"acme/m{n}") for n in range(count)}
    desk = make_desk(place, monkeypatch, set(), files)
    for name in ("coder", "tool", "memory"):
        desk.hub.push(f"lab/{name}", model_safetensors="w1")
    desk.update()
    desk.wait(hours=24)
    return desk


def test_ten_manifests_ask_the_hub_once_for_each_of_their_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = many(tmp_path, monkeypatch, 10)
    desk.hub.asked.clear()
    results = desk.update()
    assert all(result.changed for result in results)
    for name in ("base", "coder", "tool", "memory"):
        for what in ("state", "entries"):
            assert desk.hub.asked.count((what, f"lab/{name}")) == 1, (what, name)
    assert sum(what == "committed" for what, _ in desk.hub.asked) == 6  # old and new of three


@pytest.mark.parametrize(("count", "step"), [(2, 1), (10, 24)])
@pytest.mark.parametrize("kind", ["limited_from", "killed_after"])
def test_cut_off_at_any_request_nothing_is_double_and_the_next_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, count: int, step: int
) -> None:
    """Of two manifests at every request; of ten now and then."""
    desk = many(tmp_path, monkeypatch, count)
    before = snapshot_of(desk.github)
    desk.github.asked.clear()
    desk.update()
    wanted = {pull.branch: pull.title for pull in desk.github.opened()}
    assert len(wanted) == count
    for number in range(1, len(desk.github.asked) + 1, step):
        restore(desk.github, before)
        with desk.cut(**{kind: number}):
            results = cut_off(desk.update)
            if kind == "limited_from" and results:
                limited = [result for result in results if isinstance(result.error, RateLimitError)]
                assert limited or any("rate limit" in w for r in results for w in r.warnings)
        assert all(result.error is None for result in desk.update())
        opened = desk.github.opened()
        assert {pull.branch: pull.title for pull in opened} == wanted
        assert len(desk.github.pulls) == len(before["pulls"]) + count
        for pull in opened:
            assert len(desk.github.said[pull.number]) == 1
            assert len(desk.github.commits[pull.head][0].parents) == 1


def cut_off(update: Callable[[], tuple[Result, ...]]) -> tuple[Result, ...]:
    try:
        return update()
    except RateLimitError:
        return ()


def snapshot_of(github: PaperGitHub) -> dict[str, Any]:
    said = {number: [*comments] for number, comments in github.said.items()}
    return {
        "branches": dict(github.branches),
        "pulls": [*github.pulls],
        "said": said,
        "commits": dict(github.commits),
        "listed": [*github.listed],
    }


def restore(github: PaperGitHub, state: dict[str, Any]) -> None:
    for name, value in state.items():
        kept = {k: [*v] if name == "said" else v for k, v in value.items()} if isinstance(value, dict) else [*value]
        setattr(github, name, kept)
    github.asked.clear()


# Texts


def test_a_table_survives_strangers_names(desk: Paper) -> None:
    evil = "a|b`c`<!-- x -->@octocat #1\n| x | y |"
    lock = lock_on(desk.github, "main")
    hostile = lock.experts["coder"].model_copy(update={"source": evil})
    row = Row("coder", hostile, "1" * 40, "2" * 40, evil, evil, (evil, evil))
    text = _rendered(
        "pull.md",
        manifest=evil,
        lock=evil,
        first=False,
        rows=(row,),
        waiting=((evil, hostile, "tomorrow"),),
        failures=({"why": evil, "count": 1, "last": "now", "again": "then", "run": f"https://x/{evil}"},),
        withdrawn=False,
        cooldown=24,
        endpoint="https://huggingface.co",
    )
    (line,) = [line for line in text.splitlines() if line.startswith("| `coder`")]
    assert len(re.findall(r"(?<!\\)\|", line)) == 7
    assert "<!--" not in text
    assert not re.search(r"(?<!&#8203;)@octocat", re.sub(r"`[^`]*`+", "", text))


def test_the_trailer_is_one_line_in_which_github_finds_nothing(desk: Paper, bad: set[str]) -> None:
    bad.add(desk.hub.push("lab/coder", model_safetensors="w1"))
    desk.update()
    desk.wait(hours=24)
    desk.update()
    message = desk.github.commits[desk.github.branches[BRANCH]][0].message
    line = message.rstrip().splitlines()[-1]
    assert line.startswith("Ramekin-State: {")
    assert not set("@#/") & set(line)
    state = State.in_message(message)
    assert state
    assert [failure.count for failure in state.failures.values()] == [1]
    for broken in (message + "x", line.replace("{", "[", 1), "Ramekin-State: {}", "Ramekin-State: " + "[" * 5000):
        assert State.in_message(broken) is None
    assert State.in_message("Ramekin-State: " + json.dumps({"written": "2026-01-01T00:00:00"})) is None  # no zone


def test_two_hundred_sources_fit_into_a_mark_and_a_message() -> None:
    roles = [f"data:{'benchmark-of-a-long-name-' * 2}{n}:calibration" for n in range(210)]
    failure = Failure(count=1_000, last=START, run=RUN * 2, why="-" * 200)
    over = {name_of(role): "f" * 12 for role in roles}
    state = State(
        written=START,
        seen={name_of(role): Seen(content="f" * 12, seconds=1_772_345_678) for role in roles},
        failures={f"sources:{n:020x}": failure for n in range(2)},
        proposal=Proposal(set="f" * 12, over=over, lock="f" * 12, ground="f" * 12),
    )
    assert State.in_body(state.to_mark() + "words") == state
    assert State.in_message(f"words\n\n{state.to_trailer()}\n") == state

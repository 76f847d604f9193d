"""The one comment for a manifest, whoever else writes at the same time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from acted_samples import HEAD, PLAN

from ramekin.action.approved import Approved
from ramekin.action.sticky import Marker, State, Sticky, show, stickies
from ramekin.github.records import Comment
from ramekin.github.refusals import GitHubError

MARKER = Marker("merge.yaml", HEAD, "planned", Approved.of(PLAN.model_copy(update={"manifest": "merge.yaml"}), HEAD))
NOW = datetime(2026, 3, 4, tzinfo=UTC)


@dataclass
class Talk:
    """The comments of a pull request, and what somebody else does just before one is written."""

    meanwhile: Callable[[], object] = lambda: None
    login: str = "bot"
    said: list[Comment] = field(default_factory=list)
    edits: int = 0
    number: int = 0

    def comments(self, _: int) -> tuple[Comment, ...]:
        return tuple(sorted(self.said, key=lambda each: each.id))

    def write_comment(self, _: int, body: str) -> Comment:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return self.say(body)

    def say(self, body: str, author: str = "bot") -> Comment:
        self.number += 1
        made = Comment(self.number, author, body, NOW, NOW, f"url-{self.number}")
        self.said.append(made)
        return made

    def edit_comment(self, number: int, body: str) -> None:
        self.edits += 1
        self.said = [replace(each, body=body) if each.id == number else each for each in self.said]

    def delete_comment(self, number: int) -> None:
        if number not in [each.id for each in self.said]:
            raise GitHubError("Not Found", "look")
        self.said = [each for each in self.said if each.id != number]


def test_it_is_written_once_and_then_changed() -> None:
    talk = Talk()
    assert show(talk, 7, MARKER, "one\n") == "url-1"
    assert show(talk, 7, MARKER, "one\n") == "url-1"
    assert talk.edits == 0
    assert show(talk, 7, MARKER, "two\n") == "url-1"
    assert [each.body for each in talk.said] == [MARKER.to_mark() + "two\n"]
    assert show(talk, 7, replace(MARKER, manifest="other.yaml"), "x") == "url-2"
    assert stickies(talk, 7).keys() == {"merge.yaml", "other.yaml"}


def test_line_breaks_and_blanks_are_no_difference() -> None:
    talk = Talk()
    talk.say((MARKER.to_mark() + "a  \nb\n\n").replace("\n", "\r\n").strip())
    show(talk, 7, MARKER, "a\nb\n")
    assert talk.edits == 0


def test_two_jobs_at_once_leave_one_comment() -> None:
    """Another job writes its comment between our looking and our writing: the older one stays, with what is newest."""
    talk = Talk()
    talk.meanwhile = lambda: talk.say(MARKER.to_mark() + "theirs")
    assert show(talk, 7, MARKER, "ours") == "url-1"
    assert [(each.id, each.body) for each in talk.said] == [(1, MARKER.to_mark() + "ours")]


def test_a_job_that_was_killed_before_it_looked_again_leaves_a_double_for_the_next() -> None:
    talk = Talk()
    talk.say(MARKER.to_mark() + "theirs")
    talk.say(MARKER.to_mark() + "ours")
    assert Sticky.find(talk, 7, "merge.yaml").doubles == (2,)
    assert show(talk, 7, MARKER, "theirs") == "url-1"
    assert [each.id for each in talk.said] == [1]


def test_a_double_that_is_gone_already_is_no_trouble() -> None:
    talk = Talk()
    for _ in range(3):
        talk.say(MARKER.to_mark() + "x")
    real = talk.delete_comment

    def slow(number: int) -> None:
        real(number)
        real(number)

    talk.delete_comment = slow  # type: ignore[method-assign]
    assert show(talk, 7, MARKER, "y") == "url-1"
    assert len(talk.said) == 1


def test_the_plan_that_was_shown_is_kept_until_another_is() -> None:
    talk = Talk()
    show(talk, 7, MARKER, "planned")
    states: tuple[State, ...] = ("running", "failed", "changed", "cancelled")
    for state in states:
        show(talk, 7, replace(MARKER, state=state, approved=None, run="https://run"), state)
        found = Sticky.find(talk, 7, "merge.yaml")
        assert found
        assert (found.marker.state, found.marker.approved) == (state, MARKER.approved)
    # A new plan that cannot be made leaves none.
    show(talk, 7, replace(MARKER, head="6f" * 20, approved=None), "wrong")
    assert Sticky.find(talk, 7, "merge.yaml").marker.approved is None


@pytest.mark.parametrize("state", ["running", "published"])
def test_a_plan_that_comes_late_does_not_hide_what_was_done(state: str) -> None:
    talk = Talk()
    show(talk, 7, MARKER, "planned")
    show(talk, 7, replace(MARKER, state=state, approved=None), state)
    show(talk, 7, MARKER, "planned again")
    assert talk.said[0].body.endswith(state)
    # Of another commit, or if it is another plan, it is news.
    for marker in (
        replace(MARKER, head="6f" * 20),
        replace(MARKER, approved=replace(MARKER.approved, core="sha256:" + "0" * 64)),
    ):
        show(talk, 7, replace(MARKER, state=state), state)
        show(talk, 7, marker, "news")
        assert talk.said[0].body.endswith("news")


def test_what_others_say_is_not_ours() -> None:
    talk = Talk()
    talk.say(MARKER.to_mark() + "forged", author="eve")
    talk.say("quoted: " + MARKER.to_mark())
    talk.say("<!-- ramekin:plan {} -->\nempty")
    talk.say(MARKER.to_mark().replace("planned", "anything"))
    assert stickies(talk, 7) == {}

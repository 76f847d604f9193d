"""A run does what people saw before they merged, or it stops before anything is written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plan.plan_samples import READY

from ramekin.action.approval import PlanChangedError, check_approval
from ramekin.action.approved import Approved
from ramekin.plan.model import Change, Plan, Target

HEAD = "5e" * 20
ABSENT = Target(repo=READY.target.repo, exists=False, state="absent")


def like(**changes: Any) -> Plan:
    return READY.model_copy(update=changes)


def moved(role: str = "expert:tool") -> Plan:
    """The plan with another commit of an expert."""
    sources = tuple(
        source.model_copy(update={"commit": "ab" * 20}) if source.role == role else source for source in READY.sources
    )
    return like(sources=sources, key="sha256:" + "ee" * 32)


def test_the_same_plan_passes() -> None:
    check_approval(Approved.of(READY, HEAD), READY)


@pytest.mark.parametrize("change", [{"reason": "another"}, {"cost": None}, {"manifest": "a/b.yaml"}, {"changes": ()}])
def test_what_is_only_said_or_estimated_may_differ(change: dict[str, Any]) -> None:
    check_approval(Approved.of(READY, HEAD), like(**change))


def test_a_source_that_moved_is_told_by_name_with_both_commits() -> None:
    with pytest.raises(PlanChangedError) as caught:
        check_approval(Approved.of(READY, HEAD), moved())
    error = caught.value
    (problem,) = error.problems
    assert (error.exit_code, error.reason) == (3, "lock")
    assert problem.what.startswith("plan-changed: ")
    assert "tool: " in problem.what
    assert "3ab2e5f0" in problem.what
    assert "abababababab" in problem.what
    assert "coder" not in problem.what
    assert [change.subject for change in error.differences] == ["tool"]
    assert "start this workflow by hand" in problem.hint


def test_a_target_that_both_saw_must_be_as_it_was() -> None:
    target = READY.target.model_copy(update={"head": "88" * 20, "key": "sha256:" + "1c" * 32})
    with pytest.raises(PlanChangedError, match="target: "):
        check_approval(Approved.of(READY, HEAD), like(target=target))


@pytest.mark.parametrize("state", ["ours", "foreign", "empty"])
def test_a_private_target_that_the_planner_saw_as_absent_is_not_compared(state: Any) -> None:
    seen_without_a_token = like(target=ABSENT, reason="nothing is published yet")
    now = like(target=READY.target.model_copy(update={"state": state}))
    assert Approved.of(seen_without_a_token, HEAD).saw_target is False
    check_approval(Approved.of(seen_without_a_token, HEAD), now)


def test_but_all_the_rest_is() -> None:
    with pytest.raises(PlanChangedError) as caught:
        check_approval(Approved.of(like(target=ABSENT), HEAD), moved())
    assert [change.subject for change in caught.value.differences] == ["tool"]


def test_what_is_published_already_needs_nobody_to_agree() -> None:
    check_approval(Approved.of(READY, HEAD), moved().model_copy(update={"action": "nothing"}))


@given(st.lists(st.builds(Change, subject=st.text(), old=st.none() | st.text(), new=st.none() | st.text()), min_size=1))
def test_the_message_is_one_line_whatever_it_names(changes: list[Change]) -> None:
    (problem,) = PlanChangedError.of(tuple(changes)).problems
    assert problem.what.startswith("plan-changed: ")
    assert problem.what.isprintable()
    assert len(problem.what) < 2000
    assert ("more" in problem.what.rpartition("; ")[2]) >= (len(changes) > 5)

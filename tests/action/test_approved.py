"""What is remembered of a plan: enough to know it again, and to say what is another now."""

from dataclasses import replace
from typing import Any

import pytest
from acted_samples import HEAD, PLAN, TRAPS
from hypothesis import given
from hypothesis import strategies as st

from ramekin.action.approved import Approved, facts_of
from ramekin.action.marking import LONGEST, marks
from ramekin.action.sticky import KIND, Marker
from ramekin.checkpoint.findings import Finding
from ramekin.plan.model import Plan, Target

APPROVED = Approved.of(PLAN, HEAD)
BLIND = Approved.of(
    PLAN.model_copy(update={"target": Target(repo="my-org/agent-7b", exists=False, state="absent")}), HEAD
)
CHANGES: dict[str, dict[str, Any]] = {
    "coder": {
        "sources": (PLAN.sources[0], PLAN.sources[1].model_copy(update={"commit": "77" * 20}), *PLAN.sources[2:])
    },
    "memory": {"sources": PLAN.sources[:3]},
    "base": {"sources": (PLAN.sources[0].model_copy(update={"license": "other"}), *PLAN.sources[1:])},
    "tool": {"sources": (*PLAN.sources[:2], PLAN.sources[2].model_copy(update={"private": True}), PLAN.sources[3])},
    "findings": {"findings": PLAN.findings[1:]},
    "licence": {"licence": PLAN.licence.model_copy(update={"notices": ()})},
    "weights": {"layout": PLAN.layout.model_copy(update={"files": 5})},
    "method": {"method": PLAN.method.model_copy(update={"parameters": {"r": 0.2}})},
    "gate": {"evaluation": PLAN.evaluation.model_copy(update={"gate": ("gsm8k 0.9",)})},
    "evaluation": {"evaluation": PLAN.evaluation.model_copy(update={"tasks": ("gsm8k",)})},
}
OF_TARGET: dict[str, dict[str, Any]] = {
    "action": {"action": "nothing"},
    "target": {"target": PLAN.target.model_copy(update={"head": "88" * 20})},
    "target's key": {"target": PLAN.target.model_copy(update={"key": "sha256:" + "0c" * 32})},
    "target's visibility": {"target": PLAN.target.model_copy(update={"private": False})},
}


def other(update: dict[str, Any]) -> Plan:
    return PLAN.model_copy(update=update)


def test_the_same_plan_agrees() -> None:
    assert APPROVED.agrees(PLAN)
    assert APPROVED.differences(PLAN) == ()
    elsewhere = other({"cost": None, "reason": "other words", "manifest": "there.yaml", "changes": ()})
    assert APPROVED.agrees(elsewhere)


@pytest.mark.parametrize("subject", CHANGES)
def test_every_other_fact_is_told(subject: str) -> None:
    for approved in (APPROVED, BLIND):
        assert not approved.agrees(other(CHANGES[subject]))
        found = {change.subject: change for change in approved.differences(other(CHANGES[subject]))}
        assert subject in found
        assert found[subject].old != found[subject].new
        assert not found.keys() - {subject, "tool"} or subject == "evaluation"


@pytest.mark.parametrize("subject", OF_TARGET)
def test_the_target_counts_only_for_who_has_seen_it(subject: str) -> None:
    now = other(OF_TARGET[subject])
    assert not APPROVED.agrees(now)
    assert {change.subject for change in APPROVED.differences(now)} == {subject.partition("'")[0]}
    assert BLIND.agrees(now)
    assert BLIND.differences(now) == ()


def test_a_difference_that_no_fact_shows_is_one_all_the_same() -> None:
    approved = replace(APPROVED, hash="sha256:" + "00" * 32)
    (change,) = approved.differences(PLAN)
    assert (change.subject, change.old) == ("plan", "sha256:0000000000000000")


def test_core_is_the_same_whatever_the_target_is() -> None:
    for update in OF_TARGET.values():
        assert other(update).core == PLAN.core
        assert other(update).hash != PLAN.hash
    for update in CHANGES.values():
        assert other(update).core != PLAN.core
    assert PLAN.core != PLAN.hash


class TestMark:
    def test_is_read_as_it_was_written(self) -> None:
        for approved in (APPROVED, BLIND, None):
            marker = Marker("merges/agent.yaml", HEAD, "failed", approved, "https://github.com/x")
            (data,) = marks(KIND, marker.to_mark() + "text")
            assert Marker.read(data) == marker

    def test_is_short_whatever_the_plan_says(self) -> None:
        long = "x" * 3_000 + "-" * 3_000
        sources = [
            PLAN.sources[0].model_copy(update={"role": f"expert:{n}{'é' * 60}", "license": long}) for n in range(100)
        ]
        findings = [Finding("note", "base", long, long) for _ in range(300)]
        plan = other({"sources": tuple(sources), "findings": tuple(findings)})
        marker = Marker("m" * 250, HEAD, "planned", Approved.of(plan.model_copy(update={"manifest": "m" * 250}), HEAD))
        text = marker.to_mark()
        assert len(text) <= LONGEST
        assert Marker.read(marks(KIND, text)[0]) == marker

    @pytest.mark.parametrize(
        "change",
        [
            {"manifest": 7},
            {"head": None},
            {"state": "done"},
            {"run": None},
            {"plan": 3},
            {"plan": {}},
            {"plan": APPROVED.to_data() | {"facts": []}},
            {"plan": APPROVED.to_data() | {"facts": {"a": 1}}},
            {"plan": APPROVED.to_data() | {"hash": "sha256:x"}},
            {"plan": APPROVED.to_data() | {"core": None}},
            {"plan": APPROVED.to_data() | {"head": "main"}},
            {"plan": APPROVED.to_data() | {"saw_target": "yes"}},
            {"plan": APPROVED.to_data() | {"manifest": "other.yaml"}},
        ],
        ids=str,
    )
    def test_what_we_do_not_write_is_no_plan(self, change: dict[str, object]) -> None:
        data = {"manifest": PLAN.manifest, "head": HEAD, "state": "planned", "plan": APPROVED.to_data(), "run": ""}
        assert Marker.read(data).approved == APPROVED
        found = Marker.read(data | change)
        assert found is None or found.approved is None


@given(st.sampled_from(TRAPS) | st.text(max_size=300))
def test_facts_hold_anything(text: str) -> None:
    plan = other({"licence": PLAN.licence.model_copy(update={"licence": text}), "manifest": text})
    marker = Marker(text, HEAD, "planned", Approved.of(plan, HEAD))
    assert Marker.read(marks(KIND, marker.to_mark())[0]) == marker
    assert all(len(fact) <= 220 for fact in facts_of(plan).values())

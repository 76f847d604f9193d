"""What the log of a merge tells: always the rule and the sizes, samples where they may be shown, and nothing raw."""

from typing import Any

import pytest

from ramekin.arm.telling import told
from ramekin.choice import (
    ReportedActivation,
    ReportedCalibration,
    ReportedCandidate,
    ReportedComparison,
    ReportedCrossOverlap,
    ReportedSample,
    ReportedTransplant,
)
from ramekin.methods import Average


def comparison(split_half: float | None = 0.97, samples: tuple[ReportedSample, ...] = ()) -> ReportedComparison:
    runs = ReportedCalibration(
        expert="tool", role="tool-call", source="./x", commit="1" * 40, file="x", trajectories=7, split_half=split_half
    )
    return ReportedComparison(
        signals=("aos",),
        decided_by="aos",
        selected="average",
        margin=0.01873,
        top_k=0.1,
        dtype="float32",
        candidates={"average": ReportedCandidate(method=Average())},
        calibration={"tau": runs},
        samples=samples,
    )


def activation(rule: str = "likelihood", weak: tuple[str, ...] = ("tau",), **more: Any) -> ReportedActivation:
    found = ReportedTransplant(
        expert="tool", salient=40, protected=10, neurons=30, applied=28, fraction=0.03, per_layer=(10, 20), gap=0.5
    )
    none = ReportedCrossOverlap(of_union=0.0, of_own={}, pairwise={})
    values: dict[str, Any] = {"gaps": {"tau": 0.5, "os": -0.001}, "transplanted": {"tau": found} if weak else {}}
    return ReportedActivation(
        top_k=0.1,
        chance=0.05,
        aos={},
        mean_aos={},
        aos_layer_mean={},
        per_layer={},
        selected="average",
        margin=None,
        neurons=1_000,
        overlap=none,
        rule=rule,
        weak=weak,
        **values | more,
    )


def test_backbone_rule_and_sizes() -> None:
    rule = "by likelihood, where the backbone needs over 0.02 nats a token more than its expert"
    assert [*told(comparison(), activation())] == [
        "backbone: average, by aos, 0.01873 ahead",
        f"repaired: {rule} (gaps: tau 0.5000, os -0.0010)",
        "repaired: tau gets 30 of 1,000 neurons (3.00%) of tool, 28 of them put in; 10 of its 40 are needed by others",
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("scores", "by scores, where the backbone loses over 5% of its expert's"),
        ("list", "as `repair` lists them"),
        ("all", "all of them, as `repair` says"),
        ("none", "none, as `repair` says"),
    ],
)
def test_the_rule_is_told_whatever_it_is_and_if_nothing_is_weak(rule: str, words: str) -> None:
    lines = [*told(comparison(), activation(rule, (), gaps={}))]
    assert lines[1:] == [f"repaired: {words}", "repaired: nothing, no benchmark is weak"]


def test_other_methods_tell_what_was_chosen() -> None:
    assert [*told(comparison(), None)] == ["chosen: average, by aos, 0.01873 ahead"]


@pytest.mark.parametrize(("half", "told_so"), [(None, False), (0.95, False), (0.9499, True), (0.5, True)])
def test_more_runs_are_asked_for_below_0_95(half: float | None, *, told_so: bool) -> None:
    lines = [line for line in told(comparison(half), None) if "halves" in line]
    expected = (
        f"tau: two halves of its 7 runs agree on {half or 0:.3f} of tool's neurons; record more, until it is 0.95"
    )
    assert lines == [expected] * told_so


def test_samples_are_a_line_each_and_nothing_of_them_is_raw() -> None:
    strange = (("a\n::error::b\x1b[31m", False), ("rm\u202e -rf", True), ("x" * 1_000, False))
    many = tuple((f"{n}", n % 2 == 1) for n in range(24))
    samples = tuple(
        ReportedSample(benchmark="tau", trajectory=name, pieces=pieces)
        for name, pieces in (("one\ntwo", strange), ("many", many))
    )
    first, second = [*told(comparison(samples=samples), None)][1:]
    assert first.startswith("tau, run one\\ntwo: a\\n::error::b\\x1b[31m⟦rm\\u202e -rf⟧xxx")
    assert first.isprintable()
    assert len(first) < 300
    assert second == "tau, run many: 0⟦1⟧2⟦3⟧4⟦5⟧6⟦7⟧8 […]"

"""The gate: which scores are good enough, and how it is told when they are not."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.card.card_samples import sample

from ramekin.errors import EvaluationError, GateError
from ramekin.evaluation.gate import bars, check_gate, in_words, unmet
from ramekin.manifest.evaluation import Gate
from ramekin.manifest.model import Manifest
from ramekin.report import Report
from ramekin.scores import ReportedEvaluation, ReportedScore, ReportedTask

Scores = dict[str, float]


def evaluated(models: dict[str, Scores], *, higher: bool = True, expert: str | None = None) -> ReportedEvaluation:
    tasks = {name: ReportedTask(metric="acc", higher_is_better=higher, expert=expert) for name in models["merge"]}
    return ReportedEvaluation(
        harness="command",
        date="2026-01-02",
        tasks=tasks,
        models={
            name: {task: ReportedScore(value=value) for task, value in scores.items()}
            for name, scores in models.items()
        },
    )


def one(
    merge: float, *, base: float = 0.1, coder: float = 0.5, tool: float = 0.4, **more: object
) -> ReportedEvaluation:
    models = {"base": base, "expert:coder": coder, "expert:tool": tool, "merge": merge}
    return evaluated({name: {"gsm8k": value} for name, value in models.items()}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gate", "evaluation", "least", "met"),
    [
        (Gate(of_expert=0.95), one(0.475), 0.475, True),
        (Gate(of_expert=0.95), one(0.474), 0.475, False),
        # As written: with floats, 0.95 * 0.6 is a little more than 0.57.
        (Gate(of_expert=0.95), one(0.57, coder=0.6), 0.57, True),
        (Gate(of_expert=0.95), one(0.4, expert="tool"), 0.38, True),
        (Gate(of_expert=0.95), one(0.37, expert="tool"), 0.38, False),
        (Gate(of_expert=1.1), one(0.5), 0.55, False),
        (Gate(of_base=1.0), one(0.1), 0.1, True),
        (Gate(of_base=1.0), one(0.0999), 0.1, False),
        (Gate(of_base=0.5), one(0.0, base=0.0), 0.0, True),
        (Gate(least={"gsm8k": 0.5}), one(0.5), 0.5, True),
        (Gate(least={"gsm8k": 0.5}), one(0.49), 0.5, False),
        # Less is better: the best expert is the one with the least, and a share of 0.8 allows a fourth more.
        (Gate(of_expert=0.8), one(0.5, higher=False), 0.5, True),
        (Gate(of_expert=0.8), one(0.51, higher=False), 0.5, False),
        (Gate(least={"gsm8k": 2.0}), one(2.0, higher=False), 2.0, True),
        (Gate(least={"gsm8k": 2.0}), one(2.1, higher=False), 2.0, False),
        # Below 0, as log-likelihoods are: a share allows to be worse here, too.
        (Gate(of_base=0.8), one(-1.25, base=-1.0), -1.25, True),
        (Gate(of_base=0.8), one(-1.26, base=-1.0), -1.25, False),
        (Gate(of_base=0.8), one(-0.8, base=-1.0, higher=False), -0.8, True),
        (Gate(of_base=0.8), one(-0.79, base=-1.0, higher=False), -0.8, False),
    ],
)
def test_one_demand(gate: Gate, evaluation: ReportedEvaluation, least: float, met: bool) -> None:
    (bar,) = bars(gate, evaluation)
    assert (bar.least, bar.met) == (pytest.approx(least, abs=1e-15), met)
    assert bar.found == evaluation.models["merge"]["gsm8k"].value


FLOATS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
SHARES = st.floats(0.01, 10).map(lambda value: round(value, 4)).filter(bool)


@given(share=SHARES, more=SHARES, reference=FLOATS, merge=FLOATS, higher=st.booleans())
def test_a_smaller_share_is_never_harder_to_meet(
    share: float, more: float, reference: float, merge: float, higher: bool
) -> None:
    evaluation = one(merge, base=reference, higher=higher)
    (one_bar,), (other,) = (bars(Gate(of_base=each), evaluation) for each in (min(share, more), max(share, more)))
    assert one_bar.met or not other.met
    (own,) = bars(Gate(of_base=1.0), one(reference, base=reference, higher=higher))
    assert own.met, "what is as good as the base is good enough"


@given(share=SHARES, reference=FLOATS.filter(lambda value: value > 0), merge=FLOATS.filter(lambda value: value > 0))
def test_a_share_is_a_ratio_of_scores(share: float, reference: float, merge: float) -> None:
    asked, before, after = (Fraction(str(value)) for value in (share, reference, merge))
    (up,), (down,) = (bars(Gate(of_base=share), one(merge, base=reference, higher=way)) for way in (True, False))
    assert up.met == (after / before >= asked)
    assert down.met == (before / after >= asked)


def test_all_demands_of_all_tasks_in_order() -> None:
    models = {
        name: {"a": value, "b": 2 * value}
        for name, value in {"base": 0.2, "expert:coder": 0.5, "expert:tool": 0.1, "merge": 0.4}.items()
    }
    found = bars(Gate(of_expert=0.9, of_base=1, least={"b": 0.9}), evaluated(models))
    assert [(bar.task, bar.demand, bar.met) for bar in found] == [
        ("a", "0.9 of coder", False),
        ("a", "1 of the base", True),
        ("b", "0.9 of coder", False),
        ("b", "1 of the base", True),
        ("b", "at least 0.9", False),
    ]
    assert [bar.reference for bar in found] == [0.5, 0.2, 1.0, 0.4, None]


def test_of_equal_experts_the_first_counts() -> None:
    (bar,) = bars(Gate(of_expert=1), one(0.1, coder=0.5, tool=0.5))
    assert bar.demand == "1 of coder"


@pytest.mark.parametrize(
    ("gate", "missing", "words"),
    [
        (Gate(of_base=1), "base", "`base` was not measured on gsm8k"),
        (Gate(of_expert=1), "expert:", "no expert was measured on gsm8k"),
        (Gate(least={"mmlu": 1}), "", "`gate.least.mmlu`: there is no score of that"),
    ],
)
def test_demands_on_what_was_not_measured(gate: Gate, missing: str, words: str) -> None:
    evaluation = one(0.5)
    models = {name: each for name, each in evaluation.models.items() if not missing or not name.startswith(missing)}
    with pytest.raises(EvaluationError, match=words):
        bars(gate, evaluation.model_copy(update={"models": models}))


@pytest.mark.parametrize(
    ("gate", "evaluation", "words"),
    [
        (Gate(of_expert=0.95), one(0.41, coder=0.52), "gsm8k: 0.41 is below 0.95 of coder's 0.52 (0.494)"),
        (Gate(of_base=1), one(0.05), "gsm8k: 0.05 is below 1 of the base's 0.1 (0.1)"),
        (Gate(least={"gsm8k": 0.5}), one(1 / 3), "gsm8k: 0.333333 is below 0.5, which the gate demands"),
        (Gate(of_base=0.5), one(9.0, base=4.0, higher=False), "gsm8k: 9 is above 0.5 of the base's 4 (8)"),
    ],
)
def test_what_is_told(gate: Gate, evaluation: ReportedEvaluation, words: str) -> None:
    (bar,) = bars(gate, evaluation)
    assert in_words(bar, evaluation) == words


def manifest(gate: Gate | None) -> Manifest:
    data = {
        "version": 1,
        "base": "org/base",
        "experts": {"coder": "org/a", "tool": "org/b"},
        "method": {"name": "ram+"},
        "output": {"repo": "org/out"},
    }
    return Manifest.model_validate(data).model_copy(update={"gate": gate})


def report(evaluation: ReportedEvaluation | None) -> Report:
    return sample().report.model_copy(update={"evaluation": evaluation})


def test_every_demand_that_is_not_met_is_a_problem() -> None:
    gate = Gate(of_expert=0.95, of_base=1, least={"gsm8k": 0.2})
    with pytest.raises(GateError) as caught:
        check_gate(manifest(gate), report(one(0.09)))
    assert caught.value.exit_code == 9
    assert caught.value.reason == "publish"
    assert [problem.what.partition(" is below ")[2] for problem in caught.value.problems] == [
        "0.95 of coder's 0.5 (0.475)", "1 of the base's 0.1 (0.1)", "0.2, which the gate demands",
    ]  # fmt: skip
    assert all("nothing was published" in problem.hint for problem in caught.value.problems)
    check_gate(manifest(gate), report(one(0.5)))


def test_a_gate_without_scores_lets_nothing_pass() -> None:
    with pytest.raises(GateError, match="the merge has no scores"):
        check_gate(manifest(Gate(of_base=1)), report(None))


def test_without_a_gate_everything_passes() -> None:
    assert [*unmet(manifest(None), report(None))] == []
    assert [*unmet(manifest(None), report(one(0.0)))] == []

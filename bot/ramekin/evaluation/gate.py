"""The gate: what a manifest demands of the merge's scores before it is published.

A share of another model's score is reckoned so that it is always the easier to meet, the smaller the share: where more
is better, a score must reach share times reference; where less is better, or the reference is below 0, reference by
share. It is reckoned with what is written, as the scores of weak benchmarks are: 0.95 of 0.6 is 0.57, and no float that
is a little more.
"""

from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

from ramekin.errors import EvaluationError, GateError, Problem
from ramekin.manifest.evaluation import Gate
from ramekin.manifest.model import Manifest
from ramekin.manifest.suggestions import listed
from ramekin.report import Report
from ramekin.scores import BASE, EXPERT, MERGE, ReportedBar, ReportedEvaluation
from ramekin.text import printable

_DIGITS: Final = 6


def bars(gate: Gate, evaluation: ReportedEvaluation) -> tuple[ReportedBar, ...]:
    """What is demanded of each task, and whether it is met.

    Raises:
        EvaluationError: There is no score that a demand is about.
    """
    found: list[ReportedBar] = []
    for task in evaluation.tasks:
        if gate.of_expert is not None:
            expert = _expert(evaluation, task)
            found.append(_share(evaluation, task, gate.of_expert, expert, expert.removeprefix(EXPERT)))
        if gate.of_base is not None:
            found.append(_share(evaluation, task, gate.of_base, BASE, "the base"))
    check_demanded(gate, evaluation.tasks)
    for task, least in gate.least.items():
        demand = "at least" if evaluation.tasks[task].higher_is_better else "at most"
        found.append(_bar(evaluation, task, Fraction(str(least)), f"{demand} {_shown(least)}", None))
    return tuple(found)


def check_demanded(gate: Gate, tasks: Collection[str]) -> None:
    """Make sure that there are scores of what a gate names.

    Raises:
        EvaluationError: There are not.
    """
    if missing := [task for task in gate.least if task not in tasks]:
        raise EvaluationError(
            f"`gate.least.{printable(missing[0])}`: there is no score of that",
            f"what was measured is {printable(listed(tasks), 300)}",
        )


def check_gate(manifest: Manifest, report: Report, directory: Path | None = None) -> None:
    """Let a merge pass that is as good as its manifest demands.

    Args:
        manifest: The manifest.
        report: The merge's report.
        directory: Where the merge stays, if it does.

    Raises:
        GateError: It is not; with every demand that is not met.
    """
    if problems := [*unmet(manifest, report, directory)]:
        raise GateError(problems=problems)


def unmet(manifest: Manifest, report: Report, directory: Path | None = None) -> Iterator[Problem]:
    """The demands that a merge does not meet; see `check_gate`."""
    if manifest.gate is None:
        return
    if report.evaluation is None:
        what = "the manifest has a `gate`, and the merge has no scores"
        yield Problem(what, "nothing was published; merge again into an empty directory, so that it is measured")
        return
    where = f"see {printable(directory / 'README.md', 200)}" if directory else "keep the merge with --out to look at it"
    hint = f"nothing was published; {where}, change what is merged, or what `gate` demands"
    for bar in bars(manifest.gate, report.evaluation):
        if not bar.met:
            yield Problem(in_words(bar, report.evaluation), hint)


def in_words(bar: ReportedBar, evaluation: ReportedEvaluation) -> str:
    """What a demand comes to: ``gsm8k: 0.41 is below 0.95 of coder's 0.52 (0.494)``."""
    higher = evaluation.tasks[bar.task].higher_is_better
    side = ("reaches" if higher else "is within") if bar.met else ("is below" if higher else "is above")
    least = _shown(bar.least)
    whose = f"{bar.demand}'s {_shown(bar.reference)} ({least})" if bar.reference is not None else ""
    return f"{printable(bar.task, 100)}: {_shown(bar.found)} {side} {whose or f'{least}, which the gate demands'}"


def _expert(evaluation: ReportedEvaluation, task: str) -> str:
    """The expert whose task it is, or else the one that is best at it; the first of equals."""
    own = evaluation.tasks[task].expert
    if own is not None:
        return EXPERT + own
    names = [model for model, scores in evaluation.models.items() if model.startswith(EXPERT) and task in scores]
    if not names:
        raise EvaluationError(f"`gate.of_expert`: no expert was measured on {printable(task)}", "measure the experts")
    best = max if evaluation.tasks[task].higher_is_better else min
    return best(names, key=lambda name: evaluation.models[name][task].value)


def _share(evaluation: ReportedEvaluation, task: str, share: float, model: str, whose: str) -> ReportedBar:
    scores = evaluation.models.get(model, {})
    if task not in scores:
        raise EvaluationError(f"`gate`: `{model}` was not measured on {printable(task)}", "measure it, too")
    reference = scores[task].value
    part, whole = Fraction(str(share)), Fraction(str(reference))
    more = evaluation.tasks[task].higher_is_better == (reference >= 0)
    return _bar(evaluation, task, whole * part if more else whole / part, f"{share:g} of {whose}", reference)


def _bar(
    evaluation: ReportedEvaluation, task: str, least: Fraction, demand: str, reference: float | None
) -> ReportedBar:
    score = evaluation.models[MERGE][task].value
    found = Fraction(str(score))
    met = found >= least if evaluation.tasks[task].higher_is_better else found <= least
    return ReportedBar(task=task, demand=demand, least=float(least), found=score, met=met, reference=reference)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS}g}"

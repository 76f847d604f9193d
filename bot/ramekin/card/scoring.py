"""Task scores as a card compares them: the merge beside its parents, which were all measured the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.card.numbers import score
from ramekin.markdown import plain
from ramekin.report import Report
from ramekin.scores import BACKBONE, BASE, EXPERT, MERGE, ReportedBar, ReportedEvaluation, ScoreSummary, sum_up

MOST_EXPERTS: Final = 5
"""More experts than these do not get a column each: the best of them on each task has one."""

_MOST_ROWS: Final = 64


@dataclass(frozen=True)
class Column:
    """A model of the table.

    Attributes:
        key: As the report names it; empty for the best single expert on each task.
        title: As the table does.
        expert: Whether the title is a name that somebody chose.
    """

    key: str
    title: str
    expert: bool = False


@dataclass(frozen=True)
class Shown:
    """A cell: the score, and whether no other model has a better one."""

    text: str
    best: bool


@dataclass(frozen=True)
class TaskRow:
    """A task: its name, its score's name, and what each model has."""

    name: str
    metric: str
    higher_is_better: bool
    cells: tuple[Shown | None, ...]


@dataclass(frozen=True)
class SummaryRow:
    """What the tasks come to, likewise."""

    name: str
    cells: tuple[Shown | None, ...]


@dataclass(frozen=True)
class Scoring:
    """All that the card and the plot need.

    Attributes:
        evaluation: As the report has it.
        columns: Models, the merge last.
        rows: Tasks, in the manifest's order.
        summary: Averages and what is told beside them; empty where tasks cannot be summed up.
        summed: The tasks that it is over: those that more is better in.
        left_out: How many more tasks there are.
    """

    evaluation: ReportedEvaluation
    columns: tuple[Column, ...]
    rows: tuple[TaskRow, ...]
    summary: tuple[SummaryRow, ...]
    summed: tuple[str, ...]
    left_out: int

    @property
    def gate(self) -> tuple[ReportedBar, ...]:
        """What was asked of the merge before it is published."""
        return self.evaluation.gate

    def expert_of(self, task: str) -> tuple[str, float] | None:
        """The expert whose task it is, or else the one that is best at it, with its score."""
        return expert_of(self.evaluation, task)

    def score(self, model: str, task: str) -> float | None:
        """What a model has."""
        return self.evaluation.values(model).get(task)

    def sum_of(self, model: str) -> ScoreSummary | None:
        """What the tasks come to for one model; None unless it was measured on all of them."""
        return _sum_of(self.evaluation, model, self.summed)

    @property
    def comparable(self) -> bool:
        """Whether the scores that are summed up are on one scale."""
        return _comparable(self.evaluation, self.summed)

    @property
    def sums_of_experts(self) -> tuple[ScoreSummary, ...]:
        """What the tasks come to for each expert; empty unless all of them were measured on all tasks."""
        found = [self.sum_of(model) for model in self.evaluation.models if model.startswith(EXPERT)]
        known = tuple(summary for summary in found if summary)
        return known if len(known) == len(found) else ()

    @property
    def best_expert(self) -> tuple[str, str] | None:
        """The expert with the highest average, and that; None unless all experts were measured on all tasks."""
        names = [model.removeprefix(EXPERT) for model in self.evaluation.models if model.startswith(EXPERT)]
        averages = [summary.average for summary in self.sums_of_experts] if self.comparable else []
        if not averages:
            return None
        best = averages.index(max(averages))
        return names[best], score(averages[best])

    @property
    def measured(self) -> str:
        """With what, and when."""
        harness = self.evaluation.harness
        by = "by a command of the author's" if harness == "command" else f"with {plain(harness, 80)}"
        return f"{by} on {self.evaluation.date}"

    @property
    def own_average(self) -> str:
        """The merge's average; empty where there is none that means anything."""
        return self._shown_average(MERGE)

    @property
    def base_average(self) -> str:
        """The base's, likewise."""
        return self._shown_average(BASE)

    @property
    def about_summary(self) -> str:
        """What the last rows are."""
        names = [row.name for row in self.summary]
        over = "" if len(self.summed) == len(self.evaluation.tasks) else f", over {len(self.summed)} tasks"
        parts = ["worst is the least score of any task"] if "worst" in names else []
        if "RHM" in names:
            parts.append(
                "RHM the harmonic mean of the scores as parts of the best single expert's, 1 if as good as that"
            )
        told = "; ".join(parts)
        return f"{told[:1].upper()}{told[1:]}{over}." if told else ""

    def _shown_average(self, model: str) -> str:
        found = self.sum_of(model) if self.comparable else None
        return score(found.average) if found else ""


def scoring_of(report: Report) -> Scoring | None:
    """Arrange the scores; None where the merge was not measured."""
    evaluation = report.evaluation
    if evaluation is None or not evaluation.models.get(MERGE):
        return None
    columns = _columns(evaluation, [expert.name for expert in report.experts])
    tasks = [task for task in evaluation.tasks if any(task in scores for scores in evaluation.models.values())]
    summed = _summed(evaluation)
    return Scoring(
        evaluation=evaluation,
        columns=columns,
        rows=tuple(_row(evaluation, task, columns) for task in tasks[:_MOST_ROWS]),
        summary=_summary(evaluation, columns, summed),
        summed=summed,
        left_out=max(0, len(tasks) - _MOST_ROWS),
    )


def expert_of(evaluation: ReportedEvaluation, task: str) -> tuple[str, float] | None:
    """The expert whose task it is, or else the one that is best at it, with its score; None if none was measured."""
    own = evaluation.tasks[task].expert
    found = {
        model.removeprefix(EXPERT): scores[task].value
        for model, scores in evaluation.models.items()
        if model.startswith(EXPERT) and task in scores
    }
    if own in found:
        return own, found[own]
    better = max if evaluation.tasks[task].higher_is_better else min
    return better(found.items(), key=lambda item: item[1]) if found else None


def _columns(evaluation: ReportedEvaluation, experts: Sequence[str]) -> tuple[Column, ...]:
    measured = [name for name in experts if EXPERT + name in evaluation.models]
    found = [Column(BASE, "base")] if BASE in evaluation.models else []
    if len(measured) > MOST_EXPERTS:
        found.append(Column("", "best expert"))
    else:
        found += [Column(EXPERT + name, name, expert=True) for name in measured]
    if BACKBONE in evaluation.models:
        found.append(Column(BACKBONE, "backbone"))
    return (*found, Column(MERGE, "this model"))


def _row(evaluation: ReportedEvaluation, task: str, columns: Sequence[Column]) -> TaskRow:
    about = evaluation.tasks[task]
    found = [_score(evaluation, column, task) for column in columns]
    return TaskRow(task, about.metric, about.higher_is_better, _cells(found, higher=about.higher_is_better))


def _score(evaluation: ReportedEvaluation, column: Column, task: str) -> float | None:
    if column.key:
        return evaluation.values(column.key).get(task)
    values = [scores[task].value for model, scores in evaluation.models.items() if EXPERT in model and task in scores]
    return (max if evaluation.tasks[task].higher_is_better else min)(values) if values else None


def _cells(values: Sequence[float | None], *, higher: bool = True) -> tuple[Shown | None, ...]:
    """Cells with the best of them marked, by what is shown: two that read the same are equals."""
    known = [value for value in values if value is not None]
    best = score((max if higher else min)(known)) if known else ""
    alone = len(known) < 2
    return tuple(None if v is None else Shown(score(v), best=not alone and score(v) == best) for v in values)


def _summed(evaluation: ReportedEvaluation) -> tuple[str, ...]:
    """Tasks that averages are over: more is better, and the merge was measured."""
    merge = evaluation.values(MERGE)
    return tuple(name for name, about in evaluation.tasks.items() if about.higher_is_better and name in merge)


def _sum_of(evaluation: ReportedEvaluation, model: str, tasks: Sequence[str]) -> ScoreSummary | None:
    values, oracle = evaluation.values(model), evaluation.best_of_experts()
    if len(tasks) < 2 or any(task not in values for task in tasks):
        return None
    return sum_up({task: values[task] for task in tasks}, {task: oracle.get(task, 0.0) for task in tasks})


def _summary(evaluation: ReportedEvaluation, columns: Sequence[Column], tasks: Sequence[str]) -> tuple[SummaryRow, ...]:
    sums = [_sum_of(evaluation, column.key, tasks) if column.key else None for column in columns]
    if not any(sums):
        return ()
    rows = []
    if _comparable(evaluation, tasks):
        rows.append(SummaryRow("average", _cells([each.average if each else None for each in sums])))
        rows.append(SummaryRow("worst", _cells([each.worst if each else None for each in sums])))
    harmonic = _cells([each.harmonic if each else None for each in sums])
    if any(harmonic):
        rows.append(SummaryRow("RHM", harmonic))
    return tuple(rows)


def _comparable(evaluation: ReportedEvaluation, tasks: Sequence[str]) -> bool:
    """Whether scores are on one scale: all are shares, or none of the tasks is."""
    most = [max(abs(scores[task].value) for scores in evaluation.models.values() if task in scores) for task in tasks]
    return all(value <= 1 for value in most) or all(value > 1 for value in most)

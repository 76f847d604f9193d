"""Task scores as the report keeps them: `evaluation`, and what they come to.

Light, as the report is: cards are rendered from it where nothing else is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MERGE: Final = "merge"
BASE: Final = "base"
BACKBONE: Final = "backbone"
EXPERT: Final = "expert:"

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class ReportedScore(_Part):
    """One model's score on one task.

    Attributes:
        value: The score.
        stderr: Its standard error, where the harness names one.
        samples: Items that it was measured on, where that is known.
    """

    value: float = Field(allow_inf_nan=False)
    stderr: float | None = Field(None, allow_inf_nan=False)
    samples: int | None = None


class ReportedResults(_Part):
    """Where the Hub keeps results of a task: a dataset, and what it calls the task."""

    dataset: str
    task: str


class ReportedTask(_Part):
    """What was measured.

    Attributes:
        metric: Name of the score.
        higher_is_better: Which way it counts.
        expert: The expert whose task it is, by the manifest; None where it names none.
        benchmark: The benchmark of the manifest that it scores; None where it is none of these.
        details: What else was settled, such as the number of examples in the prompt; in words, by name.
        results: Where the Hub keeps results of it; None where the manifest does not say.
    """

    metric: str
    higher_is_better: bool = True
    expert: str | None = None
    benchmark: str | None = None
    details: dict[str, str] = {}
    results: ReportedResults | None = None


class ReportedBar(_Part):
    """One demand of the gate.

    Attributes:
        task: Name of the task.
        demand: What was asked, in words, such as `0.95 of coder`.
        least: The least score that meets it; the greatest where less is better.
        found: The merge's score.
        met: Whether it is met.
        reference: The score that the demand is a share of; None for one that is given as a number.
    """

    task: str
    demand: str
    least: float
    found: float
    met: bool
    reference: float | None = None


class ReportedEvaluation(_Part):
    """Scores of the merge and of its parents, by one harness.

    Attributes:
        harness: Its name and version; `command` for one of the user's.
        date: Day on which the merge was measured, in UTC.
        settings: What held for all tasks, in words, by name.
        tasks: By name, in the manifest's order.
        models: By model (`base`, `expert:NAME`, `backbone`, `merge`) and task.
        gate: What was asked of the merge before it is published; empty without a gate.
    """

    harness: str
    date: Day
    settings: dict[str, str] = {}
    tasks: dict[str, ReportedTask]
    models: dict[str, dict[str, ReportedScore]]
    gate: tuple[ReportedBar, ...] = ()

    @property
    def unmet(self) -> tuple[ReportedBar, ...]:
        """The demands that are not met."""
        return tuple(bar for bar in self.gate if not bar.met)

    def values(self, model: str) -> dict[str, float]:
        """A model's scores by task."""
        return {task: score.value for task, score in self.models.get(model, {}).items()}

    def best_of_experts(self) -> dict[str, float]:
        """The best score of any single expert by task, of tasks that more is better in."""
        experts = [self.values(model) for model in self.models if model.startswith(EXPERT)]
        return {
            task: max(scores[task] for scores in experts if task in scores)
            for task, about in self.tasks.items()
            if about.higher_is_better and any(task in scores for scores in experts)
        }


@dataclass(frozen=True)
class ScoreSummary:
    """Scores of one model on several suites (arXiv 2601.07309, section 4).

    Attributes:
        average: Their mean.
        worst: The least of them (WS).
        harmonic: Harmonic mean of the scores as parts of the best expert's (RHM); 0 if any score is 0, None where the
            best expert's is 0 or less.
    """

    average: float
    worst: float
    harmonic: float | None


def sum_up(scores: Mapping[str, float], oracle: Mapping[str, float]) -> ScoreSummary:
    """Sum up scores.

    Args:
        scores: By suite; at least one.
        oracle: By suite, the best score of any single expert.
    """
    average, worst = sum(scores.values()) / len(scores), min(scores.values())
    if any(oracle[suite] <= 0 for suite in scores):
        return ScoreSummary(average, worst, None)
    if worst <= 0:
        return ScoreSummary(average, worst, 0.0)
    return ScoreSummary(average, worst, len(scores) / sum(oracle[suite] / score for suite, score in scores.items()))

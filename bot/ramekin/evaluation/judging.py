"""Which benchmarks a backbone of ARM's is weak in, told by tasks that score them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.errors import EvaluationError
from ramekin.evaluation.models import backbone_model
from ramekin.evaluation.reporting import chosen
from ramekin.methods.base import Method
from ramekin.scores import BACKBONE, EXPERT
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.evaluation.evaluator import Evaluator
    from ramekin.merge.engine import Means
    from ramekin.stock import Files


@dataclass(frozen=True)
class TaskJudge:
    """Measures what has to be known to decide; see `ramekin.arm.deciding.Judge`.

    Attributes:
        evaluator: What measures.
        files: The sources' files, by role and name.
        staging: Where the merge is written.
        means: What to work with.
    """

    evaluator: "Evaluator"
    files: "Files"
    staging: Path
    means: "Means"

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks that tasks score."""
        return tuple(task.benchmark for task in self.evaluator.asked.tasks if task.benchmark is not None)

    def scores(self, backbone: Method) -> tuple[dict[str, float], dict[str, float]]:
        """By benchmark the scores of its expert, and of a backbone that a method makes.

        Raises:
            EvaluationError: Something cannot be measured, or counts down.
            RamekinError: As the harness does, or as writing models does.
        """
        evaluator = self.evaluator
        loaded, own = evaluator.loaded, backbone_model(backbone, self.files, evaluator.lock, evaluator.layout)
        for model in (*evaluator.parents(self.files), own):
            evaluator.measure(model, self.files, self.staging, self.means)
        donors: dict[str, float] = {}
        found: dict[str, float] = {}
        for task in evaluator.asked.tasks:
            if task.benchmark is None:
                continue
            expert = EXPERT + loaded.manifest.benchmarks[task.benchmark].expert
            donor, merged = (
                chosen(loaded, task.name, evaluator.found[model][task.name]) for model in (expert, BACKBONE)
            )
            if not donor.higher_is_better:
                what = f"`{printable(task.name)}` scores `{printable(task.benchmark)}`, and less is better in it"
                raise EvaluationError(what, "choose a `metric` in which more is better, or leave out `benchmark`")
            donors[task.benchmark], found[task.benchmark] = donor.value, merged.value
        return donors, found

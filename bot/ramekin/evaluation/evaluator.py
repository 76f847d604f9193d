"""Measuring a merge and its parents, every model once, before the merge is put in its place."""

import gc
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ramekin.errors import ResourceError
from ramekin.evaluation.judging import TaskJudge
from ramekin.evaluation.measurements import Measurements
from ramekin.evaluation.models import Model, backbone_model, laid_out, merged_model, source_model
from ramekin.evaluation.reporting import check_alike, report_scores
from ramekin.lock.model import Lock
from ramekin.manifest.evaluation import Evaluation
from ramekin.manifest.reading import LoadedManifest
from ramekin.methods.base import Method
from ramekin.plan.layout import Layout
from ramekin.plan.measuring import decides_by_tasks
from ramekin.plan.quantities import plural, size
from ramekin.progress import Progress
from ramekin.report import Report
from ramekin.room import SPARE, free_disk
from ramekin.scores import BACKBONE, BASE, MERGE
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.merge.engine import Means
    from ramekin.stock import Files

_NO_ROOM: Final = "not measured: there was no room to write it beside the merge"


class Harness(Protocol):
    """What measures."""

    @property
    def name(self) -> str:
        """Its name and version."""

    @property
    def settings(self) -> dict[str, str]:
        """What holds for all tasks, in words, by name."""

    def check(self) -> None:
        """Find out before the work whether it can be done."""

    def kept(self, digest: str) -> Measurements:
        """What was measured of a model before; nothing unless that is all."""

    def measure(self, model: str, digest: str, directory: Path) -> Measurements:
        """Measure a model."""


@dataclass(frozen=True)
class Written:
    """A merge that is written, and not yet in its place.

    Attributes:
        directory: Where it is.
        files: The sources' files, by role and name.
        backbone: What made the weights into which neurons were transplanted; None if none were.
        means: What to work with, to write models that have to be written.
    """

    directory: Path
    files: "Files"
    backbone: Method | None
    means: "Means"


@dataclass
class Evaluator:
    """Measures what a manifest asks for.

    Attributes:
        loaded: The manifest.
        lock: Its lock.
        layout: What is merged.
        harness: What measures.
        progress: Where progress shows.
        found: What was measured so far, by model.
    """

    loaded: LoadedManifest
    lock: Lock
    layout: Layout
    harness: Harness
    progress: Progress
    found: dict[str, Measurements] = field(default_factory=dict, init=False)
    _seconds: float = field(default=0.0, init=False)

    @property
    def asked(self) -> Evaluation:
        """What the manifest says."""
        assert self.loaded.manifest.evaluate  # noqa: S101 - there is no evaluator otherwise
        return self.loaded.manifest.evaluate

    def begin(self, files: "Files") -> None:
        """Measure the parents that can be run as they are, so that what does not work is known before the merge.

        Args:
            files: The sources' files, by role and name.

        Raises:
            EvaluationError: Something cannot be measured.
            RamekinError: As the harness does.
        """
        for model in self.parents(files):
            if model.method is None:
                self.measure(model, files)

    def judge(self, files: "Files", staging: Path, means: "Means") -> TaskJudge | None:
        """What tells by tasks how good a backbone is, if the manifest has tasks for that; see `TaskJudge`."""
        return TaskJudge(self, files, staging, means) if decides_by_tasks(self.loaded.manifest) else None

    def evaluate(self, report: Report, written: Written) -> Report:
        """Measure the merge, and what of its parents was not measured before.

        Args:
            report: The merge's report, without scores.
            written: Where the merge is.

        Returns:
            The report with scores.

        Raises:
            EvaluationError: Something cannot be measured.
            RamekinError: As the harness does, or as writing models does.
        """
        settings = dict(self.harness.settings)
        for model in self.parents(written.files):
            self.measure(model, written.files, written.directory, written.means)
        if written.backbone is None:
            self.found.pop(BACKBONE, None)  # it was measured to find out whether anything had to be done to it
        elif BACKBONE in self.asked.models:
            backbone = backbone_model(written.backbone, written.files, self.lock, self.layout)
            if self._lacks_room(backbone, written.directory):
                self.progress.note(f"the backbone is {_NO_ROOM}")
                settings[BACKBONE] = _NO_ROOM
            else:
                self.measure(backbone, written.files, written.directory, written.means)
        self.measure(merged_model(written.directory, report.output.files), written.files)
        order = [*self.lock.sources, BACKBONE, MERGE]
        evaluation = report_scores(self.loaded, self.harness.name, settings, self.found, order)
        if evaluation.gate:
            met = len(evaluation.gate) - len(evaluation.unmet)
            self.progress.note(f"gate: {met} of {plural(len(evaluation.gate), 'demand')} met")
        seconds = report.cost.seconds.model_copy(update={"evaluate": round(self._seconds, 3)})
        cost = report.cost.model_copy(update={"seconds": seconds})
        return report.model_copy(update={"evaluation": evaluation, "cost": cost})

    def parents(self, files: "Files") -> list[Model]:
        """The base and the experts, as far as the manifest asks for them."""
        wanted = [BASE] if "base" in self.asked.models else []
        wanted += [role for role in files if role != BASE] if "experts" in self.asked.models else []
        return [source_model(role, files, self.lock, self.layout) for role in wanted]

    def measure(self, model: Model, files: "Files", staging: Path | None = None, means: "Means | None" = None) -> None:
        """Find out what a model comes to: as it was measured before, or measured now.

        Args:
            model: The model.
            files: The sources' files, by role and name.
            staging: Where the merge is written; for models that have to be written.
            means: What to work with, likewise.

        Raises:
            EvaluationError: It cannot be measured, or not as the others were.
            ResourceError: There is no room to write it.
            RamekinError: As the harness does, or as writing models does.
        """
        if model.name in self.found:
            return
        found = self.harness.kept(model.digest)
        if found:
            self.progress.note(f"evaluating {printable(model.name)}: its scores are known")
        else:
            self.progress.note(f"evaluating {printable(model.name)}")
            if self._lacks_room(model, staging):
                raise ResourceError(
                    f"{size(self.layout.total_size)} of disk are needed to measure `{printable(model.name)}`, and "
                    "there is less beside the merge",
                    "free some space, or leave it out of `evaluate.models`",
                )
            started = time.monotonic()
            with laid_out(model, files, self.layout, staging, means) as directory:
                _give_back_gpu()
                found = self.harness.measure(model.name, model.digest, directory)
            self._seconds += time.monotonic() - started
        check_alike(self.loaded, {**self.found, model.name: found})
        self.found[model.name] = found

    def _lacks_room(self, model: Model, staging: Path | None) -> bool:
        """Whether there is no room for a model that has to be written."""
        if model.method is None or staging is None or self.harness.kept(model.digest):
            return False
        return free_disk(staging) < self.layout.total_size + SPARE


def _give_back_gpu() -> None:
    """What this process has kept of a GPU's memory for later, another one needs now."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()

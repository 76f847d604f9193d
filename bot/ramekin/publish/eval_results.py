"""Scores of the merge where the Hub's leaderboards look for them: `.eval_results/`, for registered benchmarks alone.

They are no part of what a merge writes: whether a dataset is a benchmark, and what it calls its tasks, only the Hub can
say, at the moment of publishing; and scores are found on a day, not derived again by whoever verifies the merge.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ramekin.card.front_matter import dump_yaml
from ramekin.errors import SourceError
from ramekin.manifest.evaluation import TaskResults
from ramekin.manifest.model import Manifest
from ramekin.markdown import https_url, plain
from ramekin.plan.standing import Standing
from ramekin.publish.change import Change
from ramekin.publish.landing import commit, publishing
from ramekin.report import REPORT_NAME, Report
from ramekin.scores import MERGE, ReportedEvaluation, ReportedTask

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

RESULTS: Final = ".eval_results/ramekin.yaml"
_REGISTERED: Final = "benchmark:official"
"""Tag of the datasets that the Hub has on its list of benchmarks."""
_DEFINITION: Final = "eval.yaml"
_LIMIT: Final = 1 << 20
_NOTES: Final = 500
"""Longest notes in characters."""


@dataclass(frozen=True)
class Results:
    """What goes to leaderboards.

    Attributes:
        content: The file; None where there is nothing to write.
        notes: What is left out, and why, in sentences without a final full stop.
    """

    content: bytes | None = None
    notes: tuple[str, ...] = ()

    def write(self, directory: Path) -> dict[str, Path]:
        """Write the file into a directory; returns what is to be published of it, by path in the repository."""
        if self.content is None:
            return {}
        path = directory / "results.yaml"
        path.write_bytes(self.content)
        return {RESULTS: path}


def results_of(client: "HubWriter", manifest: Manifest, report: Report) -> Results:
    """The merge's own scores on registered benchmarks; those of its parents are their authors' to publish.

    Args:
        client: The Hub, which says what a benchmark is.
        manifest: Says which task of which dataset a task is.
        report: Has the scores.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    evaluation = report.evaluation
    wanted = {task.name: task.results for task in (manifest.evaluate.tasks if manifest.evaluate else ())}
    if evaluation is None:
        return Results()
    scores = evaluation.models.get(MERGE, {})
    named = {name: found for name in scores if (found := wanted.get(name)) and name in evaluation.tasks}
    entries, notes, known = [], [], {}
    for name, place in named.items():
        if place.dataset not in known:
            known[place.dataset] = _tasks_of(client, place.dataset)
        tasks = known[place.dataset]
        if isinstance(tasks, str) or place.task not in tasks:
            why = tasks if isinstance(tasks, str) else f"has no task {place.task}"
            notes.append(f"{name}: {place.dataset} {why}, so its score goes to no leaderboard")
        else:
            entries.append(_entry(client.endpoint, report, evaluation, name, place))
    return Results(dump_yaml(entries).encode() if entries else None, tuple(notes))


def add_results(client: "HubWriter", manifest: Manifest, standing: Standing) -> None:
    """Add the scores of a merge that is published already to what it holds, unless they are there.

    Args:
        client: The Hub.
        manifest: Says where the scores belong.
        standing: The repository, which holds the merge.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    report, head, repo = standing.report, standing.target.head, standing.target.repo
    if report is None or head is None:
        return
    with publishing(), tempfile.TemporaryDirectory(prefix="ramekin-results-") as name:
        results = results_of(client, manifest, report)
        held = client.read(repo, head, RESULTS, 0, _LIMIT) if RESULTS in standing.files else None
        if results.content is None or held == results.content:
            return
        change = Change(
            key=report.key,
            texts=report.texts,
            message=f"{report.method.name} scores of {report.key}",
            description="The merge's own scores on registered benchmarks.",
            add=results.write(Path(name)),
            delete=(),
            sha256={},
        )
        commit(client, manifest, standing, change)


def _tasks_of(client: "HubWriter", dataset: str) -> frozenset[str] | str:
    """The tasks of a registered benchmark, or why they are not known."""
    if _REGISTERED not in client.dataset_tags(dataset):
        return "is no registered benchmark"
    try:
        state = client.state(dataset, dataset=True)
        content = client.read_if_present(dataset, state.commit, _DEFINITION, _LIMIT, dataset=True) if state else None
    except SourceError:
        return "may not be read"
    try:
        definition: Any = YAML(typ="safe", pure=True).load((content or b"").decode("utf-8", "replace"))
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError, NotImplementedError):
        return frozenset()
    tasks = definition.get("tasks") if isinstance(definition, dict) else None
    found = (task.get("id") for task in tasks if isinstance(task, dict)) if isinstance(tasks, list) else ()
    return frozenset(each for each in found if isinstance(each, str))


def _entry(
    endpoint: str, report: Report, evaluation: ReportedEvaluation, name: str, place: TaskResults
) -> Mapping[str, Any]:
    source = https_url(f"{endpoint}/{report.output.repo}/blob/main/{REPORT_NAME}")
    return {
        "dataset": {"id": place.dataset, "task_id": place.task},
        "value": evaluation.models[MERGE][name].value,
        "date": evaluation.date,
        **({"source": {"url": source, "name": REPORT_NAME}} if source else {}),
        "notes": _notes(evaluation, evaluation.tasks[name]),
    }


def _notes(evaluation: ReportedEvaluation, task: ReportedTask) -> str:
    """How it was measured, in one line."""
    settled = evaluation.settings | task.details
    words = [evaluation.harness, task.metric, *(f"{name} {value}" for name, value in settled.items())]
    return plain("; ".join(words), _NOTES)

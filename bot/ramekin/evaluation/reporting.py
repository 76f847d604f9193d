"""Measurements as the report keeps them: of every task the score that counts, and whether it is good enough."""

from collections.abc import Mapping, Sequence

from ramekin.errors import EvaluationError, Problem
from ramekin.evaluation.gate import bars, check_demanded
from ramekin.evaluation.measurements import Found, Measurement, Measurements
from ramekin.manifest.evaluation import Task
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import LoadedManifest
from ramekin.manifest.suggestions import listed
from ramekin.scores import MERGE, ReportedEvaluation, ReportedResults, ReportedScore, ReportedTask
from ramekin.text import printable


def chosen(loaded: LoadedManifest, name: str, measurement: Measurement) -> Found:
    """The score of a task that counts: the one that the manifest names, or the first.

    Raises:
        EvaluationError: There is no such score.
    """
    metric = _task(loaded.manifest, name).metric
    found = measurement.choose(metric)
    if found is None:
        possible = printable(listed(each.metric for each in measurement.found), 300)
        what = f"`{printable(name)}` has no score `{printable(metric)}`"
        hint = f"write one of {possible} as its `metric`, or leave it out for the first"
        number = [task.name for task in _tasks(loaded.manifest)].index(name)
        raise EvaluationError(
            problems=[Problem(what, hint, loaded.path, loaded.line(f"evaluate.tasks.{number}.metric"))]
        )
    return found


def check_alike(loaded: LoadedManifest, models: Mapping[str, Measurements]) -> None:
    """Make sure that models were measured on the same tasks, by the same scores, and on what the gate is about.

    Args:
        loaded: The manifest.
        models: What was measured of each, by name.

    Raises:
        EvaluationError: They were not.
    """
    first = next(iter(models))
    if loaded.manifest.gate:
        check_demanded(loaded.manifest.gate, models[first])
    for name, found in models.items():
        counted = {task: chosen(loaded, task, measurement) for task, measurement in found.items()}
        if missing := sorted(found.keys() ^ models[first].keys()):
            what = f"`{printable(first)}` and `{printable(name)}` were not measured on the same tasks"
            raise EvaluationError(f"{what}: {printable(listed(missing), 200)}", "measure every model on every task")
        for task, each in counted.items():
            other = chosen(loaded, task, models[first][task])
            if (each.metric, each.higher_is_better) != (other.metric, other.higher_is_better):
                what = f"`{printable(first)}` and `{printable(name)}` have another score on `{printable(task)}`"
                raise EvaluationError(
                    f"{what}: `{printable(other.metric)}` and `{printable(each.metric)}`, or what counts as better",
                    "measure every model by the same score",
                )


def report_scores(
    loaded: LoadedManifest,
    harness: str,
    settings: Mapping[str, str],
    models: Mapping[str, Measurements],
    order: Sequence[str],
) -> ReportedEvaluation:
    """What the report keeps.

    Args:
        loaded: The manifest.
        harness: What measured, and in which version.
        settings: What held for all tasks, in words, by name.
        models: What was measured of each; the merge is among them.
        order: Of the models.

    Raises:
        EvaluationError: The gate is about something that was not measured.
    """
    manifest, merge = loaded.manifest, models[MERGE]
    evaluation = ReportedEvaluation(
        harness=harness,
        date=max(measurement.date for measurement in merge.values()),
        settings=dict(settings),
        tasks={name: _reported(loaded, name, measurement) for name, measurement in merge.items()},
        models={model: _scores(loaded, models[model]) for model in order if model in models},
    )
    if manifest.gate is None:
        return evaluation
    return evaluation.model_copy(update={"gate": bars(manifest.gate, evaluation)})


def _reported(loaded: LoadedManifest, name: str, measurement: Measurement) -> ReportedTask:
    task, found = _task(loaded.manifest, name), chosen(loaded, name, measurement)
    scored = loaded.manifest.benchmarks.get(task.benchmark) if task.benchmark else None
    return ReportedTask(
        metric=found.metric,
        higher_is_better=found.higher_is_better,
        expert=task.expert or (scored.expert if scored else None),
        benchmark=task.benchmark,
        details=measurement.details,
        results=ReportedResults(**task.results.model_dump()) if task.results else None,
    )


def _scores(loaded: LoadedManifest, measured: Measurements) -> dict[str, ReportedScore]:
    found = {name: chosen(loaded, name, measurement) for name, measurement in measured.items()}
    return {
        name: ReportedScore(value=each.value, stderr=each.stderr, samples=each.samples) for name, each in found.items()
    }


def _tasks(manifest: Manifest) -> tuple[Task, ...]:
    return manifest.evaluate.tasks if manifest.evaluate else ()


def _task(manifest: Manifest, name: str) -> Task:
    """What the manifest says of a task; of one that only a program of the user's names, nothing."""
    return next((task for task in _tasks(manifest) if task.name == name), Task(name=name))

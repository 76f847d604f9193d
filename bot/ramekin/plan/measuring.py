"""What will be measured of a merge, what it must reach, and the disk that this takes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ramekin.checkpoint.adapter import ADAPTER_WEIGHTS
from ramekin.errors import UsageError
from ramekin.lock.model import Lock
from ramekin.manifest.evaluation import Evaluation, Gate, Task
from ramekin.manifest.model import Manifest
from ramekin.methods import Arm
from ramekin.plan.quantities import plural


class PlannedEvaluation(BaseModel):
    """What will be measured.

    Attributes:
        harness: `lm-evaluation-harness`, or the user's program with its arguments.
        tasks: By what, each in words; empty where the user's program decides.
        models: Of what: `base`, `expert:NAME`, `backbone`, `merge`.
        gate: What the merge must reach to be published, in words.
    """

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    harness: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    gate: tuple[str, ...] = ()


def plan_evaluation(manifest: Manifest) -> PlannedEvaluation | None:
    """What a manifest asks to be measured; None if it asks for nothing."""
    evaluate = manifest.evaluate
    if evaluate is None:
        return None
    return PlannedEvaluation(
        harness="lm-evaluation-harness" if evaluate.command is None else " ".join(evaluate.command),
        tasks=tuple(_in_words(task, manifest) for task in evaluate.tasks),
        models=_models(manifest, evaluate),
        gate=_demands(manifest.gate) if manifest.gate else (),
    )


def _models(manifest: Manifest, evaluate: Evaluation) -> tuple[str, ...]:
    base = ["base"] if "base" in evaluate.models else []
    experts = [f"expert:{name}" for name in manifest.experts] if "experts" in evaluate.models else []
    backbone = ["backbone"] if has_backbone(manifest) and "backbone" in evaluate.models else []
    return (*base, *experts, *backbone, "merge")


def _in_words(task: Task, manifest: Manifest) -> str:
    """A task with all that was settled about it: `humaneval (pass@1, no examples, the first 100 items, of coder)`."""
    scored = manifest.benchmarks.get(task.benchmark) if task.benchmark else None
    expert = task.expert or (scored.expert if scored else None)
    more = [
        task.metric,
        None if task.fewshot is None else plural(task.fewshot, "example") if task.fewshot else "no examples",
        None if task.limit is None else f"the first {plural(task.limit, 'item')}",
        None if expert is None else f"of {expert}",
        None if task.benchmark is None else f"for {task.benchmark}",
    ]
    said = ", ".join(each for each in more if each is not None)
    return f"{task.name} ({said})" if said else task.name


def _demands(gate: Gate) -> tuple[str, ...]:
    shares = ((gate.of_expert, "its expert's score"), (gate.of_base, "the base's score"))
    found = [f"every task {share:g} of {whose}" for share, whose in shares if share is not None]
    return (*found, *(f"{task} {score:g}" for task, score in gate.least.items()))


def has_backbone(manifest: Manifest) -> bool:
    """Whether there is a merge before the merge, into which neurons are transplanted."""
    return isinstance(manifest.method, Arm) and manifest.method.repair != "none"


def decides_by_tasks(manifest: Manifest) -> bool:
    """Whether scores of tasks tell which benchmarks a backbone is weak in, if all others have scores as well."""
    evaluate, method = manifest.evaluate, manifest.method
    if evaluate is None or not isinstance(method, Arm) or method.repair != "auto":
        return False
    measured = {"experts", "backbone"} <= {*evaluate.models}
    return measured and any(task.benchmark is not None for task in evaluate.tasks)


def check_dispensable(manifest: Manifest) -> None:
    """Make sure that the weights are the same without measuring.

    Raises:
        UsageError: They are not.
    """
    if decides_by_tasks(manifest):
        what = f"`{manifest.method.name}` tells by the tasks of `evaluate` which benchmarks are weak"
        raise UsageError(what, "leave out --no-evaluate")


def models_written(manifest: Manifest, lock: Lock) -> Literal["needed", "wanted", "none"]:
    """Whether models have to be written to be measured, one at a time, each as large as the merge.

    An expert that is an adapter is needed, and so is a backbone whose scores decide what is weak; one that is only
    measured for the card is left out where there is no room.
    """
    evaluate = manifest.evaluate
    if evaluate is None:
        return "none"
    adapters = any(ADAPTER_WEIGHTS in source.files for source in lock.experts.values())
    if (adapters and "experts" in evaluate.models) or decides_by_tasks(manifest):
        return "needed"
    return "wanted" if has_backbone(manifest) and "backbone" in evaluate.models else "none"

"""What is merged: the manifest's own method, or what a method that chooses among candidates has chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_bytes

from ramekin.choice import ReportedActivation, ReportedComparison
from ramekin.digests import json_digest
from ramekin.errors import DamagedError
from ramekin.merge.files import SourceFiles
from ramekin.merge.grafting import Graft, Grafts
from ramekin.merge.orders import Means
from ramekin.methods import Arm, BestOf, Choosing, Tuned
from ramekin.methods.base import Method
from ramekin.plan.layout import Layout
from ramekin.plan.neurons import rounding_of
from ramekin.report import Report

if TYPE_CHECKING:
    from ramekin.arm.architecture import Layer
    from ramekin.arm.neurons import Neurons
    from ramekin.merge.merging import MergeJob


@dataclass(frozen=True)
class Chosen:
    """What is to be merged.

    Attributes:
        method: The method that makes the weights.
        grafts: Elements that experts give instead, by tensor.
        neurons: The same as sets of neurons, by benchmark, as the directory keeps them; none for methods without any.
        comparison: How it was chosen.
        activation: What ARM saw and did.
    """

    method: Method
    grafts: Grafts = field(default_factory=dict)
    neurons: "Mapping[str, Neurons]" = field(default_factory=dict)
    comparison: ReportedComparison | None = None
    activation: ReportedActivation | None = None

    @property
    def digest(self) -> str:
        """By which it is known again when an interrupted merge goes on."""
        sets = {name: [layer.tobytes().hex() for layer in each.layers] for name, each in self.neurons.items()}
        return json_digest([self.method.model_dump(mode="json"), sets])

    def neuron_file(self) -> bytes | None:
        """The sets as a file: for each benchmark and layer a row of booleans; None if nothing was transplanted."""
        if not self.neurons:
            return None
        rows = {
            f"{name}.{number:04}": layer
            for name, each in self.neurons.items()
            for number, layer in enumerate(each.layers)
        }
        return save_bytes(rows, {"order": " ".join(self.neurons)})


def choose(job: "MergeJob", files: SourceFiles, staging: Path, means: Means) -> Chosen:
    """What a manifest's method comes down to.

    Args:
        job: The merge.
        files: Local path of every source's files.
        staging: Where the merge is written.
        means: What to work with.

    Raises:
        RamekinError: As reading benchmarks, loading models and watching them do.
    """
    method = job.loaded.manifest.method
    if not isinstance(method, Choosing):
        return Chosen(method)
    if job.recorded:
        return _as_recorded(job, files, job.recorded)
    from ramekin.arm.asking import Question, Terms, ask
    from ramekin.arm.deciding import decide, warnings_of
    from ramekin.arm.reporting import report_activation, report_comparison
    from ramekin.arm.telling import told

    manifest = job.loaded.manifest
    terms = Terms.of(method, job.materials, everything=isinstance(method, BestOf))
    question = Question(manifest, job.lock, job.layout, files, job.materials, terms, job.store, job.device)
    answer = ask(question, means)
    judge = job.evaluator.judge(files, staging, means) if job.evaluator else None
    decision = decide(question, answer, method, judge)
    for warning in warnings_of(decision):
        means.progress.note(f"warning: {warning}")
    grafts = _grafts(decision.given, answer.layers, answer.names, _givers(job))
    for warning in _rounded(job.layout, grafts):
        means.progress.note(f"warning: {warning}")
    comparison = report_comparison(question, decision, method)
    activation = report_activation(decision, method) if isinstance(method, Arm) else None
    for line in told(comparison, activation):
        means.progress.note(line)
    neurons = {name: found for name, found in decision.given.items() if len(found)}
    return Chosen(decision.method, grafts, neurons, comparison, activation)


def _givers(job: "MergeJob") -> dict[str, int]:
    """By benchmark the number of its expert."""
    names = [*job.lock.experts]
    return {name: names.index(benchmark.expert) for name, benchmark in job.loaded.manifest.benchmarks.items()}


def _grafts(
    given: "Mapping[str, Neurons]", layers: "tuple[Layer, ...]", names: Mapping[str, str], givers: Mapping[str, int]
) -> dict[str, tuple[Graft, ...]]:
    """Sets of neurons as elements of tensors, by the tensors' names in the checkpoint."""
    from ramekin.arm.architecture import changed_places

    found: dict[str, list[Graft]] = {}
    for name, neurons in given.items():
        for place, indices in changed_places(layers, neurons):
            graft = Graft(givers[name], place.axis, indices.numpy().astype(np.int64))
            found.setdefault(names[place.tensor], []).append(graft)
    return {name: tuple(each) for name, each in found.items()}


def _rounded(layout: Layout, grafts: Grafts) -> tuple[str, ...]:
    """Experts whose neurons are rounded, because the merge has a narrower type than they."""
    found: dict[str, None] = {}
    for task in (task for shard in layout.shards for task in shard.tensors):
        for graft in grafts.get(task.name, ()):
            if loss := rounding_of(task, graft.expert):
                theirs, ours = loss
                found[f"neurons of `{layout.experts[graft.expert]}` are {theirs}, and are rounded to {ours}"] = None
    return tuple(found)


@dataclass(frozen=True)
class Recorded:
    """A choice that was made before, as a merged directory has it.

    Attributes:
        report: Its report.
        neurons: Its file of neurons; None if it has none.
    """

    report: Report
    neurons: Path | None


def _as_recorded(job: "MergeJob", files: SourceFiles, recorded: Recorded) -> Chosen:
    """The choice that a report tells of, without watching any model again.

    Raises:
        DamagedError: Report and neurons do not go with the manifest.
    """
    from ramekin.arm.hosting import structure_of

    report, method = recorded.report, job.loaded.manifest.method
    assert isinstance(method, Choosing)  # noqa: S101 - only such are recorded
    comparison = report.comparison
    entry = comparison.candidates.get(comparison.selected) if comparison else None
    if comparison is None or entry is None:
        raise _mismatch("the report names no candidate that was merged")
    if not _is_of_pool(entry.method, comparison.selected, method):
        raise _mismatch("the manifest's pool has no candidate like the one that the report names")
    neurons = _read_neurons(recorded.neurons) if recorded.neurons else {}
    if not {*neurons} <= _repairable(method, givers := _givers(job)):
        raise _mismatch("its neurons are for benchmarks that the manifest does not repair")
    grafts: Grafts = {}
    if neurons:
        structure = structure_of(files["base"], [t.name for shard in job.layout.shards for t in shard.tensors])
        widths = [layer.width for layer in structure.layers]
        if any([*map(len, each.layers)] != widths for each in neurons.values()):
            raise _mismatch("its neurons are not those of this model and these benchmarks")
        grafts = _grafts(neurons, structure.layers, structure.checkpoint_names, givers)
    return Chosen(entry.method, grafts, neurons, comparison, report.activation)


def _is_of_pool(entry: Method, name: str, method: Choosing) -> bool:
    """Whether a manifest's method could have come to a candidate: one of its pool, or with other coefficients."""
    if isinstance(method, Tuned):
        return any(type(each) is type(entry) for each in method.members)
    own = method.candidates.get(name)
    return own is not None and own.model_dump(mode="json") == entry.model_dump(mode="json")


def _repairable(method: Choosing, benchmarks: Mapping[str, int]) -> set[str]:
    """The benchmarks that a method may transplant neurons for."""
    if not isinstance(method, Arm) or method.repair == "none":
        return set()
    return {*method.repair} if isinstance(method.repair, tuple) else {*benchmarks}


def _read_neurons(path: Path) -> "dict[str, Neurons]":
    from ramekin.arm.neurons import Neurons

    try:
        with safe_open(path, framework="numpy") as file:
            order = (file.metadata() or {}).get("order", "").split()
            rows = {key: file.get_tensor(key) for key in sorted(file.keys())}
    except (OSError, SafetensorError) as error:
        raise _mismatch(f"{path} cannot be read") from error
    found: dict[str, list[np.ndarray]] = {name: [] for name in order}  # that of repair, as it was written
    for key, row in rows.items():
        found.setdefault(key.rpartition(".")[0], []).append(row.astype(np.bool_).reshape(-1))
    return {name: Neurons(tuple(layers)) for name, layers in found.items()}


def _mismatch(what: str) -> DamagedError:
    return DamagedError(f"the merge cannot be derived again: {what}", "merge again, or restore the directory")

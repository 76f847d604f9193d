"""What models do on the manifest's benchmarks, without merging anything: `roles`, `compare` and `sweep-k`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ramekin.benchmarks import inspect_benchmarks, read_benchmarks
from ramekin.errors import UsageError
from ramekin.fetch import fetch_sources
from ramekin.lock.making import LockPolicy, settle_lock
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import read_manifest
from ramekin.merge.equipping import equip
from ramekin.methods import Arm, BestOf, Choosing, Method
from ramekin.methods.choices import label_of
from ramekin.methods.watched import Saliency, Shift, watched_in_words, without_the_papers
from ramekin.plan.measuring import decides_by_tasks
from ramekin.preparing import Prepared
from ramekin.room import enough_to_load
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.arm.asking import Answer, Question
    from ramekin.arm.deciding import Decision
    from ramekin.arm.reading import Inspected
    from ramekin.choice import ReportedComparison


def find_roles(bench: Workbench, path: Path, policy: LockPolicy) -> "tuple[Manifest, Inspected]":
    """Read all benchmarks as far as that can be done: of the checkpoints only the base's tokenizer is needed.

    Raises:
        UsageError: The manifest has no benchmarks.
        RamekinError: As fetching does; what is wrong with runs and roles is part of what comes back.
    """
    loaded = read_manifest(path)
    sources = bench.sources(loaded.directory)
    lock = settle_lock(loaded, sources, policy).lock
    return loaded.manifest, inspect_benchmarks(bench, loaded, lock, sources)


def compare(bench: Workbench, prepared: Prepared, device: str) -> "ReportedComparison":
    """Build every candidate of the pool in memory, and measure all that can be known of it; nothing is written.

    What comes back has what was measured, and which candidate would be chosen.

    Raises:
        UsageError: The manifest has no benchmarks.
        RamekinError: As reading benchmarks, loading models and watching them do.
    """
    method = _choosing(prepared.loaded.manifest.method)
    question, answer = _watch(bench, prepared, method, device, everything=True)
    from ramekin.arm.deciding import decide
    from ramekin.arm.reporting import report_comparison

    return report_comparison(question, decide(question, answer, method), method)


def _choosing(method: Method) -> Choosing:
    """The manifest's method if it chooses among candidates; else such a one with the method among the usual ones."""
    if isinstance(method, Choosing):
        return method
    return BestOf.model_validate({"pool": [*(BestOf().candidates | {label_of(method): method}).values()]})


@dataclass(frozen=True)
class SweptK:
    """What one `top_k` would come to.

    Attributes:
        top_k: Share of each layer's neurons that count as salient.
        overlap: Of the experts' sets, neurons in at least two as part of those in any.
        overlap_own: Mean part of a set that others have too.
        mean_aos: By candidate.
        selected: The candidate that would be chosen.
        weak: The benchmarks that would be repaired.
        transplanted: Their transplant sets, as part of all neurons.
        collisions: Neurons that several experts would give.
        split_half: By benchmark, how far two halves of the recorded runs agree on the expert's neurons; one with a
            single run is not there.
        saliency: How much a neuron does.
        shift: At which token it is watched.
    """

    top_k: float
    overlap: float
    overlap_own: float
    mean_aos: Mapping[str, float]
    selected: str
    weak: Sequence[str]
    transplanted: Mapping[str, float]
    collisions: int
    split_half: Mapping[str, float]
    saliency: Saliency = "abs"
    shift: Shift = 0

    @property
    def watched(self) -> str:
        """How neurons were watched, in words; nothing where it is the paper's way."""
        return watched_in_words(self.saliency, self.shift)

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        found = {
            "top_k": self.top_k,
            "overlap": self.overlap,
            "overlap_own": self.overlap_own,
            "mean_aos": dict(self.mean_aos),
            "selected": self.selected,
            "weak": [*self.weak],
            "transplanted": dict(self.transplanted),
            "collisions": self.collisions,
            "split_half": dict(self.split_half),
            "saliency": self.saliency,
            "shift": self.shift,
        }
        return without_the_papers(found)


def sweep_k(bench: Workbench, prepared: Prepared, values: Sequence[float], device: str) -> tuple[SweptK, ...]:
    """What several `top_k` would come to, from watching the models once.

    Raises:
        UsageError: The manifest has no benchmarks, or is not about ARM.
        RamekinError: As reading benchmarks, loading models and watching them do.
    """
    method = prepared.loaded.manifest.method
    if not isinstance(method, Arm):
        raise UsageError(f"`method.name` is `{method.name}`", f"a sweep over top_k is for `{Arm.title()}`")
    question, answer = _watch(bench, prepared, method, device)
    if decides_by_tasks(question.manifest):
        note = "weak benchmarks are told by likelihood here; a merge tells them by the tasks of `evaluate`"
        bench.terminal.note(note)
    return tuple(_swept(question, answer, method.model_copy(update={"top_k": value})) for value in values)


def _swept(question: "Question", answer: "Answer", method: Arm) -> SweptK:
    from ramekin.arm.deciding import decide
    from ramekin.arm.halving import agreements
    from ramekin.arm.metrics import cross_overlap

    decision: Decision = decide(question, answer, method)
    assert decision.choice  # noqa: S101 - ARM watches neurons
    overlap = cross_overlap(decision.choice.experts)
    return SweptK(
        top_k=method.top_k,
        overlap=float(overlap.of_union),
        overlap_own=float(overlap.mean_of_own),
        mean_aos={name: float(value) for name, value in decision.choice.selection.means.items()},
        selected=decision.selected.name,
        weak=decision.weakness.weak,
        transplanted={name: float(found.share) for name, found in decision.sets.items()},
        collisions=decision.contested,
        split_half=agreements(answer.observed.experts.halves, method.top_k),
        saliency=method.saliency,
        shift=method.shift,
    )


def _watch(
    bench: Workbench, prepared: Prepared, method: Choosing, device: str, *, everything: bool = False
) -> "tuple[Question, Answer]":
    layout = prepared.made.mergeable()
    resources, team = equip(bench, layout, device, method)
    loaded, lock = prepared.loaded, prepared.lock
    materials = read_benchmarks(bench, loaded, lock, prepared.sources, method, everything=everything)
    files = fetch_sources(lock, loaded.manifest, prepared.sources, bench.store, lambda: bench.client).files
    with enough_to_load():
        from ramekin.arm.asking import Question, Terms, ask
        from ramekin.merge.orders import Means

    terms, store = Terms.of(method, materials, everything=everything), bench.environment.measured
    question = Question(loaded.manifest, lock, layout, files, materials, terms, store, device)
    return question, ask(question, Means(resources, bench.terminal, team))

"""From what was measured to a decision: which candidate is merged, and whose neurons it gets.

arXiv 2601.07309, Algorithm 1:

    read the benchmarks -> watch experts and candidates -> choose -> see which benchmarks are weak -> transplant sets
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ramekin.arm.alignment import LEAST
from ramekin.arm.asking import Answer, Question
from ramekin.arm.choosing import AOS_NOISE, Choice, Ranked, Selected, Traces, select, settled
from ramekin.arm.measured import Measured
from ramekin.arm.neurons import Neurons, collisions
from ramekin.arm.observing import mean_of, mean_of_all
from ramekin.arm.repair import Weakness, weak_by_likelihood, weak_by_scores
from ramekin.choice import CLOSE
from ramekin.manifest.model import Manifest
from ramekin.methods import Arm, Choosing
from ramekin.methods.base import Method
from ramekin.methods.choices import Signal


@dataclass(frozen=True)
class Decision:
    """What is to be merged.

    Attributes:
        answer: What was measured.
        methods: How each candidate is merged, those that a search tried among them.
        choice: Salient sets for the method's `top_k`; None where neurons were not watched.
        selected: The candidate.
        weakness: Which benchmarks are to be repaired.
        sets: Their transplant sets, in the order of repair (Eq. 8).
        given: The same without neurons that another expert gives.
        ranked: What each signal says of the candidates.
    """

    answer: Answer
    methods: Mapping[str, Method]
    choice: Choice | None
    selected: Selected
    weakness: Weakness
    sets: Mapping[str, Neurons]
    given: Mapping[str, Neurons]
    ranked: Mapping[Signal, Ranked]

    @property
    def method(self) -> Method:
        """How the chosen candidate is merged."""
        return self.methods[self.selected.name]

    @property
    def contested(self) -> int:
        """Neurons that several experts would give."""
        return len(collisions(self.sets, self.answer.donors)) if self.sets else 0


class Judge(Protocol):
    """Has models do tasks that score benchmarks, as a manifest's `evaluate` says."""

    @property
    def benchmarks(self) -> Collection[str]:
        """Those benchmarks."""

    def scores(self, backbone: Method) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """By benchmark the scores of its expert, and of a backbone that a method makes; more is better."""


def decide(question: Question, answer: Answer, method: Choosing, judge: Judge | None = None) -> Decision:
    """Choose, and find what is to be transplanted.

    Args:
        question: What was asked.
        answer: What was measured.
        method: ARM, or another that chooses.
        judge: Measures what else is to be known of the backbone, where tasks score benchmarks.

    Raises:
        UsageError: The signal that is to decide was not measured.
    """
    top_k = float(getattr(method, "top_k", 0.1))
    choice = choose(answer, top_k)
    ranked = rank(question.manifest, answer, choice)
    selected = select(method.signals, ranked)
    methods = {**question.candidates, **(answer.tuned.tried if answer.tuned else {})}
    weakness = Weakness("none", {}, ())
    if isinstance(method, Arm):
        known = _Known(question.manifest, answer, selected.name, methods[selected.name], judge)
        weakness = _weakness(known, method)
    sets: Mapping[str, Neurons] = {}
    given: Mapping[str, Neurons] = {}
    if isinstance(method, Arm) and choice:
        sets = choice.transplants(selected.name, weakness.weak, protect=method.protect)
        given = settled(sets, answer.donors, method.collisions)
    return Decision(answer, methods, choice, selected, weakness, sets, given, ranked)


def choose(answer: Answer, top_k: float) -> Choice | None:
    """The salient sets for any `top_k`, without watching again; None where neurons were not watched."""
    observed = answer.observed
    if not observed.experts.role:
        return None
    return Traces(observed.experts.role, {name: each.role for name, each in observed.candidates.items()}).choose(top_k)


def rank(manifest: Manifest, answer: Answer, choice: Choice | None) -> dict[Signal, Ranked]:
    """What each signal says of the candidates, as far as it was measured of all of them."""
    candidates = answer.observed.candidates
    found: dict[Signal, Ranked] = {}
    if choice:
        found["aos"] = Ranked(choice.selection.means, noise=AOS_NOISE)
    if all(each.loss.keys() == answer.materials.keys() for each in candidates.values()):
        parts = {
            name: {benchmark: [-loss for loss in losses] for benchmark, losses in each.loss.items()}
            for name, each in candidates.items()
        }
        found["likelihood"] = Ranked({name: mean_of_all(by.values()) for name, by in parts.items()}, parts)
    scores = {name: scores_of(manifest, each, name) for name, each in candidates.items()}
    if all(each.keys() == answer.materials.keys() for each in scores.values()):
        measured = all(each.right.keys() == answer.materials.keys() for each in candidates.values())
        found["scores"] = Ranked(
            {name: sum(each.values()) / len(each) for name, each in scores.items()},
            {name: each.right for name, each in candidates.items()} if measured else None,
        )
    return found


def scores_of(
    manifest: Manifest, measured: Measured, name: str, benchmarks: Sequence[str] | None = None
) -> dict[str, float]:
    """Scores of a model by benchmark: measured where that is possible, else as the manifest has them.

    Args:
        manifest: The manifest.
        measured: What was measured of the model.
        name: What it is called in the manifest's scores.
        benchmarks: Which ones; all if left out.
    """
    found = {}
    for benchmark in benchmarks if benchmarks is not None else manifest.benchmarks:
        if benchmark in measured.right:
            found[benchmark] = mean_of(measured.right[benchmark])
        elif name in manifest.benchmarks[benchmark].scores:
            found[benchmark] = manifest.benchmarks[benchmark].scores[name]
    return found


def scores_of_donors(manifest: Manifest, answer: Answer) -> dict[str, float]:
    """By benchmark the score of its expert, as far as it is known."""
    found: dict[str, float] = {}
    for name, material in answer.materials.items():
        found |= scores_of(manifest, answer.observed.experts, material.donor, [name])
    return found


@dataclass(frozen=True)
class _Known:
    """What there is to tell weak benchmarks by.

    Attributes:
        manifest: The manifest.
        answer: What was measured.
        backbone: The candidate.
        method: How it is merged.
        judge: Measures it by tasks.
    """

    manifest: Manifest
    answer: Answer
    backbone: str
    method: Method
    judge: Judge | None

    def scores(self) -> tuple[dict[str, float], dict[str, float]] | None:
        """Scores of experts and backbone on every benchmark; None where not all are known.

        Those of tasks come before others, and are measured only if all are known then: it takes long.
        """
        own = scores_of(self.manifest, self.answer.observed.candidates[self.backbone], self.backbone)
        donors, wanted = scores_of_donors(self.manifest, self.answer), [*self.answer.materials]
        tasks = self.judge.benchmarks if self.judge else ()
        if any(name not in tasks and not (name in own and name in donors) for name in wanted):
            return None
        if self.judge and tasks:
            asked, answered = self.judge.scores(self.method)
            donors, own = {**donors, **asked}, {**own, **answered}
        return {name: donors[name] for name in wanted}, {name: own[name] for name in wanted}


def _weakness(known: _Known, method: Arm) -> Weakness:
    """Which benchmarks are repaired: as the manifest says, or by scores where they are known, or by likelihood."""
    answer = known.answer
    if isinstance(method.repair, tuple):
        return Weakness("list", {}, method.repair)
    if method.repair == "all":
        return Weakness("all", {}, tuple(answer.materials))
    if method.repair == "none":
        return Weakness("none", {}, ())
    if scores := known.scores():
        return weak_by_scores(*scores)
    losses = answer.observed.candidates[known.backbone].loss
    return weak_by_likelihood(
        {name: mean_of(answer.observed.experts.loss[name]) for name in answer.materials},
        {name: mean_of(losses[name]) for name in answer.materials},
    )


def warnings_of(decision: Decision) -> tuple[str, ...]:
    """What is to be known of a choice."""
    found = []
    for name, cosine in decision.answer.alignment.items():
        if cosine < LEAST:
            found.append(
                f"the neurons of `{name}` do not stand where the base's do (median cosine {cosine:.2f}): was it "
                "trained from another model?"
            )
    tuned = decision.answer.tuned
    if tuned:
        kept = decision.answer.observed.candidates
        before, after = (mean_of_all(kept[name].kept.values()) for name in (tuned.start, tuned.best))
        if after > before:
            found.append(
                f"on runs that were kept apart the tuned merge is worse than its start ({after:.3f} against "
                f"{before:.3f} nats a token): there are too few to tune by"
            )
    margin = decision.choice.selection.margin if decision.choice else None
    if margin is not None and margin < CLOSE and decision.selected.signal == "aos":
        found.append(
            f"the best two candidates are {float(margin):.4f} apart in mean AOS, which is less than what running the "
            "same model in another element type makes"
        )
    return tuple(found)

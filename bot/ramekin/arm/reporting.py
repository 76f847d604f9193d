"""A decision as the report has it."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Literal

import torch

from ramekin.arm.architecture import changed_places
from ramekin.arm.asking import Answer, Question
from ramekin.arm.deciding import Decision, scores_of, scores_of_donors, warnings_of
from ramekin.arm.halving import agreements
from ramekin.arm.metrics import CrossOverlap, cross_overlap
from ramekin.arm.neurons import chance, overlap_by_layer, salient
from ramekin.arm.observing import mean_of
from ramekin.arm.reading import Material
from ramekin.arm.roles.finding import Role, Traced
from ramekin.choice import (
    ReportedActivation,
    ReportedCalibration,
    ReportedCandidate,
    ReportedComparison,
    ReportedCrossOverlap,
    ReportedData,
    ReportedMeasures,
    ReportedSample,
    ReportedTransplant,
    ReportedTuning,
)
from ramekin.digests import json_digest
from ramekin.lock.model import PinnedSource
from ramekin.methods import Arm, Choosing
from ramekin.report import may_show

_AROUND = 240
_LONGEST_PIECE = 600
_MOST_PIECES = 24


def report_comparison(question: Question, decision: Decision, method: Choosing) -> ReportedComparison:
    """The choice among candidates."""
    answer, manifest, top_k = decision.answer, question.manifest, float(getattr(method, "top_k", 0.1))
    halves = agreements(answer.observed.experts.halves, top_k)
    templates = {material.template for material in answer.materials.values()} - {None}
    donors, likelihood = scores_of_donors(manifest, answer), answer.observed.experts.loss
    return ReportedComparison(
        signals=tuple(method.signals),
        decided_by=decision.selected.signal,
        selected=decision.selected.name,
        margin=decision.selected.margin,
        top_k=top_k,
        saliency=question.terms.measure.saliency,
        shift=question.terms.measure.shift,
        dtype=answer.dtype,
        device=answer.device,
        torch=str(torch.__version__),
        transformers=version("transformers"),
        template=min(filter(None, templates)) if len(templates) == 1 else None,
        candidates=report_candidates(question, decision),
        experts={
            name: ReportedMeasures(
                likelihood={name: mean_of(likelihood[name])} if name in likelihood else {},
                scores={name: donors[name]} if name in donors else {},
            )
            for name in answer.materials
        },
        calibration={
            name: _calibration(material, question, answer, name).model_copy(update={"split_half": halves.get(name)})
            for name, material in answer.materials.items()
        },
        tuned=_tuning(question, answer),
        samples=tuple(_samples(question, answer)),
        warnings=warnings_of(decision),
    )


def _tuning(question: Question, answer: Answer) -> ReportedTuning | None:
    """The search, with what it was worth on data that nothing was chosen by."""
    if answer.tuned is None:
        return None
    start, best = (answer.observed.candidates[name].kept for name in (answer.tuned.start, answer.tuned.best))
    return ReportedTuning(
        start=answer.tuned.start,
        tried=tuple(answer.tuned.tried),
        budget=question.terms.tune,
        kept={name: len(losses) for name, losses in start.items()},
        before={name: mean_of(losses) for name, losses in start.items()},
        after={name: mean_of(losses) for name, losses in best.items()},
    )


def report_candidates(question: Question, decision: Decision) -> dict[str, ReportedCandidate]:
    """What was measured of each candidate."""
    choice, found = decision.choice, {}
    layer_means = choice.layer_means() if choice else {}
    for name, measured in decision.answer.observed.candidates.items():
        found[name] = ReportedCandidate(
            method=decision.methods[name],
            aos={b: float(value) for b, value in choice.selection.scores[name].items()} if choice else {},
            mean_aos=float(choice.selection.means[name]) if choice else None,
            aos_layer_mean=float(layer_means[name]) if choice else None,
            likelihood={b: mean_of(losses) for b, losses in measured.loss.items()},
            scores=scores_of(question.manifest, measured, name),
            changed=decision.answer.changed.get(name),
        )
    return found


def _calibration(material: Material, question: Question, answer: Answer, name: str) -> ReportedCalibration:
    pinned, found, dev = question.lock.data[f"data:{name}:calibration"], material.role, material.dev
    warnings = found.warnings
    if not may_show(name, question.lock, samples=question.manifest.card.samples):
        # What a warning quotes behind it is from the runs.
        warnings = [warning.partition(": `")[0] for warning in warnings]
    return ReportedCalibration(
        expert=material.donor,
        role=str(question.manifest.benchmarks[name].role),
        source=pinned.source,
        commit=pinned.commit,
        file=next(iter(pinned.files)),
        on_hub=pinned.kind == "hub",
        license=pinned.card.license,
        trajectories=len(found.trajectories),
        without=found.without,
        dropped=len(found.dropped),
        twice=found.twice,
        cut=found.cut,
        tokens=found.tokens,
        role_tokens=found.role_tokens,
        violations=found.violations,
        violating=found.violating,
        dev_trajectories=len(dev.trajectories) if dev else 0,
        dev_tokens=dev.role_tokens if dev else 0,
        held_out=material.held_out,
        dev_watched=material.dev_watched,
        dev=_data(question.lock.data.get(f"data:{name}:dev")),
        template=material.template,
        data_sha256=_digest(found),
        dev_sha256=_digest(dev) if dev else None,
        scored=_scored(question, answer, name),
        warnings=tuple(warnings),
    )


def _digest(role: Role) -> str:
    """Digest of the token ids of all trajectories, in whatever order they are."""
    return json_digest(sorted(traced.digest for traced in role.trajectories))


def _data(pinned: PinnedSource | None) -> ReportedData | None:
    if pinned is None:
        return None
    return ReportedData(
        source=pinned.source, commit=pinned.commit, file=next(iter(pinned.files)), on_hub=pinned.kind == "hub"
    )


def _scored(question: Question, answer: Answer, name: str) -> Literal["measured", "given"] | None:
    """Where scores on a benchmark are from, if there are any."""
    if any(name in measured.right for measured in answer.observed.candidates.values()):
        return "measured"
    return "given" if question.manifest.benchmarks[name].scores else None


def _samples(question: Question, answer: Answer) -> Iterator[ReportedSample]:
    """A few trajectories of each benchmark, where they may be shown."""
    for name, material in answer.materials.items():
        if may_show(name, question.lock, samples=question.manifest.card.samples):
            for traced in material.role.samples:
                pieces = shortened(traced)
                yield ReportedSample(benchmark=name, trajectory=traced.name, pieces=pieces)


def shortened(traced: Traced) -> tuple[tuple[str, bool], ...]:
    """The role in a trajectory with what stands around it; the rest is left out."""
    pieces = read_alone(traced)
    found: list[tuple[str, bool]] = []
    for number, (text, inside) in enumerate(pieces[:_MOST_PIECES]):
        if inside:
            found.append((text if len(text) <= _LONGEST_PIECE else f"{text[:_LONGEST_PIECE]} […]", True))
            continue
        first, last = number == 0, number == len(pieces) - 1
        room = _AROUND if first or last else 2 * _AROUND
        if len(text) > room:
            begin, end = "" if first else text[:_AROUND], "" if last else text[-_AROUND:]
            found.append((f"{begin} […] {end}", False))
        else:
            found.append((text, False))
    if len(pieces) > _MOST_PIECES:
        found.append((" […]", False))
    return tuple(found)


def read_alone(traced: Traced) -> tuple[tuple[str, bool], ...]:
    """A trajectory's text in pieces, and whether each is in the role."""
    pieces, at = [], 0
    for start, end in traced.spans:
        pieces += [(traced.text[at:start], False), (traced.text[start:end], True)]
        at = end
    pieces.append((traced.text[at:], False))
    return tuple((text, inside) for text, inside in pieces if text)


def report_activation(decision: Decision, method: Arm) -> ReportedActivation:
    """What ARM saw and did."""
    answer, choice = decision.answer, decision.choice
    assert choice  # noqa: S101 - ARM watches neurons
    backbone = choice.candidates[decision.selected.name]
    selection, layer_means = choice.selection, choice.layer_means()
    said = {name: salient(layers, method.top_k) for name, layers in answer.observed.experts.said.items()}
    return ReportedActivation(
        top_k=method.top_k,
        chance=float(chance(method.top_k)),
        aos={g: {b: float(value) for b, value in by.items()} for g, by in selection.scores.items()},
        mean_aos={g: float(value) for g, value in selection.means.items()},
        aos_layer_mean={g: float(value) for g, value in layer_means.items()},
        per_layer={b: tuple(map(float, overlap_by_layer(backbone[b], own))) for b, own in choice.experts.items()},
        selected=decision.selected.name,
        margin=None if selection.margin is None else float(selection.margin),
        neurons=next(iter(choice.experts.values())).possible,
        overlap=_cross(cross_overlap(choice.experts)),
        overlap_agnostic=_cross(cross_overlap(said)) if said.keys() == choice.experts.keys() else None,
        rule=decision.weakness.rule,
        weak=decision.weakness.weak,
        gaps=dict(decision.weakness.gaps),
        transplanted={
            name: ReportedTransplant(
                expert=answer.donors[name],
                salient=len(choice.experts[name]),
                protected=len(choice.experts[name]) - len(found),
                neurons=len(found),
                applied=len(decision.given[name]),
                fraction=float(found.share),
                per_layer=found.per_layer,
                gap=decision.weakness.gaps.get(name),
            )
            for name, found in decision.sets.items()
        },
        collisions=decision.contested,
        weights_replaced=replaced(decision),
    )


def replaced(decision: Decision) -> int:
    """Elements of the neurons that are replaced."""
    shapes = decision.answer.shapes
    count = 0
    for neurons in decision.given.values():
        for place, indices in changed_places(decision.answer.layers, neurons):
            shape = shapes[place.tensor]
            across = shape[1 - place.axis] if len(shape) > 1 else 1
            count += len(indices) * across
    return count


def _cross(found: CrossOverlap) -> ReportedCrossOverlap:
    pairwise: dict[str, dict[str, float]] = {}
    for (one, other), value in found.pairwise.items():
        pairwise.setdefault(one, {})[other] = float(value)
    return ReportedCrossOverlap(
        of_union=float(found.of_union),
        of_own={name: float(value) for name, value in found.of_own.items()},
        pairwise=pairwise,
    )

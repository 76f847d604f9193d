"""The rows of the card's table of sources: where each model is from, and what it brought."""

from collections.abc import Mapping
from dataclasses import dataclass

from ramekin.card.numbers import factor, grouped, percent, times
from ramekin.lock.model import Lock
from ramekin.methods import Method, RamUnique
from ramekin.records import ExpertOverlap
from ramekin.report import Report


@dataclass(frozen=True)
class ShownSource:
    """A row of the table of sources.

    Attributes:
        name: `base`, or the expert's name.
        source: Repository id or path.
        commit: What it was pinned to.
        on_hub: Whether it is a repository.
        licence: As its card declares it.
        brought: What the merge has from it, in words; empty for the base.
        overlap: What it changed; None for the base.
    """

    name: str
    source: str
    commit: str
    on_hub: bool
    licence: str
    brought: str = ""
    overlap: ExpertOverlap | None = None


def shown_base(report: Report, lock: Lock) -> ShownSource:
    """The base's row."""
    pinned, base = lock.base, report.base
    return ShownSource("base", base.source, base.commit, pinned.kind == "hub", pinned.card.license_shown)


def shown_experts(report: Report, lock: Lock, method: Method) -> tuple[ShownSource, ...]:
    """The experts' rows.

    Args:
        report: What the merge did.
        lock: The pinned sources.
        method: What merged the weights.
    """
    return tuple(
        ShownSource(
            name=expert.name,
            source=expert.source,
            commit=expert.commit,
            on_hub=lock.experts[expert.name].kind == "hub",
            licence=lock.experts[expert.name].card.license_shown,
            brought=_brought(expert.name, report, method),
            overlap=report.overlap.experts[expert.name],
        )
        for expert in report.experts
    )


def _brought(name: str, report: Report, method: Method) -> str:
    overlap = report.overlap.experts[name]
    if isinstance(method, RamUnique):
        alone = percent(overlap.unique / report.overlap.elements if report.overlap.elements else 0.0)
        scale = "" if method.scale == 1 else f", times {factor(method.scale)}"
        return f"what it alone changed, {alone} of the weights{scale}" if method.expert == name else "nothing"
    if not overlap.changed:
        return "nothing: it is the base" if method.overlap == "defines" else "no change that counts"
    told = [f"changed {percent(overlap.density)} of the weights"]
    if len(report.experts) > 1:
        strengthened = overlap.factor not in {None, 1.0} and overlap.unique
        stronger = f", strengthened {times(overlap.factor or 1.0)}" if strengthened else ""
        told.append(f"{percent(overlap.unique / overlap.changed)} of these alone{stronger}")
    weight = method.parameters().get("weight")
    if isinstance(weight, Mapping):
        told.append(f"weight {weight[name]}")
    told += _neurons(name, report)
    return "; ".join([", ".join(told[:2]), *told[2:]])


def _neurons(name: str, report: Report) -> list[str]:
    """Neurons that it gave, for ARM."""
    transplanted = report.activation.transplanted.values() if report.activation else ()
    count = sum(found.applied for found in transplanted if found.expert == name)
    return [f"{grouped(count)} of its neurons"] if count else []

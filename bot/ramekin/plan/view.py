"""A plan arranged for reading: the facts that both the text and the Markdown form show, in the order they show them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.checkpoint.findings import Finding
from ramekin.checkpoint.tensors import FLOATING
from ramekin.methods.base import Value, show_value
from ramekin.plan.disk import PlannedDisk
from ramekin.plan.model import Plan
from ramekin.plan.quantities import count, duration, plural, size

HEADLINES: Final = {
    "publish": "publish the merge",
    "card": "publish the card alone",
    "nothing": "nothing to do",
    "refuse": "refused",
}


@dataclass(frozen=True)
class Group:
    """The findings of one severity about one source.

    Attributes:
        place: `base`, or the expert's name.
        findings: In the order in which they were found.
        hints: What to do about them, each once.
    """

    place: str
    findings: tuple[Finding, ...]
    hints: tuple[str, ...]


def group_findings(findings: Iterable[Finding]) -> tuple[Group, ...]:
    """Group findings by the source that they are about."""
    by_place: dict[str, list[Finding]] = {}
    for finding in findings:
        by_place.setdefault(finding.place, []).append(finding)
    return tuple(
        Group(place, tuple(found), tuple(dict.fromkeys(f.hint for f in found if f.hint)))
        for place, found in by_place.items()
    )


def method_text(plan: Plan) -> str:
    """The method with its parameters: `ram+ (epsilon 1e-05, r 0.1)`."""
    parameters = ", ".join(f"{name} {_bracketed(value)}" for name, value in plan.method.parameters.items())
    return f"{plan.method.name} ({parameters})" if parameters else plan.method.name


def _bracketed(value: Value) -> str:
    return f"({show_value(value)})" if isinstance(value, Mapping | tuple | list) else show_value(value)


def target_text(plan: Plan) -> str:
    """What the target is now, and who can see it."""
    target = plan.target
    state = {
        "absent": "will be created",
        "empty": "is empty",
        "ours": f"is at {target.head[:7]}" if target.head else "exists",
        "foreign": "was not made by ramekin",
    }[target.state]
    return f"{'private' if target.private else 'public'}, {state}"


def layout_text(plan: Plan) -> str:
    """The merged checkpoint in numbers."""
    layout = plan.layout
    if layout is None:
        return "cannot be laid out while the sources do not fit"
    types = ", ".join(
        FLOATING.get(dtype, dtype) + (f" ({number})" if len(layout.dtypes) > 1 else "")
        for dtype, number in layout.dtypes.items()
    )
    return (
        f"{plural(layout.tensors, 'tensor')}, {count(layout.elements)} elements, "
        f"{plural(layout.files, 'file')}, {size(layout.bytes)}, {types}"
    )


def cost_texts(plan: Plan) -> tuple[tuple[str, str], ...]:
    """What the merge takes, as pairs of a label and a text."""
    cost = plan.cost
    if cost is None:
        return ()
    at_hand = f", {size(cost.at_hand_bytes)} at hand" if cost.at_hand_bytes else ""
    download = (
        f"{size(cost.download_bytes)} in {plural(cost.download_files, 'file')}" if cost.download_files else "none"
    )
    return (
        *((("Mode", _mode_text(cost.disk)),) if cost.disk else ()),
        ("Download", download + at_hand),
        ("Read, write", f"{size(cost.read_bytes)}, {size(cost.write_bytes)}"),
        ("Disk, memory", f"{size(cost.disk_bytes)} free disk, {size(cost.memory_bytes)} of memory"),
        ("Time", f"about {duration(cost.seconds)} ({cost.assumptions})"),
    )


def evaluation_texts(plan: Plan) -> tuple[tuple[str, str], ...]:
    """What will be measured, and what it must reach, likewise."""
    planned = plan.evaluation
    if planned is None:
        return ()
    models = ", ".join(name.removeprefix("expert:") for name in planned.models[:-1])
    of = f"the merge, beside {models}" if models else "the merge"
    tasks = ", ".join(planned.tasks) or "what it prints"
    gate = (("Gate", f"published only if it reaches: {'; '.join(planned.gate)}"),) if planned.gate else ()
    return (("Evaluation", f"{tasks}; of {of}; by {planned.harness}"), *gate)


def _mode_text(disk: PlannedDisk) -> str:
    """The mode, why, and what the other one would take."""
    names = {"normal": "normal mode", "low-disk": "low-disk mode"}
    other, cost = ("low-disk", disk.low_disk) if disk.mode == "normal" else ("normal", disk.normal)
    taken = disk.chosen
    again = f", {size(taken.repeated_bytes)} of them a second time" if taken.repeated_bytes else ""
    return (
        f"{disk.mode}, because {disk.reason}: at most {size(taken.disk_bytes)} of disk, "
        f"{size(taken.download_bytes)} to download{again} "
        f"({names[other]}: {size(cost.disk_bytes)}, {size(cost.download_bytes)})"
    )


def licence_text(plan: Plan) -> str:
    """The licence of the result."""
    if plan.licence.problems:
        return "cannot be settled, see the problems"
    return plan.licence.licence or "unknown, so the result stays private unless the manifest names one"

"""A plan as plain text, at most 100 columns wide."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from ramekin.plan.model import Change, Plan
from ramekin.plan.quantities import size
from ramekin.plan.view import (
    HEADLINES,
    Group,
    cost_texts,
    evaluation_texts,
    group_findings,
    layout_text,
    licence_text,
    method_text,
    target_text,
)
from ramekin.text import printable

_WIDTH: Final = 100
_LABEL: Final = 14
_COMMAND: Final = re.compile(r"^(\s*)(::|##\[)")
_MOST_FINDINGS: Final = 50
"""Most findings that are shown of one source; folded names make even another model's few."""


def plan_text(plan: Plan) -> str:
    """Render a plan for a terminal or a log."""
    title = f"ramekin plan: {printable(plan.manifest, 60)}"
    lines = [title, "=" * len(title), ""]
    lines += _item("Action", f"{HEADLINES[plan.action]}: {plan.reason}")
    problems = [*_groups(group_findings(plan.errors)), *_bullets(plan.licence.problems, "licences")]
    if problems:
        lines += ["", "Problems", *problems]
    if plan.changes:
        lines += ["", "Changes against what is published", *_changes(plan.changes)]
    lines += ["", "Sources", *_sources(plan), ""]
    lines += _item("Method", method_text(plan))
    lines += _item("Output", f"{printable(plan.target.repo, 100)}, {target_text(plan)}")
    lines += _item("Weights", layout_text(plan))
    lines += _item("Licence", licence_text(plan))
    for label, text in (*evaluation_texts(plan), *cost_texts(plan)):
        lines += _item(label, printable(text, 2_000))
    if plan.notes:
        lines += ["", "Notes", *_groups(group_findings(plan.notes))]
    if plan.licence.notices:
        lines += ["", "What the licences ask for", *_bullets(plan.licence.notices)]
    lines += ["", *_item("Key", plan.key), *_item("Plan", plan.hash)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _item(label: str, text: str) -> list[str]:
    return _wrapped(text, f"{label:<{_LABEL}}", " " * _LABEL)


def _sources(plan: Plan) -> Iterator[str]:
    """A table whose columns are as wide as they need, the widest cut where the line would be too long."""
    rows = [
        (
            source.place,
            printable(source.source, 200) + (f"@{printable(source.requested, 60)}" if source.requested else ""),
            source.commit[:7],
            printable(source.license or "no licence stated", 24) + (", private" if source.private else ""),
            size(source.bytes),
        )
        for source in plan.sources
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    widths[0] = min(widths[0], 24)
    widths[1] = min(widths[1], _WIDTH - 10 - sum(widths) + widths[1])
    for source, row in zip(plan.sources, rows, strict=True):
        cells = [printable(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[4] = row[4].rjust(widths[4])
        yield "  " + "  ".join(cells)
        if source.adapter:
            yield "  " + " " * (widths[0] + 2) + source.adapter


def _groups(groups: Iterable[Group]) -> Iterator[str]:
    for group in groups:
        yield f"  {group.place}"
        for finding in group.findings[:_MOST_FINDINGS]:
            # The mark keeps a name from a source from being the first thing on a line.
            yield from _wrapped(f"{finding.subject}: {finding.what}", "    - ", "      ")
        left = len(group.findings) - _MOST_FINDINGS
        if left > 0:
            yield f"    - {left:,} more, listed by --format json"
        for hint in group.hints:
            yield from _wrapped(hint, "    > ", "      ")


def _bullets(texts: Iterable[str], place: str | None = None) -> Iterator[str]:
    for number, text in enumerate(texts):
        if place and not number:
            yield f"  {place}"
        yield from _wrapped(printable(text, 1_000), "    - " if place else "  - ", "      " if place else "    ")


def _changes(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        old, new = (printable(value, 200) if value is not None else "(none)" for value in (change.old, change.new))
        yield from _wrapped(f"{printable(change.subject, 80)}: {old} -> {new}", "  - ", "    ")


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """Wrap a text; no line of it begins with what a workflow runner would take for a command."""
    lines = textwrap.wrap(
        text, _WIDTH - 1, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, drop_whitespace=True
    )
    return [_COMMAND.sub(r"\1\\\2", line) for line in lines]

"""Two merges side by side as plain text, at most 100 columns wide.

What differs has a mark before it: `~` for another value, `+` for what only the second has, `-` for what only the first
has. What is the same is counted, or stands without a mark where it is what the rest is read against.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ramekin.diff.comparing import Difference, Row, SourceRow
from ramekin.diff.sides import Side
from ramekin.diff.tables import WIDTH, Column, bar, columns, mark
from ramekin.methods.base import show_value
from ramekin.plan.quantities import count, plural, size
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.diff.weights import WeightDifference

_SHORT: Final = 12
_MOST_NAMES: Final = 10
_MOST_ROWS: Final = 40
_WEIGHTS: Final = ".safetensors"
_ABSENT: Final = "-"
_TITLES: Final = {
    "method": "Method",
    "output": "Output",
    "statistics": "Statistics",
    "patterns": "Who changed what, as parts of all elements",
    "scores": "Scores of the merge",
    "choice": "Choice among candidates",
    "transplants": "Transplanted neurons",
}


def difference_text(difference: Difference) -> str:
    """Render a comparison for a terminal or a log."""
    a, b = difference.a, difference.b
    lines = [*_head(a, b), "", *_sources(difference)]
    for name, title in _TITLES.items():
        lines += _table(title, difference.tables.get(name, ()))
    lines += _files(difference.files)
    lines += _weights(difference)
    return "\n".join(line.rstrip() for line in lines)


def _head(a: Side, b: Side) -> Iterator[str]:
    rows = [(label, _name(side), side.kind, _method(side)) for label, side in (("A", a), ("B", b))]
    yield from columns(rows, (Column(), Column(most=50), Column(), Column(most=28)))
    yield ""
    if a.key == b.key:
        yield f"A, B  {a.key}  one merge"
    else:
        yield from (f"A  {a.key}", f"B  {b.key}")


def _name(side: Side) -> str:
    """What it is called, a repository with the beginning of its commit."""
    repo, at, commit = side.name.rpartition("@")
    return f"{repo}@{commit[:_SHORT]}" if at and side.kind == "repository" else side.name


def _method(side: Side) -> str:
    return f"{side.report.method.name}, ramekin {printable(side.report.ramekin, 12)}" if side.report else ""


def _sources(difference: Difference) -> Iterator[str]:
    moved = sum(row.differs for row in difference.sources)
    yield f"Sources: {_of(moved, len(difference.sources), 'differ')}"
    rows = [_source(row) for row in difference.sources]
    shown = columns(rows, (Column(most=20), Column(most=40), Column(most=18), Column(most=14)))
    for row, line in zip(difference.sources, shown, strict=True):
        yield f"{mark(row.a, row.b, differs=row.differs)} {line}"
        yield from _details(row)


def _source(row: SourceRow) -> tuple[str, str, str, str]:
    """Role, name, commit and licence as they are on the second side, if it has the source."""
    old, new = row.a or row.b, row.b or row.a
    assert old  # noqa: S101 - a row is of a source that at least one of the two has
    assert new  # noqa: S101
    commits = [printable(each.commit[:7], 7) for each in (old, new)]
    return row.role, new.source, " -> ".join(dict.fromkeys(commits)), new.license or "no licence"


def _details(row: SourceRow) -> Iterator[str]:
    """What there is no column for."""
    if row.a and row.b:
        if row.a.source != row.b.source:
            yield f"    in A: {printable(row.a.source, 90)}"
        if row.a.license != row.b.license:
            old, new = (printable(each.license or "no licence", 38) for each in (row.a, row.b))
            yield f"    licence: {old} -> {new}"
        if row.url:
            yield f"    {row.url}"  # not cut: it is there to be clicked


def _table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    """Everything of one kind: what is said in words, where it differs, then numbers."""
    if not rows:
        return
    yield from ("", f"{title}: {_of(sum(row.differs for row in rows), len(rows), 'differ')}")
    yield from _words([row for row in rows if not row.form and row.differs])
    figures = [row for row in rows if row.form]
    if any(row.differs for row in figures):
        yield from _figures(figures)


def _words(changed: Sequence[Row]) -> Iterator[str]:
    cells = [(printable(f"{row.subject} {row.name}".strip(), 30), _value(row.a), _value(row.b)) for row in changed]
    width = max((len(cell[0]) for cell in cells), default=0)
    for row, (subject, old, new) in zip(changed, cells, strict=True):
        label = f"{mark(row.a, row.b, differs=True)} {subject:<{width}}  "
        yield from textwrap.wrap(f"{old} -> {new}", WIDTH, initial_indent=label, subsequent_indent=" " * len(label))


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    """A table of numbers with their change; those that are the same are what the rest is read against."""
    named = any(row.name for row in rows)
    heads = ("", *(("",) if named else ()), "A", "B", "B - A", "")
    cells = [heads]
    before = None
    for row in rows:
        subject = "" if named and row.subject == before else row.subject
        before = row.subject
        name = (row.name,) if named else ()
        cells.append((subject, *name, _number(row.a, row.form), _number(row.b, row.form), _change(row), _verdict(row)))
    shown = cells[: _MOST_ROWS + 1]
    names = (Column(most=20), Column(most=14)) if named else (Column(most=36),)
    widths = (*names, *(Column(right=True, most=16),) * 3, Column())
    for number, line in enumerate(columns(shown, widths)):
        row = rows[number - 1]
        yield f"  {line}" if number == 0 else f"{mark(row.a, row.b, differs=row.differs)} {line}"
    yield from _rest(len(rows))


def _rest(number: int) -> Iterator[str]:
    if number > _MOST_ROWS:
        yield f"  and {number - _MOST_ROWS:,} more, listed by --json"


def _change(row: Row) -> str:
    if not row.differs or row.change is None:
        return ""
    if row.form.endswith("%"):  # of percent, a difference is told in points
        return f"{100 * row.change:+.{row.form[1:-1]}f} pp"
    return f"{row.change:+{row.form}}"


def _verdict(row: Row) -> str:
    if not row.better or not row.change:
        return ""
    return "better" if row.change * row.better > 0 else "worse"


def _files(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    changed = [row for row in rows if row.differs]
    yield from ("", f"Files: {_of(len(changed), len(rows), 'differ')}")
    cells = [(row.subject, *(_record(each) for each in (row.a, row.b))) for row in changed[:_MOST_ROWS]]
    for row, line in zip(changed, columns(cells, (Column(most=44), *(Column(right=True, most=24),) * 2)), strict=False):
        yield f"{mark(row.a, row.b, differs=True)} {line}"
    yield from _rest(len(changed))


def _record(record: dict[str, Any] | None) -> str:
    return f"{size(record['size'])}  {record['sha256'][:_SHORT]}" if record else _ABSENT


def _weights(difference: Difference) -> Iterator[str]:
    if difference.weights:
        yield from _compared(difference.weights)
        return
    if not (difference.a.report and difference.b.report):
        return
    if difference.layers:
        yield from _table("Elements that any expert changed, by layer", difference.layers)
    if difference.why_not and any(row.differs for row in difference.files if row.subject.endswith(_WEIGHTS)):
        yield from ("", f"Weights: not compared; {difference.why_not}")
    elif difference.why_not:
        yield from ("", "Weights: the same, by the digests in the reports")


def _compared(weights: "WeightDifference") -> Iterator[str]:
    how = "" if weights.same_type else ", by value: the element types differ"
    part = weights.differing / weights.elements if weights.elements else 0.0
    yield from ("", f"Weights: {weights.differing:,} of {weights.elements:,} elements differ ({part:.3%}){how}")
    if weights.differing:
        yield from _parts("layer", weights.by_layer(), lambda layer: "in no layer" if layer is None else str(layer))
        yield from _parts("module", weights.by_module(), lambda module: printable(module, 40))
    lists = (("-", "only in A", weights.only_a), ("+", "only in B", weights.only_b), ("~", "unlike", weights.unlike))
    for sign, what, names in lists:
        yield from _names(sign, f"{plural(len(names), 'tensor')} {what}", names)


def _parts(title: str, sums: dict[Any, tuple[int, int]], name: Callable[[Any], str]) -> Iterator[str]:
    """Elements that differ by layer or by module, with bars that show the parts of each."""
    most = max(differing / elements if elements else 0.0 for elements, differing in sums.values())
    rows = [(title, "elements", "differ", "", "")]
    for each, (elements, differing) in sums.items():
        part = differing / elements if elements else 0.0
        rows.append((name(each), f"{elements:,}", f"{differing:,}", f"{part:.3%}", bar(part, most)))
    yield ""
    for line in columns(rows, (Column(most=40), *(Column(right=True),) * 3, Column())):
        yield f"  {line}"


def _names(sign: str, what: str, names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    yield from ("", f"  {what}")
    yield from (f"{sign} {printable(name, 90)}" for name in names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        yield f"  and {count(len(names) - _MOST_NAMES)} more, listed by --json"


def _of(part: int, whole: int, what: str) -> str:
    """`2 of 4 differ`, or that all are the same."""
    if part:
        return f"{part} of {whole} {what}"
    return f"all {whole} the same" if whole > 1 else "the same"


def _number(value: object, form: str) -> str:
    if value is None:
        return _ABSENT
    return format(value, form) if form and isinstance(value, int | float) else printable(value, 22)


def _value(value: Any) -> str:
    if value is None:
        return _ABSENT
    return printable(show_value(tuple(value) if isinstance(value, list) else value), 200)

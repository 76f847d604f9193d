"""The layout of the overlap plot: an UpSet plot, bars over a matrix of which experts they belong to.

Lex et al., "UpSet: Visualization of Intersecting Sets", 2014. Lengths are in user units of the SVG, about a pixel where
the plot is shown at its own size.
"""

from dataclasses import dataclass
from typing import Final

from ramekin.card.lettering import fitted, listed
from ramekin.card.numbers import percent, rough_percent, short
from ramekin.card.patterns import MOST_SHOWN, Pattern, Patterns
from ramekin.markdown import plain
from ramekin.report import Report

_MARGIN: Final = 20
_NAMES: Final = 224
_HEADER: Final = 92
_BARS: Final = 170
_LABELS: Final = 34
_ROW: Final = 34
_LEAST_WIDTH: Final = 780
_LONGEST_NAME: Final = 24
_NAME_WIDTH: Final = 108
_LEAST_VISIBLE: Final = 1.5
_ROOMY: Final = 50


@dataclass(frozen=True)
class Column:
    """One pattern: its bar, and its dots from the first to the last expert.

    Attributes:
        x: Middle.
        y: Upper end of the bar.
        height: Height of the bar.
        count: Label, how many elements.
        share: Label, share in what anybody changed.
        alone: Whether one expert alone made these changes.
        title: All of that as a sentence.
        dots: Per expert the height of the middle of its row, and whether it is one of them.
        line: Heights of the first and the last of them; None if there is but one.
    """

    x: float
    y: float
    height: float
    count: str
    share: str
    alone: bool
    title: str
    dots: tuple[tuple[float, bool], ...]
    line: tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """One expert: its name, how much it changed, and a bar as long as that.

    Attributes:
        y: Middle.
        name: Its name, shortened.
        label: Count and density.
        length: Length of the bar.
        striped: Whether the row has a background.
    """

    y: float
    name: str
    label: str
    length: float
    striped: bool


@dataclass(frozen=True)
class OverlapPlot:
    """Everything that the template draws, as numbers and words."""

    width: int
    height: int
    margin: int
    left: int
    right: int
    names_width: int
    baseline: int
    bar_width: int
    small: bool
    row_height: int
    title: str
    subtitle: str
    footer: str
    description: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def lay_out_overlap(report: Report, patterns: Patterns) -> OverlapPlot:
    """Place everything.

    Args:
        report: The report, for names and totals.
        patterns: Its patterns, sorted.
    """
    step = _step(len(patterns.shown))
    left = _MARGIN + _NAMES
    width = max(_LEAST_WIDTH, left + step * len(patterns.shown) + _MARGIN)
    baseline = _HEADER + _LABELS + _BARS
    rows = _rows(report, baseline)
    footer = _footer(patterns)
    return OverlapPlot(
        width=width,
        height=round(baseline + 14 + _ROW * len(rows) + (34 if footer else 14)),
        margin=_MARGIN,
        left=left,
        right=width - _MARGIN,
        names_width=_NAMES - 24,
        baseline=baseline,
        bar_width=min(40, step - 10),
        small=step < _ROOMY,
        row_height=_ROW,
        title="Which experts changed which weights",
        subtitle=_subtitle(patterns),
        footer=footer,
        description=describe_overlap(patterns),
        columns=_columns(patterns, rows, baseline, left, step),
        rows=rows,
    )


def describe_overlap(patterns: Patterns, most: int = 3) -> str:
    """The plot in words: what it shows and its largest bars."""
    largest = [pattern for pattern in patterns.shown if pattern.count][:most]
    parts = "; ".join(f"{_who(pattern)} {percent(pattern.share_of_changed)}" for pattern in largest)
    told = f"The largest: {parts}." if parts else "There is none."
    return f"Bars for the weights that each combination of experts changed, in percent of all changed ones. {told}"


def _who(pattern: Pattern) -> str:
    names = [plain(name, _LONGEST_NAME) for name in pattern.names]
    return f"{names[0]} alone" if len(names) == 1 else listed(names)


def _step(columns: int) -> int:
    """Distance of two columns: as wide as fits a card with few, and legible when scaled down with many."""
    return 76 if columns <= 7 else 52 if columns <= 10 else 44


def _subtitle(patterns: Patterns) -> str:
    if not patterns.changed:
        return f"{short(patterns.elements)} weights, and no expert changed any of them"
    return (
        f"{short(patterns.changed)} of {short(patterns.elements)} weights were changed by at least one expert "
        f"({percent(patterns.of_all(patterns.changed))})"
    )


def _footer(patterns: Patterns) -> str:
    if not patterns.left_out:
        return ""
    combinations = "combination" if patterns.left_out == 1 else "combinations"
    return (
        f"The {MOST_SHOWN} largest are shown. {patterns.left_out:,} more {combinations} "
        f"with {short(patterns.left_out_count)} weights "
        f"({percent(patterns.of_changed(patterns.left_out_count))} of the changed ones) are left out."
    )


def _rows(report: Report, baseline: float) -> tuple[Row, ...]:
    overlaps = [(expert.name, report.overlap.experts[expert.name]) for expert in report.experts]
    longest = max((overlap.changed for _, overlap in overlaps), default=0) or 1
    return tuple(
        Row(
            y=baseline + 14 + _ROW * (place + 0.5),
            name=fitted(name, _NAME_WIDTH, _LONGEST_NAME),
            label=f"{short(overlap.changed)} · {percent(overlap.density)}",
            length=round((_NAMES - 24) * overlap.changed / longest, 1),
            striped=place % 2 == 0,
        )
        for place, (name, overlap) in enumerate(overlaps)
    )


def _columns(patterns: Patterns, rows: tuple[Row, ...], baseline: float, left: float, step: int) -> tuple[Column, ...]:
    highest = max((pattern.count for pattern in patterns.shown), default=0) or 1
    return tuple(
        _column(
            pattern, rows, left + step * (place + 0.5), baseline, _BARS * pattern.count / highest, roomy=step >= _ROOMY
        )
        for place, pattern in enumerate(patterns.shown)
    )


def _column(pattern: Pattern, rows: tuple[Row, ...], x: float, baseline: float, exact: float, *, roomy: bool) -> Column:
    height = round(max(exact, _LEAST_VISIBLE) if pattern.count else 0.0, 1)
    dots = tuple((row.y, mark == "1") for row, mark in zip(rows, pattern.code, strict=True))
    marked = [y for y, is_marked in dots if is_marked]
    return Column(
        x=x,
        y=round(baseline - height, 1),
        height=height,
        count=short(pattern.count),
        share=percent(pattern.share_of_changed) if roomy else rough_percent(pattern.share_of_changed),
        alone=len(marked) == 1,
        title=f"{_who(pattern)}: {pattern.count:,} weights, {percent(pattern.share_of_changed)} of the changed ones",
        dots=dots,
        line=(marked[0], marked[-1]) if len(marked) > 1 else None,
    )

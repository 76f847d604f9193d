"""The layout of the density plot: how much of the model each expert changed, how much of that alone, and RAM's factor.

The factor is lambda of Eq. 6 and 8 of arXiv 2601.13572: what the expert alone changed is multiplied by it.
"""

from dataclasses import dataclass
from typing import Final

from ramekin.card.axes import Tick, steps_to
from ramekin.card.lettering import fitted
from ramekin.card.numbers import decimal, factor, percent, short, times
from ramekin.markdown import plain
from ramekin.records import ExpertOverlap
from ramekin.report import Report

_MARGIN: Final = 20
_NAMES: Final = 150
_BARS: Final = 290
_LABEL: Final = 66
_FACTORS: Final = 130
_FACTOR_LABEL: Final = 64
_TOP: Final = 118
_ROW: Final = 34
_LEAST_VISIBLE: Final = 1.0


@dataclass(frozen=True)
class DensityRow:
    """One expert.

    Attributes:
        y: Middle.
        name: Its name, shortened.
        alone: Length of what it alone changed.
        shared: Length of what others changed too.
        label: Share of the model that it changed.
        factor: Place of the factor on its axis; None without one.
        factor_label: The factor.
        striped: Whether the row has a background.
        title: All of that as a sentence.
    """

    y: float
    name: str
    alone: float
    shared: float
    label: str
    factor: float | None
    factor_label: str
    striped: bool
    title: str


@dataclass(frozen=True)
class DensityPlot:
    """Everything that the template draws, as numbers and words.

    Attributes:
        left: Where bars begin.
        end: Where their axis ends.
        origin: Where the axis of factors begins, which is 1; None without factors.
    """

    width: int
    height: int
    margin: int
    left: int
    end: int
    top: int
    bottom: int
    right: int
    row_height: int
    title: str
    subtitle: str
    description: str
    ticks: tuple[Tick, ...]
    rows: tuple[DensityRow, ...]
    origin: int | None


def has_density(report: Report) -> bool:
    """Whether the plot says anything: more than one expert, or a factor, and any change."""
    overlaps = report.overlap.experts.values()
    return any(each.changed for each in overlaps) and (len(overlaps) > 1 or rescaled(report))


def rescaled(report: Report) -> bool:
    """Whether any expert's changes were multiplied by something else than 1."""
    return any(each.factor not in {None, 1.0} for each in report.overlap.experts.values())


def lay_out_density(report: Report) -> DensityPlot:
    """Place everything.

    Args:
        report: With at least one expert that changed something.
    """
    experts = [(expert.name, report.overlap.experts[expert.name]) for expert in report.experts]
    steps = steps_to(max(100 * overlap.density for _, overlap in experts))
    left = _MARGIN + _NAMES
    end = left + _BARS
    scaled = rescaled(report)
    origin = end + _LABEL + 24 if scaled else None
    right = origin + _FACTORS + _FACTOR_LABEL if origin else end + _LABEL
    bottom = _TOP + _ROW * len(experts)
    furthest = max(((overlap.factor or 1.0) - 1 for _, overlap in experts), default=0.0) or 1.0
    rows = []
    for place, (name, overlap) in enumerate(experts):
        share = (overlap.factor or 1.0) - 1
        rows.append(
            DensityRow(
                y=_TOP + _ROW * (place + 0.5),
                name=fitted(name, _NAMES - 14),
                alone=_length(overlap.unique, report, steps[-1]),
                shared=_length(overlap.shared, report, steps[-1]),
                label=percent(overlap.density),
                factor=round(origin + _FACTORS * share / furthest, 1) if origin else None,
                factor_label=times(overlap.factor or 1.0),
                striped=place % 2 == 0,
                title=_sentence(name, overlap),
            )
        )
    return DensityPlot(
        width=right + _MARGIN,
        height=bottom + 20,
        margin=_MARGIN,
        left=left,
        end=end,
        top=_TOP,
        bottom=bottom,
        right=right,
        row_height=_ROW,
        title="How much each expert changed, and how much of it alone",
        subtitle=f"in percent of all {short(report.overlap.elements)} weights",
        description=describe_density(report),
        ticks=tuple(Tick(round(left + _BARS * step / steps[-1], 1), f"{step:g} %") for step in steps),
        rows=tuple(rows),
        origin=origin,
    )


def describe_density(report: Report, most: int = 8) -> str:
    """The plot in words: every expert's numbers."""
    experts = report.experts[:most]
    parts = "; ".join(_sentence(expert.name, report.overlap.experts[expert.name]) for expert in experts)
    more = f"; and {len(report.experts) - most} more" if len(report.experts) > most else ""
    return f"Bars for the part of the model that each expert changed, alone and with others. {parts}{more}."


def _sentence(name: str, overlap: ExpertOverlap) -> str:
    alone = overlap.unique / overlap.changed if overlap.changed else 0.0
    told = f"{plain(name, 64)} {percent(overlap.density)}, {percent(alone)} of that alone"
    if overlap.factor is None:
        return told
    rho = "infinite" if overlap.rho is None else decimal(overlap.rho, 3)
    return f"{told}, rho {rho}, lambda {factor(overlap.factor)}"


def _length(count: int, report: Report, most: float) -> float:
    exact = _BARS * 100 * count / (report.overlap.elements or 1) / most
    return round(max(exact, _LEAST_VISIBLE) if count else 0.0, 1)

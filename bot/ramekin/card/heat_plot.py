"""The layout of the heat map: activation-overlap scores of candidates on benchmarks (arXiv 2601.07309, Eq. 4 and 5)."""

from dataclasses import dataclass
from typing import Final

from ramekin.card.contest import Contest, Entry, kept, label
from ramekin.card.lettering import fitted
from ramekin.card.numbers import decimal
from ramekin.markdown import plain
from ramekin.plan.quantities import plural

_MARGIN: Final = 20
_NAMES: Final = 214
_TOP: Final = 72
_ROW: Final = 32
_GAP: Final = 14
_MEAN: Final = 76
_TAG: Final = 62
_LEAST_WIDTH: Final = 720
_MOST_ROWS: Final = 24
_MOST_COLUMNS: Final = 12
_FEW: Final = 6
_PALEST: Final = 0.05
_DEEPEST: Final = 0.75
_LEAST_SPAN: Final = 0.05
"""Smaller differences do not get the whole range of colours: they mean too little."""

_STEPS: Final = 6


@dataclass(frozen=True)
class Cell:
    """One score.

    Attributes:
        x: Left end.
        width: Its width.
        label: The score.
        depth: Opacity of its colour.
        best: Whether no other candidate has more.
        title: All of that as a sentence.
    """

    x: float
    width: float
    label: str
    depth: float
    best: bool
    title: str


@dataclass(frozen=True)
class HeatRow:
    """One candidate: its middle, its name, its scores with the mean last, and whether it was taken."""

    y: float
    name: str
    cells: tuple[Cell, ...]
    chosen: bool


@dataclass(frozen=True)
class HeatColumn:
    """The head of a column: its middle, and a name."""

    x: float
    name: str


@dataclass(frozen=True)
class HeatPlot:
    """Everything that the template draws, as numbers and words."""

    width: int
    height: int
    margin: int
    right: int
    header: int
    slanted: bool
    row_height: int
    title: str
    subtitle: str
    footer: str
    description: str
    columns: tuple[HeatColumn, ...]
    rows: tuple[HeatRow, ...]
    scale: tuple[tuple[float, float], ...]
    scale_y: int
    lowest: str
    highest: str
    chance: str


def lay_out_heat(contest: Contest) -> HeatPlot:
    """Place everything.

    Args:
        contest: With scores of all candidates on all benchmarks.
    """
    ranked = contest.ranked("aos")
    shown, benchmarks = kept(ranked, _MOST_ROWS), contest.benchmarks[:_MOST_COLUMNS]
    slanted = len(benchmarks) > _FEW
    cell = 58 if slanted else max(72, min(96, 384 // len(benchmarks)))
    left = _MARGIN + _NAMES
    edges = [left + cell * place for place in range(len(benchmarks))]
    mean = left + cell * len(benchmarks) + _GAP
    header = _TOP + (104 if slanted else 26)
    width = max(_LEAST_WIDTH, mean + _MEAN + _TAG + _MARGIN)
    shades = _Shades.of(contest)
    bottom = header + _ROW * len(shown)
    left_out = _left_out(contest, len(shown), len(benchmarks))
    return HeatPlot(
        width=width,
        height=bottom + (74 if left_out else 50),
        margin=_MARGIN,
        right=width - _MARGIN,
        header=header,
        slanted=slanted,
        row_height=_ROW,
        title="Which candidate's neurons do what the experts' do",
        subtitle="Activation-overlap score (AOS): neurons that matter both to the candidate and to the expert",
        footer=left_out,
        description=describe_heat(contest),
        columns=(
            *(
                HeatColumn(edge + cell / 2, fitted(name, 116 if slanted else cell - 6))
                for edge, name in zip(edges, benchmarks, strict=True)
            ),
            HeatColumn(mean + _MEAN / 2, "mean"),
        ),
        rows=tuple(
            HeatRow(
                y=header + _ROW * (place + 0.5),
                name=label(entry, _NAMES - 10),
                cells=_cells(
                    entry, contest, [(name, x, cell) for name, x in zip(benchmarks, edges, strict=True)], mean, shades
                ),
                chosen=entry.chosen,
            )
            for place, entry in enumerate(shown)
        ),
        scale=tuple((left + 22.0 * n, shades.step(n / (_STEPS - 1))) for n in range(_STEPS)),
        scale_y=bottom + 18,
        lowest=decimal(shades.lowest, 2),
        highest=decimal(shades.highest, 2),
        chance=f"by chance: {decimal(contest.chance, 3)}",
    )


def describe_heat(contest: Contest) -> str:
    """The plot in words: what it shows, its range, and who has most."""
    ranked = contest.ranked("aos")
    best, winner, shades = ranked[0], contest.winner, _Shades.of(contest)
    told = (
        f"A heat map of the activation-overlap scores of {plural(len(ranked), 'candidate')} on "
        f"{plural(len(contest.benchmarks), 'benchmark')}, {decimal(shades.least, 3)} to {decimal(shades.most, 3)}. "
        f"{plain(best.name, 80)} has the highest mean, {decimal(best.aos or 0.0)}"
    )
    if best.chosen:
        told += ", and was chosen"
        told += f"; next is {plain(ranked[1].name, 80)}, {decimal(ranked[1].aos or 0.0)}" if len(ranked) > 1 else ""
    else:
        told += f"; {plain(winner.name, 80)} was chosen, {decimal(winner.aos or 0.0)}"
    return f"{told}. Sets drawn at random would have about {decimal(contest.chance, 3)}."


@dataclass(frozen=True)
class _Shades:
    """Which score has which colour: palest is the lowest of all that are there, deepest the highest.

    Attributes:
        least: Lowest score.
        most: Highest score.
    """

    least: float
    most: float

    @classmethod
    def of(cls, contest: Contest) -> "_Shades":
        values = [value for entry in contest.entries for value in entry.found.aos.values()]
        return cls(min(values), max(values))

    @property
    def lowest(self) -> float:
        return max(0.0, min(self.least, self.most - _LEAST_SPAN))

    @property
    def highest(self) -> float:
        return max(self.most, self.lowest + _LEAST_SPAN)

    def of_value(self, value: float) -> float:
        return self.step((value - self.lowest) / (self.highest - self.lowest))

    @staticmethod
    def step(share: float) -> float:
        return round(_PALEST + (_DEEPEST - _PALEST) * min(1.0, max(0.0, share)), 3)


def _cells(
    entry: Entry, contest: Contest, columns: list[tuple[str, int, int]], mean: int, shades: _Shades
) -> tuple[Cell, ...]:
    name = plain(entry.name, 80)
    cells = []
    for benchmark, x, width in columns:
        value = entry.found.aos[benchmark]
        best = value >= max(other.found.aos[benchmark] for other in contest.entries)
        title = f"{name} on {plain(benchmark, 64)}: {decimal(value)}"
        cells.append(Cell(x, width, decimal(value, 3), shades.of_value(value), best, title))
    value = entry.aos or 0.0
    best = value >= max(other.aos or 0.0 for other in contest.entries)
    cells.append(Cell(mean, _MEAN, decimal(value), shades.of_value(value), best, f"{name}, mean: {decimal(value)}"))
    return tuple(cells)


def _left_out(contest: Contest, rows: int, columns: int) -> str:
    """What there was no room for."""
    candidates, benchmarks = len(contest.entries) - rows, len(contest.benchmarks) - columns
    parts = [plural(n, what) for n, what in ((candidates, "candidate"), (benchmarks, "benchmark")) if n > 0]
    return f"And {' and '.join(parts)} more; the mean is over all benchmarks." if parts else ""

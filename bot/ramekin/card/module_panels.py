"""The panels of the heat map by layer and kind of module: their cells, and which share has which colour.

Equal cells beside each other are one stroke, so that a model of a hundred layers is a small file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ramekin.card.axes import Tick, layer_ticks
from ramekin.card.lettering import fitted
from ramekin.card.numbers import percent
from ramekin.records import ModuleOverlap

Value = Callable[[ModuleOverlap, int], float | None]
"""The share that a cell shows: of a module, at a place among its layers; None where there is nothing to share."""

LEVELS: Final = 8
ROW: Final = 14
TICKS: Final = 22
NAMES: Final = 158

_APART: Final = 8
"""Cells at least as wide as this have a line of ground between them."""

_SMALL_TYPE: Final = 1.2
"""Names are written in smaller type than they are measured in."""


@dataclass(frozen=True)
class Stroke:
    """Cells of one colour in a row.

    Attributes:
        y: Middle.
        level: Number of the colour; 0 for what nothing was changed of.
        path: The cells, from left to right.
    """

    y: float
    level: int
    path: str


@dataclass(frozen=True)
class Single:
    """A module that is in no layer: its cell, and its share in words beside it."""

    x: float
    y: float
    level: int
    label: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        x: Left end of its cells.
        y: Upper end of its cells.
        title: Whose it is.
        several: Whether it is about what several changed.
        strokes: Its cells.
        singles: Its modules that are in no layer.
        ticks: Numbers of layers.
        ticks_y: Where these stand.
        names: Middles and names of its rows; empty where the panel to the left has them.
    """

    x: float
    y: float
    title: str
    several: bool
    strokes: tuple[Stroke, ...]
    singles: tuple[Single, ...]
    ticks: tuple[Tick, ...]
    ticks_y: float
    names: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Scale:
    """Which share has which colour.

    Attributes:
        low: Where the palest begins.
        high: Where the deepest ends.
        curve: Exponent: below 1, small shares are told apart better than large ones.
    """

    low: float
    high: float
    curve: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Scale":
        """A scale for the shares that are there: from 0, unless all of them are far from it and near to each other."""
        known = [value for value in values if value]
        if not known:
            return cls(0.0, 1.0, 1.0)
        low, high = min(known), max(known)
        if low < 0.6 * high:
            return cls(0.0, high, 0.6)
        middle = (low + high) / 2
        return cls(min(low, 0.95 * middle), max(high, 1.05 * middle), 1.0)

    def level(self, value: float) -> int:
        """Number of the colour; 0 for nothing at all."""
        if not value:
            return 0
        place = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return min(LEVELS, 1 + int(LEVELS * place**self.curve))

    def bound(self, level: int) -> float:
        """Where a colour begins, and the one before it ends."""
        share: float = (level / LEVELS) ** (1 / self.curve)
        return self.low + (self.high - self.low) * share


@dataclass(frozen=True)
class Grid:
    """Places of rows and columns.

    Attributes:
        modules: Those that are shown, by name, in order.
        layers: All layers, ascending.
        cell: Width of a layer.
    """

    modules: Mapping[str, ModuleOverlap]
    layers: tuple[int, ...]
    cell: int

    @property
    def inside(self) -> int:
        """Rows of modules that are in layers."""
        return sum(module.layers != (None,) for module in self.modules.values())

    def middle(self, row: int) -> float:
        """Of a row, from the upper end of the panel."""
        return ROW * (row + 0.5) + (TICKS if self.inside and row >= self.inside else 0)

    @property
    def height(self) -> int:
        """Of all rows."""
        return ROW * len(self.modules) + (TICKS if self.inside else 0)


def lay_out_panel(
    place: tuple[float, float], title: str, shown: tuple[Value, Scale, bool], grid: Grid, *, named: bool
) -> Panel:
    """Place one panel.

    Args:
        place: Left and upper end of its cells.
        title: Whose it is.
        shown: Its shares, their scale, and whether they are of what several changed.
        grid: Rows and columns.
        named: Whether its rows are named.
    """
    (x, y), (value, scale, several) = place, shown
    strokes: list[Stroke] = []
    singles: list[Single] = []
    for row, module in enumerate(grid.modules.values()):
        middle = y + grid.middle(row)
        found = {layer: value(module, n) for n, layer in enumerate(module.layers)}
        if module.layers == (None,):
            share = found[None]
            label = percent(share) if share is not None else "nothing changed"
            singles.append(Single(x, middle, scale.level(share or 0.0), label))
        else:
            levels = [None if (share := found.get(layer)) is None else scale.level(share) for layer in grid.layers]
            strokes += [Stroke(middle, level, path) for level, path in _paths(levels, x, middle, grid.cell)]
    names = enumerate(grid.modules) if named else ()
    return Panel(
        x=x,
        y=y,
        title=title if several else fitted(title, 280),
        several=several,
        strokes=tuple(strokes),
        singles=tuple(singles),
        ticks=_ticks(grid, x),
        ticks_y=y + ROW * grid.inside + 13,
        names=tuple((y + grid.middle(row), fitted(name, (NAMES - 8) * _SMALL_TYPE)) for row, name in names),
    )


def _ticks(grid: Grid, x: float) -> tuple[Tick, ...]:
    """Numbers below columns, which need not begin at 0."""
    ticks = layer_ticks(len(grid.layers), x, grid.cell * len(grid.layers))
    if grid.layers and grid.layers[-1] >= 100:  # three digits need more room
        ticks = ticks[::2]
    return tuple(Tick(tick.place, str(grid.layers[int(tick.label)])) for tick in ticks)


def _paths(levels: Sequence[int | None], x: float, y: float, cell: int) -> Iterator[tuple[int, str]]:
    """The cells of a row by colour: equal ones beside each other are one line, unless there is ground between them."""
    runs: dict[int, list[tuple[int, int]]] = {}
    column = 0
    for level, cells in groupby(levels):
        count = len([*cells])
        if level is not None:
            runs.setdefault(level, []).append((column, count))
        column += count
    for level, found in sorted(runs.items()):
        lines = [(start + n, cell - 1) for start, count in found for n in range(count)]
        if cell < _APART:
            lines = [(start, cell * count) for start, count in found]
        yield level, "".join(f"M{x + cell * start:g} {y:g}h{length}" for start, length in lines)

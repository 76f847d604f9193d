"""What plots with axes share: steps that people count in, and places of layers and series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from ramekin.card.lettering import fitted

MOST_SERIES: Final = 8
"""As many colours as are told apart."""

LABEL_WIDTH: Final = 150
_LABEL_STEP: Final = 18


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place, and what stands beside it."""

    place: float
    label: str


@dataclass(frozen=True)
class Label:
    """The name of a series, beside the plot.

    Attributes:
        y: Middle.
        name: Shortened.
        shade: Number of its colour.
    """

    y: float
    name: str
    shade: int


def steps_to(highest: float, most: int = 5) -> list[float]:
    """Round numbers from 0 on, the last of them at least as high as what is to be shown."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    count = max(1, ceil(highest / step - 1e-9))
    return [round(step * number, 12) for number in range(count + 1)]


def layer_ticks(layers: int, left: float, width: float) -> tuple[Tick, ...]:
    """Marks below layers that share a width, ten or so of them."""
    every = next(step for step in (1, 2, 4, 5, 10, 20, 50, 100, 1000) if layers <= 16 * step or step == 1000)
    return tuple(Tick(round(left + width * (n + 0.5) / layers, 1), str(n)) for n in range(0, layers, every))


def shades_of(benchmarks: Sequence[str], shown: Sequence[str]) -> dict[str, int]:
    """A colour for each benchmark that is shown: the same in all plots, if there are enough for all benchmarks."""
    order = benchmarks if len(benchmarks) <= MOST_SERIES else shown
    return {name: order.index(name) % MOST_SERIES for name in shown}


def beside(heights: Mapping[str, float], shades: Mapping[str, int], top: float, bottom: float) -> tuple[Label, ...]:
    """Labels for series, each as near to its height as the others let it.

    Args:
        heights: By name, where the series ends.
        shades: By name.
        top: No label is above this.
        bottom: No label is below this.
    """
    names = sorted(heights, key=lambda name: heights[name])
    places: list[float] = []
    for name in names:
        places.append(max(heights[name], places[-1] + _LABEL_STEP if places else top))
    over = bottom
    for number in reversed(range(len(places))):
        places[number] = min(places[number], over)
        over = places[number] - _LABEL_STEP
    return tuple(
        Label(round(y, 1), fitted(name, LABEL_WIDTH), shades[name]) for name, y in zip(names, places, strict=True)
    )

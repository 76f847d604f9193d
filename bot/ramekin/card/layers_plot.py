"""The layouts of the plots by layer: overlap of the backbone with the experts, and neurons that were transplanted."""

from dataclasses import dataclass, replace
from typing import Final

from ramekin.card.axes import LABEL_WIDTH, MOST_SERIES, Label, Tick, beside, layer_ticks, shades_of, steps_to
from ramekin.card.contest import Contest
from ramekin.card.lettering import shortened
from ramekin.card.numbers import decimal, grouped, percent, short
from ramekin.markdown import plain

_MARGIN: Final = 20
_LEFT: Final = 74
_WIDTH: Final = 540
_TOP: Final = 78
_HEIGHT: Final = 210
_LABELS: Final = LABEL_WIDTH + 34
_FEW: Final = 12


@dataclass(frozen=True)
class Line:
    """One benchmark over the layers: points as `x,y`, its colour, its name and values as a sentence."""

    points: tuple[tuple[float, float], ...]
    shade: int
    title: str


@dataclass(frozen=True)
class Bar:
    """Neurons of one benchmark in one layer."""

    x: float
    y: float
    height: float
    shade: int
    title: str


@dataclass(frozen=True)
class LayersPlot:
    """Everything that the template draws, as numbers and words.

    Attributes:
        marked: Whether each point gets a dot: a line of few is else hard to see.
        chance: Height of the line at chance; None without one.
    """

    width: int
    height: int
    margin: int
    left: int
    right: int
    top: int
    bottom: int
    title: str
    subtitle: str
    footer: str
    description: str
    rows: tuple[Tick, ...]
    layers: tuple[Tick, ...]
    labels: tuple[Label, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    bar_width: float = 0.0
    marked: bool = False
    chance: float | None = None


def lay_out_layers(contest: Contest) -> LayersPlot:
    """Place the lines of the backbone's overlap in each layer.

    Args:
        contest: With activations, of at least one layer.
    """
    activation = contest.activation
    assert activation  # noqa: S101 - the plot is ARM's alone
    per_layer = activation.per_layer
    # Where benchmarks are too many, the lowest tell most.
    ordered = sorted(contest.benchmarks, key=lambda name: sum(per_layer[name]))[:MOST_SERIES]
    shown = [name for name in contest.benchmarks if name in ordered]
    shades = shades_of(contest.benchmarks, shown)
    steps = steps_to(max(max(per_layer[name]) for name in shown))
    layers = len(per_layer[shown[0]])

    def height(value: float) -> float:
        return round(_TOP + _HEIGHT * (1 - value / steps[-1]), 1)

    def across(layer: int) -> float:
        return round(_LEFT + _WIDTH * (layer + 0.5) / layers, 1)

    chance = height(contest.chance) if contest.chance <= steps[-1] else None
    ends = {name: height(per_layer[name][-1]) for name in shown}
    left_out = len(contest.benchmarks) - len(shown)
    return replace(
        _frame(layers, [(height(step), f"{step:.3g}") for step in steps], below=bool(left_out)),
        title="Where the backbone does what the experts do",
        subtitle=f"AOS of {plain(contest.winner.name, 60)} in each layer, by benchmark",
        footer=f"The {MOST_SERIES} lowest of {len(contest.benchmarks)} benchmarks are shown." if left_out else "",
        description=describe_layers(contest),
        labels=beside(ends, shades, _TOP + 4, _TOP + _HEIGHT),
        lines=tuple(
            Line(
                tuple((across(layer), height(value)) for layer, value in enumerate(per_layer[name])),
                shades[name],
                f"{plain(name, 64)}: {decimal(min(per_layer[name]), 3)} to {decimal(max(per_layer[name]), 3)}",
            )
            for name in shown
        ),
        marked=layers <= _FEW,
        chance=chance,
    )


def describe_layers(contest: Contest) -> str:
    """The plot in words: the range of each line."""
    activation = contest.activation
    assert activation  # noqa: S101 - the plot is ARM's alone
    ranges = [
        f"{plain(name, 64)} {decimal(min(values), 2)} to {decimal(max(values), 2)}"
        for name, values in activation.per_layer.items()
    ]
    return (
        f"Lines for the activation-overlap score of {plain(contest.winner.name, 80)} in each of "
        f"{len(next(iter(activation.per_layer.values())))} layers: {shortened(ranges, MOST_SERIES)}."
    )


def lay_out_transplant(contest: Contest) -> LayersPlot:
    """Place the bars of transplanted neurons in each layer.

    Args:
        contest: With activations, and at least one neuron that was transplanted.
    """
    activation = contest.activation
    assert activation  # noqa: S101 - the plot is ARM's alone
    sets = {name: found.per_layer for name, found in activation.transplanted.items() if found.neurons}
    largest = sorted(sets, key=lambda name: -sum(sets[name]))[:MOST_SERIES]
    shown = [name for name in contest.benchmarks if name in largest]
    shades = shades_of(contest.benchmarks, shown)
    layers = len(sets[shown[0]])
    totals = [sum(sets[name][layer] for name in shown) for layer in range(layers)]
    steps = [step for step in steps_to(max(totals)) if step == int(step)]
    step = _WIDTH / layers
    bars, middles = [], dict.fromkeys(shown, 0.0)
    for layer in range(layers):
        base = 0
        for name in shown:
            count = sets[name][layer]
            if not count:
                continue
            top, end = (_TOP + _HEIGHT * (1 - each / steps[-1]) for each in (base + count, base))
            title = f"layer {layer}, {plain(name, 64)}: {grouped(count)} neurons"
            x = _LEFT + step * layer + step * 0.1
            bars.append(Bar(round(x, 1), round(top, 1), round(end - top, 1), shades[name], title))
            base += count
    for place, name in enumerate(reversed(shown)):
        middles[name] = _TOP + 10.0 + 18.0 * place
    left_out = len(sets) - len(shown)
    return replace(
        _frame(
            layers,
            [(round(_TOP + _HEIGHT * (1 - each / steps[-1]), 1), short(int(each))) for each in steps],
            below=bool(left_out),
        ),
        title="Which layers got neurons, and for which benchmark",
        subtitle=f"Neurons of the experts that were put into {plain(contest.winner.name, 60)}",
        footer=f"The {MOST_SERIES} largest of {len(sets)} benchmarks are shown." if left_out else "",
        description=describe_transplant(contest),
        labels=beside(middles, shades, _TOP + 4, _TOP + _HEIGHT),
        bars=tuple(bars),
        bar_width=round(step * 0.8, 2),
    )


def describe_transplant(contest: Contest) -> str:
    """The plot in words: how many for which benchmark."""
    activation = contest.activation
    assert activation  # noqa: S101 - the plot is ARM's alone
    parts = [
        f"{grouped(found.neurons)} for {plain(name, 64)} from {plain(found.expert, 64)} ({percent(found.fraction)})"
        for name, found in activation.transplanted.items()
        if found.neurons
    ]
    return f"Stacked bars for the neurons that were transplanted in each layer: {shortened(parts, MOST_SERIES)}."


def _frame(layers: int, rows: list[tuple[float, str]], *, below: bool) -> LayersPlot:
    """What both plots have; words are put in later."""
    return LayersPlot(
        width=_LEFT + _WIDTH + _LABELS,
        height=_TOP + _HEIGHT + (72 if below else 52),
        margin=_MARGIN,
        left=_LEFT,
        right=_LEFT + _WIDTH,
        top=_TOP,
        bottom=_TOP + _HEIGHT,
        title="",
        subtitle="",
        footer="",
        description="",
        rows=tuple(Tick(y, text) for y, text in rows),
        layers=layer_ticks(layers, _LEFT, _WIDTH),
        labels=(),
    )

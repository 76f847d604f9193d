"""The layout of the heat map by layer and kind of module: where each expert changed the model, and where they met.

One panel per expert shows which part of each module's weights it changed; the last, which part of what anyone changed
was changed by several.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.card.axes import Tick
from ramekin.card.module_panels import LEVELS, NAMES, ROW, Grid, Panel, Scale, Value, lay_out_panel
from ramekin.card.modules import in_order
from ramekin.card.numbers import rough_percent
from ramekin.markdown import plain
from ramekin.records import ModuleOverlap
from ramekin.report import Report

_MARGIN: Final = 20
_PANEL: Final = 300
_WIDE_PANEL: Final = 600
_BETWEEN: Final = 26
_TOP: Final = 74
_HEAD: Final = 22
_WIDEST: Final = 50
_SINGLE: Final = 28
_MOST_PANELS: Final = 5
_MOST_ROWS: Final = 20
_MOST_LAYERS: Final = 150


@dataclass(frozen=True)
class Legend:
    """A scale: where it begins, what it is of, the bounds between its colours, and where that for nothing is."""

    x: float
    title: str
    several: bool
    bounds: tuple[Tick, ...]
    nothing: float


@dataclass(frozen=True)
class ModulesPlot:
    """Everything that the template draws, as numbers and words."""

    width: int
    height: int
    margin: int
    cell_height: int
    single: int
    title: str
    subtitle: str
    footer: str
    description: str
    panels: tuple[Panel, ...]
    legends: tuple[Legend, ...]
    legend_y: int
    levels: int


def has_modules(report: Report) -> bool:
    """Whether there is anything to show."""
    return any(any(module.anyone) for module in report.overlap.modules.values())


def lay_out_modules(report: Report) -> ModulesPlot:
    """Place everything.

    Args:
        report: With statistics by module, and at least one change.
    """
    sources = _sources(report)
    modules, left_out = _shown(report)
    modules = {name: _narrowed(module, modules) for name, module in modules.items()}
    layers = tuple(sorted({layer for module in modules.values() for layer in module.layers if layer is not None}))
    room = _PANEL if len(sources) > 1 else _WIDE_PANEL
    grid = Grid(modules, layers, max(1, min(_WIDEST, room // max(1, len(layers)))))
    scales = {several: Scale.of(_values(sources, modules, several=several)) for several in (False, True)}
    stride = _HEAD + grid.height + 12
    panels = []
    for place, (title, several, value) in enumerate(sources):
        x = _MARGIN + NAMES + (room + _BETWEEN) * (place % 2)
        y = _TOP + _HEAD + stride * (place // 2)
        panels.append(lay_out_panel((x, y), title, (value, scales[several], several), grid, named=place % 2 == 0))
    bottom = _TOP + stride * ((len(sources) + 1) // 2)
    across = _MARGIN + NAMES + room + _BETWEEN
    return ModulesPlot(
        width=_MARGIN + NAMES + room + ((_BETWEEN + room) if len(sources) > 1 else 0) + _MARGIN,
        height=bottom + (92 if left_out else 68),
        margin=_MARGIN,
        cell_height=ROW - 2,
        single=_SINGLE,
        title="Where the experts changed the model",
        subtitle="by layer, from left to right, and kind of module",
        footer=f"{left_out} smaller kinds of module are not shown."
        if left_out > 1
        else "One smaller kind of module is not shown."
        if left_out
        else "",
        description=describe_modules(report),
        panels=tuple(panels),
        legends=tuple(
            _legend(scales[several], _MARGIN + NAMES if not several else across, several=several)
            for several in dict.fromkeys(several for _, several, _ in sources)
        ),
        legend_y=bottom + 6,
        levels=LEVELS,
    )


def describe_modules(report: Report) -> str:
    """The plot in words."""
    sources, layers = _sources(report), {layer for m in report.overlap.modules.values() for layer in m.layers}
    panels = ", ".join(title for title, _, _ in sources)
    depth = len(layers - {None})
    over = f"{depth} {'layer' if depth == 1 else 'layers'} and {len(report.overlap.modules)} kinds of module"
    return f"Heat maps over {over}, one each for {panels}: which part of the weights was changed."


def _sources(report: Report) -> list[tuple[str, bool, Value]]:
    """What the panels are about: title, whether it is about several experts, and the shares."""
    names = [expert.name for expert in report.experts]
    found: list[tuple[str, bool, Value]] = [(plain(name, 64), False, _of_expert(name)) for name in names]
    if len(names) > _MOST_PANELS:
        found = [("any expert", False, _of_anyone)]
    if len(names) > 1:
        found.append(("several experts, of what was changed", True, _of_several))
    return found


def _of_expert(name: str) -> Value:
    def value(module: ModuleOverlap, place: int) -> float | None:
        return _share(module.experts[name][place], module.elements[place])

    return value


def _of_anyone(module: ModuleOverlap, place: int) -> float | None:
    return _share(module.anyone[place], module.elements[place])


def _of_several(module: ModuleOverlap, place: int) -> float | None:
    return _share(module.several[place], module.anyone[place])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shown(report: Report) -> tuple[dict[str, ModuleOverlap], int]:
    """The largest kinds of module, in order, and how many others there are."""
    modules = {name: module for name, module in report.overlap.modules.items() if any(module.elements)}
    largest = sorted(modules, key=lambda name: -sum(modules[name].elements))[:_MOST_ROWS]
    kept = {name: modules[name] for name in modules if name in set(largest)}
    return {name: kept[name] for name in in_order(kept)}, len(modules) - len(kept)


def _narrowed(module: ModuleOverlap, modules: Mapping[str, ModuleOverlap]) -> ModuleOverlap:
    """The same with neighbouring layers taken together, where all modules have more of them than there is room for."""
    layers = sorted({layer for each in modules.values() for layer in each.layers if layer is not None})
    of_each = -(-len(layers) // _MOST_LAYERS)
    if of_each <= 1:
        return module
    first = {layer: layers[number - number % of_each] for number, layer in enumerate(layers)}
    groups: dict[int | None, list[int]] = {}
    for place, layer in enumerate(module.layers):
        groups.setdefault(None if layer is None else first[layer], []).append(place)

    def summed(counts: Sequence[int]) -> tuple[int, ...]:
        return tuple(sum(counts[place] for place in places) for places in groups.values())

    return ModuleOverlap(
        layers=tuple(groups),
        elements=summed(module.elements),
        anyone=summed(module.anyone),
        several=summed(module.several),
        experts={name: summed(counts) for name, counts in module.experts.items()},
    )


def _values(
    sources: Sequence[tuple[str, bool, Value]], modules: Mapping[str, ModuleOverlap], *, several: bool
) -> Iterator[float | None]:
    for _, about_several, value in sources:
        if about_several == several:
            yield from (value(module, place) for module in modules.values() for place in range(len(module.layers)))


def _legend(scale: Scale, x: float, *, several: bool) -> Legend:
    return Legend(
        x=x,
        title="which part of what was changed, by several" if several else "which part of the weights was changed",
        several=several,
        nothing=x + _SINGLE * (LEVELS + 0.8),
        bounds=tuple(Tick(x + _SINGLE * level, rough_percent(scale.bound(level))) for level in range(0, LEVELS + 1, 2)),
    )

"""The layout of the role plot: what the experts' sets of neurons have in common (arXiv 2601.07309, Fig. 4)."""

from dataclasses import dataclass
from typing import Final

from ramekin.card.contest import Contest
from ramekin.card.lettering import fitted
from ramekin.card.numbers import percent, rough_percent
from ramekin.choice import ReportedCrossOverlap
from ramekin.markdown import plain

_MARGIN: Final = 20
_NAMES: Final = 132
_TOP: Final = 112
_SLANTED: Final = 52
"""So much more room heads take that do not fit above their columns."""

_BETWEEN: Final = 44
_LEAST_WIDTH: Final = 640
_MOST: Final = 12
_PALEST: Final = 0.04
_DEEPEST: Final = 0.75


@dataclass(frozen=True)
class Field:
    """What two sets have in common, or a set with itself, which is not written.

    Attributes:
        x: Left end.
        y: Upper end.
        label: As a percentage.
        depth: Opacity of its colour.
        same: Whether it is one set with itself.
        title: All of that as a sentence.
    """

    x: float
    y: float
    label: str
    depth: float
    same: bool
    title: str


@dataclass(frozen=True)
class Matrix:
    """One matrix.

    Attributes:
        x: Left end.
        title: Of which tokens.
        heads: Middles and names of its columns.
        fields: What it holds.
        shared: Part of all neurons in any set that are in several, in large letters.
        caption: What that is.
    """

    x: float
    title: str
    heads: tuple[tuple[float, str], ...]
    fields: tuple[Field, ...]
    shared: str
    caption: str


@dataclass(frozen=True)
class RolesPlot:
    """Everything that the template draws, as numbers and words."""

    width: int
    height: int
    margin: int
    top: int
    slanted: bool
    cell: int
    bottom: int
    title: str
    subtitle: str
    footer: str
    description: str
    names: tuple[tuple[float, str], ...]
    matrices: tuple[Matrix, ...]


def lay_out_roles(contest: Contest) -> RolesPlot:
    """Place everything.

    Args:
        contest: With activations, and more than one benchmark.
    """
    activation = contest.activation
    assert activation  # noqa: S101 - the plot is ARM's alone
    benchmarks = contest.benchmarks[:_MOST]
    cell = 54 if len(benchmarks) <= 4 else 44 if len(benchmarks) <= 8 else 36
    sides = [("in their roles", activation.overlap)]
    if activation.overlap_agnostic:
        sides.append(("in all that is said", activation.overlap_agnostic))
    highest = max(_highest(overlap, benchmarks) for _, overlap in sides) or 1.0
    side = cell * len(benchmarks)
    slanted = any(fitted(name, cell + 4) != fitted(name, 96) for name in benchmarks)
    top = _TOP + (_SLANTED if slanted else 0)
    left = _MARGIN + _NAMES
    # The captions below need some room, also below small matrices.
    stride = max(side, 190) + _BETWEEN
    bottom = top + side
    left_out = len(contest.benchmarks) - len(benchmarks)
    return RolesPlot(
        width=max(_LEAST_WIDTH, left + stride * len(sides) - _BETWEEN + _MARGIN + 40),
        height=bottom + (98 if left_out else 76),
        margin=_MARGIN,
        top=top,
        slanted=slanted,
        cell=cell,
        bottom=bottom,
        title="How far the experts use the same neurons",
        subtitle="Neurons that matter to both of two experts, as part of those that matter to either",
        footer=f"And {left_out} more {'benchmark' if left_out == 1 else 'benchmarks'}." if left_out else "",
        description=describe_roles(contest),
        names=tuple((top + cell * (n + 0.5), fitted(name, _NAMES - 12)) for n, name in enumerate(benchmarks)),
        matrices=tuple(
            _matrix(title, overlap, benchmarks, (left + stride * place, top, cell), highest)
            for place, (title, overlap) in enumerate(sides)
        ),
    )


def describe_roles(contest: Contest) -> str:
    """The plot in words."""
    activation = contest.activation
    assert activation  # noqa: S101 - the plot is ARM's alone
    own, other = activation.overlap, activation.overlap_agnostic
    told = (
        f"A matrix of what the experts' neurons for {len(contest.benchmarks)} benchmarks have in common. "
        f"In their roles, {percent(own.of_union)} of the neurons that matter to any expert matter to several"
    )
    return f"{told}; in all that the assistant says, {percent(other.of_union)}." if other else f"{told}."


def _matrix(
    title: str, overlap: ReportedCrossOverlap, benchmarks: tuple[str, ...], place: tuple[int, int, int], highest: float
) -> Matrix:
    left, top, cell = place
    fields = []
    for row, one in enumerate(benchmarks):
        for column, other in enumerate(benchmarks):
            value = overlap.pairwise[one].get(other, 1.0)
            depth = _PALEST + (_DEEPEST - _PALEST) * min(1.0, value / highest)
            pair = f"{plain(one, 64)} and {plain(other, 64)}: {percent(value)}"
            x, y = left + cell * column, top + cell * row
            same = one == other
            fields.append(Field(x, y, rough_percent(value), round(depth, 3), same, plain(one, 64) if same else pair))
    return Matrix(
        x=left,
        title=title,
        heads=tuple((left + cell * (n + 0.5), fitted(name, 96)) for n, name in enumerate(benchmarks)),
        fields=tuple(fields),
        shared=percent(overlap.of_union),
        caption="are in two sets or more",
    )


def _highest(overlap: ReportedCrossOverlap, benchmarks: tuple[str, ...]) -> float:
    return max(overlap.pairwise[one][other] for one in benchmarks for other in benchmarks if one != other)

"""The layout of the score plot: what base, expert, backbone and merge have on each task, and the best single expert."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.card.axes import Tick, steps_to
from ramekin.card.lettering import fitted, shortened
from ramekin.card.numbers import decimal, score
from ramekin.card.scoring import Scoring
from ramekin.markdown import plain
from ramekin.scores import BACKBONE, BASE, MERGE, ReportedScore, ReportedTask

_MARGIN: Final = 20
_NAMES: Final = 176
_WIDTH: Final = 440
_LABEL: Final = 120
_TOP: Final = 96
_TICKS: Final = 22
_BAR: Final = 14
_NAMED: Final = 30
"""A name with a note takes this much height."""

_BETWEEN: Final = 16
_MOST: Final = 12
_LEAST_VISIBLE: Final = 1.5
_SMALL_TYPE: Final = 1.2
"""Notes are written in smaller type than they are measured in."""

KINDS: Final = {"base": "base", "expert": "its expert", "backbone": "backbone", "merge": "this model"}


@dataclass(frozen=True)
class Bar:
    """A score.

    Attributes:
        y: Upper end.
        length: Its length.
        kind: Whose it is, as a class of the style.
        label: The score, and the expert's name.
        whisker: Both ends of the standard error around it; None where that is not known.
        title: All of that as a sentence.
    """

    y: float
    length: float
    kind: str
    label: str
    whisker: tuple[float, float] | None
    title: str


@dataclass(frozen=True)
class Group:
    """A task: its name, what is told below it, its bars from `top` to `bottom`, and the best single expert's score."""

    top: float
    bottom: float
    name: str
    note: str
    bars: tuple[Bar, ...]
    oracle: float | None


@dataclass(frozen=True)
class ScoresPlot:
    """Everything that the template draws, as numbers and words."""

    width: int
    height: int
    margin: int
    left: int
    right: int
    top: int
    bottom: float
    bar_height: int
    title: str
    subtitle: str
    footer: str
    description: str
    kinds: tuple[tuple[float, str, str], ...]
    oracle_x: float | None
    ticks: tuple[Tick, ...]
    groups: tuple[Group, ...]


def lay_out_scores(scoring: Scoring) -> ScoresPlot:
    """Place everything.

    Args:
        scoring: With at least one task.
    """
    tasks = [row.name for row in scoring.rows][:_MOST]
    bars = {task: _found(scoring, task) for task in tasks}
    common = _common_scale(scoring, tasks)
    left = _MARGIN + _NAMES
    groups, y = [], float(_TOP + (_TICKS if common else 0))
    for task in tasks:
        groups.append(_group(scoring, task, bars[task], (left, y, common)))
        y += max(_BAR * len(bars[task]), _NAMED) + _BETWEEN
    whiskers = any(bar.whisker for group in groups for bar in group.bars)
    left_out = len(scoring.rows) + scoring.left_out - len(tasks)
    there = [kind for kind in KINDS if any(kind == found[0] for each in bars.values() for found in each)]
    kinds, x = [], float(_MARGIN)
    for kind in there:
        kinds.append((x, kind, KINDS[kind]))
        x += 34 + 7.2 * len(KINDS[kind])
    return ScoresPlot(
        width=left + _WIDTH + _LABEL + _MARGIN,
        height=round(y + (36 if left_out else 12)),
        margin=_MARGIN,
        left=left,
        right=left + _WIDTH,
        top=_TOP,
        bottom=y - _BETWEEN + 6,
        bar_height=_BAR - 3,
        title="How it compares with what it was made from",
        subtitle=f"scores measured {scoring.measured}" + ("; thin lines: one standard error" if whiskers else ""),
        footer=f"The first {len(tasks)} of {len(tasks) + left_out} tasks are shown." if left_out else "",
        description=describe_scores(scoring),
        kinds=tuple(kinds),
        oracle_x=x if any(group.oracle is not None for group in groups) else None,
        ticks=tuple(Tick(round(left + _WIDTH * step / common[-1], 1), f"{step:g}") for step in common)
        if common
        else (),
        groups=tuple(groups),
    )


def describe_scores(scoring: Scoring, most: int = 6) -> str:
    """The plot in words: the merge's score on each task, and that of the expert."""
    parts = []
    for row in scoring.rows:
        own, expert = scoring.score(MERGE, row.name), scoring.expert_of(row.name)
        told = f"{plain(row.name, 64)} {score(own) if own is not None else 'not measured'}"
        parts.append(f"{told} ({plain(expert[0], 64)} {score(expert[1])})" if expert else told)
    return (
        f"Bars for the scores of this model and its parents. This model's, and the expert's: {shortened(parts, most)}."
    )


def _found(scoring: Scoring, task: str) -> list[tuple[str, str, ReportedScore]]:
    """What there is of a task: kind of model, the expert's name, and the score."""
    models, expert = scoring.evaluation.models, scoring.expert_of(task)
    found = [("base", "", models.get(BASE, {}).get(task))]
    if expert:
        found.append(("expert", expert[0], models[f"expert:{expert[0]}"][task]))
    found += [(kind, "", models.get(model, {}).get(task)) for kind, model in (("backbone", BACKBONE), ("merge", MERGE))]
    return [(kind, name, each) for kind, name, each in found if each is not None]


def _common_scale(scoring: Scoring, tasks: Sequence[str]) -> list[float] | None:
    """Steps of one axis for all tasks; None where they are on different scales."""
    most = [max(each.value for _, _, each in _found(scoring, task)) for task in tasks]
    least = min(each.value for task in tasks for _, _, each in _found(scoring, task))
    if least < 0:
        return None
    if max(most) <= 1:
        return [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    if max(most) <= 100 and min(most) > 1:
        return steps_to(100.0)
    return None


def _group(
    scoring: Scoring,
    task: str,
    found: Sequence[tuple[str, str, ReportedScore]],
    place: tuple[float, float, list[float] | None],
) -> Group:
    left, top, common = place
    highest = common[-1] if common else max([each.value for _, _, each in found] + [0.0]) or 1.0

    def across(value: float) -> float:
        return round(_WIDTH * min(1.0, max(0.0, value / highest)), 1)

    bars = []
    for number, (kind, name, each) in enumerate(found):
        ends = (each.value - each.stderr, each.value + each.stderr) if each.stderr else None
        length = across(each.value)
        label = f"{score(each.value)} {fitted(name, 70)}".rstrip()
        bars.append(
            Bar(
                y=top + _BAR * number,
                length=max(length, _LEAST_VISIBLE) if each.value > 0 else length,
                kind=kind,
                label=label,
                whisker=(left + across(ends[0]), left + across(ends[1])) if ends else None,
                title=_sentence(task, f"{KINDS[kind]} {plain(name, 64)}".rstrip(), each),
            )
        )
    about = scoring.evaluation.tasks[task]
    oracle = scoring.evaluation.best_of_experts().get(task)
    return Group(
        top=top,
        bottom=top + _BAR * len(found) - 3,
        name=fitted(task, _NAMES - 20),
        note=fitted(_note(about), (_NAMES - 8) * _SMALL_TYPE),
        bars=tuple(bars),
        oracle=left + across(oracle) if oracle is not None else None,
    )


def _note(task: ReportedTask) -> str:
    """The score's name, and which way it counts where that is not the usual one."""
    return task.metric if task.higher_is_better else f"{fitted(task.metric, 90)}, less is better"


def _sentence(task: str, who: str, found: ReportedScore) -> str:
    told = f"{plain(task, 64)}, {who}: {score(found.value)}"
    return f"{told} ± {decimal(found.stderr, 3)}" if found.stderr else told

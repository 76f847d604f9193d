"""The layout of the plot of candidates: dots for what was measured of each, side by side in one order.

The order is that of the last and best measure, so that a signal that ranks as it does falls from top to bottom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.card.contest import Contest, Entry, Measure, kept, label
from ramekin.card.numbers import decimal, score
from ramekin.markdown import plain
from ramekin.plan.quantities import plural

_MARGIN: Final = 20
_NAMES: Final = 214
_TOP: Final = 124
_ROW: Final = 28
_PANEL: Final = 190
_BETWEEN: Final = 26
_INSET: Final = 14
_LABEL: Final = 52
_LEAST_WIDTH: Final = 640
_MOST_ROWS: Final = 24

_PANELS: Final[dict[Measure, tuple[str, str]]] = {
    "aos": ("overlap of neurons", "mean AOS, more is better"),
    "likelihood": ("likelihood of the roles", "nats a token, less is better"),
    "scores": ("score", "mean, more is better"),
}


@dataclass(frozen=True)
class Dot:
    """One candidate's value.

    Attributes:
        x: Its place, to the right what is better.
        y: Middle of its row.
        label: The value.
        left: Whether the label stands to the left of the dot, for want of room.
        chosen: Whether the candidate was taken.
        title: All of that as a sentence.
    """

    x: float
    y: float
    label: str
    left: bool
    chosen: bool
    title: str


@dataclass(frozen=True)
class Panel:
    """One measure.

    Attributes:
        x: Left end.
        title: What was measured.
        unit: In what.
        note: How well it ranks; empty for what it is compared with.
        expert: Place of the mean of the experts; None if it is not known.
        dots: From the first to the last row.
    """

    x: float
    title: str
    unit: str
    note: str
    expert: float | None
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class CandidateRow:
    """One candidate: the middle of its row, its name, whether it was taken, whether the row has a background."""

    y: float
    name: str
    chosen: bool
    striped: bool


@dataclass(frozen=True)
class CandidatesPlot:
    """Everything that the template draws, as numbers and words."""

    width: int
    height: int
    margin: int
    right: int
    top: int
    bottom: int
    panel_width: int
    row_height: int
    title: str
    subtitle: str
    footer: str
    description: str
    rows: tuple[CandidateRow, ...]
    panels: tuple[Panel, ...]


def measures_of(contest: Contest) -> tuple[Measure, ...]:
    """What was measured, the best guide last: what is not measured on tasks itself is judged by what is."""
    measures: tuple[Measure, ...] = ("aos", "likelihood", "scores")
    return tuple(measure for measure in measures if contest.has(measure))


def lay_out_candidates(contest: Contest) -> CandidatesPlot:
    """Place everything.

    Args:
        contest: With likelihood or scores.
    """
    measures = measures_of(contest)
    guide = measures[-1]
    ranked = contest.ranked(guide)
    shown = kept(ranked, _MOST_ROWS)
    left = _MARGIN + _NAMES
    # Of one panel there is as much as of two.
    panel = _PANEL if len(measures) > 1 else 2 * _PANEL
    width = max(_LEAST_WIDTH, left + (panel + _BETWEEN) * len(measures) - _BETWEEN + _MARGIN)
    bottom = _TOP + _ROW * len(shown)
    left_out = len(ranked) - len(shown)
    return CandidatesPlot(
        width=width,
        height=bottom + (54 if left_out else 36),
        margin=_MARGIN,
        right=width - _MARGIN,
        top=_TOP,
        bottom=bottom,
        panel_width=panel,
        row_height=_ROW,
        title=f"The candidates in order of {_PANELS[guide][0]}",
        subtitle=_subtitle(contest, measures),
        footer=f"And {plural(left_out, 'candidate')} more." if left_out else "",
        description=describe_candidates(contest),
        rows=tuple(
            CandidateRow(_TOP + _ROW * (place + 0.5), label(entry, _NAMES - 24), entry.chosen, place % 2 == 0)
            for place, entry in enumerate(shown)
        ),
        panels=tuple(
            _panel(contest, measure, shown, left + (panel + _BETWEEN) * place, panel)
            for place, measure in enumerate(measures)
        ),
    )


def describe_candidates(contest: Contest) -> str:
    """The plot in words: who is best by what, and how well one measure ranks as the other."""
    measures = measures_of(contest)
    parts = []
    for measure in measures:
        best = contest.ranked(measure)[0]
        parts.append(f"{plain(best.name, 80)} is best by {_PANELS[measure][0]}, {shown_value(best, measure)}")
    told = f"Dots for {plural(len(contest.entries), 'candidate')}: {'; '.join(parts)}."
    return " ".join([told, *agreements_of(contest)])


def agreements_of(contest: Contest) -> tuple[str, ...]:
    """How well each measure ranks as the best guide of them does, as sentences."""
    measures = measures_of(contest)
    found = (agreement_in_words(contest, measure, measures[-1]) for measure in measures[:-1])
    return tuple(words for words in found if words)


def agreement_in_words(contest: Contest, measure: Measure, guide: Measure) -> str:
    """How well one measure ranks the candidates as another does; empty if there is nothing to rank."""
    same, pairs = contest.agreement(measure, guide)
    if not pairs:
        return ""
    first, than = _PANELS[measure][0].capitalize(), _PANELS[guide][0]
    return f"{first} puts {same} of {plural(pairs, 'pair')} of candidates in the order of their {than}."


def shown_value(entry: Entry, measure: Measure) -> str:
    """A candidate's value as it is shown."""
    value: float | None = getattr(entry, measure)
    if value is None:
        return "not measured"
    return score(value) if measure == "scores" else decimal(value)


def _subtitle(contest: Contest, measures: Sequence[Measure]) -> str:
    told = f"Means over {plural(len(contest.benchmarks), 'benchmark')}; to the right is better"
    known = any(contest.expert_mean(measure) is not None for measure in measures)
    return f"{told}; dashed: the experts" if known else told


def _panel(contest: Contest, measure: Measure, shown: Sequence[Entry], left: int, width: int) -> Panel:
    expert = contest.expert_mean(measure)
    turned = -expert if expert is not None and measure == "likelihood" else expert
    known = [worth for entry in shown if (worth := entry.worth(measure)) is not None]
    known += [turned] if turned is not None else []
    lowest, highest = min(known), max(known)
    room = width - 2 * _INSET

    def place(worth: float) -> float:
        share = (worth - lowest) / (highest - lowest) if highest > lowest else 0.5
        return round(left + _INSET + room * share, 1)

    there = [
        (number, entry, worth) for number, entry in enumerate(shown) if (worth := entry.worth(measure)) is not None
    ]
    places = [place(worth) for _, _, worth in there]
    dots = []
    for place_in_line, (number, entry, _) in enumerate(there):
        x, text = places[place_in_line], shown_value(entry, measure)
        beside = places[max(0, place_in_line - 1) : place_in_line + 2]
        # The label stands where the line to the next dots does not, if there is room.
        wants_left = sum(beside) > x * len(beside)
        on_left = (wants_left or left + width - x < _LABEL) and x - left >= _LABEL
        title = f"{plain(entry.name, 80)}, {_PANELS[measure][0]}: {text}"
        dots.append(Dot(x, _TOP + _ROW * (number + 0.5), text, on_left, entry.chosen, title))
    guide = measures_of(contest)[-1]
    same, pairs = contest.agreement(measure, guide)
    title, unit = _PANELS[measure]
    note = f"{same} of {plural(pairs, 'pair')} in this order" if measure != guide and pairs else ""
    return Panel(left, title, unit, note, place(turned) if turned is not None else None, tuple(dots))

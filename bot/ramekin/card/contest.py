"""A choice among candidates, and what ARM did with the one that it took, in the order in which a card tells of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ramekin.card.lettering import fitted
from ramekin.choice import CLOSE, ReportedActivation, ReportedCandidate, ReportedComparison, ReportedTransplant
from ramekin.methods import Method
from ramekin.report import Report

Measure = Literal["aos", "likelihood", "scores"]

MEASURES: Final[Mapping[str, str]] = {
    "aos": "overlap of neurons",
    "likelihood": "likelihood of the roles",
    "scores": "scores",
}
"""What each signal goes by, as a sentence has it."""

_LONGEST_LABEL: Final = 80


@dataclass(frozen=True)
class Entry:
    """A candidate.

    Attributes:
        name: What it is called.
        found: What was measured.
        chosen: Whether it was taken.
        benchmarks: How many there are: means over some of them cannot be compared.
    """

    name: str
    found: ReportedCandidate
    chosen: bool
    benchmarks: int

    @property
    def aos(self) -> float | None:
        """Mean AOS."""
        return self.found.mean_aos

    @property
    def likelihood(self) -> float | None:
        """Mean negative log-likelihood; less is better. None unless it is known on all benchmarks."""
        return self.found.mean_likelihood if len(self.found.likelihood) == self.benchmarks else None

    @property
    def scores(self) -> float | None:
        """Mean score; None unless it is known on all benchmarks."""
        return self.found.mean_score if len(self.found.scores) == self.benchmarks else None

    def worth(self, measure: Measure) -> float | None:
        """What it has of a measure, turned so that more is better."""
        value: float | None = getattr(self, measure)
        return -value if value is not None and measure == "likelihood" else value


@dataclass(frozen=True)
class Contest:
    """All of it.

    Attributes:
        comparison: As the report has it.
        activation: Likewise; None for other methods than ARM.
        benchmarks: In the manifest's order.
        entries: Candidates, the best by what decided first.
        chance: AOS of sets that are drawn at random, about.
    """

    comparison: ReportedComparison
    activation: ReportedActivation | None
    benchmarks: tuple[str, ...]
    entries: tuple[Entry, ...]
    chance: float

    @property
    def winner(self) -> Entry:
        """The candidate that was taken."""
        return next(entry for entry in self.entries if entry.chosen)

    @property
    def method(self) -> Method:
        """How the weights were merged, before anything was transplanted."""
        return self.winner.found.method

    def has(self, measure: Measure) -> bool:
        """Whether something was measured of any candidate."""
        return any(entry.worth(measure) is not None for entry in self.entries)

    def ranked(self, measure: Measure) -> tuple[Entry, ...]:
        """Candidates by one measure, the best first; of equals the one that was taken; those without it last."""
        return _ranked(self.entries, measure)

    @property
    def lead(self) -> float | None:
        """How far the winner's mean AOS is ahead of the best other's; negative if it is not the best by that."""
        others = [entry.aos for entry in self.entries if not entry.chosen and entry.aos is not None]
        return self.winner.aos - max(others) if others and self.winner.aos is not None else None

    @property
    def runner_up(self) -> Entry | None:
        """The best other candidate by what decided."""
        return next((entry for entry in self.entries if not entry.chosen), None)

    @property
    def close(self) -> bool:
        """Whether AOS decided between candidates that it cannot tell apart."""
        return self.comparison.decided_by == "aos" and self.lead is not None and self.lead < CLOSE

    @property
    def scored(self) -> bool:
        """Whether there is any score of a candidate."""
        return any(entry.found.scores for entry in self.entries)

    @property
    def repaired(self) -> tuple[tuple[str, ReportedTransplant], ...]:
        """Benchmarks that got neurons, in the order of repair."""
        if self.activation is None:
            return ()
        return tuple((name, found) for name, found in self.activation.transplanted.items() if found.applied)

    def agreement(self, one: Measure, other: Measure) -> tuple[int, int]:
        """Pairs of candidates that two measures put in the same order, and pairs that both tell apart."""
        values = [(entry.worth(one), entry.worth(other)) for entry in self.entries]
        known = [(a, b) for a, b in values if a is not None and b is not None]
        signs = [(a - c) * (b - d) for n, (a, b) in enumerate(known) for c, d in known[:n] if a != c and b != d]
        return sum(sign > 0 for sign in signs), len(signs)

    def expert_mean(self, measure: Measure) -> float | None:
        """Mean of what each benchmark's expert has on its own; None unless all have it."""
        field = "scores" if measure == "scores" else "likelihood"
        experts = self.comparison.experts
        values: list[float] = [
            getattr(experts[name], field)[name]
            for name in self.benchmarks
            if name in experts and name in getattr(experts[name], field)
        ]
        known = measure != "aos" and values and len(values) == len(self.benchmarks)
        return sum(values) / len(values) if known else None


def contest_of(report: Report) -> Contest | None:
    """Arrange a report's choice; None if its method makes none."""
    return arranged(report.comparison, report.activation) if report.comparison else None


def arranged(comparison: ReportedComparison, activation: ReportedActivation | None = None) -> Contest:
    """Arrange a choice.

    Args:
        comparison: What was measured, and what was chosen.
        activation: What ARM did; None for other methods.
    """
    number = len(comparison.calibration)
    entries = [Entry(name, found, name == comparison.selected, number) for name, found in comparison.candidates.items()]
    decisive: Measure = comparison.decided_by if comparison.decided_by in MEASURES else "aos"  # type: ignore[assignment]
    return Contest(
        comparison=comparison,
        activation=activation,
        benchmarks=tuple(comparison.calibration),
        entries=_ranked(entries, decisive),
        chance=activation.chance if activation else comparison.top_k / (2 - comparison.top_k),
    )


def kept(entries: Sequence[Entry], most: int) -> list[Entry]:
    """As many of some candidates as there is room for, the one that was taken among them."""
    shown = list(entries[:most])
    chosen = next((entry for entry in entries[most:] if entry.chosen), None)
    return [*shown[:-1], chosen] if chosen else shown


def label(entry: Entry, width: float) -> str:
    """A candidate's name in a plot."""
    return fitted(entry.name, width, _LONGEST_LABEL)


def _ranked(entries: Sequence[Entry], measure: Measure) -> tuple[Entry, ...]:
    def place(entry: Entry) -> tuple[bool, float, bool]:
        worth = entry.worth(measure)
        return worth is None, -worth if worth is not None else 0.0, not entry.chosen

    return tuple(sorted(entries, key=place))

"""What the card tells of a choice among candidates: words, rows and samples, bounded in number and length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.arm.repair import LIKELIHOOD_GAP, SCORE_GAP
from ramekin.card.candidates_plot import measures_of, shown_value
from ramekin.card.captions import halves_caption
from ramekin.card.contest import MEASURES, Contest, Entry, Measure, contest_of, kept
from ramekin.card.numbers import decimal, percent, score
from ramekin.choice import ReportedSample
from ramekin.markdown import plain
from ramekin.methods import Method
from ramekin.methods.base import show_value
from ramekin.report import Report

MOST_COLUMNS: Final = 12
"""More benchmarks than these do not fit a table that people read."""

_MOST_ROWS: Final = 32
_MOST_SAMPLES: Final = 24
_LONGEST_PIECE: Final = 600
_LONGEST_SAMPLE: Final = 2_000
_CLOSE_WORDS: Final = "apart in mean AOS"


@dataclass(frozen=True)
class ShownSample:
    """A trajectory in part: of which benchmark, its id, and pieces with whether they are in the role."""

    benchmark: str
    trajectory: str
    pieces: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class ChoicePart:
    """All that the template needs.

    Attributes:
        contest: Candidates and what was measured of them.
        benchmarks: Those that tables have columns for.
        left_out: How many more there are.
        samples: Some trajectories.
        samples_left_out: How many more the report has.
        datasets: Where datasets are linked to.
    """

    contest: Contest
    benchmarks: tuple[str, ...]
    left_out: int
    samples: tuple[ShownSample, ...]
    samples_left_out: int
    datasets: str

    @property
    def winner(self) -> Entry:
        """The candidate that was taken."""
        return self.contest.winner

    @property
    def decided_by(self) -> str:
        """What decided, as a sentence has it."""
        return MEASURES.get(self.contest.comparison.decided_by, self.contest.comparison.decided_by)

    @property
    def signals(self) -> tuple[str, ...]:
        """All signals, as a sentence has them."""
        return tuple(MEASURES.get(signal, signal) for signal in self.contest.comparison.signals)

    @property
    def warnings(self) -> tuple[tuple[str, str], ...]:
        """What is to be known, each with the benchmark that it is about, if it is about one."""
        comparison, found = self.contest.comparison, []
        if self.contest.close and not any(_CLOSE_WORDS in warning for warning in comparison.warnings):
            lead = decimal(abs(self.contest.lead or 0.0))
            found.append(
                ("", f"the best two candidates are {lead} {_CLOSE_WORDS}, which is less than what it can tell")
            )
        found += [("", warning) for warning in comparison.warnings]
        found += [(name, warning) for name, runs in comparison.calibration.items() for warning in runs.warnings]
        return tuple(found)

    @property
    def standing(self) -> str:
        """What the winner has of the measure that decided, with its unit, and how that compares."""
        measure = self.contest.comparison.decided_by
        if measure == "likelihood":
            return f"{shown_value(self.winner, 'likelihood')} nats a token"
        if measure == "scores":
            return f"a mean score of {shown_value(self.winner, 'scores')}"
        return f"a mean AOS of {shown_value(self.winner, 'aos')}"

    @property
    def ahead(self) -> tuple[str, str] | None:
        """How far it is ahead of which candidate, or behind; None where it stands alone."""
        margin, contest = self.contest.comparison.margin, self.contest
        if margin is None or contest.runner_up is None:
            return None
        size = score(abs(margin)) if contest.comparison.decided_by == "scores" else decimal(abs(margin))
        word = "behind" if margin < 0 else "ahead of"
        return (f"{size} {word}" if float(size.replace(",", "")) else "level with"), contest.runner_up.name

    @property
    def rule(self) -> str:
        """What makes a benchmark weak, as a whole sentence."""
        activation = self.contest.activation
        rules = {
            "scores": f"A benchmark is weak where the backbone loses over {percent(SCORE_GAP)} of its expert's score.",
            "likelihood": f"A benchmark is weak where the backbone needs over {LIKELIHOOD_GAP} nats a token more than "
            "its expert, on development data.",
            "list": "The manifest names the benchmarks that are repaired.",
            "all": "The manifest has all benchmarks repaired.",
            "none": "The manifest has no benchmark repaired.",
        }
        return rules.get(activation.rule, "") if activation else ""

    @property
    def halves(self) -> str:
        """Whether more recorded runs are worth it; empty where that is not known."""
        return halves_caption(self.contest.comparison)

    @property
    def read_with(self) -> str:
        """What models were run on, with versions; empty where an older report does not say."""
        comparison = self.contest.comparison
        versions = (("torch", comparison.torch), ("transformers", comparison.transformers))
        told = [comparison.device or "", *(f"{name} {version}" for name, version in versions if version)]
        return ", ".join(each for each in told if each)

    @property
    def has_digests(self) -> bool:
        """Whether it is known what token ids models read."""
        return any(runs.data_sha256 for runs in self.contest.comparison.calibration.values())

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured on development data of every benchmark."""
        return tuple(measure for measure in measures_of(self.contest) if measure != "aos")

    def rows(self, measure: Measure | None = None) -> list[Entry]:
        """Candidates that tables have rows for, by a measure, or by what decided."""
        return kept(self.contest.ranked(measure) if measure else self.contest.entries, _MOST_ROWS)

    @property
    def rows_left_out(self) -> int:
        """How many more there are."""
        return max(0, len(self.contest.entries) - _MOST_ROWS)

    def gap(self, name: str) -> str:
        """How much worse the backbone is than a benchmark's expert, with its unit; empty if that is not known."""
        activation = self.contest.activation
        gap = activation.gaps.get(name) if activation else None
        if activation is None or gap is None:
            return ""
        if activation.rule == "scores":
            return percent(gap) if gap >= 0 else f"-{percent(-gap)}"
        return f"{decimal(gap)} nats"


def choice_part(report: Report, endpoint: str) -> ChoicePart | None:
    """Arrange a report's choice; None if its method makes none."""
    contest = contest_of(report)
    if contest is None:
        return None
    samples = _samples(contest)
    return ChoicePart(
        contest=contest,
        benchmarks=contest.benchmarks[:MOST_COLUMNS],
        left_out=max(0, len(contest.benchmarks) - MOST_COLUMNS),
        samples=samples,
        samples_left_out=len(contest.comparison.samples) - len(samples),
        datasets=f"{endpoint.rstrip('/')}/datasets",
    )


def show_parameters(method: Method) -> str:
    """A method's parameters with their values, on one line."""
    return ", ".join(f"{name} {show_value(value)}" for name, value in method.parameters().items())


def _samples(contest: Contest) -> tuple[ShownSample, ...]:
    """Of each benchmark as many as of the others, as far as they go."""
    of_each = max(1, _MOST_SAMPLES // len(contest.benchmarks))
    counted = dict.fromkeys(contest.benchmarks, 0)
    found: list[ShownSample] = []
    for sample in contest.comparison.samples:
        counted[sample.benchmark] += 1
        if counted[sample.benchmark] <= of_each and len(found) < _MOST_SAMPLES:
            found.append(ShownSample(sample.benchmark, sample.trajectory, _pieces(sample)))
    return tuple(found)


def _pieces(sample: ReportedSample) -> tuple[tuple[str, bool], ...]:
    room, found = _LONGEST_SAMPLE, list[tuple[str, bool]]()
    for text, inside in sample.pieces:
        if room <= 0:
            found.append(("[…]", False))
            break
        line = plain(text, min(room, _LONGEST_PIECE))
        room -= len(line)
        if line:
            found.append((line, inside))
    return tuple(found)


def first_and_more(names: Sequence[str], most: int = 6) -> tuple[tuple[str, ...], int]:
    """As many names as a sentence bears, and how many more there are."""
    return tuple(names[:most]), max(0, len(names) - most)

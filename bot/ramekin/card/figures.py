"""The plots of a card with their words: what stands in for each where it is not seen, and the caption below it."""

from dataclasses import dataclass

from ramekin.card.candidates_plot import agreements_of, describe_candidates
from ramekin.card.captions import (
    density_caption,
    heat_caption,
    layers_caption,
    overlap_caption,
    roles_caption,
    scores_caption,
    transplant_caption,
)
from ramekin.card.contest import Contest
from ramekin.card.density_plot import describe_density, has_density
from ramekin.card.heat_plot import describe_heat
from ramekin.card.layers_plot import describe_layers, describe_transplant
from ramekin.card.modules import describe_changes
from ramekin.card.modules_plot import describe_modules, has_modules
from ramekin.card.overlap_plot import describe_overlap
from ramekin.card.patterns import Patterns
from ramekin.card.plots import plots_of
from ramekin.card.roles_plot import describe_roles
from ramekin.card.scores_plot import describe_scores
from ramekin.card.scoring import Scoring
from ramekin.methods.base import Method
from ramekin.report import Report


@dataclass(frozen=True)
class Figure:
    """A plot in words.

    Attributes:
        words: What it shows, for who cannot see it.
        caption: What to conclude from it.
    """

    words: str
    caption: str


def figures_of(
    report: Report, patterns: Patterns, method: Method, contest: Contest | None, scoring: Scoring | None, *, whole: bool
) -> dict[str, Figure]:
    """All plots that a report has something for, by file name.

    Args:
        report: The report.
        patterns: Its patterns, sorted.
        method: What merged the weights.
        contest: Its choice among candidates, if it has one.
        scoring: Its task scores, if it has some.
        whole: Whether what one expert alone changed is in the merge as that expert has it, or stronger.
    """
    caption = overlap_caption(patterns, len(report.experts), method, whole=whole)
    found = {"overlap.svg": Figure(describe_overlap(patterns), caption)}
    if has_density(report):
        found["density.svg"] = Figure(describe_density(report), density_caption(report, method))
    if has_modules(report):
        found["modules.svg"] = Figure(describe_modules(report), describe_changes(report))
    if scoring:
        found["scores.svg"] = Figure(describe_scores(scoring), scores_caption(scoring))
    return found | (_of_choice(contest) if contest else {})


def _of_choice(contest: Contest) -> dict[str, Figure]:
    makers = {
        "aos.svg": (describe_heat, heat_caption),
        "candidates.svg": (describe_candidates, lambda contest: " ".join(agreements_of(contest))),
        "aos-layers.svg": (describe_layers, layers_caption),
        "roles.svg": (describe_roles, roles_caption),
        "transplant.svg": (describe_transplant, transplant_caption),
    }
    return {name: Figure(*(make(contest) for make in makers[name])) for name in plots_of(contest)}


def first_of(figures: dict[str, Figure], contest: Contest | None) -> str:
    """The plot that tells most, which stands at the top: scores, then what a choice was made by, then the overlap."""
    order = ["scores.svg"]
    if contest:
        order += ("aos.svg", "candidates.svg") if contest.activation else ("candidates.svg", "aos.svg")
    return next((name for name in order if name in figures), "overlap.svg")

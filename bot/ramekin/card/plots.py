"""The plots of a card: small SVG files, drawn from the report alone."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ramekin.card.candidates_plot import lay_out_candidates
from ramekin.card.contest import Contest, arranged, contest_of
from ramekin.card.density_plot import has_density, lay_out_density
from ramekin.card.heat_plot import lay_out_heat
from ramekin.card.layers_plot import lay_out_layers, lay_out_transplant
from ramekin.card.modules_plot import has_modules, lay_out_modules
from ramekin.card.overlap_plot import lay_out_overlap
from ramekin.card.patterns import patterns_of
from ramekin.card.roles_plot import lay_out_roles
from ramekin.card.scores_plot import lay_out_scores
from ramekin.card.scoring import scoring_of
from ramekin.choice import ReportedComparison
from ramekin.report import Report
from ramekin.templating import template_environment


def render_plots(report: Report) -> dict[str, str]:
    """All plots of a report that it has something for.

    Returns:
        The SVG of each by its file name. The same report gives the same bytes.
    """
    names = tuple(expert.name for expert in report.experts)
    drawn = {"overlap.svg": _draw("overlap.svg", lay_out_overlap(report, patterns_of(report.overlap, names)))}
    if has_density(report):
        drawn["density.svg"] = _draw("density.svg", lay_out_density(report))
    if has_modules(report):
        drawn["modules.svg"] = _draw("modules.svg", lay_out_modules(report))
    if scoring := scoring_of(report):
        drawn["scores.svg"] = _draw("scores.svg", lay_out_scores(scoring))
    contest = contest_of(report)
    return drawn | (_drawn(contest) if contest else {})


def render_comparison_plots(comparison: ReportedComparison) -> dict[str, str]:
    """The plots of a choice among candidates that nothing was made of yet, likewise."""
    return _drawn(arranged(comparison))


def _drawn(contest: Contest) -> dict[str, str]:
    return {name: _draw(_TEMPLATES.get(name, name), _PLOTS[name](contest)) for name in plots_of(contest)}


def plots_of(contest: Contest) -> tuple[str, ...]:
    """Which plots there are of a choice among candidates."""
    activation = contest.activation
    transplanted = activation.transplanted.values() if activation else ()
    there = {
        "aos.svg": contest.has("aos") and bool(contest.benchmarks),
        "candidates.svg": contest.has("likelihood") or contest.has("scores"),
        "aos-layers.svg": bool(activation and activation.per_layer and all(activation.per_layer.values())),
        "roles.svg": bool(activation) and len(contest.benchmarks) > 1,
        "transplant.svg": any(found.neurons for found in transplanted),
    }
    return tuple(name for name in _PLOTS if there[name])


def _draw(template: str, plot: object) -> str:
    return template_environment(markup=True).get_template(f"plots/{template}.jinja").render(plot=plot)


_PLOTS: Final[Mapping[str, Callable[[Contest], Any]]] = {
    "aos.svg": lay_out_heat,
    "candidates.svg": lay_out_candidates,
    "aos-layers.svg": lay_out_layers,
    "roles.svg": lay_out_roles,
    "transplant.svg": lay_out_transplant,
}
_TEMPLATES: Final = {"aos-layers.svg": "layers.svg", "transplant.svg": "layers.svg"}

PLOTS: Final = frozenset({"overlap.svg", "density.svg", "modules.svg", "scores.svg", *_PLOTS})
"""Names of all plots that there can be."""

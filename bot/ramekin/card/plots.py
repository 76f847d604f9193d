"""The plots of a card: small SVG files, drawn from the report alone."""

from collections.abc import Callable, Mapping
from typing import Final

from ramekin.card.overlap_plot import lay_out_overlap
from ramekin.card.patterns import patterns_of
from ramekin.report import Report
from ramekin.templating import template_environment


def render_plots(report: Report) -> dict[str, str]:
    """All plots of a report.

    Returns:
        The SVG of each by its file name. The same report gives the same bytes.
    """
    return {name: draw(report) for name, draw in _PLOTS.items()}


def _overlap(report: Report) -> str:
    names = tuple(expert.name for expert in report.experts)
    plot = lay_out_overlap(report, patterns_of(report.overlap, names))
    return template_environment(markup=True).get_template("plots/overlap.svg.jinja").render(plot=plot)


_PLOTS: Final[Mapping[str, Callable[[Report], str]]] = {"overlap.svg": _overlap}

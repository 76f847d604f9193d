"""The model card as text. The same report, texts and lock give the same card, byte for byte."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ramekin.card.choice_part import choice_part, first_and_more, show_parameters
from ramekin.card.citations import citations_of
from ramekin.card.consistency import check_report, merged_by
from ramekin.card.contest import contest_of
from ramekin.card.figures import figures_of, first_of
from ramekin.card.front_matter import dump_front_matter, front_matter
from ramekin.card.numbers import NUMBERS
from ramekin.card.patterns import patterns_of
from ramekin.card.scoring import scoring_of
from ramekin.card.sources import shown_base, shown_experts
from ramekin.errors import IncompatibleError
from ramekin.licences.inheritance import Inheritance, claims_of, inherit
from ramekin.lock.model import Lock
from ramekin.manifest.model import CardTexts
from ramekin.markdown import HUB
from ramekin.methods import Method
from ramekin.methods.base import show_value
from ramekin.methods.ram import RamFamily
from ramekin.report import Report, redacted
from ramekin.templating import template_environment

_TEMPLATE: Final = "card/README.md.jinja"
_NEWLINES: Final = "\n"
_CHAT_TEMPLATE: Final = "chat_template.jinja"


@dataclass(frozen=True)
class Parameter:
    """A row of the table of the method's parameters."""

    name: str
    value: str
    meaning: str


def render_card(
    report: Report, texts: CardTexts, lock: Lock, endpoint: str = HUB, body: Callable[[Report], str] | None = None
) -> str:
    """Render the card.

    Args:
        report: What the merge did.
        texts: What the manifest says about its card.
        lock: The pinned sources.
        endpoint: The Hub that repositories are linked to; without https there are no links.
        body: Renders what is below the front matter instead of our own template; the front matter is always ours.

    Raises:
        DamagedError: Report and lock, or parts of the report, do not belong together.
        IncompatibleError: The licences of the sources, and the one that the manifest names, cannot all be met.
    """
    report, licence = prepared(report, texts, lock)
    front = dump_front_matter(front_matter(lock, texts, licence, report.method.name))
    if body is None:
        template = template_environment(markup=False).get_template(_TEMPLATE)
        below = template.render(card_values(report, texts, lock, licence, endpoint))
    else:
        below = body(report)
    return f"{front}\n{below.strip(_NEWLINES)}\n"


def prepared(report: Report, texts: CardTexts, lock: Lock) -> tuple[Report, Inheritance]:
    """A report that was checked, without what may not be shown, and the licence that the merge has.

    Raises:
        DamagedError: Report and lock, or parts of the report, do not belong together.
        IncompatibleError: The licences of the sources, and the one that the manifest names, cannot all be met.
    """
    check_report(report, lock)
    licence = inherit(claims_of(lock), texts.license)
    if licence.problems:
        raise IncompatibleError(problems=licence.problems)
    return redacted(report, lock, samples=texts.samples), licence


def card_values(report: Report, texts: CardTexts, lock: Lock, licence: Inheritance, endpoint: str) -> dict[str, Any]:
    """All that templates of cards are given, by name."""
    made_by, choice, scoring = merged_by(report), choice_part(report, endpoint), scoring_of(report)
    whole = isinstance(made_by, RamFamily) and not (choice and choice.contest.repaired)
    patterns = patterns_of(report.overlap, tuple(expert.name for expert in report.experts))
    contest = contest_of(report)
    figures = figures_of(report, patterns, made_by, contest, scoring, whole=whole)
    return {
        "report": report,
        "texts": texts,
        "title": texts.title or report.output.repo.partition("/")[2],
        "licence": licence,
        "base": shown_base(report, lock),
        "experts": shown_experts(report, lock, made_by),
        "all_on_hub": all(source.kind == "hub" for source in lock.sources.values()),
        "patterns": patterns,
        "figures": figures,
        "first_figure": first_of(figures, contest),
        "method": report.method,
        "made_by": made_by,
        "ram": isinstance(made_by, RamFamily),
        "whole": whole,
        "parameters": _parameters(report.method),
        "citations": _citations(report.method, made_by),
        "choice": choice,
        "scoring": scoring,
        "show_parameters": show_parameters,
        "first_and_more": first_and_more,
        "chat_template": _CHAT_TEMPLATE in report.output.files,
        "endpoint": endpoint,
        "number": NUMBERS,
    }


def _parameters(method: Method) -> tuple[Parameter, ...]:
    described = method.fields()
    return tuple(
        Parameter(name, show_value(value), described[name].description or "")
        for name, value in method.parameters().items()
    )


def _citations(*methods: Method) -> tuple[str, ...]:
    """The papers of all methods that took part, each once."""
    return tuple(dict.fromkeys(entry for method in methods for entry in citations_of(method.reference)))

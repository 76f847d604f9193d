"""The model card as text. The same report, texts and lock give the same card, byte for byte."""

from dataclasses import dataclass
from typing import Final

from ramekin.card import numbers
from ramekin.card.choice_part import choice_part, first_and_more, show_parameters
from ramekin.card.citations import citations_of
from ramekin.card.consistency import check_report, merged_by
from ramekin.card.front_matter import dump_front_matter, front_matter
from ramekin.card.overlap_plot import describe_overlap
from ramekin.card.patterns import patterns_of
from ramekin.errors import IncompatibleError
from ramekin.licences import claims_of, inherit
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import CardTexts
from ramekin.markdown import HUB
from ramekin.methods import Method
from ramekin.methods.base import show_value
from ramekin.methods.ram import RamFamily
from ramekin.report import ExpertOverlap, Report, redacted
from ramekin.templating import template_environment

_CHAT_TEMPLATE: Final = "chat_template.jinja"


@dataclass(frozen=True)
class ShownSource:
    """A row of the table of sources.

    Attributes:
        name: `base`, or the expert's name.
        source: Repository id or path.
        commit: What it was pinned to.
        on_hub: Whether it is a repository.
        licence: As its card declares it.
        overlap: What it changed; None for the base.
    """

    name: str
    source: str
    commit: str
    on_hub: bool
    licence: str
    overlap: ExpertOverlap | None = None


@dataclass(frozen=True)
class Parameter:
    """A row of the table of the method's parameters."""

    name: str
    value: str
    meaning: str


def render_card(report: Report, texts: CardTexts, lock: Lock, endpoint: str = HUB) -> str:
    """Render the card.

    Args:
        report: What the merge did.
        texts: What the manifest says about its card.
        lock: The pinned sources.
        endpoint: The Hub that repositories are linked to; without https there are no links.

    Raises:
        DamagedError: Report and lock, or parts of the report, do not belong together.
        IncompatibleError: The licences of the sources, and the one that the manifest names, cannot all be met.
    """
    check_report(report, lock)
    report = redacted(report, lock, samples=texts.samples)
    licence = inherit(claims_of(lock), texts.license)
    if licence.problems:
        raise IncompatibleError(problems=licence.problems)
    names = tuple(expert.name for expert in report.experts)
    patterns = patterns_of(report.overlap, names)
    made_by, choice = merged_by(report), choice_part(report, endpoint)
    template = template_environment(markup=False).get_template("card/README.md.jinja")
    return template.render(
        front_matter=dump_front_matter(front_matter(lock, texts, licence, report.method.name)),
        report=report,
        texts=texts,
        title=texts.title or report.output.repo.partition("/")[2],
        licence=licence,
        base=_shown("base", report.base.source, report.base.commit, lock.base),
        experts=tuple(
            _shown(e.name, e.source, e.commit, lock.experts[e.name], report.overlap.experts[e.name])
            for e in report.experts
        ),
        all_on_hub=all(source.kind == "hub" for source in lock.sources.values()),
        patterns=patterns,
        overlap_words=describe_overlap(patterns),
        method=report.method,
        made_by=made_by,
        ram=isinstance(made_by, RamFamily),
        whole=isinstance(made_by, RamFamily) and not (choice and choice.contest.repaired),
        shown_only=made_by.overlap == "shows",
        parameters=_parameters(report.method),
        citations=_citations(report.method, made_by),
        choice=choice,
        show_parameters=show_parameters,
        first_and_more=first_and_more,
        chat_template=_CHAT_TEMPLATE in report.output.files,
        endpoint=endpoint,
        number=numbers,
    )


def _shown(
    name: str, source: str, commit: str, pinned: PinnedSource, overlap: ExpertOverlap | None = None
) -> ShownSource:
    card = pinned.card
    licence = (card.license_name if card.license == "other" else None) or card.license or "none declared"
    return ShownSource(name, source, commit, pinned.kind == "hub", licence, overlap)


def _parameters(method: Method) -> tuple[Parameter, ...]:
    described = method.fields()
    return tuple(
        Parameter(name, show_value(value), described[name].description or "")
        for name, value in method.parameters().items()
    )


def _citations(*methods: Method) -> tuple[str, ...]:
    """The papers of all methods that took part, each once."""
    return tuple(dict.fromkeys(entry for method in methods for entry in citations_of(method.reference)))

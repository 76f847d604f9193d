"""What a pull request on the Hub says: the plan and the results, in Markdown. Names are strangers', and stay text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.card import numbers
from ramekin.card.patterns import patterns_of
from ramekin.licences.inheritance import claims_of, inherit
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.methods.base import show_value
from ramekin.plan.difference import changes_between
from ramekin.plan.model import Plan
from ramekin.plan.quantities import plural, size
from ramekin.plan.rendering import render_plan
from ramekin.report import Report, ReportedSource
from ramekin.scores import ReportedEvaluation
from ramekin.templating import template_environment

_LONGEST: Final = 50_000
"""Characters that a comment has at most; with more the plan is left out, which is the longest part."""
_MOST_FILES: Final = 50


@dataclass(frozen=True)
class Background:
    """What a pull request tells beside the report that it holds.

    Attributes:
        manifest: What is published, and where to.
        lock: What it was made from.
        published: The report of what the default branch holds, if it is a merge of ours.
        plan: The plan that was followed, if one was made.
    """

    manifest: Manifest
    lock: Lock
    published: Report | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class _Source:
    """A row of the table of sources."""

    name: str
    reported: ReportedSource
    pinned: PinnedSource

    @property
    def licence(self) -> str:
        return self.pinned.card.license_shown


@dataclass(frozen=True)
class ScoreTable:
    """The table of scores: the models that were measured, and a row for each task."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, evaluation: ReportedEvaluation) -> "ScoreTable":
        """Arrange what was measured."""
        shown = {name: evaluation.values(name) for name in evaluation.models}
        rows = tuple(
            (name, task.metric, tuple(numbers.score(of[name]) if name in of else "" for of in shown.values()))
            for name, task in evaluation.tasks.items()
        )
        return cls(tuple(name.removeprefix("expert:") for name in shown), rows)


def ready_text(endpoint: str, ref: str, commit: str, report: Report, background: Background) -> str:
    """The comment on a verified pull request.

    Args:
        endpoint: The Hub's address, for links; only https is linked.
        ref: Branch of the pull request.
        commit: Commit that was verified.
        report: What it holds.
        background: What is told beside it.
    """
    manifest, lock = background.manifest, background.lock
    sources = [_Source("base", report.base, lock.base)]
    sources += [_Source(expert.name, expert, lock.experts[expert.name]) for expert in report.experts]
    licence = inherit(claims_of(lock), manifest.card.license)
    parameters = (f"{name} {show_value(value)}" for name, value in report.method.parameters().items())
    files = report.output.files
    values = {
        "endpoint": endpoint,
        "ref": ref,
        "commit": commit,
        "report": report,
        "sources": sources,
        "parameters": ", ".join(parameters),
        "licence": licence.license_name or licence.license,
        "size": f"{size(sum(record.size for record in files.values()))} in {plural(len(files), 'file')}",
        "changes": changes_between(background.published, lock, manifest),
        "patterns": patterns_of(report.overlap, tuple(expert.name for expert in report.experts)),
        "scores": ScoreTable.of(report.evaluation) if report.evaluation else None,
        "number": numbers,
    }
    plan = render_plan(background.plan, "md", endpoint=endpoint) if background.plan else None
    template = template_environment(markup=False).get_template("publish/ready.md.jinja")
    text = template.render(values, plan=plan)
    return text if len(text) <= _LONGEST else template.render(values, plan=None)


def wrong_text(commit: str, report: Report, wrong: Mapping[str, str]) -> str:
    """The comment on a pull request that does not hold what was sent.

    Args:
        commit: Commit that was looked at.
        report: What it says about itself.
        wrong: What is wrong, by file.
    """
    template = template_environment(markup=False).get_template("publish/wrong.md.jinja")
    shown = [*wrong.items()][:_MOST_FILES]
    return template.render(commit=commit, report=report, shown=shown, left=len(wrong) - len(shown), wrong=len(wrong))


def closed_text() -> str:
    """The comment on a draft that was closed since another takes its place."""
    return "Closed by ramekin: the branch has moved on since this draft was opened, and nothing was committed to it."

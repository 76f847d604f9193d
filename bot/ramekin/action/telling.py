"""What people read on a pull request and in a step's summary, in Markdown. What strangers wrote stays text."""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ramekin import markdown
from ramekin.action.account import Account
from ramekin.action.cutting import cut_to
from ramekin.action.job import Job
from ramekin.action.sticky import show
from ramekin.card import numbers
from ramekin.card.patterns import patterns_of
from ramekin.errors import Problem, RamekinError
from ramekin.github.refusals import ForbiddenError
from ramekin.plan.model import Plan
from ramekin.plan.quantities import duration, plural, size
from ramekin.plan.rendering import plan_values, prose
from ramekin.plan.view import licence_text
from ramekin.publish.telling import ScoreTable
from ramekin.report import Report
from ramekin.templating import template_environment

LONGEST: Final = 50_000
"""Bytes of a comment; GitHub takes some more."""
_MARK: Final = 20_000
"""Of these, what is left for the mark at most."""
_MOST: Final = 50
"""Problems that are listed."""


def comment_text(job: Job, account: Account, *, limit: int = LONGEST - _MARK) -> str:
    """The comment without its mark, cut between two lines where it is too long.

    Args:
        job: The job that tells.
        account: What it tells.
        limit: Bytes that the comment has at most.
    """
    values = _values(job, account)
    body = _rendered("comment", values)
    footer = _rendered("footer", values | {"cut": False})
    if len((body + footer).encode()) <= limit:
        return body + footer
    footer = _rendered("footer", values | {"cut": True, "run_url": _run_url(job)})
    return cut_to(body, limit - len(footer.encode())) + footer


def summary_text(job: Job, account: Account) -> str:
    """The same for the step's summary, whole."""
    on_pull = job.event.pull_request is not None or job.event.comment is not None
    values = _values(job, account) | {"short": False, "on_pull": on_pull}
    return _rendered("comment", values) + _rendered("footer", values | {"cut": False})


def tell(job: Job, number: int, account: Account) -> tuple[str, tuple[str, ...]]:
    """Write the comment on a pull request; returns its page and what went wrong, which fails nothing.

    Args:
        job: The job that tells.
        number: The pull request.
        account: What it tells.
    """
    try:
        marker = account.marker(job.settings.run_url)
        text = comment_text(job, account, limit=LONGEST - len(marker.to_mark()))
        return show(job.github, number, marker, text), ()
    except ForbiddenError:
        pull = job.event.pull_request
        if pull is not None and pull.fork:
            what = "this pull request is of a fork, where a job may not comment: its summary has everything"
            job.runner.notice(what)
            return "", ()
        hint = "give the job `permissions: pull-requests: write`"
        return "", (f"nothing is told on the pull request, since the job's token may not comment: {hint}",)
    except RamekinError as error:
        return "", tuple(f"nothing is told on the pull request: {problem.what}" for problem in error.problems)


def _cleaned(job: Job, problem: Problem) -> Problem:
    """A problem without tokens: once it is escaped for Markdown, nobody would know one again."""
    clean = job.runner.cleaned
    return Problem(clean(problem.what), clean(problem.hint), problem.path, problem.line)


def _rendered(name: str, values: Mapping[str, Any]) -> str:
    return template_environment(markup=False).get_template(f"action/{name}.md.jinja").render(values)


def _values(job: Job, account: Account) -> dict[str, Any]:
    plan, report, endpoint = account.plan, account.report, job.bench.environment.endpoint
    repository = f"{job.settings.server_url}/{job.settings.repository}"

    def file_link(path: Path, line: int | None = None) -> str:
        label = markdown.code(path.as_posix() + (f":{line}" if line else ""))
        address = f"{repository}/blob/{account.head}/{quote(path.as_posix())}" + (f"#L{line}" if line else "")
        return _anchor(label, address)

    def placed(problem: Problem) -> str:
        return f"{file_link(problem.path, problem.line)}: " if problem.path and not problem.path.is_absolute() else ""

    def linked(place: str) -> str:
        line = account.lines.get(place)
        return file_link(account.manifest, line) if line else ""

    values = {"plan": None, "endpoint": endpoint, "prose": prose, "plural": plural}
    values |= plan_values(plan, endpoint, linked) if plan else {}
    evaluation = report.evaluation if report else None
    return values | {
        "account": account,
        "published": account.published,
        "problems": [_cleaned(job, problem) for problem in account.problems],
        "left_out": [job.runner.cleaned(note) for note in (account.published.notes if account.published else ())],
        "placed": placed,
        "file_link": file_link,
        "link_to": lambda url, label: _anchor(markdown.code(label), url),
        "commit_at": lambda commit: _anchor(markdown.code(commit[:7]), f"{repository}/commit/{commit}"),
        "sentence": lambda text: prose(text[:1].upper() + text[1:]),
        "since": account.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if account.since else "",
        "run_url": "" if account.state == "planned" else _run_url(job),
        "on_pull": True,
        "commented": job.event.comment is not None,
        "short": account.state != "planned",
        "glance": _glance(plan) if plan and account.state in {"planned", "running"} else (),
        "patterns": patterns_of(report.overlap, tuple(e.name for e in report.experts)) if report else None,
        "scores": ScoreTable.of(evaluation) if evaluation else None,
        "number": numbers,
        "took": _took(report) if report else "",
        "most_problems": _MOST,
    }


def _run_url(job: Job) -> str:
    """Where the workflow's run is, if that is a page that can be linked."""
    return markdown.https_url(job.settings.run_url) or ""


def _anchor(label: str, address: str) -> str:
    url = markdown.https_url(address)
    return f"[{label}]({url.replace('&', '&amp;')})" if url and label else label


def _glance(plan: Plan) -> tuple[str, ...]:
    """The plan in one line; nothing where nothing would be merged."""
    if plan.cost is None or plan.layout is None or plan.action != "publish":
        return ()
    experts = sum(source.role.startswith("expert:") for source in plan.sources)
    return (
        f"to a {'private' if plan.target.private else '**public**'} repository",
        f"{plural(experts, 'expert')} by {markdown.code(plan.method.name)}",
        size(plan.layout.bytes),
        f"licence {markdown.text(licence_text(plan) if plan.licence.licence else 'unknown')}",
        f"about {duration(plan.cost.seconds)}",
        f"{size(plan.cost.download_bytes)} to download",
        f"{size(plan.cost.disk_bytes)} of disk",
        f"{size(plan.cost.memory_bytes)} of memory",
    )


def _took(report: Report) -> str:
    """What a merge has cost."""
    spent = report.cost.seconds
    seconds = round(spent.fetch + spent.merge + spent.evaluate + spent.publish)
    return f"took {duration(seconds)}, at most {size(report.cost.peak_rss_bytes)} of memory"

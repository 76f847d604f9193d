"""Comments that ask for something: `/ramekin plan` and `/ramekin run --pr`, from people who may write here.

A comment says nothing of the commit that its author was looking at. What is run is therefore what our own comment
showed when theirs was written: ours must not have changed since, and the pull request must still be at its head.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from ramekin.action.event import CommentEvent
from ramekin.action.job import Job, Result
from ramekin.action.manifests import find_manifests, touched
from ramekin.action.planning import plan_one, tell_plan
from ramekin.action.snapshot import snapshot
from ramekin.action.sticky import Sticky, stickies
from ramekin.errors import RamekinError, UsageError
from ramekin.github.records import Comment, Pull
from ramekin.plan.rendering import render_plan
from ramekin.text import printable

PLAN: Final = "/ramekin plan"
RUN: Final = "/ramekin run --pr"
_MAY_WRITE: Final = frozenset({"admin", "maintain", "write"})


@dataclass(frozen=True)
class _Asked:
    """A comment that is to be obeyed.

    Attributes:
        command: One of the two.
        comment: The comment as it is now.
        pull: The pull request that it is on, as it is now.
    """

    command: str
    comment: Comment
    pull: Pull


def obey(job: Job) -> tuple[Result, ...]:
    """Do what a comment asks for, if it is a command, and its author may ask for it.

    Raises:
        GitHubError: GitHub cannot be asked.
        UsageError: There is no manifest to do it with.
    """
    asked = _asked(job)
    if asked is None:
        return ()
    job.github.react(asked.comment.id, "eyes")
    # Never the checkout: on this event it is the default branch's, and what was looked at is the pull request's head.
    try:
        with snapshot(job, asked.pull.head) as workspace:
            results = _carried_out(job, asked, workspace)
    except RamekinError:
        job.github.react(asked.comment.id, "confused")
        raise
    job.github.react(asked.comment.id, "confused" if any(result.error for result in results) else "rocket")
    return results


def command_in(body: str) -> str | None:
    """The command that a comment's first line is, and nothing else stands there."""
    first = body.splitlines()[0].rstrip(" \t") if body else ""
    return first if first in {PLAN, RUN} else None


def _asked(job: Job) -> _Asked | None:
    """What is asked for; nothing, unless all of it is as it should be."""
    event = job.event.comment
    command = command_in(event.body) if event else None
    if event is None or command is None or event.action != "created" or not event.on_pull_request:
        return None
    comment = job.github.comment(event.id)
    if comment is None or not _is_untouched(comment, event):
        job.runner.notice("the comment is not what it was when it was written, so nothing is done")
        return None
    if job.github.permission(comment.author) not in _MAY_WRITE:
        job.runner.notice("the comment is of somebody who may not write to this repository, so nothing is done")
        job.github.react(comment.id, "-1")
        return None
    pull = job.github.pull(event.number)
    if pull is None or pull.state != "open":
        job.runner.notice("the pull request is not open, so nothing is done")
        job.github.react(comment.id, "confused")
        return None
    return _Asked(command, comment, pull)


def _is_untouched(comment: Comment, event: CommentEvent) -> bool:
    """Whether a comment is the one that the event is about, and nobody has changed it."""
    return (comment.body, comment.author) == (event.body, event.author) and comment.updated == comment.created


def _carried_out(job: Job, asked: _Asked, workspace: Path) -> tuple[Result, ...]:
    """Do what is asked for, with each of the manifests that the pull request is about."""
    manifests = find_manifests(workspace, job.settings.inputs.manifest)
    known = stickies(job.github, asked.pull.number)
    about = {*touched(workspace, manifests, job.github.files_of(asked.pull.number)), *map(Path, known)}
    chosen = [manifest for manifest in manifests if manifest in about]
    if not chosen:
        job.runner.notice("this pull request touches no manifest, so nothing is done")
    return tuple(_done(job, asked, workspace, manifest, known.get(manifest.as_posix())) for manifest in chosen)


def _done(job: Job, asked: _Asked, workspace: Path, manifest: Path, sticky: Sticky | None) -> Result:
    if asked.command == PLAN:
        return _plan(job, asked, workspace, manifest)
    if sticky and sticky.marker.state != "planned" and sticky.updated > asked.comment.created:
        job.runner.notice(f"{printable(manifest)}: it was begun already, so nothing is done")  # an event came twice
        return Result(manifest)
    why = _unseen(sticky, asked.pull.head, asked.comment.created)
    if why:
        error = UsageError(f"`{RUN}` was not done: {why}", "look at the plan as it is now, and comment again")
        return replace(
            _plan(job, asked, workspace, manifest, f"{error.problems[0].what}; {error.problems[0].hint}."), error=error
        )
    from ramekin.action.following import Follow
    from ramekin.action.running import run_one

    follow = Follow(asked.pull.number, sticky.marker.approved if sticky else None)
    # Whoever wrote it, nothing of a pull request is merged yet: none of its programs and templates run.
    return run_one(job, workspace, manifest, follow=follow, pull_request=True, trusted=False)


def _plan(job: Job, asked: _Asked, workspace: Path, manifest: Path, notice: str = "") -> Result:
    """Plan a manifest of the pull request, as it is there."""
    foreign = asked.pull.source != job.settings.repository
    with job.runner.group(f"plan {printable(manifest)}"):
        planned = plan_one(job, workspace, manifest, confined=foreign)
        if planned.plan:
            job.bench.terminal.result(render_plan(planned.plan, "text"))
    return tell_plan(job, asked.pull.number, planned, asked.pull.head, notice)


def _unseen(sticky: Sticky | None, head: str, written: datetime) -> str:
    """Why the author of a comment cannot have seen the plan that would be run; empty if they can."""
    if sticky is None or sticky.marker.approved is None:
        return "there was no plan to look at"
    if sticky.marker.head != head or sticky.marker.approved.head != head:
        return f"the plan was of commit `{sticky.marker.head[:7]}`, and the pull request is at `{head[:7]}`"
    if sticky.updated >= written:  # to the second: nobody has read it in that time
        return "the plan has changed since the comment was written"
    return ""

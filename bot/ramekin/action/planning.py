"""`plan`: what a run would do, told in the step's summary and in one comment on the pull request for each manifest."""

from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from ramekin.action.account import Account
from ramekin.action.confining import check_confined
from ramekin.action.event import PullRequestEvent
from ramekin.action.job import Job, Result
from ramekin.action.manifests import find_manifests, touched
from ramekin.action.placing import lines_of, placed
from ramekin.action.sticky import State, Sticky, stickies
from ramekin.action.telling import summary_text, tell
from ramekin.action.vouching import check_lock
from ramekin.cli.allowing import permissions
from ramekin.environment import Identity
from ramekin.errors import RamekinError
from ramekin.github.refusals import GitHubError
from ramekin.lock.file import lock_path, read_lock
from ramekin.lock.key import fits
from ramekin.lock.making import LockPolicy
from ramekin.manifest.reading import LoadedManifest, read_manifest
from ramekin.plan.model import Plan
from ramekin.plan.rendering import render_plan
from ramekin.preparing import Prepared, Request, prepare
from ramekin.terminal import as_ours
from ramekin.text import printable
from ramekin.workbench import Workbench

T = TypeVar("T")

UNWRITTEN = LockPolicy(write=False)
"""A checkout, and a snapshot all the more, is left as it was."""


@dataclass(frozen=True)
class Planned:
    """What planning one manifest came to.

    Attributes:
        manifest: Its path, relative to the repository.
        prepared: What the plan was made from; None where none could be made.
        error: What keeps it from being made, or carried out.
        unlocked: Whether no lock fits.
        lines: Line of the base and of every expert in the manifest, by name.
    """

    manifest: Path
    prepared: Prepared | None = None
    error: RamekinError | None = None
    unlocked: bool = False
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def plan(self) -> Plan | None:
        """The plan; None where none could be made."""
        return self.prepared.plan if self.prepared else None

    def account(self, head: str, state: State = "planned", notice: str = "") -> Account:
        """What is told of it.

        Args:
            head: Commit of the repository that was planned.
            state: How far things are.
            notice: What whoever looks has to know first.
        """
        return Account(
            self.manifest, head, state, self.plan, self.error, notice=notice, unlocked=self.unlocked, lines=self.lines
        )


def plan_all(job: Job) -> tuple[Result, ...]:
    """Plan the manifests that the pull request touches, or all.

    Raises:
        UsageError: There is no such manifest.
    """
    manifests = find_manifests(job.settings.workspace, job.settings.inputs.manifest)
    pull = job.event.pull_request
    if pull is None:
        return tuple(_planned(job, manifest) for manifest in manifests)
    known: dict[str, Sticky] = _asked(job, lambda: stickies(job.github, pull.number)) or {}
    chosen = _chosen(job, pull, manifests, known)
    if not chosen:
        job.runner.notice("this pull request touches no manifest, so nothing is planned")
    if job.settings.github_token is None:
        job.runner.notice("the input `github-token` is empty, so that plans are in the summary only")
    results = tuple(_planned(job, manifest, pull) for manifest in chosen)
    _clear(job, pull, known)
    return results


def plan_one(
    job: Job, workspace: Path, manifest: Path, *, lock: LockPolicy = UNWRITTEN, confined: bool = False
) -> Planned:
    """Plan one manifest. Nothing is raised, so that the others are planned all the same.

    Args:
        job: The job.
        workspace: Root of the repository, as it is checked out or as a snapshot.
        manifest: Path of the manifest, relative to it.
        lock: How to treat the lock.
        confined: Whether a stranger wrote it. Then nothing outside of the repository may be looked at, and the Hub is
            asked without any token, so that the plan shows nothing that is private.
    """
    loaded: LoadedManifest | None = None
    bench = _without_token(job.bench) if confined else job.bench
    with chdir(workspace):
        try:
            loaded = read_manifest(manifest)
            if confined:
                check_confined(Path.cwd(), loaded)
                check_lock(bench, loaded)
            prepared = prepare(bench, request_for(job, manifest, lock))
            unlocked = not _is_locked(loaded)
            error = _refusal(prepared)
        except Exception as found:  # noqa: BLE001 - a defect, too, is told of the manifest that brings it to light
            job.bench.terminal.traceback(found)
            ours = as_ours(found)
            return Planned(manifest, error=placed(ours, loaded) if loaded else ours)
    return Planned(manifest, prepared, placed(error, loaded) if error else None, unlocked, lines_of(loaded))


def request_for(job: Job, manifest: Path, lock: LockPolicy = UNWRITTEN) -> Request:
    """What the workflow asks for, of one manifest.

    Raises:
        UsageError: What should be namespaces are none.
    """
    inputs = job.settings.inputs
    allowed = permissions(
        job.bench,
        adopt=inputs.adopt,
        allow_private_sources=inputs.allow_private_sources,
        allowed_namespaces=inputs.allowed_namespaces,
    )
    return Request(manifest, lock, allowed, pull_request=inputs.pr)


def tell_plan(job: Job, number: int, planned: Planned, head: str, notice: str = "") -> Result:
    """Tell a plan on a pull request and in the summary.

    Args:
        job: The job.
        number: The pull request.
        planned: The plan.
        head: Commit of the repository that was planned.
        notice: What whoever looks has to know first.
    """
    account = planned.account(head, notice=notice)
    url, warnings = tell(job, number, account)
    return _result(job, planned, account, url, warnings)


def _planned(job: Job, manifest: Path, pull: PullRequestEvent | None = None) -> Result:
    """Plan one manifest and tell it: on the pull request, as long as it is the newest that there is to say."""
    with job.runner.group(f"plan {printable(manifest)}"):
        planned = plan_one(job, job.settings.workspace, manifest, confined=pull is not None and pull.fork)
        if planned.plan:
            job.bench.terminal.result(render_plan(planned.plan, "text"))
    if pull and _is_current(job, pull):
        return tell_plan(job, pull.number, planned, pull.head)
    return _result(job, planned, planned.account(pull.head if pull else job.settings.sha))


def _result(job: Job, planned: Planned, account: Account, url: str = "", warnings: tuple[str, ...] = ()) -> Result:
    plan = planned.plan
    return Result(
        planned.manifest,
        summary_text(job, account),
        key=plan.key if plan else "",
        repo=plan.target.repo if plan else "",
        url=url,
        error=planned.error,
        warnings=warnings,
    )


def _chosen(
    job: Job, pull: PullRequestEvent, manifests: tuple[Path, ...], known: dict[str, Sticky]
) -> tuple[Path, ...]:
    """The manifests that a pull request touches, or that it has a comment for from when it did; all if in doubt."""
    files = _asked(job, lambda: job.github.files_of(pull.number))
    if files is None:
        return manifests
    about = {*touched(job.settings.workspace, manifests, files), *map(Path, known)}
    return tuple(manifest for manifest in manifests if manifest in about)


def _clear(job: Job, pull: PullRequestEvent, known: dict[str, Sticky]) -> None:
    """Take away the plans of manifests that were in the pull request before, and are gone or have another name now."""
    gone = [
        sticky
        for manifest, sticky in known.items()
        if sticky.marker.state == "planned" and not (job.settings.workspace / manifest).exists()
    ]
    if gone and _is_current(job, pull):
        for sticky in gone:
            _asked(job, partial(job.github.delete_comment, sticky.id))


def _is_current(job: Job, event: PullRequestEvent) -> bool:
    """Whether the pull request is still what it was when the event happened; if not, a newer event tells of it."""
    pull = _asked(job, lambda: job.github.pull(event.number))
    if pull is None:
        return False
    if pull.state == "open" and pull.head == event.head:
        return True
    job.runner.notice("the pull request has moved on since this job began, so that this plan is in the summary only")
    return False


def _asked(job: Job, question: Callable[[], T]) -> T | None:
    """An answer of GitHub's; None, with a warning, where there is none: a plan does without."""
    if job.settings.github_token is None:
        return None
    try:
        return question()
    except GitHubError as error:
        for problem in error.problems:
            job.runner.annotate("warning", problem)
        return None


def _without_token(bench: Workbench) -> Workbench:
    return Workbench(replace(bench.environment, token=None, identity=Identity(), anonymous=True), bench.terminal)


def _is_locked(loaded: LoadedManifest) -> bool:
    lock = read_lock(lock_path(loaded.path))
    return lock is not None and fits(lock, loaded.manifest)


def _refusal(prepared: Prepared) -> RamekinError | None:
    """What keeps a plan from being carried out, if anything does."""
    try:
        prepared.check()
    except RamekinError as error:
        return error
    return None

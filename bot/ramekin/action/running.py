"""`run`: what manifests on the default branch ask for is merged and published, and the pull request's comment follows.

It reconciles: it looks at the manifests as they are now and at what the Hub holds now, whatever event has started it.
So an event that is late, doubled, or in the wrong order does nothing that the state of things does not ask for.
"""

import contextlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.action.confining import check_confined
from ramekin.action.current import Current, current, on_default_branch
from ramekin.action.following import Follow, Following, find_follow
from ramekin.action.job import Job, Result
from ramekin.action.manifests import find_manifests
from ramekin.action.planning import UNWRITTEN, request_for
from ramekin.errors import UsageError
from ramekin.github.refusals import ForbiddenError, GitHubError
from ramekin.lock.making import LockPolicy
from ramekin.manifest.reading import read_manifest
from ramekin.terminal import as_ours
from ramekin.text import printable
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.pipeline import Outcome
    from ramekin.preparing import Request

_NEEDED: Final = ("llvmlite", "numba", "numpy", "safetensors", "torch", "transformers")
"""What `ramekin[merge]` installs."""


def run_all(job: Job) -> tuple[Result, ...]:
    """Run every manifest of the default branch as it is now; one that fails stops no other.

    Raises:
        UsageError: The job is for another branch, there are no manifests, or what merges is not installed.
        GitHubError: GitHub cannot be asked how things are.
    """
    if not on_default_branch(job):
        return _elsewhere(job)
    check_installed(job)
    with current(job) as now:
        return tuple(_run(job, now, manifest) for manifest in _manifests(job, now))


def run_one(
    job: Job,
    workspace: Path,
    manifest: Path,
    *,
    follow: Follow | None = None,
    pull_request: bool = False,
    trusted: bool = True,
    lock: LockPolicy = UNWRITTEN,
) -> Result:
    """Run one manifest, in a group of the log. No error is raised, all are in the result; no lock is written.

    Args:
        job: The job.
        workspace: Directory that the manifest is relative to, a checkout or a snapshot; the run works there.
        manifest: The manifest.
        follow: The pull request whose comment follows the run, and the plan that it showed, if that is to be kept to.
        pull_request: Publish as a pull request on the Hub, though the input `pr` does not say so.
        trusted: Whether programs and templates that the manifest names may be run, and what it names be anywhere.
        lock: How to treat the lock.
    """
    following = Following(job, manifest, follow)
    with job.runner.group(f"run {printable(manifest)}"), contextlib.chdir(workspace):
        try:
            check_installed(job)
            following.loaded = read_manifest(manifest)
            if not trusted:
                check_confined(Path.cwd(), following.loaded)
            request = request_for(job, manifest, lock)
            request = replace(
                request, pull_request=request.pull_request or pull_request, approve=following.approve, trusted=trusted
            )
            # A bench of its own: what publishes by trusted publishing has a token for one repository.
            bench = Workbench(job.bench.environment, job.bench.terminal)
            return following.done(bench, _carry_out(job, bench, request))
        except KeyboardInterrupt:
            following.cancelled()
            raise
        except Exception as error:  # noqa: BLE001 - one manifest that fails stops no other
            job.bench.terminal.traceback(error)
            return following.failed(as_ours(error))


def check_installed(job: Job) -> None:
    """Make sure that there is what merges, if it is to be done here.

    Raises:
        UsageError: It is not installed.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing and job.settings.inputs.on is None:
        what = f"a run needs {', '.join(missing)}, which this Python has not installed"
        raise UsageError(what, "install `ramekin[merge]`, or let the Action install it: leave out `python: system`")


def _elsewhere(job: Job) -> tuple[Result, ...]:
    """What is done for another branch than the default one: nothing."""
    ref, branch = printable(job.settings.ref), job.github.default_branch
    what = f"`{ref}` is not the default branch `{branch}`, and nothing else is run"
    if job.event.name != "push":
        raise UsageError(what, f"start the workflow from `{branch}`")
    job.runner.notice(what)
    return ()


def _manifests(job: Job, now: Current) -> tuple[Path, ...]:
    """The manifests that there are now."""
    pattern = job.settings.inputs.manifest
    try:
        return find_manifests(now.root, pattern)
    except UsageError:
        if not now.late:
            raise
        find_manifests(job.settings.workspace, pattern)  # there have never been any if this raises too
    job.runner.notice(f"`{printable(pattern)}` is not there any more")
    return ()


def _run(job: Job, now: Current, manifest: Path) -> Result:
    """Run one manifest of the default branch, and follow the pull request that it came with."""
    try:
        follow = find_follow(job, now, manifest)
    except GitHubError as error:
        if job.event.name == "push" and not isinstance(error, ForbiddenError):
            return Following(job, manifest, None).failed(error)  # what people agreed to is not known
        found = run_one(job, now.root, manifest)
        return replace(found, warnings=(*found.warnings, f"no pull request follows this run: {error}"))
    return run_one(job, now.root, manifest, follow=follow)


def _carry_out(job: Job, bench: Workbench, request: "Request") -> "Outcome":
    """Run it here, or where the input `on` says."""
    on = job.settings.inputs.on
    if on is None:
        from ramekin.pipeline import run

        return run(bench, request)
    from ramekin.jobs import run_on

    return run_on(bench, request, on)

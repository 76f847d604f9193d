"""`update`: sources that have moved are proposed as new pins, one pull request for each manifest, kept in place.

It reconciles: it looks at the default branch, the Hub and GitHub as they are now, does what follows, and remembers what
it needs in pull requests and branches. So it does no harm to start it twice, or to end it anywhere.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ramekin.action.current import current
from ramekin.action.job import Job, Result
from ramekin.action.manifests import find_manifests
from ramekin.action.proposals.context import Context
from ramekin.action.proposals.dashboard import Dashboard
from ramekin.action.proposals.outcome import Outcome
from ramekin.action.proposals.proposing import propose
from ramekin.action.proposals.publication import publication
from ramekin.action.proposals.wording import Days
from ramekin.github.refusals import ConflictError, GitHubError, RateLimitError
from ramekin.sources import SourceMemory
from ramekin.terminal import as_ours
from ramekin.text import printable


def update_all(job: Job) -> tuple[Result, ...]:
    """Update every manifest of the default branch as it is now; one that fails stops no other.

    Raises:
        UsageError: There are no manifests.
        GitHubError: GitHub cannot be asked how things are.
    """
    inputs = job.settings.inputs
    dashboard = Dashboard.find(job.github, inputs.manifest) if inputs.dashboard else None
    retried = dashboard.ticked if dashboard else frozenset()
    if job.event.name == "issues" and not (dashboard and retried and dashboard.number == job.event.issue):
        return ()
    # Ten manifests may name the same experts; GitHub and the Hub are asked through the same job from here on.
    job = replace(job, bench=replace(job.bench, memory=SourceMemory()))
    with current(job) as now:
        context = Context(job, now, job.github.now(), Days(job.bench.client))
        manifests = find_manifests(now.root, inputs.manifest)
        results, outcomes = [], []
        stopped: RateLimitError | None = None
        for manifest in manifests:
            if stopped:
                results.append(Result(manifest, warnings=("left for the next run, which goes on from here",)))
                continue
            outcome = _update(context, manifest, retry=manifest.as_posix() in retried)
            stopped = outcome.error if isinstance(outcome.error, RateLimitError) else None
            outcomes.append(outcome)
            results.append(outcome.result(job.bench.environment.endpoint))
        if dashboard and not stopped:
            results[-1] = _with_dashboard(context, dashboard, outcomes, results[-1])
    return tuple(results)


def _update(context: Context, manifest: Path, *, retry: bool) -> Outcome:
    """Update one manifest. Nothing is raised, so that the others are updated all the same."""
    job = context.job
    job.bench.terminal.note(f"updating {printable(manifest)}")
    try:
        return _again(lambda: propose(context, manifest, retry=retry))
    except ConflictError as error:
        return Outcome(manifest, warnings=(f"left for the next run: {error}",))
    except Exception as error:  # noqa: BLE001 - a defect, too, is told of the manifest that brings it to light
        job.bench.terminal.traceback(error)
        return Outcome(manifest, error=as_ours(error))


def _again(call: Callable[[], Outcome]) -> Outcome:
    """Look once more where somebody was faster: another job may have done what was to be done."""
    try:
        return call()
    except ConflictError:
        return call()


def _with_dashboard(context: Context, dashboard: Dashboard, outcomes: list[Outcome], last: Result) -> Result:
    """Write the dashboard; whatever is wrong with that is told with the last manifest."""
    try:
        rows = []
        warnings: list[str] = []
        for outcome in outcomes:
            found = publication(context, outcome.manifest, outcome.key)
            wanted = found.run if outcome.manifest.as_posix() in dashboard.ticked else None
            if wanted is not None:
                warnings += _started_again(context, wanted)
            retry = outcome.retryable or found.run is not None
            values = {"published": found.said, "run": found.page, "started": wanted is not None, "retry": retry}
            rows.append(outcome.values | values)
        dashboard.show(context.job.github, rows, context.job.bench.environment.endpoint)
        last = replace(last, warnings=(*last.warnings, *warnings))
    except GitHubError as error:
        if isinstance(error, RateLimitError) and last.error is None:
            return replace(last, error=error)
        return replace(last, warnings=(*last.warnings, f"the dashboard could not be written: {error}"))
    return last


def _started_again(context: Context, run: int) -> tuple[str, ...]:
    """Start a run again that has failed; returns why that could not be done, if so."""
    try:
        context.job.github.rerun(run)
    except RateLimitError:
        raise
    except GitHubError as error:
        return (f"the failed run {run} could not be started again: {error}",)
    return ()

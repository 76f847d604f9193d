"""One manifest, from looking at it to its pull request: the road of `update`."""

from dataclasses import replace
from pathlib import Path

from ramekin.action.planning import Planned, plan_one, tell_plan
from ramekin.action.proposals.backoff import failed_again, rests
from ramekin.action.proposals.context import FROM_LOCK, Context
from ramekin.action.proposals.deciding import Case, Texts, Verdict, without_candidate
from ramekin.action.proposals.looking import UNREACHED, Sight, look_at_manifest, look_at_sources, unreached
from ramekin.action.proposals.merging import merge_now
from ramekin.action.proposals.operations import carry_out
from ramekin.action.proposals.outcome import Outcome
from ramekin.action.proposals.state import Failure
from ramekin.action.sticky import Sticky
from ramekin.errors import IncompatibleError, RamekinError, SourceError


def propose(context: Context, manifest: Path, *, retry: bool) -> Outcome:
    """Look at a manifest, and do what follows from it.

    Args:
        context: What all manifests of this job have in common.
        manifest: Its path, relative to the repository.
        retry: Forget what has failed, and what was declined.

    Raises:
        ConflictError: Somebody has changed the branch meanwhile.
        RateLimitError: GitHub wants to be left in peace; what is done stays done.
        GitHubError: GitHub refuses, or cannot be asked.
        RamekinError: The manifest or its lock cannot be read.
    """
    sight = look_at_manifest(context, manifest, retry=retry)
    try:
        case = look_at_sources(context, sight)
    except (SourceError, IncompatibleError) as error:
        return _unreached(context, sight, error)
    verdict = _verdict(context, case)
    found = Outcome(
        manifest,
        verdict,
        case.candidate,
        {} if verdict == "proposed" else dict(case.failures),
        sight.branch.pull,
        repo=sight.loaded.manifest.output.repo,
        strange=sight.branch.strange,
        warnings=tuple(_warnings(case, verdict)),
    )
    texts = context.writer(manifest).texts(case.candidate)
    if verdict == "due":
        carry_on = merge_now if context.job.settings.inputs.policy == "merge" else _proposed
        return carry_on(context, case, found, texts)
    carry_out(context.job.github, case.operations(verdict, case.failures, texts))
    return _told(context, case, found) if verdict == "proposed" else found


def _verdict(context: Context, case: Case) -> Verdict:
    """What is to be done: with `policy: merge` a pull request from before it was set is nothing to wait for."""
    if case.verdict == "proposed" and context.job.settings.inputs.policy == "merge":
        return "resting" if rests(case.failure, context.now) else "due"
    return case.verdict


def _warnings(case: Case, verdict: Verdict) -> list[str]:
    """What people should see without looking for it."""
    if verdict == "strange":
        return [f"left alone: {case.branch.strange}"]
    if verdict == "resting" and case.failure:
        return [f"not tried again yet: {case.failure.why}"]
    return []


def _unreached(context: Context, sight: Sight, error: RamekinError) -> Outcome:
    """Sources that are not to be had: remembered, unless it is only the network."""
    from ramekin.refusals import is_passing

    found = Outcome(
        sight.manifest,
        None,
        failures=dict(sight.failures),
        pull=sight.branch.pull,
        repo=sight.loaded.manifest.output.repo,
        strange=sight.branch.strange,
        error=error,
    )
    if is_passing(error):
        return found
    name = unreached(error)
    before = sight.failures.get(name)
    if rests(before, context.now):
        return replace(found, verdict="resting", error=None, warnings=(f"not tried again yet: {error}",))
    others = {each: failure for each, failure in sight.failures.items() if not each.startswith(UNREACHED)}
    failures = {**others, name: _failure(context, before, error)}
    note = context.writer(sight.manifest).note
    operations = without_candidate(sight.branch, context.current.commit, context.now, failures, note)
    carry_out(context.job.github, operations)
    return replace(found, verdict="resting", failures=failures)


def _proposed(context: Context, case: Case, found: Outcome, texts: Texts) -> Outcome:
    """Plan with the new lock; propose it if that can be carried out."""
    github, planned = context.job.github, _plan(context, case, found.manifest)
    if planned.error:
        failure = _failure(context, case.failure, planned.error)
        failures = {case.candidate.set: failure}
        carry_out(github, case.operations("resting", failures, texts))
        return replace(found, verdict="resting", failures=failures, error=planned.error)
    done = carry_out(github, case.operations("due", {}, texts))
    pull = done.pull or found.pull
    head = done.head or case.branch.head
    if pull is None or head is None or pull.author != github.login:
        return replace(found, warnings=(*found.warnings, "somebody else has opened a pull request from the branch"))
    told = tell_plan(context.job, pull.number, planned, head)
    return replace(found, failures={}, pull=pull, changed=True, warnings=(*found.warnings, *told.warnings))


def _told(context: Context, case: Case, found: Outcome) -> Outcome:
    """Make sure that the plan stands on the pull request: GitHub starts no workflow for what a job's token does."""
    pull, head = found.pull, case.branch.head
    if pull is None or head is None:
        return found
    sticky = Sticky.find(context.job.github, pull.number, found.manifest.as_posix())
    if sticky and sticky.marker.head == head:
        return found
    told = tell_plan(context.job, pull.number, _plan(context, case, found.manifest), head)
    return replace(found, warnings=(*found.warnings, *told.warnings))


def _plan(context: Context, case: Case, manifest: Path) -> Planned:
    with context.locked(manifest, case.candidate.lock):
        return plan_one(context.job, context.current.root, manifest, lock=FROM_LOCK)


def _failure(context: Context, before: Failure | None, error: RamekinError) -> Failure:
    return failed_again(before, context.now, context.job.settings.run_url, error.problems[0].what)

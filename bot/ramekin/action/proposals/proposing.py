"""One manifest, from looking at it to its pull request: the road of `update`."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from ramekin.action.planning import Planned, plan_one, tell_plan
from ramekin.action.proposals.backoff import failed_again, rests
from ramekin.action.proposals.deciding import Case, Texts, Verdict, without_candidate
from ramekin.action.proposals.looking import UNREACHED, Sight, look_at_manifest, look_at_sources, unreached
from ramekin.action.proposals.merging import merge_now
from ramekin.action.proposals.operations import carry_out
from ramekin.action.proposals.outcome import Outcome
from ramekin.action.proposals.setting import Setting
from ramekin.action.proposals.state import Failure
from ramekin.action.sticky import Sticky
from ramekin.errors import IncompatibleError, RamekinError, SourceError
from ramekin.lock.making import LockPolicy

FROM_LOCK: Final = LockPolicy(locked=True, write=False)
"""By the lock that lies there, which is put there for that."""


def propose(setting: Setting, manifest: Path, *, retry: bool) -> Outcome:
    """Look at a manifest, and do what follows from it.

    Args:
        setting: What all manifests of this job have in common.
        manifest: Its path, relative to the repository.
        retry: Forget what has failed, and what was declined.

    Raises:
        ConflictError: Somebody has changed the branch meanwhile.
        RateLimitError: GitHub wants to be left in peace; what is done stays done.
        GitHubError: GitHub refuses, or cannot be asked.
        RamekinError: The manifest or its lock cannot be read.
    """
    sight = look_at_manifest(setting, manifest, retry=retry)
    try:
        case = look_at_sources(setting, sight)
    except (SourceError, IncompatibleError) as error:
        return _unreached(setting, sight, error)
    verdict = _verdict(setting, case)
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
    texts = setting.writer(manifest).texts(case.candidate)
    if verdict == "due":
        carry_on = merge_now if setting.job.settings.inputs.policy == "merge" else _proposed
        return carry_on(setting, case, found, texts)
    carry_out(setting.job.github, case.operations(verdict, case.failures, texts))
    return _told(setting, case, found) if verdict == "proposed" else found


def _verdict(setting: Setting, case: Case) -> Verdict:
    """What is to be done: with `policy: merge` a pull request from before it was set is nothing to wait for."""
    if case.verdict == "proposed" and setting.job.settings.inputs.policy == "merge":
        return "resting" if rests(case.failure, setting.now) else "due"
    return case.verdict


def _warnings(case: Case, verdict: Verdict) -> list[str]:
    """What people should see without looking for it."""
    if verdict == "strange":
        return [f"left alone: {case.branch.strange}"]
    if verdict == "resting" and case.failure:
        return [f"not tried again yet: {case.failure.why}"]
    return []


def _unreached(setting: Setting, sight: Sight, error: RamekinError) -> Outcome:
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
    if rests(before, setting.now):
        return replace(found, verdict="resting", error=None, warnings=(f"not tried again yet: {error}",))
    others = {each: failure for each, failure in sight.failures.items() if not each.startswith(UNREACHED)}
    failures = {**others, name: _failure(setting, before, error)}
    note = setting.writer(sight.manifest).note
    operations = without_candidate(sight.branch, setting.current.commit, setting.now, failures, note)
    carry_out(setting.job.github, operations)
    return replace(found, verdict="resting", failures=failures)


def _proposed(setting: Setting, case: Case, found: Outcome, texts: Texts) -> Outcome:
    """Plan with the new lock; propose it if that can be carried out."""
    github, planned = setting.job.github, _plan(setting, case, found.manifest)
    if planned.error:
        failure = _failure(setting, case.failure, planned.error)
        failures = {case.candidate.set: failure}
        carry_out(github, case.operations("resting", failures, texts))
        return replace(found, verdict="resting", failures=failures, error=planned.error)
    done = carry_out(github, case.operations("due", {}, texts))
    pull = done.pull or found.pull
    head = done.head or case.branch.head
    if pull is None or head is None or pull.author != github.login:
        return replace(found, warnings=(*found.warnings, "somebody else has opened a pull request from the branch"))
    told = tell_plan(setting.job, pull.number, planned, head)
    return replace(found, failures={}, pull=pull, changed=True, warnings=(*found.warnings, *told.warnings))


def _told(setting: Setting, case: Case, found: Outcome) -> Outcome:
    """Make sure that the plan stands on the pull request: GitHub starts no workflow for what a job's token does."""
    pull, head = found.pull, case.branch.head
    if pull is None or head is None:
        return found
    sticky = Sticky.find(setting.job.github, pull.number, found.manifest.as_posix())
    if sticky and sticky.marker.head == head:
        return found
    told = tell_plan(setting.job, pull.number, _plan(setting, case, found.manifest), head)
    return replace(found, warnings=(*found.warnings, *told.warnings))


def _plan(setting: Setting, case: Case, manifest: Path) -> Planned:
    with setting.locked(manifest, case.candidate.lock):
        return plan_one(setting.job, setting.current.root, manifest, lock=FROM_LOCK)


def _failure(setting: Setting, before: Failure | None, error: RamekinError) -> Failure:
    return failed_again(before, setting.now, setting.job.settings.run_url, error.problems[0].what)

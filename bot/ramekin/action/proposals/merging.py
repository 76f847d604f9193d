"""`policy: merge`: no pull request; what is due is merged and published at once, then its lock is committed.

Killed between the two, the next job finds that the Hub holds the merge already, and only commits the lock.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ramekin.action.proposals.backoff import failed_again
from ramekin.action.proposals.context import FROM_LOCK
from ramekin.action.proposals.operations import carry_out
from ramekin.action.proposals.state import digest_of, name_of
from ramekin.action.running import run_one
from ramekin.github.refusals import ConflictError, GitHubError, RateLimitError

if TYPE_CHECKING:
    from ramekin.action.proposals.context import Context
    from ramekin.action.proposals.deciding import Case, Texts
    from ramekin.action.proposals.outcome import Outcome
    from ramekin.github.client import GitHub

_TRIES: Final = 3


def merge_now(context: "Context", case: "Case", found: "Outcome", texts: "Texts") -> "Outcome":
    """Run by the new lock, and commit it.

    Raises:
        RateLimitError: GitHub wants to be left in peace.
        GitHubError: What is to be remembered cannot be written.
    """
    job, manifest = context.job, found.manifest
    with context.locked(manifest, case.candidate.lock):
        ran = run_one(job, context.current.root, manifest, lock=FROM_LOCK)
    found = replace(found, verdict="due", ran=ran)
    if ran.error:
        failure = failed_again(case.failure, context.now, job.settings.run_url, ran.error.problems[0].what)
        failures = {case.candidate.set: failure}
        carry_out(job.github, case.operations("resting", failures, texts))
        return replace(found, verdict="resting", failures=failures, error=ran.error)
    try:
        commit = _commit_lock(job.github, case, manifest.as_posix(), texts)
    except RateLimitError:
        raise
    except GitHubError as error:
        return replace(found, error=error)
    waiting = {name_of(cooling.drift.role) for cooling in case.candidate.cooling}
    seen = {name: seen for name, seen in case.candidate.seen.items() if name in waiting}
    settled = replace(case.candidate, current=case.candidate.lock, fits=True, seen=seen)
    after = replace(case, candidate=settled, base=commit)
    carry_out(job.github, after.operations(after.verdict, {}, texts))
    return replace(found, failures={}, changed=True, merged=True, pull=None)


def _commit_lock(github: "GitHub", case: "Case", manifest: str, texts: "Texts") -> str:
    """Commit the lock to the default branch; returns the commit.

    Raises:
        ConflictError: Manifest or lock have been changed there meanwhile.
        ForbiddenError: The branch is protected.
    """
    for _ in range(_TRIES):
        head = github.head(case.default)
        if head is None:
            break
        if head != case.base and digest_of(github.read(manifest, head), github.read(case.lock, head)) != case.ground:
            break
        content = case.candidate.lock.to_json().encode()
        commit = github.make_commit(head, texts.message, {case.lock: content})
        try:
            github.advance_branch(case.default, commit)
        except ConflictError:
            continue  # something else was pushed, which may be nothing to us
        return commit
    what = f"`{case.default}` was changed while its new sources were merged, so that their lock is not committed"
    raise ConflictError(what, "nothing is lost: the next run goes on from what is done")

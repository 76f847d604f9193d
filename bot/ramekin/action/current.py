"""The repository as it is now. A job may be late, doubled, or the last of several: its checkout is then an old one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ramekin.action.job import Job
from ramekin.github.refusals import GitHubError


@dataclass(frozen=True)
class Current:
    """The default branch as it is now.

    Attributes:
        root: Directory that holds its files: the checkout, or a copy of what the branch holds instead.
        commit: The commit that it is at.
        late: Whether the job is for another commit, so that files are not the checkout's or may not be.
    """

    root: Path
    commit: str
    late: bool = False


def on_default_branch(job: Job) -> bool:
    """Whether the job is for the default branch.

    Raises:
        GitHubError: GitHub cannot be asked which that is.
    """
    return job.settings.ref == f"refs/heads/{job.github.default_branch}"


@contextmanager
def current(job: Job) -> Iterator[Current]:
    """The default branch as it is now: in the checkout, unless the branch has moved on to other files.

    Raises:
        GitHubError: GitHub cannot be asked, so that nobody can tell whether the checkout is an old one.
    """
    github, settings = job.github, job.settings
    branch = github.default_branch
    head = github.head(branch)
    if head is None:
        raise GitHubError(f"the branch `{branch}` is not there", "push to it, and start this workflow again")
    if head == settings.sha:
        yield Current(settings.workspace, head)
    elif _tree(job, head) == _tree(job, settings.sha):
        yield Current(settings.workspace, head, late=True)
    else:
        from ramekin.action.snapshot import snapshot

        what = f"`{branch}` has moved on since this workflow was started: it works on commit {head[:12]}"
        job.runner.notice(what)
        with snapshot(job, head) as root:
            yield Current(root, head, late=True)


def _tree(job: Job, sha: str) -> str | None:
    commit = job.github.commit(sha)
    return commit.tree if commit else None

"""What is to be done on GitHub, as data, and the one place where it is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ramekin.github.client import GitHub
    from ramekin.github.records import Pull


@dataclass(frozen=True)
class Push:
    """Make one commit on top of the default branch, and let our branch be at it.

    Attributes:
        branch: The branch; created if it is not there.
        expected: Commit that it is at now; None if it is not there.
        base: Commit of the default branch.
        message: The commit's message.
        files: What it changes.
    """

    branch: str
    expected: str | None
    base: str
    message: str
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Open:
    """Open the pull request of a branch."""

    branch: str
    base: str
    title: str
    body: str


@dataclass(frozen=True)
class Edit:
    """Change what the pull request says; its title stays if there is no new one."""

    number: int
    body: str
    title: str | None = None


@dataclass(frozen=True)
class Close:
    """Close the pull request."""

    number: int


@dataclass(frozen=True)
class Delete:
    """Delete a branch that nothing needs any more, if it is at the commit that was looked at."""

    branch: str
    expected: str


Operation = Push | Open | Edit | Close | Delete


@dataclass(frozen=True)
class Done:
    """What has come of operations.

    Attributes:
        head: Commit that was pushed.
        pull: Pull request that was opened, or was there already.
    """

    head: str | None = None
    pull: "Pull | None" = None


def carry_out(github: "GitHub", operations: Iterable[Operation]) -> Done:
    """Carry out operations in their order.

    Raises:
        ConflictError: The branch is no longer what it was when it was looked at.
        GitHubError: GitHub refuses, or cannot be asked.
    """
    done = Done()
    for operation in operations:
        match operation:
            case Push():
                commit = github.make_commit(operation.base, operation.message, operation.files)
                github.set_branch(operation.branch, commit, operation.expected)
                done = replace(done, head=commit)
            case Open():
                pull = github.open_pull(operation.branch, operation.base, operation.title, operation.body)
                done = replace(done, pull=pull)
            case Edit():
                github.edit_pull(operation.number, title=operation.title, body=operation.body)
            case Close():
                github.close_pull(operation.number)
            case Delete():
                github.delete_branch(operation.branch, operation.expected)
    return done

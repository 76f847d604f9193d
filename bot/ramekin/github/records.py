"""GitHub's answers, as far as they are needed."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes:
        sha: Its id.
        tree: Its tree's id.
        parents: Its parents' ids.
        message: Its message.
        author: Login that GitHub knows its author by; None where it knows none. Authors name themselves.
    """

    sha: str
    tree: str
    parents: tuple[str, ...]
    message: str
    author: str | None


@dataclass(frozen=True)
class Pull:
    """A pull request.

    Attributes:
        number: Its number.
        author: Login of who opened it.
        title: Its title.
        body: Its text.
        state: `open` or `closed`.
        merged: Whether it was merged.
        head: Commit that its branch is at, or was at when it was closed.
        branch: Name of its branch.
        source: Repository of its branch; None where that was deleted.
        base: Branch that it is to be merged into.
        url: Its page.
        merge_commit: Commit that it was merged as.
    """

    number: int
    author: str
    title: str
    body: str
    state: str
    merged: bool
    head: str
    branch: str
    source: str | None
    base: str
    url: str
    merge_commit: str | None = None


@dataclass(frozen=True)
class Comment:
    """A comment on an issue or pull request.

    Attributes:
        id: Its number.
        author: Login of who wrote it.
        body: What it says.
        created: When it was written.
        updated: When it was changed last.
        url: Its page.
    """

    id: int
    author: str
    body: str
    created: datetime
    updated: datetime
    url: str


@dataclass(frozen=True)
class Issue:
    """An issue that is no pull request."""

    number: int
    author: str
    title: str
    body: str
    state: str
    url: str


def is_same_text(one: str, other: str) -> bool:
    """Whether two texts say the same, as far as GitHub keeps them: it trims them, and writes line ends its own way."""
    return _kept(one) == _kept(other)


def _kept(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()

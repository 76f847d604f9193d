"""The event that started the job, as far as it is needed. It is a stranger's word: the live state decides."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ramekin.errors import UsageError

_LARGEST: Final = 32 << 20
UNTRUSTED: Final = frozenset({"pull_request", "pull_request_review", "pull_request_review_comment"})
"""Events whose checkout anybody may have written."""
REFUSED: Final = frozenset({"pull_request_target", "workflow_run"})
"""Events that run with rights which what they are about must not have."""


@dataclass(frozen=True)
class PullRequestEvent:
    """A pull request, as it was when the event happened.

    Attributes:
        number: Its number.
        head: Commit that its branch was at.
        base: Branch that it is to be merged into.
        fork: Whether the branch is in another repository.
    """

    number: int
    head: str
    base: str
    fork: bool


@dataclass(frozen=True)
class CommentEvent:
    """A comment on an issue or a pull request.

    Attributes:
        id: Its number.
        action: `created`, `edited` or `deleted`.
        body: What it says.
        author: Login of who wrote it.
        created: When, as GitHub writes it.
        number: Issue or pull request that it is on.
        on_pull_request: Whether that is a pull request.
    """

    id: int
    action: str
    body: str
    author: str
    created: str
    number: int
    on_pull_request: bool


@dataclass(frozen=True)
class Event:
    """The event.

    Attributes:
        name: Such as `push`.
        default_branch: Of the repository; None where the payload does not say.
        pull_request: For events about one.
        comment: For comments.
        issue: Number of the issue, for events about one.
    """

    name: str
    default_branch: str | None = None
    pull_request: PullRequestEvent | None = None
    comment: CommentEvent | None = None
    issue: int | None = None


def read_event(name: str, path: Path | None) -> Event:
    """Read the payload.

    Raises:
        UsageError: It is not what GitHub writes.
    """
    try:
        data = _load(path)
        repository = data.get("repository") or {}
        return Event(
            name=name,
            default_branch=repository.get("default_branch"),
            pull_request=_pull_request(data) if name in UNTRUSTED else None,
            comment=_comment(data) if name == "issue_comment" else None,
            issue=int(data["issue"]["number"]) if name == "issues" else None,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        what = f"GITHUB_EVENT_PATH holds no `{name}` event ({type(error).__name__})"
        raise UsageError(what, "start this as a step of GitHub Actions") from error


def _load(path: Path | None) -> dict[str, Any]:
    if path is None or not path.is_file():
        return {}
    with path.open("rb") as file:
        data = json.loads(file.read(_LARGEST))
    if not isinstance(data, dict):
        raise TypeError
    return data


def _pull_request(data: dict[str, Any]) -> PullRequestEvent:
    found = data["pull_request"]
    head = found["head"]
    # The repository of a head is null once it was deleted.
    fork = (head.get("repo") or {}).get("full_name") != found["base"]["repo"]["full_name"]
    return PullRequestEvent(int(found["number"]), str(head["sha"]), str(found["base"]["ref"]), fork)


def _comment(data: dict[str, Any]) -> CommentEvent:
    comment, issue = data["comment"], data["issue"]
    return CommentEvent(
        id=int(comment["id"]),
        action=str(data.get("action", "")),
        body=str(comment.get("body") or ""),
        author=str((comment.get("user") or {}).get("login", "")),
        created=str(comment.get("created_at", "")),
        number=int(issue["number"]),
        on_pull_request=bool(issue.get("pull_request")),
    )

"""The one exception of the embedded Hub: a request that is refused, as the client will be told."""

from collections.abc import Mapping
from typing import Final

#: The codes that the client turns into classes of its own.
REPO_NOT_FOUND: Final = "RepoNotFound"
REVISION_NOT_FOUND: Final = "RevisionNotFound"
ENTRY_NOT_FOUND: Final = "EntryNotFound"
GATED: Final = "GatedRepo"


class Refusal(Exception):  # noqa: N818 -- an answer, not an error
    """A request that cannot be carried out.

    Args:
        status: HTTP status.
        message: What the person at the client reads.
        code: Value of `X-Error-Code`, by which the client chooses its exception.
        extra: More keys of the JSON body.
        headers: More headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class Moved(Exception):  # noqa: N818 -- an answer, not an error
    """The repository has another name now; the request is to be repeated there."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(f"{old} is now {new}")
        self.old = old
        self.new = new


def repo_not_found(*, anonymous: bool) -> Refusal:
    """As on the Hub: who is not logged in gets 401, and nobody learns whether a private repository is there."""
    if anonymous:
        return Refusal(401, "Invalid username or password.", REPO_NOT_FOUND)
    return Refusal(404, "Repository not found", REPO_NOT_FOUND)


def revision_not_found(revision: str) -> Refusal:
    """No such branch, tag or commit."""
    return Refusal(404, f"Invalid rev id: {revision}", REVISION_NOT_FOUND)


def entry_not_found(message: str = "Entry not found", *, commit: str | None = None) -> Refusal:
    """No such file. With the commit, so that the client can remember that it is not there."""
    return Refusal(404, message, ENTRY_NOT_FOUND, headers={"X-Repo-Commit": commit} if commit else None)

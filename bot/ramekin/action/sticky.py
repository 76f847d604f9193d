"""The one comment on a pull request for each manifest: found again by its mark and its author, changed in place."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from ramekin.action.approved import Approved
from ramekin.action.marking import mark, marks
from ramekin.github.records import is_same_text
from ramekin.github.refusals import GitHubError

if TYPE_CHECKING:
    from ramekin.github.client import GitHub
    from ramekin.github.records import Comment

State = Literal["planned", "running", "published", "nothing", "failed", "changed", "cancelled"]

KIND: Final = "plan"
"""Of its mark."""
_STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True)
class Marker:
    """What the comment remembers.

    Attributes:
        manifest: Path of the manifest, relative to the repository, with slashes.
        head: Commit that it was written for.
        state: How far things are.
        approved: The plan that it shows; None where none could be made.
        run: Page of the workflow's run that wrote it.
    """

    manifest: str
    head: str
    state: State
    approved: Approved | None = None
    run: str = ""

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self | None:
        """Read what a mark holds; None for what we have not written."""
        manifest, head, run = (data.get(name) for name in ("manifest", "head", "run"))
        state = next((state for state in _STATES if state == data.get("state")), None)
        if not isinstance(manifest, str) or not isinstance(head, str) or not isinstance(run, str) or state is None:
            return None
        approved = Approved.read(data.get("plan"))
        return cls(manifest, head, state, approved if approved and approved.manifest == manifest else None, run)

    def to_mark(self) -> str:
        """The line that begins the comment."""
        plan = self.approved.to_data() if self.approved else None
        data = {"manifest": self.manifest, "head": self.head, "state": self.state, "plan": plan, "run": self.run}
        return mark(KIND, data)


@dataclass(frozen=True)
class Sticky:
    """The comment as it is now.

    Attributes:
        id: Its number.
        marker: What it remembers.
        body: What it says, mark included.
        created: When it was written.
        updated: When it was changed last.
        url: Its page.
        doubles: Later comments of ours for the same manifest, which go when it is changed.
    """

    id: int
    marker: Marker
    body: str
    created: datetime
    updated: datetime
    url: str
    doubles: tuple[int, ...] = ()

    @classmethod
    def find(cls, github: "GitHub", number: int, manifest: str) -> "Sticky | None":
        """The comment on a pull request for a manifest, if there is one.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        return stickies(github, number).get(manifest)


def stickies(github: "GitHub", number: int) -> dict[str, Sticky]:
    """The comments on a pull request, by manifest; only what we have written ourselves counts.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    comments = github.comments(number)
    found: dict[str, Sticky] = {}
    for comment in comments:
        marker = _marker(comment, github) if "ramekin:" in comment.body else None
        if marker is None:
            continue
        first = found.get(marker.manifest)
        if first is None:
            found[marker.manifest] = Sticky(
                comment.id, marker, comment.body, comment.created, comment.updated, comment.url
            )
        else:
            found[marker.manifest] = replace(first, doubles=(*first.doubles, comment.id))
    return found


def show(github: "GitHub", number: int, marker: Marker, body: str) -> str:
    """Write the comment, or change the one that is there; returns its page. What says the same already is left alone.

    Two jobs may write at once. So whoever has written a new one looks again: the oldest stays, and says what was
    written last. The plan that it remembers stays, too, unless another is to be remembered or shown.

    Args:
        github: GitHub.
        number: The pull request.
        marker: What the comment is to remember.
        body: What it is to say, without the mark.

    Raises:
        ForbiddenError: The token may not write, as in a pull request of a fork.
        GitHubError: GitHub cannot be asked.
    """
    sticky = Sticky.find(github, number, marker.manifest)
    if sticky and marker.approved is None and marker.state != "planned":
        marker = replace(marker, approved=sticky.marker.approved)
    if sticky and _is_told(marker, sticky.marker):
        return sticky.url
    text = marker.to_mark() + body
    if sticky is None:
        written = github.write_comment(number, text)
        sticky = Sticky.find(github, number, marker.manifest)
        if sticky is None or sticky.id == written.id:
            url = written.url
            _delete(github, sticky.doubles if sticky else ())
            return url
    if not is_same_text(sticky.body, text):
        github.edit_comment(sticky.id, text)
    _delete(github, sticky.doubles)
    return sticky.url


def _is_told(planned: Marker, told: Marker) -> bool:
    """Whether a plan comes late: it is being carried out already, or was."""
    if planned.state != "planned" or told.state not in {"running", "published"} or planned.head != told.head:
        return False
    old, new = told.approved, planned.approved
    return old is not None and new is not None and old.core == new.core


def _marker(comment: "Comment", github: "GitHub") -> Marker | None:
    if comment.author != github.login:
        return None
    found = marks(KIND, comment.body)
    return Marker.read(found[0]) if found else None


def _delete(github: "GitHub", comments: Iterable[int]) -> None:
    for comment in comments:
        with suppress(GitHubError):  # another job was faster, or the next one will do it
            github.delete_comment(comment)

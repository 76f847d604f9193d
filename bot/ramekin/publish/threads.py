"""Pull requests on the Hub as conversations: found by title and author, opened, commented on, set ready, closed.

A comment of ours is known by a marker that does not show.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ramekin.publish.landing import land

if TYPE_CHECKING:
    from huggingface_hub import Discussion
    from huggingface_hub.community import DiscussionWithDetails

    from ramekin.publish.writer import HubWriter

_WAITING: Final = ("open", "draft")
_DRAFT_TEXT: Final = "A draft until every file of it has been verified. Please do not merge it before."


@dataclass(frozen=True)
class Thread:
    """A pull request.

    Attributes:
        num: Its number.
        url: Its page.
        status: `draft`, which nobody can merge, `open`, `closed` or `merged`.
        markers: Of our comments in it.
    """

    num: int
    url: str
    status: str
    markers: frozenset[str] = frozenset()

    @property
    def draft(self) -> bool:
        """Whether nobody can merge it yet."""
        return self.status == "draft"

    @property
    def ref(self) -> str:
        """Its branch."""
        return f"refs/pr/{self.num}"

    def tells(self, marker: str) -> bool:
        """Whether our comment with this marker is there."""
        return _marked(marker) in self.markers


def find_thread(client: "HubWriter", repo: str, title: str) -> Thread | None:
    """The pull request of this title that waits and was opened by this token's user; of several the first.

    A pull request of somebody else is none of ours, whatever it is called.

    Raises:
        PublishError: The Hub refuses, or cannot be asked.
    """
    author = client.name(repo)
    with client.writing(repo, "look at its pull requests"):
        # By status, the Hub tells only open from closed ones.
        found: list[Discussion] = client.patiently(
            lambda: list(client.api.get_repo_discussions(repo, author=author, discussion_type="pull_request"))
        )
    ours = [one for one in found if one.title == title and one.author == author and one.status in _WAITING]
    if not ours:
        return None
    return read_thread(client, repo, min(ours, key=lambda one: (one.status == "draft", one.num)).num)


def read_thread(client: "HubWriter", repo: str, num: int) -> Thread:
    """A pull request as it is now.

    Raises:
        PublishError: The Hub refuses, or cannot be asked.
    """
    with client.writing(repo, f"look at pull request {num}"):
        return _thread(client.patiently(lambda: client.api.get_discussion_details(repo, num)))


def open_draft(client: "HubWriter", repo: str, title: str) -> Thread:
    """Open a pull request that nobody can merge yet, with nothing in it.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """

    def act() -> Thread:
        with client.once(repo, "open a pull request"):
            return _thread(client.api.create_pull_request(repo, title, description=_DRAFT_TEXT))

    left = "nothing was published"
    return land(client, repo, "the pull request", act, lambda: find_thread(client, repo, title), left)


def say(client: "HubWriter", repo: str, thread: Thread, text: str, marker: str) -> None:
    """Comment on a pull request, unless our comment with this marker is there.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    if thread.tells(marker):
        return
    marked = f"{_marked(marker)}\n{text}"
    _change(
        client,
        repo,
        thread,
        f"comment on pull request {thread.num}",
        lambda: client.api.comment_discussion(repo, thread.num, marked),
        lambda now: now.tells(marker),
    )


def set_ready(client: "HubWriter", repo: str, thread: Thread, text: str | None, marker: str) -> None:
    """Make a draft a pull request that can be merged, with a comment.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    # The comment first: where only one of the two is done, it is better that a draft says it is verified.
    if text:
        say(client, repo, thread, text, marker)
    _change(
        client,
        repo,
        thread,
        f"set pull request {thread.num} ready",
        lambda: client.api.change_discussion_status(repo, thread.num, "open"),
        lambda now: not now.draft,
    )


def close(client: "HubWriter", repo: str, thread: Thread, text: str) -> None:
    """Close a pull request, and say why.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    _change(
        client,
        repo,
        thread,
        f"close pull request {thread.num}",
        lambda: client.api.change_discussion_status(repo, thread.num, "closed", comment=text),
        lambda now: now.status not in _WAITING,
    )


def _change(
    client: "HubWriter",
    repo: str,
    thread: Thread,
    action: str,
    call: Callable[[], Any],
    done: Callable[[Thread], bool],
) -> None:
    hint = f"run the same command again, it goes on where it stopped; or do it by hand at {thread.url}"

    def act() -> bool:
        with client.once(repo, action, hint):
            call()
        return True

    def landed() -> bool | None:
        return done(read_thread(client, repo, thread.num)) or None

    what = f"the change to pull request {thread.num}"
    land(client, repo, what, act, landed, "the files are there")


def _thread(details: "DiscussionWithDetails") -> Thread:
    from huggingface_hub.community import DiscussionComment

    said = (one for one in details.events if isinstance(one, DiscussionComment) and not one.hidden)
    markers = {one.content.partition("\n")[0] for one in said if one.author == details.author}
    return Thread(details.num, details.url, details.status, frozenset(markers))


def _marked(marker: str) -> str:
    return f"<!-- ramekin: {marker} -->"

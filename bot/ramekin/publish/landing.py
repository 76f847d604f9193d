"""Calls that must not be made twice, commits above all: if no answer comes, it is looked whether they have landed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from ramekin.answers import NoAnswer
from ramekin.errors import PublishError, SourceError
from ramekin.manifest.model import Manifest
from ramekin.plan.standing import Standing, look_at
from ramekin.publish.change import Change
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

_TRIES: Final = 3

T = TypeVar("T")


@dataclass(frozen=True)
class Landed:
    """A commit on the Hub, and where to look at it."""

    commit: str
    url: str

    @classmethod
    def at(cls, endpoint: str, repo: str, commit: str) -> "Landed":
        """A commit that is there already."""
        return cls(commit, f"{endpoint}/{repo}/commit/{commit}")


@contextmanager
def publishing() -> Iterator[None]:
    """What cannot be read while publishing is no missing source."""
    try:
        yield
    except SourceError as error:
        raise PublishError(problems=error.problems) from error


def commit(
    client: "HubWriter", manifest: Manifest, standing: Standing, change: Change, revision: str | None = None
) -> Landed:
    """Make one commit against what was seen; once, whatever becomes of its answer.

    Args:
        client: The Hub.
        manifest: What is published, and where to.
        standing: What was seen there, at the same revision.
        change: What the commit does.
        revision: The branch; the default one if left out.

    Raises:
        StaleParentError: Somebody else has written there since.
        PublishError: The Hub refuses, or cannot be reached.
    """
    target = standing.target

    def act() -> Landed:
        return Landed(*client.commit(target.repo, change, parent=target.head or "", revision=revision))

    def landed() -> Landed | None:
        now = look_at(client, manifest, revision)
        if now.target.head is None or now.target.head == target.head or not now.shows(change.key, change.texts):
            return None
        return Landed.at(client.endpoint, now.target.repo, now.target.head)

    return land(client, target.repo, "the commit", act, landed, "nothing was published")


def land(
    client: "HubWriter", repo: str, what: str, act: Callable[[], T], landed: Callable[[], T | None], left: str
) -> T:
    """Do something once.

    Args:
        client: The Hub.
        repo: Repository that it is done to.
        what: What is sent there, such as `the commit`.
        act: Does it.
        landed: Looks whether it was done although its answer was lost; what `act` would have returned, or None.
        left: What the state is if the network gives up, for the hint.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    for attempt in range(_TRIES):
        try:
            return act()
        except NoAnswer as error:
            found = _look(repo, what, landed)
            if found is not None:
                return found
            if attempt == _TRIES - 1:
                raise PublishError(
                    f"{repo}: the network gave up on {what} ({printable(str(error))})",
                    f"{left}; run the same command again, it goes on where it stopped",
                ) from error
            client.pause(attempt, error.wait)
    raise AssertionError


def _look(repo: str, what: str, landed: Callable[[], T | None]) -> T | None:
    try:
        return landed()
    except SourceError as error:
        raise PublishError(
            f"{repo}: the Hub did not say whether {what} has landed, and does not say now",
            "run the same command again: it looks what the Hub holds before it does anything",
        ) from error

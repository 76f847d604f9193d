"""Calls of GitHub's interface: how long to be patient with it, and its client's exceptions as errors of our own."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from github import BadAttributeException, GithubException
from requests import RequestException

from ramekin.github.refusals import ConflictError, ForbiddenError, GitHubError, RateLimitError
from ramekin.text import masked, printable

_TRIES: Final = 5
_LONGEST_WAIT: Final = 60.0
"""Seconds that GitHub may ask us to wait in all, for one call. The runner's minutes are somebody's money."""
_UNSAID_WAIT: Final = 60.0
"""Seconds to wait at a secondary limit that names none, as GitHub's documentation asks for."""
_OF_GRAPHQL: Final = 400
"""What PyGithub takes for the status of an answer with errors in it."""
_FORBIDDEN: Final = frozenset({"FORBIDDEN", "INSUFFICIENT_SCOPES"})
_BUSY: Final = frozenset({500, 502, 503, 504})
_NONSENSE: Final = (
    BadAttributeException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
)
"""What PyGithub trips over where the answer is not GitHub's: a network's log-in page, a redirection elsewhere."""
_LIMIT: Final = re.compile(r"rate limit|abuse detection|please (retry|wait)", re.IGNORECASE)
_PROTECTED: Final = re.compile(
    r"protected branch|rule violations|required status|through a pull request", re.IGNORECASE
)
_LATER: Final = "start the job again later: it goes on from what is done"

T = TypeVar("T")


class AbsentError(GitHubError):
    """There is no such thing, or the token may not see it."""


class RefusedError(GitHubError):
    """GitHub does not accept what was sent."""


@dataclass(frozen=True)
class _Lost:
    """Nobody knows whether the call was carried out.

    Attributes:
        what: What happened.
    """

    what: str


@dataclass(frozen=True)
class _Limited:
    """The call was not carried out, and may be after a while.

    Attributes:
        wait: Seconds.
    """

    wait: float


class Calls:
    """Makes calls, again where that may help.

    Args:
        retry_wait: Seconds before the first repetition of a call that was lost; doubled each time.
        sleep: Waits.
    """

    def __init__(self, retry_wait: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._retry_wait = retry_wait
        self._sleep = sleep

    def repeat(self, call: Callable[[], T]) -> T:
        """Make a call that reads, or that does the same however often it is made.

        Raises:
            GitHubError: It came to nothing.
        """
        return self._make(call, None)

    def once(self, call: Callable[[], T], landed: Callable[[], T | None] | None = None) -> T:
        """Make a call that creates something, so that it is there once.

        Args:
            call: The call.
            landed: Looks for what was to be created, after an answer was lost; None if it is not there. Without this
                nothing is repeated.

        Raises:
            GitHubError: It came to nothing.
        """

        def found(lost: _Lost) -> T | None:
            if landed is None:
                what = f"{lost.what}, and nobody can tell whether it has done what it was asked for"
                raise GitHubError(what, "look whether it was done, then start the job again")
            return landed()

        return self._make(call, found)

    def _make(self, call: Callable[[], T], landed: Callable[[_Lost], T | None] | None) -> T:
        patience = _LONGEST_WAIT
        for attempt in range(_TRIES):
            try:
                return call()
            except (GithubException, RequestException, *_NONSENSE) as error:
                met = _met(error)
                if isinstance(met, GitHubError):
                    raise met from error
                if isinstance(met, _Limited):
                    patience -= met.wait
                    if patience < 0 or attempt == _TRIES - 1:
                        raise _limited(met) from error
                    self._sleep(met.wait)
                    continue
                if attempt == _TRIES - 1:
                    raise GitHubError(met.what, _LATER) from error
                self._sleep(self._retry_wait * 2**attempt)
                result = landed(met) if landed else None
                if result is not None:
                    return result
        raise AssertionError


def _met(error: Exception) -> GitHubError | _Lost | _Limited:
    """What a call has met."""
    if isinstance(error, RequestException):
        # Only its kind: the text names addresses, and nothing that helps.
        return _Lost(f"GitHub cannot be reached ({type(error).__name__})")
    if not isinstance(error, GithubException):
        what = f"what answers at GITHUB_API_URL is not GitHub's interface ({type(error).__name__})"
        return GitHubError(what, "look at the network of the runner, and at GITHUB_API_URL")
    if error.status in _BUSY:
        return _Lost(f"GitHub answered {error.status}")
    wait = _asked_to_wait(error)
    return _refusal(error) if wait is None else _Limited(wait)


def _asked_to_wait(error: GithubException) -> float | None:
    """Seconds until GitHub answers again; None if it did not refuse because of a limit."""
    limited = "RATE_LIMITED" in _kinds(error)
    if error.status not in {403, 429} and not limited:
        return None
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    after = _number(headers.get("retry-after"))
    if after is not None:
        return after
    if _number(headers.get("x-ratelimit-remaining")) == 0:
        reset = _number(headers.get("x-ratelimit-reset"))
        if reset is not None:
            return max(reset - _now(headers.get("date")), 0) + 1
    return _UNSAID_WAIT if limited or error.status == 429 or _LIMIT.search(said_by(error)) else None


def _limited(met: _Limited) -> RateLimitError:
    until = time.strftime("%H:%M UTC", time.gmtime(time.time() + met.wait))
    what = f"GitHub's rate limit is used up for {max(round(met.wait), 1)} s, until {until}"
    return RateLimitError(what, "nothing is lost: the next run goes on from what is done")


def _refusal(error: GithubException) -> GitHubError:
    said = said_by(error)
    shown = ("GitHub refuses" if _kinds(error) else f"GitHub answered {error.status}") + (f": {said}" if said else "")
    if error.status == 401:
        return GitHubError(shown, "give the input `github-token` a token that is still valid")
    forbidden = error.status == 403 or not _FORBIDDEN.isdisjoint(_kinds(error))
    if forbidden or (error.status in {_OF_GRAPHQL, 422} and _PROTECTED.search(said)):
        hint = "give the job the permissions that docs/action.md lists, or let the token's owner do this"
        return ForbiddenError(shown, hint)
    if error.status in {404, 410}:
        return AbsentError(shown, "look whether it was deleted or switched off, and whether the token may see it")
    if error.status == 409:
        return ConflictError(shown, "start the job again: it looks at what is there now")
    return RefusedError(shown, "start the job again; if it stays, it is worth an issue")


def said_by(error: GithubException) -> str:
    """What GitHub says about a refusal, without anything that looks like a token."""
    data: Any = error.data if isinstance(error.data, dict) else {}
    details = [each.get("message") if isinstance(each, dict) else each for each in _list(data.get("errors"))]
    texts = [text for text in (data.get("message"), *details) if isinstance(text, str) and text]
    return printable(masked("; ".join(texts)), 300)


def _now(date: str | None) -> float:
    """The time by GitHub's clock, where it says it: the runner's may be wrong."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kinds(error: GithubException) -> frozenset[str]:
    """Kinds of what GraphQL refuses: it answers as if all were well."""
    data: Any = error.data if isinstance(error.data, dict) else {}
    kinds = (each.get("type") for each in _list(data.get("errors")) if isinstance(each, dict))
    return frozenset(kind for kind in kinds if isinstance(kind, str)) if error.status == _OF_GRAPHQL else frozenset()


def _number(text: object) -> float | None:
    try:
        return max(float(str(text)), 0.0)
    except ValueError:
        return None

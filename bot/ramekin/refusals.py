"""What the Hub's client raises, turned into errors of our own, each with something to do about it."""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Final, NoReturn

from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    OIDCError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ramekin.errors import PublishError, ResourceError, SourceError
from ramekin.text import masked, printable

TransportError: Final[type[Exception]] = HfHubHTTPError.__mro__[1]
"""The HTTP library's own base class: the Hub's client has changed libraries before, so it is not named here."""

NONSENSE: Final = (JSONDecodeError, LookupError, TypeError, AttributeError)
"""What the client trips over when the answer is not a Hub's: the log-in page of a network, another service."""

HUB_ERRORS: Final = (TransportError, OSError, ValueError, OIDCError, *NONSENSE)
"""Everything that a call to the Hub may raise and a user can do something about."""

BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which the same call may succeed."""

_WINDOW: Final = re.compile(r"\br=0\b.*?\bt=(\d+)")
"""Of a header that says that no request is left, and for how many seconds."""


@dataclass(frozen=True)
class Access:
    """Whose token goes with a request, as far as it tells what to do about a refusal.

    Attributes:
        reader: The user whose gated repositories an exchanged token reads.
        variable: The variable that names the reader.
        target: The repository that an exchanged token writes to.
        settings: Where the target's trusted publishers are looked after.
        exchangeable: Whether a token could be had by trusted publishing.
        spent: Whether the exchanged token has expired, asked when a request was refused.
        github: Whether this is a job of GitHub's.
    """

    reader: str | None = None
    variable: str = ""
    target: str | None = None
    settings: str = ""
    exchangeable: bool = False
    spent: Callable[[], bool] = lambda: False
    github: bool = False

    @property
    def whose(self) -> str:
        """Who has asked."""
        return f"{self.reader} (by trusted publishing)" if self.reader else "this token"

    @property
    def cure_for_refusal(self) -> str:
        """What to do about a token that is not taken."""
        return "run the same command again: the exchanged token lasts an hour" if self.reader else "check HF_TOKEN"

    @property
    def cure_for_none(self) -> str:
        """What to do without any token."""
        if self.github:
            return "make this job a trusted publisher there and give it `permissions: id-token: write`, or set HF_TOKEN"
        return "set HF_TOKEN to a token that may write there"

    @property
    def cure_for_gated(self) -> str:
        """What to do about a gated repository."""
        if self.reader:
            return f"accept its terms on its page as {self.reader}, and run the same command again"
        if self.exchangeable:
            return "accept its terms on its page, then set RAMEKIN_OIDC_READER to the user who did, or set HF_TOKEN"
        return "accept its terms on its page, then set HF_TOKEN"

    @property
    def cure_for_unseen(self) -> str:
        """What to do about a repository that is not there, as far as the token can tell."""
        if self.reader:
            return f"check the name; trusted publishing reads nothing private: unset {self.variable}, and set HF_TOKEN"
        return "check the name; for a private one set HF_TOKEN"

    @property
    def cure_for_unwritable(self) -> str:
        """What to do where writing is refused."""
        if self.target and self.spent():
            return "run the same command again, it goes on where it stopped; a smaller output.shard_size helps"
        if self.target:
            return f"the token is good for {self.target} alone: look on {self.settings} whether this job may write"
        return "set HF_TOKEN to a token that may write there"


PLAIN: Final = Access()
"""A token that the user has given, or none."""


@contextmanager
def reading(subject: str, revision: str | None = None, access: Access = PLAIN) -> Iterator[None]:
    """Turn what reading from the Hub raises into `SourceError`."""
    try:
        yield
    except HUB_ERRORS as error:
        refuse(subject, revision, error, access)


@contextmanager
def writing(repo: str, action: str, hint: str | None = None, access: Access = PLAIN) -> Iterator[None]:
    """Turn what writing to the Hub raises into `PublishError`; `hint` is for when nothing better is known."""
    try:
        yield
    except HUB_ERRORS as error:
        refuse_write(repo, action, error, hint, access)


def asked_to_wait(error: Exception) -> float | None:
    """Seconds that the Hub asks to wait before the call is repeated, if it does."""
    if not isinstance(error, HfHubHTTPError):
        return None
    after = error.response.headers.get("Retry-After", "")
    left = _WINDOW.search(error.response.headers.get("RateLimit", ""))
    return float(after) if after.isdecimal() else float(left[1]) + 1 if left else None


def said(error: HfHubHTTPError) -> str:
    """What the server has said, short, and without anything that looks like a token."""
    return printable(masked(error.server_message or "no reason"))


def refuse(subject: str, revision: str | None, error: Exception, access: Access = PLAIN) -> NoReturn:
    """Turn what reading from the Hub raised into a `SourceError`; raise on what is no error of the Hub's."""
    _check_memory(error)
    at = f" at {revision}" if revision else ""
    match error:
        case OfflineModeIsEnabled():
            what, hint = "cannot be asked for, HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE, or use local directories"
        case GatedRepoError():
            what, hint = f"is gated and {access.whose} has no access", access.cure_for_gated
        case DisabledRepoError():
            what, hint = "is disabled by the Hub", "name another source; its page may say why"
        case RevisionNotFoundError():
            what, hint = "has no such revision", "check branch, tag or commit"
        case RemoteEntryNotFoundError() | LocalEntryNotFoundError():
            what, hint = "does not exist", "check the repository's files, or pin again with `ramekin lock --upgrade`"
        case RepositoryNotFoundError():
            what = "does not exist, or this token may not see it"
            hint = access.cure_for_unseen
        case OIDCError():
            what, hint = f"no token: {printable(masked(str(error)))}", "give the job `permissions: id-token: write`"
        case HfHubHTTPError():
            what = f"the Hub answered {error.response.status_code} ({said(error)})"
            hint = access.cure_for_refusal if error.response.status_code in {401, 403} else "try again later"
        case TransportError() | ConnectionError() | TimeoutError():
            what, hint = f"the network gave up ({printable(str(error))})", "check the connection and HF_ENDPOINT"
        case JSONDecodeError() | LookupError() | TypeError() | AttributeError():
            what = f"the answer is not one that a Hub gives ({type(error).__name__})"
            hint = "check HF_ENDPOINT, and whether this network wants a log-in first"
        case _:
            what, hint = printable(str(error)), "check the name, and that it is written as `namespace/name`"
    raise SourceError(f"{printable(subject)}{printable(at)}: {what}", hint) from error


def is_passing(error: BaseException | None) -> bool:
    """Whether an error comes of a network, or of a Hub, that may be there again in a while."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code in BUSY
        if isinstance(error, (TransportError, ConnectionError, TimeoutError)):
            return True
        error = error.__cause__
    return False


def refuse_write(repo: str, action: str, error: Exception, hint: str | None = None, access: Access = PLAIN) -> NoReturn:
    """Turn what writing to the Hub raised into a `PublishError`."""
    _check_memory(error)
    hint = hint or "try again later; nothing was published"
    match error:
        case OfflineModeIsEnabled():
            why, hint = "HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"
        case LocalTokenNotFoundError():
            why, hint = "there is no token", access.cure_for_none
        case RepositoryNotFoundError():
            why = "it does not exist, or this token may not see it"
            hint = access.cure_for_unwritable if access.target else "create it, or check HF_TOKEN"
        case HfHubHTTPError():
            code = error.response.status_code
            why = f"the Hub answered {code} ({said(error)})"
            if code in {401, 403}:
                why = f"the token of trusted publishing has expired ({said(error)})" if access.spent() else why
                hint = access.cure_for_unwritable
        case JSONDecodeError() | LookupError() | TypeError() | AttributeError():
            why = f"the answer is not one that a Hub gives ({type(error).__name__})"
            hint = "check HF_ENDPOINT, and look at the repository before trying again"
        case _:
            why = printable(str(error))
    raise PublishError(f"{printable(repo)}: could not {action}: {why}", hint) from error


def _check_memory(error: Exception) -> None:
    """Raise on what is no fault of the Hub's."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        raise ResourceError("there is not enough memory", "raise the limit, or use a larger machine") from error

"""Who sends which token: that of the user, or one that trusted publishing gives for reading, or one for writing."""

import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol

from ramekin.environment import Environment
from ramekin.errors import PublishError, RamekinError, SourceError
from ramekin.refusals import Access
from ramekin.secret import Secret
from ramekin.trust.exchange import Exchange, Granted

_EARLY: Final = 300.0
"""Seconds before its end at which a token is exchanged anew, as the Hub's client does."""
_FRESH: Final = 0.8
"""Of its lifetime, what is left of a token that counts as fresh."""

Hide = Callable[[Iterable[str]], None]


class Bearer(Protocol):
    """Knows the token that goes with requests."""

    @property
    def access(self) -> Access:
        """What tells what to do where a request is refused."""

    @property
    def exchanges(self) -> bool:
        """Whether the token comes from trusted publishing, and lasts for a while only."""

    def token(self, *, fresh: bool = False) -> str | Literal[False] | None:
        """The token; None for what the Hub's client knows by itself: a stored login, or none. False for none at all.

        Args:
            fresh: Whether it must last, for something that takes long.
        """


class Holder:
    """Has the token that the user has given, if any."""

    exchanges = False

    def __init__(self, token: Secret | None, access: Access) -> None:
        self._token = token
        self.access = access

    def token(self, *, fresh: bool = False) -> str | None:
        """The token."""
        return self._token.reveal() if self._token else None

    def aim(self, repo: str) -> None:
        """Whether it may write there, only the Hub can say."""


class Nobody:
    """Has no token, and has none looked for."""

    exchanges = False
    access = Access()

    def token(self, *, fresh: bool = False) -> Literal[False]:
        """None at all."""
        return False


class _Exchanging:
    """Exchanges a token when one is wanted, and a new one before it ends."""

    exchanges = True

    def __init__(self, exchange: Exchange, resource: str | None, variable: str | None, *, offline: bool) -> None:
        self._exchange = exchange
        self._offline = offline
        self._resource = resource
        self._variable = variable
        self._granted: Granted | None = None
        self._refused: RamekinError | None = None
        self._lock = threading.Lock()

    def token(self, *, fresh: bool = False) -> str | None:
        """The token, exchanged anew where too little is left of it; none where nothing may be asked of the network."""
        if self._offline:
            return None
        with self._lock:
            if self._refused:
                raise self._refused  # several threads may have waited for it: it is asked for once
            if self._granted is None or self._wants_another(self._granted, fresh=fresh):
                self._granted = self._renewed(self._granted)
            return self._granted.secret.reveal()

    def _wants_another(self, granted: Granted, *, fresh: bool) -> bool:
        least = _FRESH * granted.lifetime if fresh else min(_EARLY, granted.lifetime / 2)
        return granted.left(self._exchange.clock()) <= (least if granted.renewable else 0)

    def _renewed(self, before: Granted | None) -> Granted:
        assert self._resource  # noqa: S101 - whoever writes has aimed
        try:
            return self._exchange.token_for(self._resource, self._variable)
        except RamekinError as error:
            if before and before.left(self._exchange.clock()) > 0:
                return before  # there is still time
            self._refused = error
            raise

    def _is_spent(self) -> bool:
        return self._granted is not None and self._granted.left(self._exchange.clock()) <= 0


class Reader(_Exchanging):
    """Reads what a user was let into; nothing private, and it cannot write."""

    def __init__(self, exchange: Exchange, environment: Environment) -> None:
        identity = environment.identity
        variable = "RAMEKIN_OIDC_READER" if identity.named_reader else "HF_OIDC_RESOURCE"
        super().__init__(exchange, identity.reader, variable, offline=environment.offline)

    @property
    def access(self) -> Access:
        """By whose leave it reads."""
        return Access(reader=self._resource, variable=self._variable or "", spent=self._is_spent, exchangeable=True)


class Publisher(_Exchanging):
    """Writes to one repository: the one that is named, else the first that it is aimed at."""

    def __init__(self, exchange: Exchange, environment: Environment) -> None:
        target = environment.identity.target
        super().__init__(exchange, target, "HF_OIDC_RESOURCE" if target else None, offline=environment.offline)
        self._endpoint = environment.endpoint

    @property
    def access(self) -> Access:
        """Where it writes."""
        settings = f"{self._endpoint}/{self._resource}/settings"
        return Access(target=self._resource, settings=settings, spent=self._is_spent, exchangeable=True)

    def aim(self, repo: str) -> None:
        """Exchange the first token now: hours of work must not end with finding out that there is none.

        Raises:
            PublishError: There is none, or it would be for another repository.
        """
        if self._resource is not None and self._resource != repo:
            raise PublishError(
                f"{repo}: HF_OIDC_RESOURCE names {self._resource}, and a token for that cannot write here",
                "set HF_OIDC_RESOURCE to output.repo of the manifest, or unset it",
            )
        self._resource = repo
        self.token()


def for_reading(environment: Environment, hide: Hide) -> Bearer:
    """Who reads sources: the user that is named to read as, else the user's own token or login, else nobody."""
    if environment.anonymous:
        return Nobody()
    if environment.identity.reader:
        return Reader(Exchange(environment, hide, SourceError), environment)
    return holder(environment)


def for_writing(environment: Environment, hide: Hide) -> "Holder | Publisher":
    """Who publishes: the repository that is named, else the user's own token or login, else the job by itself."""
    identity = environment.identity
    if identity.target or (identity.can_be_proved and not environment.token and not _has_login()):
        return Publisher(Exchange(environment, hide, PublishError), environment)
    return holder(environment)


def holder(environment: Environment) -> Holder:
    """The user's own token, or what the Hub's client knows by itself."""
    exchangeable = environment.identity.can_be_proved or bool(environment.identity.target)
    return Holder(environment.token, Access(exchangeable=exchangeable, github=environment.github_actions))


def _has_login() -> bool:
    """Whether the Hub's client would send a token by itself."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    return "authorization" in build_hf_headers()

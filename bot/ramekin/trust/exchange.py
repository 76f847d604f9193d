"""The exchange of a job's ID token for a token of the Hub: `POST /oauth/token`, by RFC 8693.

The Hub's client knows this exchange too, but makes it once a process, for one resource, and for whatever it does. Here
there is one for reading and one for writing. It is also stricter: there is a time after which it gives up, an ID token
is sent to the one address that it was made for and to no other that this redirects to, and it is never logged.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import quote

from huggingface_hub import get_session
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

from ramekin.environment import Environment
from ramekin.errors import RamekinError
from ramekin.patience import Patience
from ramekin.refusals import BUSY, TransportError, said
from ramekin.secret import Secret, can_be_sent
from ramekin.text import masked, printable
from ramekin.trust.identity import IdToken

HUB: Final = "https://huggingface.co"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the name of a kind of token
_TIMEOUT: Final = 30.0
_SILENCE: Final = threading.Lock()
_LIFETIME: Final = 3600.0
_LONGEST: Final = 24 * 3600.0


@dataclass(frozen=True)
class Granted:
    """A token of the Hub, for a while.

    Attributes:
        secret: The token.
        begin: When the exchange began, in seconds of a clock that never goes back.
        lifetime: For how many seconds from then on the Hub takes it.
        renewable: Whether another one can be had when this one ends.
    """

    secret: Secret
    begin: float
    lifetime: float
    renewable: bool

    def left(self, now: float) -> float:
        """Seconds that are left of it."""
        return self.begin + self.lifetime - now


class Exchange:
    """Exchanges what a job can prove who it is with.

    Args:
        environment: Says where, and with what.
        hide: Told every token before it can appear anywhere.
        error: What is raised where there is no token: reading and writing have exit codes of their own.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        environment: Environment,
        hide: Callable[[Iterable[str]], None],
        error: type[RamekinError],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._identity = environment.identity
        self._hide = hide
        self._error = error
        self._patience = Patience(environment.retry_wait)
        self.clock = clock

    def token_for(self, resource: str, variable: str | None = None) -> Granted:
        """A token for a repository `namespace/name`, which may write there, or for a user, which may read.

        Args:
            resource: The repository or user.
            variable: The variable that names it, if one does.

        Raises:
            RamekinError: There is none; of the class that was chosen.
        """
        proof = self._proof(resource, f"unset {variable}" if variable else "do without it")
        begin = self.clock()
        body = {
            "grant_type": _GRANT,
            "subject_token_type": _ID_TOKEN,
            "subject_token": proof.secret.reveal(),
            "resource": resource,
        }
        try:
            answer = self._ask("POST", f"{self._environment.endpoint}/oauth/token", {}, body)
        except HfHubHTTPError as error:
            self._refuse(resource, variable, proof, error)
        except (TransportError, OSError, ValueError) as error:
            what = f"{resource}: the Hub gave no token: the network gave up ({_told(error)})"
            raise self._error(what, "check the connection and HF_ENDPOINT, then run the same command again") from error
        value, lifetime = answer.get("access_token"), _seconds(answer.get("expires_in"))
        if not isinstance(value, str) or not can_be_sent(value) or lifetime is None:
            what = f"{resource}: the Hub gave no token: its answer holds none that can be used"
            raise self._error(what, "check HF_ENDPOINT, and whether this network wants a log-in first")
        self._hide([value])
        return Granted(Secret(value), begin, lifetime, renewable=not proof.given)

    # What proves who the job is

    def proof_for(self, whom: str, audience: str) -> Secret:
        """An ID token that GitHub makes now for somebody else than the Hub.

        Args:
            whom: Their name, for messages.
            audience: What the token is made for.

        Raises:
            RamekinError: There is none; of the class that was chosen.
        """
        identity = self._identity
        assert identity.address  # noqa: S101 - whoever asks has looked
        assert identity.request_token  # noqa: S101
        return self._made(whom, identity.address, identity.request_token, audience).secret

    def _proof(self, resource: str, otherwise: str) -> IdToken:
        """The ID token that was given, or one that GitHub makes now, for this Hub alone."""
        identity = self._identity
        if identity.id_token:
            token = IdToken.read(identity.id_token.reveal(), given=True)
            if token is None:
                what = f"{resource}: no token: what HF_OIDC_ID_TOKEN holds is no ID token"
                raise self._error(what, "set it to the ID token of your CI: three parts with dots between them")
            return token
        if identity.address and identity.request_token:
            return self._made(resource, identity.address, identity.request_token, self._environment.endpoint)
        if self._environment.github_actions:
            what = f"{resource}: no token: this job may not ask GitHub for a proof of who it is"
            raise self._error(what, f"give the job `permissions: id-token: write`; or {otherwise}, and set HF_TOKEN")
        what = f"{resource}: no token: there is no proof of who asks outside of GitHub Actions"
        raise self._error(what, f"set HF_OIDC_ID_TOKEN to the ID token of your CI; or {otherwise}, and set HF_TOKEN")

    def _made(self, resource: str, address: str, request_token: Secret, audience: str) -> IdToken:
        """An ID token of GitHub's. Its address has a query already, which must stay."""
        failed = f"{resource}: no token: GitHub gave this job no ID token"
        query = f"audience={quote(audience, safe='')}"
        bearer = {"Authorization": f"Bearer {request_token.reveal()}"}
        try:
            answer = self._ask("GET", f"{address}{'&' if '?' in address else '?'}{query}", bearer)
        except HfHubHTTPError as error:
            code = error.response.status_code
            hint = "run the job again"
            if code in {401, 403}:
                hint = "look whether the job still runs, and has `permissions: id-token: write`"
            raise self._error(f"{failed}: it answered {code} ({said(error)})", hint) from error
        except (TransportError, OSError, ValueError) as error:
            hint = "run the job again; ACTIONS_ID_TOKEN_REQUEST_URL says where it asks"
            raise self._error(f"{failed}: the network gave up ({_told(error)})", hint) from error
        value = answer.get("value")
        token = IdToken.read(value, given=False) if isinstance(value, str) else None
        if token is None:
            raise self._error(f"{failed}: its answer holds none", "run the job again")
        self._hide([token.secret.reveal()])
        return token

    # What the Hub says to it

    def _refuse(self, resource: str, variable: str | None, proof: IdToken, error: HfHubHTTPError) -> NoReturn:
        code = error.response.status_code
        reason = _json(error.response).get("error")
        told = f"{resource}: the Hub gave no token"
        if reason in {"invalid_request", "invalid_target"}:
            hint = f"{variable or 'output.repo'} is to name a repository as `namespace/name`, or a user"
            raise self._error(f"{told}: it knows no such kind of resource ({said(error)})", hint) from error
        if reason != "invalid_grant":
            hint = "run the same command again later" if code in BUSY else "check HF_ENDPOINT"
            if 300 <= code < 400:
                hint = "check HF_ENDPOINT: an ID token is shown to no other address"
            raise self._error(f"{told}: it answered {code} ({said(error)})", hint) from error
        endpoint = self._environment.endpoint
        if proof.given and proof.has_expired(time.time()):
            hint = "let the CI make it right before, or merge in one job and `ramekin publish` in the next"
            raise self._error(f"{told}: HF_OIDC_ID_TOKEN has expired ({said(error)})", hint) from error
        if proof.audiences and not {endpoint, HUB}.intersection(proof.audiences):
            whom = printable(", ".join(proof.audiences))
            what = f"{told}: the ID token was made for {whom}, not for {endpoint} ({said(error)})"
            raise self._error(what, f"let the CI make it for the audience {endpoint}") from error
        if endpoint != HUB and "audience" in (error.server_message or ""):
            what = f"{told}: it takes no ID token that was made for {endpoint} ({said(error)})"
            raise self._error(what, f"unset HF_ENDPOINT: only {HUB} gives tokens, no mirror of it does") from error
        # Which of its checks has failed the Hub does not tell anybody. What it was shown, we know.
        if "/" in resource:
            hint = f"make that job a trusted publisher on {endpoint}/{resource}/settings"
            hint += f"; if there is no such repository yet, first `hf repos create {resource} --private`"
        else:
            hint = f"add that job on {endpoint}/settings/authentication, under CI/CD Access, as {resource}"
        hint += "" if endpoint == HUB else f"; where HF_ENDPOINT names a mirror, unset it: only {HUB} gives tokens"
        where = "there" if "/" in resource else "to read as this user"
        raise self._error(f"{told}: {proof.bearer} is not trusted {where} ({said(error)})", hint) from error

    def _ask(
        self, method: str, address: str, headers: Mapping[str, str], body: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """The JSON object that an address answers with; an empty one if it answers something else."""

        def ask() -> Any:
            with unlogged():
                response = get_session().request(
                    method, address, headers=dict(headers), json=body, timeout=_TIMEOUT, follow_redirects=False
                )
            if 300 <= response.status_code < 400:
                raise HfHubHTTPError("a redirect", response=response, server_message="ask somewhere else")
            hf_raise_for_status(response)
            return response

        return _json(self._patience.repeat(ask))


@contextmanager
def unlogged() -> Iterator[None]:
    """No debug output of the Hub's client: of a long body it hides no token."""
    with _SILENCE:
        before = logging.root.manager.disable
        logging.disable(max(before, logging.DEBUG))
        try:
            yield
        finally:
            logging.disable(before)


def _json(response: Any) -> Mapping[str, Any]:
    try:
        value = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(value: object) -> float | None:
    """How long a token lasts; as long as usual where that is not said, None where it cannot be."""
    if value is None:
        return _LIFETIME
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return min(float(value), _LONGEST)
    return None


def _told(error: Exception) -> str:
    return printable(masked(str(error) or type(error).__name__))

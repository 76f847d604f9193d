"""The two routes of trusted publishing: where GitHub gives a job an ID token, and where the Hub exchanges it."""

import re
from typing import Final

from starlette.responses import Response

from ramekin.hub.calls import Call, answer
from ramekin.hub.refusal import Moved, Refusal
from ramekin.hub.store import known_type

_WANTED: Final = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
}
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- the name of a kind of token
_RESOURCE: Final = re.compile(r"(?:(?:datasets|spaces)/)?[\w.-]+/[\w.-]+|[\w.-]+", re.ASCII)


def id_token(call: Call) -> Response:
    """`GET /_github/id-token`: GitHub's part."""
    trust = call.hub.trust
    job = trust.job_of(call.headers.get("authorization", ""))
    if job is None:
        raise Refusal(401, "The job may not ask for an ID token")
    made = trust.id_token(job, audience=call.query.get("audience") or "https://github.com/octo")
    return answer({"count": len(made), "value": made})


def exchange(call: Call) -> Response:
    """`POST /oauth/token`, with the one grant that needs no client."""
    trust, fields = call.hub.trust, call.json()
    subject, resource = fields.get("subject_token"), fields.get("resource")
    if any(fields.get(name) != value for name, value in _WANTED.items()) or not isinstance(subject, str):
        return _refused("invalid_request", "Missing or malformed parameter")
    if not isinstance(resource, str) or not _RESOURCE.fullmatch(resource):
        return _refused("invalid_request", "Invalid resource")
    # Of a repository that is not there the Hub says no more than of one that trusts others.
    token = trust.exchange(subject, resource) if _is_there(call, resource) else None
    if token is None:
        return _refused("invalid_grant", "The token cannot be exchanged for this resource")
    lifetime = trust.lifetime
    return answer(
        {"access_token": token, "token_type": "bearer", "expires_in": lifetime, "issued_token_type": _ACCESS_TOKEN}
    )


def _is_there(call: Call, resource: str) -> bool:
    if "/" not in resource:
        return True
    kind, _, name = resource.partition("/") if resource.count("/") == 2 else ("model", "", resource)
    try:
        return call.store.find(name, known_type(kind)) is not None
    except Moved:
        return False


def _refused(error: str, description: str) -> Response:
    return answer({"error": error, "error_description": description}, 400)

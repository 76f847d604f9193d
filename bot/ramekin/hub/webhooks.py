"""Webhooks as their owners set them up. None is ever sent: whoever receives them is not of this machine."""

import json
import secrets
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from ramekin.hub import access
from ramekin.hub.blobs import write_atomically
from ramekin.hub.calls import Call, answer
from ramekin.hub.records import canonical
from ramekin.hub.refusal import Refusal

_WATCHED: Final = frozenset({"bucket", "dataset", "model", "org", "space", "user"})
_DOMAINS: Final = frozenset({"repo", "discussion"})


def webhooks(call: Call) -> Response:
    """`GET` and `POST /api/settings/webhooks`: a bare list, and the new one in an object."""
    folder = _folder(call)
    if call.method == "GET":
        return answer([json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))])
    webhook = {"id": secrets.token_hex(12), "disabled": False} | _fields(call)
    return _save(call, webhook)


def webhook(call: Call) -> Response:
    """`GET`, `POST` and `DELETE …/{id}`."""
    found = _load(call)
    if call.method == "DELETE":
        _path(call).unlink()
        return answer({})
    return _save(call, found | _fields(call)) if call.method == "POST" else answer({"webhook": found})


def switch(call: Call) -> Response:
    """`POST …/{id}/enable` and `…/disable`."""
    return _save(call, _load(call) | {"disabled": call.path.endswith("/disable")})


def _fields(call: Call) -> dict[str, Any]:
    sent = call.json()
    watched, domains = sent.get("watched"), sent.get("domains") or ["repo", "discussion"]
    if not isinstance(watched, list) or not all(isinstance(each, dict) for each in watched):
        raise Refusal(400, '"watched" must be a list of objects')
    if any(each.get("type") not in _WATCHED or not isinstance(each.get("name"), str) for each in watched):
        raise Refusal(400, 'What is watched must have a "type" and a "name"')
    if not isinstance(domains, list) or not _DOMAINS.issuperset(map(str, domains)):
        raise Refusal(400, '"domains" must be of "repo" and "discussion"')
    url = call.text(sent, "url")
    secret = {"secret": call.text(sent, "secret")} if sent.get("secret") else {}
    return {"watched": watched, "domains": domains, "url": url} | secret


def _load(call: Call) -> dict[str, Any]:
    path = _path(call)
    if not path.is_file():
        raise Refusal(404, "Webhook not found")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _save(call: Call, webhook: dict[str, Any]) -> Response:
    write_atomically(_folder(call) / f"{webhook['id']}.json", canonical(webhook))
    return answer({"webhook": webhook})


def _path(call: Call) -> Path:
    name = call.params["id"]
    if not name.isalnum():
        raise Refusal(404, "Webhook not found")
    return _folder(call) / f"{name}.json"


def _folder(call: Call) -> Path:
    """Each user's own: nobody sees another's."""
    return call.store.root / "webhooks" / access.check_known(call.viewer).name

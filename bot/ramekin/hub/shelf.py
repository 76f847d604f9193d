"""Collections: named lists of repositories."""

import json
import re
import secrets
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from ramekin.hub import access
from ramekin.hub.blobs import write_atomically
from ramekin.hub.calls import Call, answer, paged
from ramekin.hub.records import REPO_TYPES, canonical, timestamp
from ramekin.hub.refusal import Refusal
from ramekin.hub.store import known_type

#: Items of each collection that a listing shows.
_SHOWN: Final = 4


def list_all(call: Call) -> Response:
    """`GET /api/collections`, those that may be seen, by owner; of each the first items."""
    owners = set(call.query.getlist("owner"))
    found = [json.loads(path.read_bytes()) for path in sorted(_folder(call).glob("*/*.json"))]
    rows = [
        # Its place in the listing is what the client counts itself.
        {key: value for key, value in one.items() if key != "position"} | {"items": one["items"][:_SHOWN]}
        for one in found
        if _sees(call, one) and (not owners or one["owner"]["name"] in owners)
    ]
    page, headers = paged(call, rows, call.hub.options.page_size)
    return answer(page, headers=headers)


def create(call: Call) -> Response:
    """`POST /api/collections`. If the namespace has one of that title, 409 with its slug."""
    fields = call.json()
    user = access.check_known(call.viewer)
    title, namespace = call.text(fields, "title"), call.text(fields, "namespace", user.name)
    access.check_create(user, f"{namespace}/collection")
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    for path in _folder(call).glob(f"{namespace}/*.json"):
        known = json.loads(path.read_bytes())
        if known["title"] == title:
            raise Refusal(409, "You already have a collection of this title", extra={"slug": known["slug"]})
    collection = {
        "slug": f"{namespace}/{name}-{secrets.token_hex(12)}",
        "title": title,
        "description": call.text(fields, "description", ""),
        "owner": {"name": namespace, "type": "user" if namespace == user.name else "org"},
        "items": [],
        "lastUpdated": timestamp(),
        "position": 0,
        "private": bool(fields.get("private")),
        "theme": "orange",
        "upvotes": 0,
    }
    return answer(_save(call, collection))


def read(call: Call) -> Response:
    """`GET /api/collections/{slug}`."""
    return answer(_load(call))


def add_item(call: Call) -> Response:
    """`POST …/items`; 409 if it is on the list."""
    collection = _writable(call)
    fields = call.json()
    item = fields.get("item")
    if not isinstance(item, dict):
        raise Refusal(400, '"item" must have an id and a type')
    item_id, kind = call.text(item, "id"), call.text(item, "type")
    if kind in REPO_TYPES:
        call.open(item_id, known_type(kind))
    if any((one["id"], one["type"]) == (item_id, kind) for one in collection["items"]):
        raise Refusal(409, "The item is in the collection already")
    row = {"_id": secrets.token_hex(12), "id": item_id, "type": kind, "position": len(collection["items"])}
    if fields.get("note"):
        row["note"] = {"text": call.text(fields, "note")}
    return answer(_save(call, {**collection, "items": [*collection["items"], row]}))


def change_item(call: Call) -> Response:
    """`PATCH` and `DELETE …/items/{item}`."""
    collection = _writable(call)
    rows = collection["items"]
    found = next((row for row in rows if row["_id"] == call.params["item"]), None)
    if found is None:
        raise Refusal(404, "The item is not in the collection")
    if call.method == "DELETE":
        rows = [row for row in rows if row is not found]
    else:
        fields = call.json()
        found |= {"note": {"text": fields["note"]}} if fields.get("note") else {}
        rows = sorted(rows, key=lambda row: fields.get("position", 0) - 0.5 if row is found else row["position"])
    rows = [{**row, "position": position} for position, row in enumerate(rows)]
    return answer(_save(call, {**collection, "items": rows}))


def delete(call: Call) -> Response:
    """`DELETE /api/collections/{slug}`."""
    _path(call, _writable(call)["slug"]).unlink()
    return answer({})


def _load(call: Call) -> dict[str, Any]:
    path = _path(call, f"{call.params['ns']}/{call.params['slug']}")
    collection: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    if not collection or not _sees(call, collection):
        raise Refusal(404, "Collection not found")
    return collection


def _sees(call: Call, collection: dict[str, Any]) -> bool:
    owner = f"{collection['owner']['name']}/collection"
    return not collection["private"] or (call.viewer is not None and call.viewer.may("read", owner))


def _writable(call: Call) -> dict[str, Any]:
    collection = _load(call)
    user = access.check_known(call.viewer)
    if not user.may("write", f"{call.params['ns']}/collection"):
        raise Refusal(403, "You don't have the rights to change this collection")
    return collection


def _save(call: Call, collection: dict[str, Any]) -> dict[str, Any]:
    collection = {**collection, "lastUpdated": timestamp()}
    write_atomically(_path(call, collection["slug"]), canonical(collection))
    return collection


def _folder(call: Call) -> Path:
    return call.store.root / "collections"


def _path(call: Call, slug: str) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", slug) or ".." in slug:
        raise Refusal(404, "Collection not found")
    return _folder(call) / f"{slug}.json"

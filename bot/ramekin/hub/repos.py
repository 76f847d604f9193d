"""Identity and repositories: who am I, create, delete, move, settings, and what is known of a repository."""

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from ramekin.hub import access, cards
from ramekin.hub.calls import Call, answer, paged
from ramekin.hub.checkpoints import count_parameters
from ramekin.hub.records import Commit, Entry
from ramekin.hub.refusal import Refusal
from ramekin.hub.repository import Repository
from ramekin.hub.store import Store, known_type
from ramekin.hub.trust import AUTHOR

_IN_EVERY_ANSWER: Final = ("_id", "id", "modelId")
#: Larger files are not read to see what they say.
HELD_AS_TEXT: Final = 2 << 20
#: What makes a dataset a benchmark. The Hub also has a list of those that it has admitted; this one admits all.
BENCHMARK: Final = "eval.yaml"


def whoami(call: Call) -> Response:
    """`GET /api/whoami-v2`."""
    if call.viewer is None or call.viewer.name == AUTHOR:
        raise Refusal(401, "Invalid username or password.")
    user = call.viewer
    organizations = [
        {"type": "org", "id": name, "name": name, "fullname": name} for name in user.organizations if name != "*"
    ]
    token = {"displayName": f"{user.name}-token", "role": {"fine-grained": "fineGrained"}.get(user.role, user.role)}
    return answer(
        {
            "type": "user",
            "id": user.name,
            "name": user.name,
            "fullname": user.name,
            "email": f"{user.name}@example.invalid",
            "orgs": organizations,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def create_repo(call: Call) -> Response:
    """`POST /api/repos/create`. The answer has `url` also when there is such a repository already."""
    fields = call.json()
    kind = known_type(call.text(fields, "type", "model"))
    if call.viewer is None:
        raise Refusal(401, "Invalid username or password.")
    namespace = call.text(fields, "organization", call.viewer.name)
    repo_id = f"{namespace}/{call.text(fields, 'name')}"
    access.check_create(call.viewer, repo_id)
    private = fields.get("visibility") == "private" or fields.get("private") is True
    url = f"{call.base}{'' if kind == 'model' else f'/{kind}s'}/{repo_id}"
    try:
        repository = call.store.create_repo(repo_id, repo_type=kind, private=private)
    except Refusal as error:
        error.extra["url"] = url
        raise
    return answer({"url": url, "name": repository.info.id, "id": _object_id(repository)})


def delete_repo(call: Call) -> Response:
    """`DELETE /api/repos/delete`."""
    repository = _named(call, call.json())
    access.check_write(call.viewer, repository.info)
    call.store.delete_repo(repository.info.id, repository.info.type)
    return answer({})


def move_repo(call: Call) -> Response:
    """`POST /api/repos/move`."""
    fields = call.json()
    kind = known_type(call.text(fields, "type", "model"))
    repository = call.open(call.text(fields, "fromRepo"), kind)
    goal = call.text(fields, "toRepo")
    access.check_write(call.viewer, repository.info)
    access.check_create(call.viewer, goal)
    call.store.move_repo(repository.info.id, goal, kind)
    return answer({"url": f"{call.base}{call.store.get(goal, kind).info.web}"})


def change_settings(call: Call) -> Response:
    """`PUT …/settings`: visibility and gate."""
    repository = call.writable()
    fields = call.json()
    changes: dict[str, Any] = {}
    if "visibility" in fields or "private" in fields:
        changes["private"] = fields.get("visibility") == "private" or fields.get("private") is True
    if "gated" in fields:
        if fields["gated"] not in ("auto", "manual", False):
            raise Refusal(400, '"gated" must be "auto", "manual" or false')
        changes["gated"] = fields["gated"]
    repository.set_info(**changes)
    return answer({"private": repository.info.private, "gated": repository.info.gated})


def ask_access(call: Call) -> Response:
    """`POST …/ask-access`: a gate that is on `auto` lets everybody in who asks."""
    repository = call.repository()
    user = access.check_known(call.viewer)
    if repository.info.gated == "auto":
        repository.set_info(granted=tuple(dict.fromkeys((*repository.info.granted, user.name))))
    return answer({"status": "accepted" if user.name in repository.info.granted else "pending"})


def check_read(call: Call) -> Response:
    """`GET …/auth-check`."""
    call.readable()
    return answer({})


def check_write(call: Call) -> Response:
    """`GET …/auth-check/write`."""
    call.writable()
    return answer({})


def list_repos(call: Call) -> Response:
    """`GET /api/models` and the like, with `author`, `search` and `filter`."""
    wanted = set(call.query.getlist("filter"))
    author, search = call.query.get("author"), call.query.get("search", "").lower()
    rows = []
    for repository in call.store.repositories():
        info = repository.info
        if info.type != call.kind or info.disabled or not access.sees(call.viewer, info):
            continue
        if (author and info.namespace != author) or search not in info.id.lower():
            continue
        known = _describe(call.store, repository, repository.resolve("main"), blobs=False)
        if wanted <= set(known["tags"]):
            rows.append(known)
    limit = call.query.get("limit", "")
    page, headers = paged(call, rows, int(limit) if limit.isdecimal() and int(limit) else call.hub.options.page_size)
    return answer(page, headers=headers)


def repo_info(call: Call) -> Response:
    """`GET …` and `GET …/revision/{rev}`, whole or only the `expand`ed keys."""
    repository = call.repository()
    known = _describe(call.store, repository, call.commit(repository), blobs=call.flag("blobs"))
    wanted = call.query.getlist("expand")
    if wanted:
        known = {key: value for key, value in known.items() if key in _IN_EVERY_ANSWER or key in wanted}
    return answer(known)


def _named(call: Call, fields: Mapping[str, Any]) -> Repository:
    kind = known_type(call.text(fields, "type", "model"))
    namespace = call.text(fields, "organization", call.viewer.name if call.viewer else "")
    return call.open(f"{namespace}/{call.text(fields, 'name')}", kind)


def _object_id(repository: Repository) -> str:
    info = repository.info
    return f"{info.type}-{info.id}".encode().hex()[:24].ljust(24, "0")


def _describe(store: Store, repository: Repository, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    info = repository.info
    tree = repository.tree(commit)
    card = cards.read_card(read_text(store, tree.get("README.md")))
    known: dict[str, Any] = {
        "_id": _object_id(repository),
        "id": info.id,
        "author": info.namespace,
        "sha": commit.id,
        "lastModified": commit.date,
        "createdAt": info.created,
        "private": info.private,
        "gated": info.gated,
        "disabled": info.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": cards.derived_tags(card.data),
        "cardData": dict(card.data),
        "siblings": [_sibling(entry, blobs=blobs) for entry in tree.values()],
        "usedStorage": sum({entry.sha256: entry.size for entry in tree.values()}.values()),
    }
    known |= {"modelId": info.id, **_model_facts(store, card, tree)} if info.type == "model" else {}
    if info.type == "dataset" and BENCHMARK in tree:
        known["tags"].append("benchmark:official")
    return known


def _model_facts(store: Store, card: cards.Card, tree: Mapping[str, Entry]) -> dict[str, Any]:
    facts: dict[str, Any] = {"config": {}, "spaces": []}
    for key in ("pipeline_tag", "library_name"):
        if isinstance(card.data.get(key), str):
            facts[key] = card.data[key]
    if isinstance(card.data.get("model-index"), list):
        facts["model-index"] = card.data["model-index"]
    config = _json_object(read_text(store, tree.get("config.json")))
    facts["config"] = {key: config[key] for key in ("architectures", "model_type") if key in config}
    weights = [entry for path, entry in tree.items() if path.endswith(".safetensors") and "/" not in path]
    counted = count_parameters(store.blobs.path(entry.sha256) for entry in weights)
    if counted:
        facts["safetensors"] = counted
    parents = cards.strings(card.data.get("base_model"))
    if parents:
        models = [{"_id": parent.encode().hex()[:24], "id": parent} for parent in parents]
        facts["baseModels"] = {"relation": cards.base_model_relation(card.data), "models": models}
    return facts


def _sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    row: dict[str, Any] = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid}
    if entry.lfs:
        row["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": len(entry.pointer)}
    return row


def read_text(store: Store, entry: Entry | None) -> str:
    """The text of a small file; empty if it is not there."""
    if entry is None or entry.size > HELD_AS_TEXT:
        return ""
    return store.blobs.read(entry.sha256).decode("utf-8", "replace")


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

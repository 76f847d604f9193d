"""The first half of an upload: which files are large, and the large files themselves, whole or in parts."""

import base64
import fnmatch
import hashlib
import hmac
import math
import re
import secrets
import shutil
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from ramekin.hub import access
from ramekin.hub.blobs import copy_hashing, write_atomically
from ramekin.hub.calls import Call, Upload, answer
from ramekin.hub.records import Tree
from ramekin.hub.refusal import Refusal
from ramekin.hub.repository import Repository
from ramekin.hub.store import Store, known_type

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def target(call: Call) -> Repository:
    """The repository that is uploaded to. Whoever is known may propose a change; only writers make one."""
    if call.flag("create_pr") or call.params.get("rev", "").startswith("refs/pr/"):
        repository = call.repository() if call.viewer else None
        access.check_known(call.viewer, repository.info if repository else None)
        return call.repository()  # whose pull request it is, the commit itself looks
    return call.writable()


def preupload(call: Call) -> Response:
    """`POST …/preupload/{rev}`: large or regular, ignored or not, and what is there now."""
    repository = target(call)
    tree = repository.tree(call.commit(repository))
    fields = call.json()
    ignored = call.text(fields, "gitIgnore", "")
    attributes = fields.get("gitAttributes")
    rows = []
    for file in fields.get("files", ()):
        path, size = call.text(file, "path"), int(file.get("size", 0))
        _check_sample(file)
        mode = "lfs" if call.store.is_large(path, size, _ruled(call.store, tree, attributes)) else "regular"
        row = {"path": path, "uploadMode": mode, "shouldIgnore": _ignored(path, ignored)}
        if path in tree:
            row["oid"] = tree[path].etag
        rows.append(row)
    return answer({"files": rows, "commitOid": call.commit(repository).id})


def _ruled(store: Store, tree: Tree, attributes: object) -> Tree:
    if not isinstance(attributes, str):
        return tree
    return {**tree, ".gitattributes": store.entry(".gitattributes", attributes, {})}


def _check_sample(file: dict[str, Any]) -> None:
    try:
        base64.b64decode(file.get("sample", ""), validate=True)
    except (ValueError, TypeError) as error:
        raise Refusal(400, '"sample" must be base64') from error


def _ignored(path: str, rules: str) -> bool:
    """Whether lines of a `.gitignore` fit; the common forms of them."""
    verdict = False
    for line in rules.splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.lstrip("!").rstrip("/")
        anchored = "/" in pattern
        steps = path.split("/")
        names = ["/".join(steps[:depth]) for depth in range(1, len(steps) + 1)] if anchored else steps
        if any(fnmatch.fnmatchcase(name, pattern.lstrip("/")) for name in names):
            verdict = not rule.startswith("!")
    return verdict


def batch(call: Call) -> Response:
    """`POST ….git/info/lfs/objects/batch`: where each large file is to be sent, unless it is there."""
    repository = call.repository()
    access.check_known(call.viewer, repository.info)
    fields = call.json()
    objects = fields.get("objects", [])
    many = call.hub.options.multipart_above
    in_parts = "multipart" in fields.get("transfers", ()) and any(int(one["size"]) > many for one in objects)
    rows = [_invitation(call, repository, one["oid"], int(one["size"]), in_parts=in_parts) for one in objects]
    kind = "application/vnd.git-lfs+json"
    return answer({"transfer": "multipart" if in_parts else "basic", "objects": rows}, headers={"Content-Type": kind})


def _invitation(call: Call, repository: Repository, oid: str, size: int, *, in_parts: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"oid": oid, "size": size}
    if not _SHA256.fullmatch(oid):
        return {**row, "error": {"code": 422, "message": "oid must be a sha256"}}
    if repository.holds(oid) and call.store.blobs.has(oid):
        return row
    verify = {"href": f"{call.base}{repository.info.web}.git/info/lfs/verify"}
    if in_parts and size > call.hub.options.multipart_above:
        part = call.hub.options.part_size
        count = math.ceil(size / part)
        header = {
            str(number): _address(call, repository, oid, size, f"part/{number}") for number in range(1, count + 1)
        }
        upload = {
            "href": _address(call, repository, oid, size, "complete"),
            "header": {"chunk_size": str(part), **header},
        }
    else:
        upload = {"href": _address(call, repository, oid, size, "whole")}
    return {**row, "actions": {"upload": upload, "verify": verify}}


def _address(call: Call, repository: Repository, oid: str, size: int, purpose: str) -> str:
    """A URL that carries its own permission: the client sends no token there. It outlives a restart."""
    facts = {"type": repository.info.type, "repo": repository.info.id, "size": str(size)}
    key = _signature(call.store, oid, purpose, facts)
    return f"{call.base}/_upload/{oid}/{purpose}?{urlencode({**facts, 'key': key})}"


def _signature(store: Store, oid: str, purpose: str, facts: dict[str, str]) -> str:
    text = "\0".join([oid, purpose, *(f"{name}={facts[name]}" for name in sorted(facts))])
    return hmac.new(_secret(store), text.encode(), hashlib.sha256).hexdigest()


def _secret(store: Store) -> bytes:
    path = store.root / "secret"
    if not path.is_file():
        write_atomically(path, secrets.token_bytes(32))
    return path.read_bytes()


def _invited(call: Call, purpose: str) -> tuple[Repository, str, int]:
    """The repository, digest and size that a signed URL is about."""
    facts = {name: call.query.get(name, "") for name in ("type", "repo", "size")}
    oid = call.params["oid"]
    if not hmac.compare_digest(_signature(call.store, oid, purpose, facts), call.query.get("key", "")):
        raise Refusal(403, "The signature of the upload URL is wrong")
    repository = call.store.find(facts["repo"], known_type(facts["type"]))
    if repository is None:
        raise Refusal(404, "The repository is gone")
    return repository, oid, int(facts["size"])


def put_whole(call: Call) -> Response:
    """`PUT /_upload/{oid}/whole`."""
    repository, oid, size = _invited(call, "whole")
    sent = _sent(call)
    if (sent.sha256, sent.size) != (oid, size):
        raise Refusal(400, "The content does not have the announced sha256 or size")
    call.store.blobs.keep(sent.path, oid)
    repository.note_upload(oid)
    return Response(status_code=200)


def put_part(call: Call) -> Response:
    """`PUT /_upload/{oid}/part/{number}`; parts outlive a restart."""
    number = call.params["number"]
    repository, oid, _ = _invited(call, f"part/{number}")
    sent = _sent(call)
    folder = _parts(call.store, repository, oid)
    folder.mkdir(parents=True, exist_ok=True)
    sent.path.replace(folder / number)
    return Response(status_code=200, headers={"ETag": f'"{sent.sha256[:32]}"'})


def complete(call: Call) -> Response:
    """`POST /_upload/{oid}/complete`: all parts are there, make the file of them."""
    repository, oid, size = _invited(call, "complete")
    folder = _parts(call.store, repository, oid)
    numbers = [str(part["partNumber"]) for part in call.json().get("parts", ())]
    expected = [str(number) for number in range(1, math.ceil(size / call.hub.options.part_size) + 1)]
    if numbers != expected or not all((folder / number).is_file() for number in numbers):
        raise Refusal(400, "Parts are missing")
    with call.store.blobs.draft() as draft:
        digest = hashlib.sha256()
        with draft.open("wb") as whole:
            for number in numbers:
                with (folder / number).open("rb") as part:
                    copy_hashing(part, whole, digest)
        if digest.hexdigest() != oid or draft.stat().st_size != size:
            raise Refusal(400, "The content does not have the announced sha256 or size")
        call.store.blobs.keep(draft, oid)
    repository.note_upload(oid)
    shutil.rmtree(folder)
    return answer({})


def verify(call: Call) -> Response:
    """`POST ….git/info/lfs/verify`: is it there, and of that size."""
    repository = call.repository()
    access.check_known(call.viewer, repository.info)
    fields = call.json()
    oid = call.text(fields, "oid")
    if not repository.holds(oid) or call.store.blobs.path(oid).stat().st_size != fields.get("size"):
        raise Refusal(404, "The file was not uploaded")
    return answer({})


def _sent(call: Call) -> Upload:
    if call.upload is None:
        raise Refusal(400, "The request has no body")
    return call.upload


def _parts(store: Store, repository: Repository, oid: str) -> Path:
    owner = hashlib.sha256(str(repository.info.web).encode()).hexdigest()[:16]
    return store.root / "parts" / f"{oid}-{owner}"

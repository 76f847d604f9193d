"""Reading: listings of a tree, facts about paths, and the files themselves, whole or in ranges."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ramekin.hub.blobs import CHUNK
from ramekin.hub.calls import Call, answer, paged
from ramekin.hub.records import Commit, Entry, digest40
from ramekin.hub.refusal import Refusal, entry_not_found
from ramekin.hub.repository import Repository

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_SHOWN_AS: Final = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_TEXT: Final = frozenset(
    {".md", ".txt", ".json", ".jsonl", ".yaml", ".yml", ".lock", ".py", ".jinja", ".toml", ".html", ".css", ".js"}
)
#: Files come from strangers and are shown under the Hub's own origin: they may draw, nothing else.
FILE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def list_tree(call: Call) -> Response:
    """`GET …/tree/{rev}[/{path}]`, one page of it."""
    repository = call.repository()
    commit = call.commit(repository)
    tree = repository.tree(commit)
    folder = call.params.get("path", "").strip("/")
    inside = [path for path in tree if not folder or path.startswith(f"{folder}/")]
    if folder and not inside:
        raise entry_not_found(f'"{folder}" does not exist on "{call.params["rev"]}"', commit=commit.id)
    rows = listing(tree, inside, folder, deep=call.flag("recursive"))
    limit = call.query.get("limit", "")
    page, headers = paged(call, rows, int(limit) if limit.isdecimal() and int(limit) else call.hub.options.page_size)
    if call.flag("expand"):
        page = _with_commits(repository, commit, page)
    return answer(page, headers=headers)


def paths_info(call: Call) -> Response:
    """`POST …/paths-info/{rev}`, form-encoded or JSON. Paths that are not there are left out."""
    repository = call.repository()
    commit = call.commit(repository)
    tree = repository.tree(commit)
    if "json" in call.headers.get("content-type", ""):
        fields = call.json()
        paths, expand = [str(path) for path in fields.get("paths", ())], bool(fields.get("expand"))
    else:
        form = parse_qs(call.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
    rows = []
    for path in paths:
        if path in tree:
            rows.append(_file_row(tree[path]))
        elif any(other.startswith(f"{path.rstrip('/')}/") for other in tree):
            rows.append(_folder_row(tree, path.rstrip("/")))
    if expand:
        rows = _with_commits(repository, commit, rows)
    return answer(rows)


def resolve(call: Call) -> Response:
    """`GET` and `HEAD …/resolve/{rev}/{path}`: the file itself."""
    repository = call.readable()
    commit = call.commit(repository)
    entry = repository.tree(commit).get(call.params["path"])
    if entry is None:
        raise entry_not_found(commit=commit.id)
    headers = {"X-Repo-Commit": commit.id, "ETag": f'"{entry.etag}"', **_content_headers(entry)}
    if entry.lfs:
        headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    if entry.xet and call.hub.options.xet:
        route = f"{call.base}{repository.info.api}/xet-read-token/{commit.id}"
        headers |= {"X-Xet-Hash": entry.xet, "Link": f'<{route}>; rel="xet-auth"'}
    return send_file(call, call.store.blobs.path(entry.sha256), entry.size, headers)


def raw(call: Call) -> Response:
    """`GET …/raw/{rev}/{path}`: what git holds, the pointer for large files."""
    repository = call.readable()
    commit = call.commit(repository)
    entry = repository.tree(commit).get(call.params["path"])
    if entry is None:
        raise entry_not_found(commit=commit.id)
    content = entry.pointer if entry.lfs else call.store.blobs.read(entry.sha256)
    headers = {
        "X-Repo-Commit": commit.id,
        "Content-Security-Policy": FILE_POLICY,
        "Content-Type": "text/plain; charset=utf-8",
    }
    return Response(content, headers=headers)


def send_file(call: Call, path: Path, size: int, headers: Mapping[str, str]) -> Response:
    """A file on disk, or the range of it that was asked for.

    Raises:
        Refusal: 416 if the range starts behind the end.
    """
    span = _range(call.headers.get("range"), size)
    status, start, end = (200, 0, size) if span is None else (206, *span)
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if call.method == "HEAD":
        return Response(None, status, headers)
    return StreamingResponse(_chunks(path, start, end), status, headers)


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end of what is asked for, clamped to the file; None for all of it."""
    found = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if not found or found.groups() == ("", ""):
        return None  # several ranges, or no range at all: RFC 9110 lets the server send everything
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise Refusal(416, "Requested range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, end


async def _chunks(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        left = end - start
        while left > 0:
            chunk = await run_in_threadpool(file.read, min(CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk


def _content_headers(entry: Entry) -> dict[str, str]:
    name = entry.path.rpartition("/")[2]
    suffix = Path(name).suffix.lower()
    # Never text/html: a stranger's page must not run under this origin.
    kind = _SHOWN_AS.get(suffix) or ("text/plain; charset=utf-8" if suffix in _TEXT else "application/octet-stream")
    return {
        "Content-Type": kind,
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}",
        "Content-Security-Policy": FILE_POLICY,
    }


def listing(tree: Mapping[str, Entry], inside: Iterable[str], folder: str, *, deep: bool) -> list[dict[str, Any]]:
    """Rows of folders and files below a folder, folders first."""
    offset = len(folder) + 1 if folder else 0
    folders: set[str] = set()
    files: list[str] = []
    for path in inside:
        parts = path[offset:].split("/")
        reach = len(parts) if deep else 2
        folders.update(path[:offset] + "/".join(parts[:depth]) for depth in range(1, min(len(parts), reach)))
        if deep or len(parts) == 1:
            files.append(path)
    return [*(_folder_row(tree, path) for path in sorted(folders)), *(_file_row(tree[path]) for path in sorted(files))]


def _file_row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.lfs:
        row["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": len(entry.pointer)}
    if entry.xet:
        row["xetHash"] = entry.xet
    return row


def _folder_row(tree: Mapping[str, Entry], folder: str) -> dict[str, Any]:
    below = {path: entry.oid for path, entry in tree.items() if path.startswith(f"{folder}/")}
    return {"type": "directory", "oid": digest40(below), "size": 0, "path": folder}


def last_changes(repository: Repository, commit: Commit, paths: Iterable[str]) -> dict[str, Commit]:
    """The commit that last changed each file or folder, along first parents."""
    tree = repository.tree(commit)
    left = {path: _state(tree, path) for path in paths}
    found: dict[str, Commit] = {}
    while left and commit.parents:
        parent = repository.read_commit(commit.parents[0])
        tree = repository.tree(parent)
        changed = [path for path, state in left.items() if _state(tree, path) != state]
        found.update(dict.fromkeys(changed, commit))
        for path in changed:
            del left[path]
        commit = parent
    return found | dict.fromkeys(left, commit)


def _state(tree: Mapping[str, Entry], path: str) -> object:
    if path in tree:
        return tree[path].oid
    return [(name, entry.oid) for name, entry in sorted(tree.items()) if name.startswith(f"{path}/")]


def _with_commits(repository: Repository, commit: Commit, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the commit that last changed each, and a security status that claims nothing."""
    changes = last_changes(repository, commit, [row["path"] for row in rows])
    unscanned = {"securityFileStatus": {"status": "unscanned", "avScan": None, "pickleImportScan": None}}
    expanded = []
    for row in rows:
        last = changes[row["path"]]
        facts = {"lastCommit": {"id": last.id, "title": last.title, "date": last.date}}
        expanded.append({**row, **facts, **(unscanned if row["type"] == "file" else {})})
    return expanded

"""The second half of an upload: the commit, as lines of JSON."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from ramekin.hub import access, threads, uploads, xet
from ramekin.hub.calls import Call, answer
from ramekin.hub.records import Commit, Entry, Tree, git_blob_id, lfs_pointer
from ramekin.hub.refusal import Refusal, entry_not_found, revision_not_found
from ramekin.hub.repository import STALE, Note, Repository

Step = Callable[[dict[str, Entry], Tree], None]


@dataclass
class _Proposal:
    """A commit as it was sent: what it says, and what it does to a tree, step by step."""

    title: str = ""
    message: str = ""
    parent: str | None = None
    steps: list[Step] = field(default_factory=list)

    def edit(self, tree: Tree) -> Tree:
        new = dict(tree)
        for step in self.steps:
            step(new, tree)
        return new


def create_commit(call: Call) -> Response:
    """`POST …/commit/{rev}`, to a branch or, with `create_pr`, as a new pull request."""
    repository = uploads.target(call)
    author = access.check_known(call.viewer, repository.info)
    proposal = _read(call, repository)
    note = Note(proposal.title, proposal.message, author.name)
    if call.flag("create_pr"):
        return _propose(call, repository, proposal, note)
    ref = repository.find_ref(call.params["rev"])
    if ref is None or ref.startswith("refs/tags/"):
        raise revision_not_found(call.params["rev"])
    if ref.startswith("refs/pr/"):
        _check_pull(call, repository, ref)
    before = repository.resolve(ref)
    commit = repository.commit(ref, proposal.edit, note, parent=proposal.parent)
    if ref.startswith("refs/pr/") and commit.id != before.id:
        threads.note_commit(repository, ref, commit)
    return _landed(call, repository, commit)


def _check_pull(call: Call, repository: Repository, ref: str) -> None:
    thread = threads.read_thread(repository, ref.rpartition("/")[2])
    user = access.check_known(call.viewer, repository.info)
    if thread.author != user.name:
        access.check_write(user, repository.info)
    if thread.status in ("closed", "merged"):
        raise Refusal(403, f"This pull request is {thread.status}")


def _propose(call: Call, repository: Repository, proposal: _Proposal, note: Note) -> Response:
    """A pull request with one commit. What changes nothing opens none."""
    head = call.commit(repository)
    if proposal.parent:
        base = repository.resolve(proposal.parent)
        if base.id not in {one.id for one in repository.history(head)}:
            raise Refusal(412, STALE)
    else:
        base = head
    tree = repository.tree(base)
    if dict(proposal.edit(tree)) == tree:
        return _landed(call, repository, head)
    with repository.lock:
        thread = threads.open_thread(repository, note, base=base)
        commit = repository.commit(thread.ref, proposal.edit, note)
        threads.note_commit(repository, thread.ref, commit)
    url = f"{call.base}{repository.info.web}/discussions/{thread.num}"
    return _landed(call, repository, commit, pullRequestUrl=url)


def _landed(call: Call, repository: Repository, commit: Commit, **more: str) -> Response:
    url = f"{call.base}{repository.info.web}/commit/{commit.id}"
    return answer({"success": True, "commitOid": commit.id, "commitUrl": url, "hookOutput": "", **more})


def _read(call: Call, repository: Repository) -> _Proposal:
    """Read the body and store the regular files in it.

    Raises:
        Refusal: 400 for lines that are not understood, or that name large files that were not uploaded.
    """
    proposal = _Proposal()
    for key, value in _lines(call):
        if key == "header":
            # The client sends a message of several lines as the summary; git takes its first line for the title.
            title, _, rest = call.text(value, "summary").strip().partition("\n")
            said = (rest.strip(), call.text(value, "description", "").strip())
            proposal.title, proposal.message = title, "\n\n".join(filter(None, said))
            proposal.parent = call.text(value, "parentCommit", "") or None
        elif key == "file":
            proposal.steps.append(_regular(call, value))
        elif key == "lfsFile":
            proposal.steps.append(_large(call, repository, value))
        elif key == "deletedFile":
            proposal.steps.append(_removed_file(call.text(value, "path")))
        elif key == "deletedFolder":
            proposal.steps.append(_removed_folder(call.text(value, "path")))
        else:
            raise Refusal(400, f"Unknown operation in the commit: {key}")
    if not proposal.title:
        raise Refusal(400, "The commit has no header with a summary")
    return proposal


def _lines(call: Call) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for line in call.body.splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield str(row["key"]), dict(row["value"])
        except (ValueError, TypeError, KeyError) as error:
            raise Refusal(400, "The commit has a line that is not understood") from error


def _regular(call: Call, value: Mapping[str, Any]) -> Step:
    path = checked_path(call.text(value, "path"))
    text = call.text(value, "content")
    try:
        content = base64.b64decode(text, validate=True) if value.get("encoding") == "base64" else text.encode()
    except binascii.Error as error:
        raise Refusal(400, f"The content of {path} is not base64") from error
    blob = call.store.blobs.add(content)
    entry = Entry(path, blob.size, blob.sha256, git_blob_id(content), lfs=False)

    def step(new: dict[str, Entry], _: Tree) -> None:
        _check_room(new, path)
        new[path] = entry

    return step


def _large(call: Call, repository: Repository, value: Mapping[str, Any]) -> Step:
    path, oid = checked_path(call.text(value, "path")), call.text(value, "oid")
    if not repository.holds(oid):
        xet.claim(call.hub, repository, oid)
    if not repository.holds(oid) or not call.store.blobs.has(oid):
        raise Refusal(400, f"The large file of {path} was not uploaded: {oid}")
    size = call.store.blobs.path(oid).stat().st_size
    if value.get("size", size) != size:
        raise Refusal(400, f"{path} has another size than announced")
    entry = Entry(path, size, oid, git_blob_id(lfs_pointer(oid, size)), lfs=True, xet=repository.xet_hash(oid))

    def step(new: dict[str, Entry], _: Tree) -> None:
        _check_room(new, path)
        new[path] = entry

    return step


def _removed_file(path: str) -> Step:
    def step(new: dict[str, Entry], old: Tree) -> None:
        if path not in old:
            raise entry_not_found("A file with this name doesn't exist")
        new.pop(path, None)

    return step


def _removed_folder(path: str) -> Step:
    prefix = path.rstrip("/") + "/"

    def step(new: dict[str, Entry], old: Tree) -> None:
        inside = [name for name in old if name.startswith(prefix)]
        if not inside:
            raise entry_not_found("A folder with this name doesn't exist")
        for name in inside:
            new.pop(name, None)

    return step


def checked_path(path: str) -> str:
    """The path, if it stays inside the repository.

    Raises:
        Refusal: 400 if not.
    """
    steps = path.split("/")
    if not path or "\\" in path or "\0" in path or any(step in ("", ".", "..", ".git") for step in steps):
        raise Refusal(400, f"Invalid path: {path!r}")
    return path


def _check_room(tree: Mapping[str, Entry], path: str) -> None:
    """A path cannot be file and folder at once."""
    steps = path.split("/")
    above = ("/".join(steps[:depth]) for depth in range(1, len(steps)))
    if any(folder in tree for folder in above) or any(other.startswith(f"{path}/") for other in tree):
        raise Refusal(400, f"There is a file where {path!r} needs a folder, or the other way round")

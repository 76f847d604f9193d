"""Discussions and pull requests as they are kept: one JSON file each, events in the order in which they happened."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

from ramekin.hub.blobs import write_atomically
from ramekin.hub.records import DEFAULT_BRANCH, Commit, Entry, canonical, timestamp
from ramekin.hub.refusal import Refusal
from ramekin.hub.repository import Note, Repository

Status = Literal["draft", "open", "closed", "merged"]
Event = Mapping[str, Any]

_PULL: Final = "refs/pr/"


@dataclass(frozen=True)
class Thread:
    """A discussion, or a pull request.

    Attributes:
        num: Its number in the repository.
        title: Its title.
        status: draft, open, closed or merged; discussions know the middle two.
        pull: Whether it is a pull request; its branch is then `refs/pr/{num}`.
        author: User name.
        created: When.
        events: What happened, in the Hub's own JSON.
        base: Commit that a pull request started from.
        merged: Commit that merged it.
    """

    num: int
    title: str
    status: Status
    pull: bool
    author: str
    created: str
    events: tuple[Event, ...] = ()
    base: str | None = None
    merged: str | None = None

    @property
    def ref(self) -> str:
        """Full name of a pull request's branch."""
        return f"{_PULL}{self.num}"


def open_thread(repository: Repository, note: Note, *, status: Status = "open", base: Commit | None = None) -> Thread:
    """Start a discussion; or, from a base commit, a pull request with its branch at that commit.

    Its title, first comment and author are the note's.
    """
    title, text, author = note.title[:200], note.message, note.author
    with repository.lock:
        num = 1 + max((one.num for one in all_threads(repository)), default=0)
        thread = Thread(num, title, status, base is not None, author, timestamp(), base=base.id if base else None)
        if text:
            thread = happened(thread, comment(text, author))
        save(repository, thread)
        if base is not None:
            repository.set_ref(thread.ref, base.id)
    return thread


def read_thread(repository: Repository, num: str) -> Thread:
    """The thread of this number.

    Raises:
        Refusal: 404 if there is none.
    """
    path = _path(repository, num)
    if not num.isdecimal() or not path.is_file():
        raise Refusal(404, f"Discussion {num} not found")
    return _load(path)


def all_threads(repository: Repository) -> list[Thread]:
    """All threads, newest first."""
    found = (repository.directory / "discussions").glob("[0-9]*.json")
    return sorted(map(_load, found), key=lambda one: -one.num)


def save(repository: Repository, thread: Thread) -> Thread:
    """Write a thread down."""
    write_atomically(_path(repository, str(thread.num)), canonical(asdict(thread)))
    return thread


def happened(thread: Thread, *events: Event, **changes: Any) -> Thread:
    """The thread after some more events, and with other changes."""
    return replace(thread, events=(*thread.events, *events), **changes)


def event(kind: str, author: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """An event in the Hub's JSON."""
    return {
        "id": secrets.token_hex(12),
        "type": kind,
        "createdAt": timestamp(),
        "author": {"name": author, "type": "user"},
        "data": dict(data),
    }


def comment(text: str, author: str) -> dict[str, Any]:
    """A comment."""
    latest = comment_text(text, author)
    return event("comment", author, {"edited": False, "hidden": False, "latest": latest, "history": [latest]})


def comment_text(text: str, author: str) -> dict[str, Any]:
    """One version of a comment's text."""
    return {
        "raw": text,
        "html": f"<p>{escape(text)}</p>",
        "updatedAt": timestamp(),
        "author": {"name": author, "type": "user"},
    }


def note_commit(repository: Repository, ref: str, commit: Commit) -> None:
    """Tell the pull request that its branch has a new commit."""
    with repository.lock:
        thread = read_thread(repository, ref.removeprefix(_PULL))
        said = event("commit", commit.author, {"subject": commit.title, "oid": commit.id})
        save(repository, happened(thread, said))


def conflicts(repository: Repository, thread: Thread) -> list[str]:
    """Files that both the pull request and its target changed, each in its own way."""
    base, ours, theirs = _three_trees(repository, thread)
    paths = {*base, *ours, *theirs}
    return sorted(
        path
        for path in paths
        if base.get(path) != theirs.get(path)
        and base.get(path) != ours.get(path)
        and ours.get(path) != theirs.get(path)
    )


def merge(repository: Repository, thread: Thread, author: str) -> Commit:
    """Merge a pull request into the default branch.

    Raises:
        Refusal: 400 unless it is open, 409 if files are in conflict.
    """
    with repository.lock:
        if thread.status != "open":
            raise Refusal(400, f"This pull request cannot be merged: it is {thread.status}")
        if conflicts(repository, thread):
            raise Refusal(409, "This pull request has conflicts with the base branch")
        base, ours, theirs = _three_trees(repository, thread)
        merged = dict(ours)
        for path in {*base, *theirs}:
            if base.get(path) == theirs.get(path):
                continue
            if path in theirs:
                merged[path] = theirs[path]
            else:
                merged.pop(path, None)
        parents = (repository.resolve(DEFAULT_BRANCH).id, repository.resolve(thread.ref).id)
        note = Note(f"{thread.title} (#{thread.num})", author=author)
        commit = repository.graft(DEFAULT_BRANCH, merged, parents, note)
        said = event("status-change", author, {"status": "merged"})
        save(repository, happened(thread, said, status="merged", merged=commit.id))
        return commit


def _three_trees(repository: Repository, thread: Thread) -> tuple[dict[str, Entry], dict[str, Entry], dict[str, Entry]]:
    """Of the base, the target and the pull request."""
    base = repository.tree(repository.read_commit(thread.base or ""))
    ours = repository.tree(repository.resolve(DEFAULT_BRANCH))
    return base, ours, repository.tree(repository.resolve(thread.ref))


def _path(repository: Repository, num: str) -> Path:
    return repository.directory / "discussions" / f"{num}.json"


def _load(path: Path) -> Thread:
    fields = json.loads(path.read_bytes())
    return Thread(**{**fields, "events": tuple(fields["events"])})

"""One repository on disk: its settings, refs, commits and trees, and the one way in which a branch moves.

Layout below its directory: `repo.json`, `refs.json` (all refs, so that they move together), `commits/<id>.json`,
`trees/<id>.json`, `lfs/<sha256>` (empty marks: large files that were uploaded here), `discussions/<n>.json`.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ramekin.hub import records
from ramekin.hub.blobs import write_atomically
from ramekin.hub.records import Commit, Entry, Repo, Tree
from ramekin.hub.refusal import Refusal, revision_not_found

_FULL: Final = re.compile(r"[0-9a-f]{40}")
_SHORT: Final = re.compile(r"[0-9a-f]{7,39}")
STALE: Final = "The branch was updated since you opened this page. Please refresh and try again."


@dataclass(frozen=True)
class Note:
    """What a commit says about itself."""

    title: str
    message: str = ""
    author: str = "system"
    date: datetime | None = None


class Repository:
    """A repository. Records are written before the ref that names them: a kill can lose a commit, not break one.

    Args:
        directory: Where it lives.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = threading.RLock()
        self._info = records.load_repo((directory / "repo.json").read_bytes())
        self._refs: dict[str, str] = json.loads((directory / "refs.json").read_bytes())

    @classmethod
    def create(cls, directory: Path, info: Repo, first: Tree) -> "Repository":
        """Make a repository with one commit on `main`, by `system`."""
        note = Note("initial commit")
        commit = _write_commit(directory, first, (), note)
        write_atomically(directory / "refs.json", records.canonical({records.DEFAULT_BRANCH: commit.id}))
        write_atomically(directory / "repo.json", records.dump_repo(info))  # last: it makes the directory a repository
        return cls(directory)

    # -- settings

    @property
    def info(self) -> Repo:
        """The settings."""
        return self._info

    def set_info(self, **changes: Any) -> None:
        """Change settings."""
        with self.lock:
            info = replace(self._info, **changes)
            write_atomically(self.directory / "repo.json", records.dump_repo(info))
            self._info = info

    # -- reading

    def refs(self) -> dict[str, str]:
        """Full name of every ref and the commit that it is at."""
        return dict(self._refs)

    def find_ref(self, revision: str) -> str | None:
        """The full name of the ref that a short name stands for: as given, then branches, tags, pull requests."""
        return next((name for name in _spellings(revision) if name in self._refs), None)

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, tag, pull request, commit id or its first seven or more digits names."""
        ref = self.find_ref(revision)
        if ref:
            return self.read_commit(self._refs[ref])
        if _FULL.fullmatch(revision) and self._record("commits", revision).is_file():
            return self.read_commit(revision)
        if _SHORT.fullmatch(revision):
            found = [path.stem for path in (self.directory / "commits").glob(f"{revision}*.json")]
            if len(found) == 1:
                return self.read_commit(found[0])
        raise revision_not_found(revision)

    def read_commit(self, commit_id: str) -> Commit:
        """The record of a commit."""
        return records.load_commit(self._record("commits", commit_id).read_bytes())

    def tree(self, commit: Commit) -> dict[str, Entry]:
        """The files of a commit, by path."""
        return records.load_tree(self._record("trees", commit.tree).read_bytes())

    def history(self, commit: Commit) -> Iterator[Commit]:
        """The commit and its ancestors, newest first."""
        seen = {commit.id}
        front = [commit]
        while front:
            front.sort(key=lambda one: one.date)
            newest = front.pop()
            yield newest
            fresh = [parent for parent in newest.parents if parent not in seen]
            seen.update(fresh)
            front.extend(map(self.read_commit, fresh))

    def _record(self, kind: str, name: str) -> Path:
        return self.directory / kind / f"{name}.json"

    # -- writing

    def commit(self, ref: str, edit: Callable[[Tree], Tree], note: Note, *, parent: str | None = None) -> Commit:
        """Move a branch forward by one commit.

        Args:
            ref: Full name of the branch.
            edit: Makes the new tree from the current one. Called under the lock, so that nothing gets in between.
            note: Title and author.
            parent: The commit, or its first digits, that the branch must be at.

        Returns:
            The new commit, or the current one if `edit` changed nothing.

        Raises:
            Refusal: 412 if the branch is elsewhere, or what `edit` raises.
        """
        with self.lock:
            head = self.resolve(ref)
            if parent and not (len(parent) >= 7 and head.id.startswith(parent)):
                raise Refusal(412, STALE)
            old = self.tree(head)
            new = edit(old)
            if dict(new) == old:
                return head
            commit = _write_commit(self.directory, new, (head.id,), note)
            self.set_ref(ref, commit.id)
            return commit

    def graft(self, ref: str, tree: Tree, parents: tuple[str, ...], note: Note) -> Commit:
        """Put a branch at a new commit with any parents: what squashing and merging do."""
        with self.lock:
            commit = _write_commit(self.directory, tree, parents, note)
            self.set_ref(ref, commit.id)
            return commit

    def set_ref(self, ref: str, commit_id: str) -> None:
        """Create a ref or move it."""
        with self.lock:
            self._write_refs({**self._refs, ref: commit_id})

    def delete_ref(self, ref: str) -> None:
        """Remove a ref."""
        with self.lock:
            self._write_refs({name: commit for name, commit in self._refs.items() if name != ref})

    def _write_refs(self, refs: dict[str, str]) -> None:
        write_atomically(self.directory / "refs.json", records.canonical(refs))
        self._refs = refs

    # -- large files

    def holds(self, sha256: str) -> bool:
        """Whether a large file was uploaded to this repository. Knowing its digest from elsewhere is not enough."""
        return (self.directory / "lfs" / sha256).is_file()

    def note_upload(self, sha256: str, xet: str | None = None) -> None:
        """Remember that a large file was uploaded here, and its hash in xet storage if it came through that."""
        write_atomically(self.directory / "lfs" / sha256, (xet or "").encode())

    def xet_hash(self, sha256: str) -> str | None:
        """The hash in xet storage of a large file that came through that."""
        mark = self.directory / "lfs" / sha256
        return mark.read_text() or None if mark.is_file() else None


def _spellings(revision: str) -> tuple[str, ...]:
    return (revision, f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/{revision}")


def _write_commit(directory: Path, tree: Tree, parents: tuple[str, ...], note: Note) -> Commit:
    listing = records.dump_tree(tree.values())
    tree_id = records.digest40(listing.decode())
    write_atomically(directory / "trees" / f"{tree_id}.json", listing)
    fields = {
        "parents": parents,
        "tree": tree_id,
        "title": note.title,
        "message": note.message,
        "author": note.author,
        "date": records.timestamp(note.date),
    }
    # The clock keeps two commits apart that say the same: the client caches by id for ever, also across servers.
    commit = Commit(id=records.digest40([fields, time.time_ns(), str(directory)]), **fields)  # type: ignore[arg-type]
    write_atomically(directory / "commits" / f"{commit.id}.json", records.dump_commit(commit))
    return commit

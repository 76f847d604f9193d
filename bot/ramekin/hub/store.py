"""The repositories of an embedded Hub and the files that they share, in one directory that outlives the process."""

import contextlib
import fcntl
import json
import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ramekin.hub import records
from ramekin.hub.attributes import INITIAL_ATTRIBUTES, tracked_by_lfs
from ramekin.hub.blobs import Blobs, Content, write_atomically
from ramekin.hub.records import REPO_TYPES, Commit, Entry, Gate, Repo, RepoType, Tree
from ramekin.hub.refusal import Moved, Refusal
from ramekin.hub.repository import Note, Repository

LFS_THRESHOLD: Final = 10 * 1024 * 1024
_NAME: Final = re.compile(r"(?!.*(?:--|\.\.|\.git(?:/|$)))\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class RepoKey:
    """What names a repository: models and datasets may have the same id."""

    type: RepoType
    id: str


class Store:
    """All repositories below a directory. Only one process may have it open.

    Args:
        root: The directory; made if it is not there.
        lfs_threshold: Files above this many bytes are large files whatever their name.

    Raises:
        BlockingIOError: Another process has it open.
    """

    def __init__(self, root: Path | str, *, lfs_threshold: int = LFS_THRESHOLD) -> None:
        self.root = Path(root).resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self._guard = (self.root / "lock").open("w")
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._guard.close()
            raise
        self.blobs = Blobs(self.root / "blobs")
        self.lfs_threshold = lfs_threshold
        self._lock = threading.RLock()
        shutil.rmtree(self.root / "trash", ignore_errors=True)
        found = (Repository(path.parent) for path in (self.root / "repos").glob("*/*/*/repo.json"))
        self._repositories = {RepoKey(one.info.type, one.info.id): one for one in found}
        self._moved = self._read_moved()

    def close(self) -> None:
        """Let another process open it."""
        self._guard.close()

    # -- repositories

    def create_repo(
        self,
        repo_id: str,
        *,
        repo_type: RepoType = "model",
        private: bool = False,
        gated: Gate = False,
        exist_ok: bool = False,
    ) -> Repository:
        """Make a repository with an initial commit that holds `.gitattributes`.

        Raises:
            Refusal: 409 if there is one already, 400 for an id that the Hub would not take.
        """
        if not _NAME.fullmatch(repo_id):
            raise Refusal(400, f"Invalid repo name: {repo_id}")
        key = RepoKey(repo_type, repo_id)
        with self._lock:
            if key in self._repositories:
                if exist_ok:
                    return self._repositories[key]
                raise Refusal(409, f"You already created this {repo_type} repo: {repo_id}")
            info = Repo(repo_id, repo_type, private=private, gated=gated, created=records.timestamp())
            first = {".gitattributes": self.entry(".gitattributes", INITIAL_ATTRIBUTES, {})}
            directory = self._directory(key)
            shutil.rmtree(directory, ignore_errors=True)  # half made when a process was killed
            self._repositories[key] = Repository.create(directory, info, first)
            self._write_moved({old: new for old, new in self._moved.items() if old != key})
            return self._repositories[key]

    def find(self, repo_id: str, repo_type: RepoType = "model") -> Repository | None:
        """The repository of this id.

        Raises:
            Moved: It has another id now.
        """
        key = RepoKey(repo_type, repo_id)
        found = self._repositories.get(key)
        if found is None and key in self._moved:
            raise Moved(repo_id, self._moved[key])
        return found

    def get(self, repo_id: str, repo_type: RepoType = "model") -> Repository:
        """The repository of this id, which must be there.

        Raises:
            KeyError: It is not.
        """
        return self._repositories[RepoKey(repo_type, repo_id)]

    def repositories(self) -> list[Repository]:
        """All of them, by id."""
        return sorted(self._repositories.values(), key=lambda one: (one.info.type, one.info.id.lower()))

    def delete_repo(self, repo_id: str, repo_type: RepoType = "model") -> None:
        """Remove a repository. Its large files stay for others that hold them."""
        with self._lock:
            repository = self._repositories.pop(RepoKey(repo_type, repo_id))
            trash = self.root / "trash" / secrets.token_hex(8)
            trash.parent.mkdir(exist_ok=True)
            repository.directory.rename(trash)
            shutil.rmtree(trash)

    def move_repo(self, old: str, new: str, repo_type: RepoType = "model") -> None:
        """Give a repository another id. Requests for the old one are redirected."""
        if not _NAME.fullmatch(new):
            raise Refusal(400, f"Invalid repo name: {new}")
        before, after = RepoKey(repo_type, old), RepoKey(repo_type, new)
        with self._lock:
            if after in self._repositories:
                raise Refusal(409, f"{new} exists already")
            target = self._directory(after)
            target.parent.mkdir(parents=True, exist_ok=True)
            repository = self._repositories.pop(before)
            repository.directory.rename(target)
            repository = Repository(target)
            repository.set_info(id=new)
            self._repositories[after] = repository
            ways = {source: new if goal == old else goal for source, goal in self._moved.items()}
            self._write_moved({**ways, before: new})

    def _directory(self, key: RepoKey) -> Path:
        return self.root / "repos" / f"{key.type}s" / key.id

    def _read_moved(self) -> dict[RepoKey, str]:
        path = self.root / "moved.json"
        ways = json.loads(path.read_bytes()) if path.is_file() else []
        return {RepoKey(repo_type, old): new for repo_type, old, new in ways}

    def _write_moved(self, ways: dict[RepoKey, str]) -> None:
        if ways == self._moved:
            return
        rows = [[key.type, key.id, new] for key, new in ways.items()]
        write_atomically(self.root / "moved.json", records.canonical(rows))
        self._moved = ways

    # -- content

    def entry(self, path: str, content: Content, tree: Tree) -> Entry:
        """Store content and describe it as a file of a tree, large or not by the tree's own `.gitattributes`."""
        blob = self.blobs.add(content)
        lfs = self.is_large(path, blob.size, tree)
        oid = (
            records.git_blob_id(records.lfs_pointer(blob.sha256, blob.size)) if lfs else self.blobs.git_id(blob.sha256)
        )
        return Entry(path, blob.size, blob.sha256, oid, lfs)

    def is_large(self, path: str, size: int, tree: Tree) -> bool:
        """Whether git would hold a pointer for this file."""
        rules = tree.get(".gitattributes")
        text = self.blobs.read(rules.sha256).decode("utf-8", "replace") if rules else INITIAL_ATTRIBUTES
        return size > 0 and (size > self.lfs_threshold or tracked_by_lfs(path, text))

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, Content | None],
        *,
        message: str = "Upload files",
        revision: str = "main",
        repo_type: RepoType = "model",
        author: str = "demo",
        date: datetime | None = None,
    ) -> Commit:
        """Commit files directly, without HTTP; `None` removes a file.

        Returns:
            The new commit, or the current one if nothing changed.
        """
        repository = self.get(repo_id, repo_type)
        ref = repository.find_ref(revision) or f"refs/heads/{revision}"

        def edit(tree: Tree) -> Tree:
            new = dict(tree)
            for path, content in files.items():
                if content is None:
                    del new[path]
                else:
                    new[path] = self.entry(path, content, tree)
                    if new[path].lfs:
                        repository.note_upload(new[path].sha256)
            return new

        title, _, rest = message.partition("\n")
        return repository.commit(ref, edit, Note(title, rest.strip(), author, date))


@contextlib.contextmanager
def open_store(root: Path | str, *, lfs_threshold: int = LFS_THRESHOLD) -> Iterator[Store]:
    """A store that is closed afterwards."""
    store = Store(root, lfs_threshold=lfs_threshold)
    try:
        yield store
    finally:
        store.close()


def known_type(word: str) -> RepoType:
    """The repository type that a word of a request names.

    Raises:
        Refusal: None of that name.
    """
    for repo_type in REPO_TYPES:
        if word in (repo_type, f"{repo_type}s"):
            return repo_type
    raise Refusal(400, f"Invalid repo type: {word}")

"""Bare git repositories, through git itself: refs, commits, trees and comparisons are true.

What is asked of commits by their ids never changes, and is asked of git once: every question is a process.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
ZERO = "0" * 40
_FIELDS = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nowhere",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "LC_ALL": "C.UTF-8",
}


T = TypeVar("T")


class GitError(Exception):
    """git refuses."""


@dataclass(frozen=True)
class Identity:
    """Who makes a commit."""

    name: str
    email: str


@dataclass(frozen=True)
class GitCommit:
    """A commit as it is stored."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Identity
    authored: datetime
    committer: Identity
    committed: datetime
    message: str


@dataclass(frozen=True)
class Entry:
    """An entry of a tree."""

    mode: str
    type: str
    sha: str
    path: str
    size: int | None


class GitDir:
    """One bare repository."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            # The file system is asked for once: `git init` copies its templates.
            for below in ("objects", "refs/heads"):
                (path / below).mkdir(parents=True)
            (path / "HEAD").write_text("ref: refs/heads/main\n")
            (path / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n")

        self._known: dict[tuple[object, ...], Any] = {}

    def _once(self, key: tuple[object, ...], ask: Callable[[], T]) -> T:
        """The answer to a question that has but one."""
        if key not in self._known:
            self._known[key] = ask()
        answer: T = self._known[key]
        return answer

    def git(self, *words: str, data: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *words],
            input=data,
            capture_output=True,
            check=False,
            env=_ENV | dict(env or {}),
        )
        if done.returncode:
            raise GitError(f"git {words[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def line(self, *words: str, data: bytes = b"") -> str:
        return self.git(*words, data=data).decode().strip()

    # Looking

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, tag, ref or commit is."""
        for each in (f"refs/heads/{name}", f"refs/tags/{name}", name):
            found = self.ref(each) if each.startswith("refs/") else None
            if found:
                return found
        return name if self.has(name) else None

    def ref(self, name: str) -> str | None:
        """What a ref (`refs/heads/…`) points to. They are files, which nothing here packs."""
        path = self.path / name
        return path.read_text().strip() if path.is_file() else None

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        files = sorted(path for path in (self.path / "refs").rglob("*") if path.is_file())
        names = ((path.relative_to(self.path).as_posix(), path) for path in files)
        return {name: path.read_text().strip() for name, path in names if name.startswith(prefix)}

    def has(self, sha: str, kind: str = "commit") -> bool:
        if not re.fullmatch("[0-9a-f]{40}", sha):
            return False
        try:
            return self._once(("has", sha), lambda: self.line("cat-file", "-t", sha)) == kind
        except GitError:
            return False

    def commits(self, tip: str, *more: str) -> list[GitCommit]:
        """A history, newest first."""
        out = self.git("log", "-z", "--topo-order", f"--format={_FIELDS}", *more[:1], tip, *more[1:]).decode()
        fields = out.split("\0")
        return [_commit(fields[at : at + 10]) for at in range(0, len(fields) - 9, 10)]

    def commit(self, sha: str) -> GitCommit:
        return self._once(("commit", sha), lambda: self.commits(sha, "-1")[0])

    def between(self, base: str, head: str) -> list[GitCommit]:
        """Commits of `head` that `base` has not, oldest first."""
        return self.commits(f"{base}..{head}")[::-1]

    def entry(self, commit: str, path: str) -> Entry | None:
        if not path:
            return Entry("040000", "tree", self.line("rev-parse", f"{commit}^{{tree}}"), "", None)
        return next(iter(self._entries("ls-tree", "-l", "-z", commit, "--", path.rstrip("/"))), None)

    def entries(self, tree: str, *, recursive: bool = False) -> list[Entry]:
        return self._once(
            ("entries", tree, recursive),
            lambda: self._entries("ls-tree", "-l", "-z", *(["-r", "-t"] if recursive else []), tree),
        )

    def _entries(self, *words: str) -> list[Entry]:
        found = []
        for line in self.git(*words).decode().split("\0")[:-1]:
            head, _, path = line.partition("\t")
            mode, kind, sha, size = head.split()
            found.append(Entry(mode, kind, sha, path, None if size == "-" else int(size)))
        return found

    def blob(self, sha: str) -> bytes:
        return self.git("cat-file", "blob", sha)

    def files(self, commit: str) -> dict[str, bytes]:
        return {each.path: self.blob(each.sha) for each in self.entries(commit, recursive=True) if each.type == "blob"}

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether a commit is in the history of another, or of a ref."""
        tip = self.ref(of) if of.startswith("refs/") else of
        return tip is not None and self.merge_base(commit, tip) == commit

    def merge_base(self, one: str, other: str) -> str | None:
        def ask() -> str | None:
            try:
                return self.line("merge-base", one, other)
            except GitError:
                return None

        return one if one == other else self._once(("base", one, other), ask)

    def changed(self, base: str, head: str) -> list[tuple[str, str, str | None]]:
        """Status, path and former path of what differs."""
        return self._once(("changed", base, head), lambda: self._changed(base, head))

    def _changed(self, base: str, head: str) -> list[tuple[str, str, str | None]]:
        fields = iter(self.git("diff-tree", "-r", "-z", "-M", "--name-status", base, head).decode().split("\0"))
        found: list[tuple[str, str, str | None]] = []
        for status in fields:
            if not status:
                break
            first = next(fields)
            found.append((status[0], next(fields), first) if status[0] in "RC" else (status[0], first, None))
        return found

    def archive(self, commit: str, prefix: str) -> bytes:
        return self.git("archive", "--format=tar.gz", f"--prefix={prefix}/", commit)

    # Changing

    def write_blob(self, data: bytes) -> str:
        return self.line("hash-object", "-w", "--stdin", data=data)

    def write_tree(self, base: str | None, entries: Iterable[tuple[str, str, str | None]]) -> str:
        """A tree: a base with entries (mode, path, object; None to delete) put over it."""
        with tempfile.TemporaryDirectory() as place:
            env = {"GIT_INDEX_FILE": f"{place}/index"}
            if base and base != EMPTY_TREE:
                self.git("read-tree", base, env=env)
            lines = [f"{mode if sha else '0'} {sha or ZERO}\t{path}\0" for mode, path, sha in entries]
            self.git("update-index", "-z", "--add", "--index-info", data="".join(lines).encode(), env=env)
            return self.git("write-tree", env=env).decode().strip()

    def write_commit(
        self, tree: str, parents: Iterable[str], message: str, author: Identity, committer: Identity, at: datetime
    ) -> str:
        env = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": f"{int(at.timestamp())} +0000",
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": f"{int(at.timestamp())} +0000",
        }
        words = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *words, data=message.encode(), env=env).decode().strip()

    def write_files(
        self, parent: str | None, message: str, files: Mapping[str, bytes | None], who: Identity, at: datetime
    ) -> str:
        """A commit on top of another that changes these files (None deletes one), in one go."""
        said = message.encode()
        signature = f"{who.name} <{who.email}> {int(at.timestamp())} +0000"
        lines = [f"commit refs/new\nmark :1\nauthor {signature}\ncommitter {signature}\ndata {len(said)}\n".encode()]
        lines += [said, b"\n", f"from {parent}\n".encode() if parent else b""]
        for path, data in files.items():
            quoted = json.dumps(path, ensure_ascii=False)
            if data is None:
                lines.append(f"D {quoted}\n".encode())
            else:
                lines += [f"M 100644 inline {quoted}\ndata {len(data)}\n".encode(), data, b"\n"]
        lines.append(b"get-mark :1\n")
        made = self.line("fast-import", "--quiet", "--force", data=b"".join(lines))
        (self.path / "refs/new").unlink()
        return made

    def set_ref(self, name: str, sha: str) -> None:
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sha + "\n")
        except OSError as error:  # there is one of the name of its directory, or one below it
            raise GitError(f"cannot write {name}") from error

    def delete_ref(self, name: str) -> None:
        path = self.path / name
        path.unlink(missing_ok=True)
        for directory in path.parents:
            if self.path in {directory, directory.parent, directory.parent.parent} or any(directory.iterdir()):
                break
            directory.rmdir()

    def take(self, other: "GitDir", sha: str) -> None:
        """Have the objects of a commit of another repository, as forks have."""
        if not self.has(sha):
            self.git("fetch", "--quiet", "--no-write-fetch-head", str(other.path), sha)

    def merge_tree(self, base: str, head: str) -> str | None:
        """Tree of a merge; None where there are conflicts."""

        def ask() -> str | None:
            try:
                return self.line("merge-tree", "--write-tree", base, head).splitlines()[0]
            except GitError:
                return None

        return self._once(("merged", base, head), ask)

    def rebased(self, base: str, head: str, committer: Identity, at: datetime) -> str:
        """The commits of `head` made anew on top of `base`."""
        place = tempfile.mkdtemp()
        env = {
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": f"{int(at.timestamp())} +0000",
        }
        try:
            self.git("worktree", "add", "--quiet", "--detach", f"{place}/tree", head)
            done = subprocess.run(
                ["git", "-C", f"{place}/tree", "rebase", "--quiet", "--force-rebase", base],
                env=_ENV | env,
                check=False,
                capture_output=True,
            )
            if done.returncode:
                raise GitError(done.stderr.decode(errors="replace"))
            return (
                subprocess.run(
                    ["git", "-C", f"{place}/tree", "rev-parse", "HEAD"], env=_ENV, capture_output=True, check=True
                )
                .stdout.decode()
                .strip()
            )
        finally:
            shutil.rmtree(place, ignore_errors=True)
            self.git("worktree", "prune")


def _commit(fields: list[str]) -> GitCommit:
    sha, tree, parents, author, author_email, authored, committer, committer_email, committed, message = fields
    return GitCommit(
        sha=sha.strip(),
        tree=tree,
        parents=tuple(parents.split()),
        author=Identity(author, author_email),
        authored=datetime.fromisoformat(authored),
        committer=Identity(committer, committer_email),
        committed=datetime.fromisoformat(committed),
        message=message.rstrip("\n"),
    )

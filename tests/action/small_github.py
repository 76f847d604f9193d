"""A GitHub in memory, with what a run asks of it and nothing else: a branch, pull requests and their comments."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ramekin.github.records import Comment, Commit, Pull
from ramekin.github.refusals import GitHubError

BOT = "github-actions[bot]"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class SmallGitHub:
    """One repository, whose history is a line.

    Attributes:
        history: Commits of the default branch, oldest first, with all files of each.
        pulls: Pull requests, by the commit that they were merged as.
        talk: Comments, by pull request.
        refusals: What a method raises, by its name.
        asked: Names of the methods that were called.
    """

    history: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    pulls: dict[str, Pull] = field(default_factory=dict)
    talk: dict[int, list[Comment]] = field(default_factory=dict)
    refusals: dict[str, GitHubError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    login: str = BOT
    default_branch: str = "main"

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("_") and callable(found) and name not in {"push", "merge", "comment_of"}:
            self.asked.append(name)
            if name in self.refusals:
                raise self.refusals[name]
        return found

    # What people do

    def push(self, files: Mapping[str, bytes | None]) -> str:
        """A commit on the default branch."""
        before = self.history[-1][1] if self.history else {}
        after = {path: data for path, data in {**before, **files}.items() if data is not None}
        sha = hashlib.sha1(f"{len(self.history)} {sorted(after.items())}".encode(), usedforsecurity=False).hexdigest()
        self.history.append((sha, after))
        return sha

    def merge(self, files: Mapping[str, bytes | None]) -> Pull:
        """A pull request, merged as one commit."""
        number = 1 + len(self.pulls)
        sha = self.push(files)
        head = f"{number:040x}"
        self.pulls[sha] = Pull(
            number, "ann", "a title", "", "closed", True, head, "topic", "acme/agents", "main", f"pull/{number}", sha
        )
        return self.pulls[sha]

    def comment_of(self, number: int) -> Comment:
        """The only comment on a pull request."""
        (found,) = self.talk[number]
        return found

    # What a run asks

    def head(self, branch: str) -> str | None:
        return self.history[-1][0] if branch == self.default_branch and self.history else None

    def commit(self, sha: str) -> Commit | None:
        files = dict(self.history).get(sha)
        return None if files is None else Commit(sha, repr(sorted(files.items())), (), "", None)

    def last_change(self, path: str, ref: str) -> str | None:
        found, last = None, None
        for sha, files in self.history:
            found, last = (sha if files.get(path) != last else found), files.get(path)
            if sha == ref:
                break
        return found

    def contains(self, branch: str, commit: str) -> bool:
        line = [sha for sha, _ in self.history]
        return commit in line[: line.index(branch) + 1]

    def pulls_with(self, commit: str) -> tuple[Pull, ...]:
        return (self.pulls[commit],) if commit in self.pulls else ()

    def comments(self, number: int) -> tuple[Comment, ...]:
        return tuple(self.talk.get(number, ()))

    def write_comment(self, number: int, body: str) -> Comment:
        made = Comment(1000 + len(self.talk), BOT, body, START, START, f"https://github.example/comment/{number}")
        self.talk.setdefault(number, []).append(made)
        return made

    def edit_comment(self, comment: int, body: str) -> None:
        for number, comments in self.talk.items():
            self.talk[number] = [
                replace(each, body=body, updated=each.updated + timedelta(seconds=1)) if each.id == comment else each
                for each in comments
            ]

    def delete_comment(self, comment: int) -> None:
        for number, comments in self.talk.items():
            self.talk[number] = [each for each in comments if each.id != comment]

    def archive(self, commit: str, directory: Path) -> Path:
        write(directory / "tree", dict(self.history)[commit])
        return directory / "tree"


def write(directory: Path, files: Mapping[str, bytes]) -> None:
    """A checkout: these files and no others."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)


@contextmanager
def refusing(github: SmallGitHub, **refusals: GitHubError) -> Iterator[None]:
    """GitHub refuses what is named."""
    github.refusals = dict(refusals)
    try:
        yield
    finally:
        github.refusals = {}

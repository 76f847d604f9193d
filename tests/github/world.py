"""People on a loopback GitHub: what they do there by hand, without its interface."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from tests.github import rules
from tests.github.shapes import Shapes
from tests.github.state import BOT, Clock, Comment, Issue, Repository, State

Files = Mapping[str, bytes | str | None]
"""Paths to contents; None deletes a file."""


@dataclass(frozen=True)
class World:
    """What a loopback GitHub holds, and what people do there.

    Attributes:
        state: What it holds.
        shapes: How it writes it.
    """

    state: State
    shapes: Shapes

    @property
    def clock(self) -> Clock:
        """Its time, which may be moved."""
        return self.state.clock

    # People and tokens

    def person(self, login: str, **roles: str) -> str:
        """Somebody with roles in repositories (`owner__name="write"`); returns a personal token."""
        for name, role in roles.items():
            self.repository(name.replace("__", "/")).roles[login] = role
        value = f"ghp_{secrets.token_urlsafe(27).replace('-', 'x')}"
        self.state.token(value, login)
        return value

    def job_token(self, repository: str, login: str = BOT, **permissions: str) -> str:
        """A job's token (`contents="write"`, `pull_requests="write"`, `issues=…`, `actions=…`); others are none."""
        value = f"ghs_{secrets.token_urlsafe(27).replace('-', 'x')}"
        given = {name.replace("_", "-"): level for name, level in permissions.items()}
        self.state.token(value, login, repository, given)
        return value

    # Repositories

    def create(self, name: str, files: Files, *, private: bool = False) -> Repository:
        """A repository with one commit."""
        with self.state.lock:
            self.state.user(name.partition("/")[0])
            repository = self.state.add(name, private=private)
            self.push(name, files, message="Begin", by=repository.owner)
            return repository

    def repository(self, name: str) -> Repository:
        found = self.state.repository(name)
        assert found, f"there is no {name}"
        return found

    def fork(self, name: str, login: str) -> Repository:
        """Somebody's fork, with all branches."""
        with self.state.lock:
            parent = self.repository(name)
            self.state.user(login)
            made = self.state.add(f"{login}/{name.partition('/')[2]}", parent=parent.name)
            for ref, sha in parent.git.refs("refs/heads/").items():
                made.git.take(parent.git, sha)
                made.git.set_ref(ref, sha)
            return made

    def push(
        self,
        name: str,
        files: Files,
        *,
        branch: str = "main",
        base: str | None = None,
        message: str = "Change",
        by: str = "ana",
    ) -> str:
        """Push one commit; returns it.

        Args:
            name: The repository.
            files: What it changes.
            branch: Where to.
            base: What it is on top of, a branch or commit; the branch itself if left out, else the default branch.
            message: What it says.
            by: Whose it is.
        """
        with self.state.lock:
            repository = self.repository(name)
            git = repository.git
            parent = git.resolve(base or branch) or git.resolve(repository.default)
            data = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
            who = self.state.user(by).identity
            sha = rules.commit_files(self.state, repository, parent, message, data, who)
            rules.set_ref(self.state, repository, f"refs/heads/{branch}", sha)
            return sha

    def head(self, name: str, branch: str = "main") -> str | None:
        """Where a branch is."""
        return self.repository(name).git.ref(f"refs/heads/{branch}")

    def read(self, name: str, path: str, ref: str = "main") -> bytes | None:
        """A file's content."""
        git = self.repository(name).git
        commit = git.resolve(ref)
        entry = git.entry(commit, path) if commit else None
        return git.blob(entry.sha) if entry else None

    def move_branch(self, name: str, branch: str, commit: str) -> None:
        """Push a branch by force."""
        with self.state.lock:
            rules.set_ref(self.state, self.repository(name), f"refs/heads/{branch}", commit)

    def delete_branch(self, name: str, branch: str) -> None:
        with self.state.lock:
            rules.set_ref(self.state, self.repository(name), f"refs/heads/{branch}", None)

    # Pull requests, issues, comments

    def open_pull(
        self,
        name: str,
        branch: str,
        *,
        by: str = "ana",
        source: str | None = None,
        base: str = "main",
        title: str = "Change",
        body: str = "",
    ) -> Issue:
        """Open a pull request, from a fork if `source` names one."""
        with self.state.lock:
            head = (self.repository(source or name), branch)
            return rules.open_pull(
                self.state, self.repository(name), self.state.user(by).login, head, base, (title, body)
            )

    def merge(self, name: str, number: int, *, by: str = "ana", method: str = "merge") -> str:
        """Merge a pull request by `merge`, `squash` or `rebase`; returns the commit."""
        with self.state.lock:
            self.state.user(by)
            repository = self.repository(name)
            return rules.merge(self.state, repository, repository.issues[number], by, method)

    def close(self, name: str, number: int) -> None:
        with self.state.lock:
            rules.close(self.state, self.repository(name).issues[number])

    def open_issue(self, name: str, title: str, body: str = "", *, by: str = "ana") -> Issue:
        with self.state.lock:
            return rules.open_issue(self.state, self.repository(name), self.state.user(by).login, title, body)

    def comment(self, name: str, number: int, body: str, *, by: str = "ana") -> Comment:
        with self.state.lock:
            issue = self.repository(name).issues[number]
            return rules.comment(self.state, issue, self.state.user(by).login, body)

    def edit_comment(self, name: str, number: int, body: str) -> None:
        with self.state.lock:
            found = rules.find_comment(self.repository(name), number)
            assert found
            rules.edit_comment(self.state, found[1], body)

    def delete_comment(self, name: str, number: int) -> None:
        with self.state.lock:
            found = rules.find_comment(self.repository(name), number)
            assert found
            found[0].comments.remove(found[1])

    def edit(self, name: str, number: int, body: str) -> None:
        """Change the text of an issue or pull request."""
        with self.state.lock:
            issue = self.repository(name).issues[number]
            issue.body, issue.updated = body, self.state.at()

    def tick(self, name: str, number: int, words: str) -> None:
        """Tick the check boxes of the lines that have these words in them."""
        lines = self.repository(name).issues[number].body.splitlines(keepends=True)
        ticked = [line.replace("[ ]", "[x]", 1) if words in line else line for line in lines]
        assert ticked != lines, f"no box to tick with {words!r}"
        self.edit(name, number, "".join(ticked))

    # Looking

    def comments(self, name: str, number: int, by: str | None = None) -> list[Comment]:
        """Comments on an issue or pull request, of one author if that is given."""
        return [each for each in self.repository(name).issues[number].comments if by in {None, each.author}]

    def pulls(self, name: str, *, by: str | None = None, state: str = "all") -> list[Issue]:
        """Pull requests, oldest first."""
        return [
            each for each in self.repository(name).pulls() if by in {None, each.author} and state in {"all", each.state}
        ]

    def issues(self, name: str, *, by: str | None = None) -> list[Issue]:
        """Issues that are no pull requests, oldest first."""
        return [each for each in self.repository(name).issues.values() if not each.pull and by in {None, each.author}]

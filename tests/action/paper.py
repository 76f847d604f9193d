"""GitHub and the Hub on paper: what `update` asks of them, kept in memory, with every request counted.

The real client is tried against the loopback servers; here runs are cut off at every single request, which takes
thousands of them.
"""

import functools
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ramekin.action.event import Event
from ramekin.action.job import Job, Result
from ramekin.action.runner import Runner
from ramekin.action.settings import Inputs, Settings
from ramekin.action.updating import update_all
from ramekin.answers import RepoEntry, RepoState
from ramekin.environment import Environment
from ramekin.errors import SourceError
from ramekin.github.records import Comment, Commit, Issue, Pull
from ramekin.github.refusals import ConflictError, RateLimitError
from ramekin.refusals import PLAIN
from ramekin.secret import Secret
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

P = ParamSpec("P")
R = TypeVar("R")

BOT = "github-actions[bot]"
REPOSITORY = "acme/agents"
START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


class Killed(KeyboardInterrupt):
    """The job is ended."""


def request(method: "Callable[Concatenate[PaperGitHub, P], R]") -> "Callable[Concatenate[PaperGitHub, P], R]":
    """One request, which may be the last that is answered."""

    @functools.wraps(method)
    def counted(self: "PaperGitHub", *args: P.args, **kwargs: P.kwargs) -> R:
        self.asked.append(method.__name__)
        here = len(self.asked)
        if self.limited_from is not None and here >= self.limited_from:
            raise RateLimitError("GitHub's rate limit is used up for 600 s", "the next run goes on")
        answer = method(self, *args, **kwargs)
        if here == self.killed_after:
            raise Killed
        return answer

    return counted


def sha(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


@dataclass
class PaperGitHub:
    """A repository on GitHub."""

    files: dict[str, bytes]
    now_is: datetime = START
    login: str = BOT
    default_branch: str = "main"
    commits: dict[str, tuple[Commit, dict[str, bytes]]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)
    said: dict[int, list[Comment]] = field(default_factory=dict)
    listed: list[Issue] = field(default_factory=list)
    reruns: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    limited_from: int | None = None
    killed_after: int | None = None
    protected: bool = False
    before: dict[str, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.branches["main"] = self._commit((), "start", self.files, "ada")

    # What people do

    def person(self, branch: str, files: Mapping[str, bytes], *, parents: int = 1, author: str = "ada") -> str:
        """Somebody pushes a commit; the branch is made from the default one if need be."""
        parent = self.branches.get(branch, self.branches["main"])
        tree = self.commits[parent][1] | dict(files)
        others = (self.branches["main"],) * (parents - 1)
        self.branches[branch] = self._commit((parent, *others), f"by {author}", tree, author)
        return self.branches[branch]

    def merge(self, number: int) -> None:
        pull = self.live(number)
        files = self.commits[pull.head][1]
        parent = self.commits[pull.head][0].parents[0]
        changed = {path: data for path, data in files.items() if self.commits[parent][1].get(path) != data}
        merged = self.person("main", changed)
        self.put(replace(pull, state="closed", merged=True, merge_commit=merged))

    def close(self, number: int) -> None:
        self.put(replace(self.live(number), state="closed"))

    def delete(self, branch: str) -> None:
        """As GitHub does, pull requests of the branch are closed."""
        for pull in self.pulls:
            if pull.branch == branch and pull.state == "open":
                self.close(pull.number)
        del self.branches[branch]

    def live(self, number: int) -> Pull:
        pull = next(pull for pull in self.pulls if pull.number == number)
        head = self.branches.get(pull.branch) if pull.source == REPOSITORY else None
        return replace(pull, head=head) if pull.state == "open" and head else pull

    def put(self, pull: Pull) -> None:
        self.pulls = [*(other for other in self.pulls if other.number != pull.number), pull]

    def opened(self) -> list[Pull]:
        return [self.live(pull.number) for pull in self.pulls if pull.state == "open"]

    def content(self, branch: str, path: str) -> bytes | None:
        return self.commits[self.branches[branch]][1].get(path)

    def _commit(self, parents: tuple[str, ...], message: str, files: Mapping[str, bytes], author: str) -> str:
        tree = sha(sorted(files.items()))
        made = sha(parents, message, tree, author, len(self.commits))
        self.commits[made] = (Commit(made, tree, parents, message, author), dict(files))
        return made

    # What the client does

    @request
    def now(self) -> datetime:
        return self.now_is

    @request
    def pulls_from(self, branch: str, state: str = "open") -> tuple[Pull, ...]:
        found = [self.live(pull.number) for pull in self.pulls if pull.branch == branch and pull.source == REPOSITORY]
        return tuple(sorted((p for p in found if state in {p.state, "all"}), key=lambda pull: -pull.number))

    @request
    def pulls_with(self, commit: str) -> tuple[Pull, ...]:
        return tuple(pull for pull in self.pulls if pull.merge_commit == commit)

    @request
    def open_pull(self, branch: str, base: str, title: str, body: str) -> Pull:
        self._happen("open_pull")
        there = [p for p in self.opened() if (p.branch, p.base, p.source) == (branch, base, REPOSITORY)]
        if there:
            return there[0]
        number = 1 + len(self.pulls) + len(self.listed)
        url = f"https://github.com/{REPOSITORY}/pull/{number}"
        head = self.branches[branch]
        pull = Pull(number, self.login, title, body, "open", False, head, branch, REPOSITORY, base, url)
        self.pulls.append(pull)
        return pull

    @request
    def edit_pull(self, number: int, title: str | None = None, body: str | None = None) -> None:
        pull = self.live(number)
        self.put(replace(pull, title=title or pull.title, body=pull.body if body is None else body))

    @request
    def close_pull(self, number: int) -> None:
        self.close(number)

    @request
    def comments(self, number: int) -> tuple[Comment, ...]:
        return tuple(self.said.get(number, ()))

    @request
    def write_comment(self, number: int, body: str) -> Comment:
        comment = Comment(1 + sum(map(len, self.said.values())), self.login, body, self.now_is, self.now_is, "")
        self.said.setdefault(number, []).append(comment)
        return comment

    @request
    def edit_comment(self, comment_id: int, body: str) -> None:
        for said in self.said.values():
            said[:] = [replace(c, body=body, updated=self.now_is) if c.id == comment_id else c for c in said]

    @request
    def head(self, branch: str) -> str | None:
        return self.branches.get(branch)

    @request
    def commit(self, commit: str) -> Commit | None:
        return self.commits[commit][0] if commit in self.commits else None

    @request
    def read(self, path: str, ref: str) -> bytes | None:
        return self.commits[self.branches.get(ref, ref)][1].get(path)

    @request
    def last_change(self, path: str, ref: str) -> str | None:
        commit: str | None = self.branches[ref]
        while commit:
            record, files = self.commits[commit]
            parent = record.parents[0] if record.parents else None
            if parent is None or self.commits[parent][1].get(path) != files.get(path):
                return commit
            commit = parent
        return None

    @request
    def contains(self, branch: str, commit: str) -> bool:
        return commit in self._history(self.branches[branch])

    @request
    def make_commit(self, parent: str, message: str, files: Mapping[str, bytes]) -> str:
        return self._commit((parent,), message, self.commits[parent][1] | dict(files), self.login)

    @request
    def set_branch(self, branch: str, commit: str, expected: str | None) -> None:
        self._happen("set_branch")
        if self.branches.get(branch) != expected:
            raise ConflictError(f"the branch `{branch}` is no longer where it was looked at", "start again")
        self.branches[branch] = commit

    @request
    def advance_branch(self, branch: str, commit: str) -> None:
        self._happen("advance_branch")
        if self.branches[branch] not in self._history(commit):
            raise ConflictError("has moved", "start again")
        self.branches[branch] = commit

    @request
    def delete_branch(self, branch: str, expected: str) -> None:
        if self.branches.get(branch, expected) != expected:
            raise ConflictError("the branch is no longer where it was looked at", "look again")
        if branch in self.branches:
            self.delete(branch)

    @request
    def issues(self) -> tuple[Issue, ...]:
        return tuple(issue for issue in self.listed if issue.author == self.login and issue.state == "open")

    @request
    def open_issue(self, title: str, body: str) -> Issue:
        number = 1 + len(self.pulls) + len(self.listed)
        self.listed.append(Issue(number, self.login, title, body, "open", ""))
        return self.listed[-1]

    @request
    def edit_issue(self, number: int, body: str) -> None:
        self.listed = [replace(issue, body=body) if issue.number == number else issue for issue in self.listed]

    @request
    def rerun(self, run: int) -> None:
        self.reruns.append(run)

    def _history(self, commit: str) -> Iterator[str]:
        waiting = [commit]
        while waiting:
            here = waiting.pop()
            yield here
            waiting += self.commits[here][0].parents

    def _happen(self, name: str) -> None:
        """Somebody is faster."""
        happening = self.before.pop(name, None)
        if happening:
            happening()


@dataclass
class PaperHub:
    """The Hub, for reading: repositories with commits, newest last."""

    repos: dict[str, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    access: Any = PLAIN

    def push(self, repo: str, **files: str) -> str:
        """A commit; names of files have `_` for `.`."""
        changed = {name.replace("_", "."): content for name, content in files.items()}
        usual = {"config.json": "c", "model.safetensors": "w0", "tokenizer.json": "t"}
        before = self.repos[repo][-1][1] if repo in self.repos else usual
        self.repos.setdefault(repo, []).append((sha(repo, len(self.repos.get(repo, ()))), before | changed))
        return self.repos[repo][-1][0]

    def head(self, repo: str) -> str:
        return self.repos[repo][-1][0]

    def secrets(self) -> tuple[str, ...]:
        return ()

    def state(self, repo: str, revision: str | None = None, *, dataset: bool = False) -> RepoState | None:
        self.asked.append(("state", repo))
        return RepoState(repo, self.head(repo), private=False, gated=False) if repo in self.repos else None

    def entries(self, repo: str, commit: str, *, dataset: bool = False) -> tuple[RepoEntry, ...]:
        self.asked.append(("entries", repo))
        files = dict(self.repos[repo])[commit]
        return tuple(
            RepoEntry(name, len(data), hashlib.sha256(data.encode()).hexdigest(), None) for name, data in files.items()
        )

    def read(self, repo: str, commit: str, file: str, start: int, stop: int, *, dataset: bool = False) -> bytes:
        self.asked.append(("read", repo))
        if repo in self.gated:
            raise SourceError(f"{repo}: is gated and this token has no access", "accept its terms")
        return b"{"

    def read_if_present(self, repo: str, commit: str, file: str, limit: int, *, dataset: bool = False) -> bytes | None:
        return None

    def committed(self, repo: str, commit: str, *, dataset: bool = False) -> str | None:
        self.asked.append(("committed", repo))
        return "2026-02-28"


@dataclass
class Paper:
    """A repository with manifests, the Hub, and jobs."""

    github: PaperGitHub
    hub: PaperHub
    directory: Path
    inputs: Inputs = field(default_factory=lambda: Inputs(manifest="merges/*.yaml"))
    logs: list[str] = field(default_factory=list)

    def update(self, event: Event | None = None, **inputs: Any) -> tuple[Result, ...]:
        """One job of `update`, on a fresh checkout."""
        job = self.job(event or Event("schedule"), **inputs)
        return update_all(job)

    def job(self, event: Event, **inputs: Any) -> Job:
        head = self.github.branches["main"]
        for path, data in self.github.commits[head][1].items():
            place = self.directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        for place in self.directory.rglob("*.lock"):
            if place.relative_to(self.directory).as_posix() not in self.github.commits[head][1]:
                place.unlink()
        settings = Settings(
            inputs=replace(self.inputs, **inputs),
            github_token=Secret("ghs_" + "t" * 36),
            event_name=event.name,
            event_path=None,
            repository=REPOSITORY,
            sha=head,
            ref="refs/heads/main",
            workspace=self.directory,
            temporary=self.directory.parent / "temporary",
            api_url="https://api.github.com",
            server_url="https://github.com",
            run_id=str(len(self.logs) + 1),
        )
        out = io.StringIO()
        environment = Environment.read({"HF_HOME": str(self.directory.parent / "home")})
        terminal = Terminal(color=False, out=out, err=out)
        return Job(settings, event, Runner(out, self.directory), Workbench(environment, terminal))

    def wait(self, **by: float) -> None:
        self.github.now_is += timedelta(**by)

    @contextmanager
    def cut(self, *, limited_from: int | None = None, killed_after: int | None = None) -> Iterator[None]:
        """GitHub answers only so many requests."""
        github = self.github
        github.asked.clear()
        github.limited_from, github.killed_after = limited_from, killed_after
        try:
            yield
        except Killed:
            pass
        finally:
            github.limited_from = github.killed_after = None


def manifest(*experts: str, repo: str = "acme/agent", more: str = "") -> bytes:
    listed = "".join(f"  {expert}: lab/{expert}\n" for expert in experts)
    text = f"version: 1\nbase: lab/base\nexperts:\n{listed}method:\n  name: average\noutput:\n  repo: {repo}\n{more}"
    return text.encode()

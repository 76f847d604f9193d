"""What a loopback GitHub holds: people, tokens, repositories, pull requests and comments."""

import hashlib
import itertools
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.github.gitdir import GitDir, Identity
from tests.leaks import WATCH

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
LEVELS = ("none", "read", "write")
BOT = "github-actions[bot]"


class Clock:
    """Time that a test can move. It ticks as the real one does."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return (datetime.now(UTC) + self._ahead).replace(microsecond=0)

    def move(self, **by: float) -> None:
        """Go on by so many `hours=`, `days=` or `seconds=`."""
        self._ahead += timedelta(**by)


@dataclass(frozen=True)
class User:
    """Somebody, or a bot."""

    id: int
    login: str

    @property
    def is_bot(self) -> bool:
        return self.login.endswith("[bot]")

    @property
    def identity(self) -> Identity:
        return Identity(self.login, f"{self.id}+{self.login}@users.noreply.github.com")


@dataclass(frozen=True)
class Token:
    """What a client proves with who it is.

    Attributes:
        value: The token.
        user: Whose.
        repository: The only one that it is for; None for a person's.
        permissions: Of a job's token, such as `{"contents": "read"}`; None for a person's.
    """

    value: str = field(repr=False)
    user: User
    repository: str | None = None
    permissions: Mapping[str, str] | None = None


@dataclass
class Comment:
    """A comment on an issue or pull request."""

    id: int
    author: str
    body: str
    created: datetime
    updated: datetime
    reactions: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Issue:
    """An issue, or a pull request."""

    number: int
    author: str
    title: str
    body: str
    created: datetime
    updated: datetime
    state: str = "open"
    closed: datetime | None = None
    comments: list[Comment] = field(default_factory=list)
    pull: "Pull | None" = None


@dataclass
class Pull:
    """What only a pull request has."""

    head_repository: str | None
    branch: str
    head: str
    base: str
    base_commit: str
    merged: datetime | None = None
    merged_by: str | None = None
    merge_commit: str | None = None
    draft: bool = False


@dataclass
class Repository:
    """A repository."""

    id: int
    name: str
    git: GitDir
    private: bool = False
    default: str = "main"
    parent: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    custom_roles: dict[str, tuple[str, str]] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    has_issues: bool = True
    jobs_may_open_pulls: bool = True
    runs: dict[int, str] = field(default_factory=dict)
    dispatched: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]

    def role(self, login: str) -> str:
        """What somebody may do here."""
        if login == self.owner:
            return "admin"
        base = self.custom_roles.get(login, ("", ""))[1]
        return base or self.roles.get(login, "none" if self.private else "read")

    def pulls(self) -> Iterator[Issue]:
        return (issue for issue in self.issues.values() if issue.pull)


class State:
    """All that a loopback GitHub knows."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        self.clock = Clock()
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[str, Repository] = {}
        self.limit = Limit()
        self.secret = secrets.token_hex()
        self._ids = itertools.count(1001)
        self.user(BOT, 41898282)

    def id(self) -> int:
        return next(self._ids)

    def user(self, login: str, number: int | None = None) -> User:
        """Somebody; made where there is nobody of this name yet."""
        return self.users.setdefault(login, User(number or self.id(), login))

    def token(
        self, value: str, login: str, repository: str | None = None, permissions: Mapping[str, str] | None = None
    ) -> Token:
        """Let a token stand for somebody. The tests' watch for leaks looks for it from now on."""
        WATCH.token(value, f"{login}'s token for GitHub")
        self.tokens[value] = Token(value, self.user(login), repository, permissions)
        return self.tokens[value]

    def repository(self, name: str) -> Repository | None:
        return self.repositories.get(name.casefold())

    def add(self, name: str, **more: Any) -> Repository:
        made = Repository(self.id(), name, GitDir(self.root / f"{name}.git"), **more)
        self.repositories[name.casefold()] = made
        return made

    def known(self, identity: Identity) -> User | None:
        """Whom GitHub takes for a commit's author: it goes by the address."""
        return next((user for user in self.users.values() if user.identity.email == identity.email), None)

    def at(self) -> datetime:
        return self.clock.now()

    def passes(self, name: str, sha: str) -> str:
        """What lets whoever has it fetch one archive of a private repository."""
        return hashlib.sha256(f"{self.secret}/{name}/{sha}".encode()).hexdigest()


@dataclass
class Limit:
    """How many requests are left until `reset` (seconds since 1970); None for as many as one likes."""

    most: int = 1000
    left: int | None = None
    reset: float = 0.0

"""Who may do what: users, tokens with roles or scopes, private and gated repositories."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ramekin.hub.records import Repo
from ramekin.hub.refusal import GATED, Refusal, repo_not_found

Role = Literal["read", "write", "fine-grained"]
Right = Literal["read", "write", "create"]

EVERYWHERE: Final = "*"
DEMO_TOKEN: Final = "hf_demo_of_the_embedded_hub"  # noqa: S105 -- opens nothing but a Hub on loopback


@dataclass(frozen=True)
class Scope:
    """What a fine-grained token may do in one place.

    Attributes:
        target: A repository `namespace/name`, a namespace, or `*`.
        rights: Of read, write and create; write includes read.
    """

    target: str
    rights: frozenset[Right]

    @classmethod
    def of(cls, target: str, *rights: Right) -> "Scope":
        """A scope with these rights."""
        return cls(target, frozenset(rights))

    def allows(self, right: Right, repo_id: str) -> bool:
        """Whether it gives this right on this repository."""
        namespace = repo_id.partition("/")[0]
        granted = right in self.rights or (right == "read" and "write" in self.rights)
        return granted and self.target in (EVERYWHERE, namespace, repo_id)


@dataclass(frozen=True)
class User:
    """A person, or a job, with one token.

    Attributes:
        name: User name, and the namespace of the user's own repositories.
        token: What the client sends.
        role: Of the token. A read token reads what its user may; a fine-grained one does what its scopes say.
        organizations: Namespaces that the user belongs to beside the own; `*` for all.
        scopes: For fine-grained tokens.
        resource: What the token was exchanged for by trusted publishing: a repository, which then is all that it is
            good for, or the user, whose gated repositories it reads and nothing that is private.
        expires: When it stops being good, in seconds since 1970.
    """

    name: str
    token: str = field(repr=False)
    role: Role = "write"
    organizations: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    resource: str | None = None
    expires: float | None = None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "User":
        """A user as a configuration file has it."""
        scopes = tuple(Scope.of(item["target"], *item["rights"]) for item in fields.get("scopes", ()))
        organizations = tuple(fields.get("organizations", ()))
        return cls(**{**fields, "organizations": organizations, "scopes": scopes})

    def belongs_to(self, namespace: str) -> bool:
        """Whether repositories of this namespace are the user's own."""
        return namespace == self.name or bool({namespace, EVERYWHERE} & set(self.organizations))

    def may(self, right: Right, repo_id: str) -> bool:
        """Whether user and token together have a right on a repository of a namespace."""
        if self.resource is not None or not self.belongs_to(repo_id.partition("/")[0]):
            return False
        if self.role == "fine-grained":
            return any(scope.allows(right, repo_id) for scope in self.scopes)
        return self.role == "write" or right == "read"

    def can(self, right: Right, repo: Repo) -> bool:
        """Whether user and token together have a right on a repository that is there."""
        if self.resource is None:
            return self.may(right, repo.id)
        return self.resource == repo.web.removeprefix("/") and (right == "read" or self.role == "write")

    def is_let_in(self, repo: Repo) -> bool:
        """Whether a gated repository shows its files."""
        own = self.resource == self.name and not repo.private and self.belongs_to(repo.namespace)
        return own or self.name in repo.granted or self.can("read", repo)


#: The user of a Hub that was not told of any: may do everything everywhere.
DEMO: Final = User("demo", DEMO_TOKEN, organizations=(EVERYWHERE,))


class Access:
    """The users of a Hub, by token.

    Args:
        users: Those known from the start.
    """

    def __init__(self, users: Iterable[User] = (DEMO,)) -> None:
        self._users = {user.token: user for user in users}
        self._lock = threading.Lock()

    def add(self, user: User) -> User:
        """Make another user, or token, known."""
        with self._lock:
            self._users[user.token] = user
        return user

    def first(self) -> User:
        """The user that a client gets when nobody says which."""
        return next(iter(self._users.values()))

    def holder(self, token: str) -> User | None:
        """Whose token this is, if anybody's."""
        user = self._users.get(token)
        return None if user and user.expires is not None and user.expires <= time.time() else user

    def named(self, name: str) -> User | None:
        """The user of this name."""
        return next((user for user in self._users.values() if user.name == name and user.resource is None), None)

    def viewer(self, authorization: str | None) -> User | None:
        """Who sent a request; None for anonymous.

        Raises:
            Refusal: 401 for a token that nobody has.
        """
        if not authorization:
            return None
        user = self.holder(authorization.removeprefix("Bearer ").strip())
        if user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return user


def sees(viewer: User | None, repo: Repo) -> bool:
    """Whether the repository exists as far as this viewer can tell."""
    return not repo.private or (viewer is not None and viewer.can("read", repo))


def check_visible(viewer: User | None, repo: Repo) -> None:
    """Refuse who must not know of the repository, and everybody if it was taken down."""
    if not sees(viewer, repo):
        raise repo_not_found(anonymous=viewer is None)
    if repo.disabled:
        raise Refusal(403, "Access to this resource is disabled.")


def check_files(viewer: User | None, repo: Repo) -> None:
    """Refuse who was not let through the gate. Metadata of gated repositories is for everybody, files are not."""
    if repo.gated is False:
        return
    if viewer is None:
        raise Refusal(401, f"Access to model {repo.id} is restricted. You must be authenticated to access it.", GATED)
    if not viewer.is_let_in(repo):
        wait = "is restricted and you are not in the authorized list. Visit the page of the repo to ask for access."
        raise Refusal(403, f"Access to model {repo.id} {wait}", GATED)


def check_write(viewer: User | None, repo: Repo) -> None:
    """Refuse who may not change the repository."""
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    if not viewer.can("write", repo):
        raise Refusal(403, f"Forbidden: you don't have the rights to write to {repo.id}.")


def check_create(viewer: User | None, repo_id: str) -> None:
    """Refuse who may not create a repository of this id."""
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    if viewer.resource is not None:
        raise Refusal(401, f"The token is for {viewer.resource} alone")
    namespace = repo_id.partition("/")[0]
    if not viewer.may("create", repo_id):
        raise Refusal(403, f'You don\'t have the rights to create a repo under the namespace "{namespace}"')


def check_known(viewer: User | None, repo: Repo | None = None) -> User:
    """Refuse the anonymous; what any user may do, such as opening a discussion.

    A token that was exchanged for a repository is no user's: it does so there and nowhere else.
    """
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    if viewer.resource is not None and not (repo and viewer.can("write", repo)):
        raise Refusal(403, f"The token is for {viewer.resource} alone")
    return viewer

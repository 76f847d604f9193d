"""Who may do what: users, tokens with roles or scopes, private and gated repositories."""

import threading
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
    """

    name: str
    token: str = field(repr=False)
    role: Role = "write"
    organizations: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()

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
        """Whether user and token together have a right on a repository."""
        if not self.belongs_to(repo_id.partition("/")[0]):
            return False
        if self.role == "fine-grained":
            return any(scope.allows(right, repo_id) for scope in self.scopes)
        return self.role == "write" or right == "read"


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
        return self._users.get(token)

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
    return not repo.private or (viewer is not None and viewer.may("read", repo.id))


def check_visible(viewer: User | None, repo: Repo) -> None:
    """Refuse who must not know of the repository, and everybody if it was taken down."""
    if not sees(viewer, repo):
        raise repo_not_found(anonymous=viewer is None)
    if repo.disabled:
        raise Refusal(403, "Access to this resource is disabled.")


def check_files(viewer: User | None, repo: Repo) -> None:
    """Refuse who was not let through the gate. Metadata of gated repositories is for everybody, files are not."""
    if repo.gated is False or (viewer is not None and viewer.may("read", repo.id)):
        return
    if viewer is None:
        raise Refusal(401, f"Access to model {repo.id} is restricted. You must be authenticated to access it.", GATED)
    if viewer.name not in repo.granted:
        wait = "is restricted and you are not in the authorized list. Visit the page of the repo to ask for access."
        raise Refusal(403, f"Access to model {repo.id} {wait}", GATED)


def check_write(viewer: User | None, repo: Repo) -> None:
    """Refuse who may not change the repository."""
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    if not viewer.may("write", repo.id):
        raise Refusal(403, f"Forbidden: you don't have the rights to write to {repo.id}.")


def check_create(viewer: User | None, repo_id: str) -> None:
    """Refuse who may not create a repository of this id."""
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    namespace = repo_id.partition("/")[0]
    if not viewer.may("create", repo_id):
        raise Refusal(403, f'You don\'t have the rights to create a repo under the namespace "{namespace}"')


def check_known(viewer: User | None) -> User:
    """Refuse the anonymous; what any user may do, such as opening a discussion."""
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    return viewer

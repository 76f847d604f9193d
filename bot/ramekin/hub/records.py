"""What the store keeps: repositories, commits and the files of a tree, as frozen values with a JSON form."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

RepoType = Literal["model", "dataset", "space"]
Gate = Literal["auto", "manual", False]
Tree = Mapping[str, "Entry"]

REPO_TYPES: Final[tuple[RepoType, ...]] = ("model", "dataset", "space")
DEFAULT_BRANCH: Final = "refs/heads/main"


@dataclass(frozen=True)
class Entry:
    """One file of a tree.

    Attributes:
        path: Path inside the repository, with `/`.
        size: Bytes.
        sha256: Digest of the content, which is also its address in the blob store.
        oid: Git blob id of what git would hold: the content, or the pointer of a large file.
        lfs: Whether git would hold a pointer instead of the content.
        xet: Hash that the file has in xet storage, where it came that way.
    """

    path: str
    size: int
    sha256: str
    oid: str
    lfs: bool
    xet: str | None = field(default=None, compare=False)

    @property
    def etag(self) -> str:
        """What the client names the file by: the sha256 of large files, the git blob id of others."""
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer(self) -> bytes:
        """The text that git holds in place of a large file."""
        return lfs_pointer(self.sha256, self.size)


@dataclass(frozen=True)
class Commit:
    """One commit; `tree` names the record that lists its files."""

    id: str
    parents: tuple[str, ...]
    tree: str
    title: str
    message: str
    author: str
    date: str


@dataclass(frozen=True)
class Repo:
    """A repository's settings.

    Attributes:
        id: `namespace/name`.
        type: model, dataset or space.
        private: Only members of the namespace see it.
        gated: Whether files need an access request, and whether that is granted by itself.
        disabled: Taken down: everything about it answers 403.
        created: When, as the Hub writes dates.
        granted: Names of users who were let through the gate.
    """

    id: str
    type: RepoType
    private: bool = False
    gated: Gate = False
    disabled: bool = False
    created: str = ""
    granted: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """The user or organisation that owns it."""
        return self.id.partition("/")[0]

    @property
    def web(self) -> str:
        """Path of its page: models have no prefix."""
        return f"/{self.id}" if self.type == "model" else f"/{self.type}s/{self.id}"

    @property
    def api(self) -> str:
        """Path of its API."""
        return f"/api/{self.type}s/{self.id}"


def git_blob_id(content: bytes) -> str:
    """The id that git gives to a file with this content."""
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The pointer file of git-lfs."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def timestamp(moment: datetime | None = None) -> str:
    """A date in the only form that the client reads: UTC, milliseconds, `Z`."""
    moment = moment or datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def canonical(value: Any) -> bytes:
    """JSON with one spelling per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest40(value: Any) -> str:
    """Forty hex digits that name a JSON value."""
    return hashlib.sha1(canonical(value), usedforsecurity=False).hexdigest()


def dump_tree(entries: Iterable[Entry]) -> bytes:
    """JSON of a tree, sorted by path."""
    return canonical([asdict(entry) for entry in sorted(entries, key=lambda entry: entry.path)])


def load_tree(data: bytes) -> dict[str, Entry]:
    """The inverse of `dump_tree`, by path."""
    return {item["path"]: Entry(**item) for item in json.loads(data)}


def dump_commit(commit: Commit) -> bytes:
    """JSON of a commit."""
    return canonical(asdict(commit))


def load_commit(data: bytes) -> Commit:
    """The inverse of `dump_commit`."""
    fields = json.loads(data)
    return Commit(**{**fields, "parents": tuple(fields["parents"])})


def dump_repo(repo: Repo) -> bytes:
    """JSON of a repository's settings."""
    return canonical(asdict(repo))


def load_repo(data: bytes) -> Repo:
    """The inverse of `dump_repo`."""
    fields = json.loads(data)
    return Repo(**{**fields, "granted": tuple(fields["granted"])})

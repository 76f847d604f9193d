"""The lock as data: what every source was at the moment it was pinned."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_CHARACTER = r"[^/\\\x00-\x1f]"
# One part of a path: neither `.` nor `..`, and not empty.
_PART_OF_PATH = rf"(?:[^./\\\x00-\x1f]{_CHARACTER}*|\.[^./\\\x00-\x1f]{_CHARACTER}*|\.\.{_CHARACTER}+)"
FileName = Annotated[str, Field(pattern=rf"^{_PART_OF_PATH}(?:/{_PART_OF_PATH})*$", max_length=500)]


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class PinnedFile(_Part):
    """One file that a merge reads.

    Attributes:
        size: Bytes.
        sha256: Digest of its content, for large files and local ones.
        blob: Git blob id of its content, where the Hub keeps the file in git itself.
    """

    size: int = Field(ge=0)
    sha256: Sha256 | None = None
    blob: Commit | None = None

    @model_validator(mode="after")
    def _one_digest(self) -> Self:
        if (self.sha256 is None) == (self.blob is None):
            raise ValueError("needs either sha256 or blob")
        return self

    @property
    def digest(self) -> str:
        """`sha256:…` or `blob:…`, for comparing and for the key."""
        return f"sha256:{self.sha256}" if self.sha256 else f"blob:{self.blob}"


class CardFacts(_Part):
    """What a source's own card declares, at the pinned commit.

    Attributes:
        license: Licence id as declared, lower case.
        parents: Licence of every model it declares to descend from, nearest first; None where it is not to be had.
    """

    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    language: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    parents: dict[str, str | None] = {}

    @property
    def license_shown(self) -> str:
        """The licence as people are told it: by its own name where its id says only that it is another."""
        return (self.license_name if self.license == "other" else None) or self.license or "none declared"


class PinnedSource(_Part):
    """One source: where it is, at which commit, with which files. A checkpoint, or recorded runs.

    Attributes:
        source: Canonical repository id, or the path as the manifest has it.
        named: What the manifest calls it, where the Hub has another name for it since.
        kind: `hub` or `local`.
        repo_type: `dataset` for recorded runs on the Hub; None for a model.
        requested: Revision that the manifest names, None for the default branch.
        commit: Commit on the Hub; for a local directory the first 40 digits of a digest of its files.
        private: Whether the repository was private when it was pinned.
        files: Every file that a merge reads, and nothing else, by path.
    """

    source: str
    named: str | None = None
    kind: Literal["hub", "local"]
    repo_type: Literal["dataset"] | None = None
    requested: str | None = None
    commit: Commit
    private: bool = False
    card: CardFacts = Field(default_factory=CardFacts)
    files: dict[FileName, PinnedFile]


class Lock(_Part):
    """`merge.lock`: all sources pinned, and the key of the merge.

    Attributes:
        data: Recorded runs of the benchmarks, by `data:BENCHMARK:USE`.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    key: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    semantics: int
    base: PinnedSource
    experts: dict[str, PinnedSource]
    data: dict[str, PinnedSource] = {}

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True)

    @property
    def sources(self) -> dict[str, PinnedSource]:
        """All sources by role: `base`, then `expert:NAME` in manifest order."""
        return {"base": self.base} | {f"expert:{name}": pinned for name, pinned in self.experts.items()}

    def to_json(self) -> str:
        """The file's text: two spaces, a final newline, nothing that is absent."""
        return self.model_dump_json(by_alias=True, indent=2, exclude_none=True, exclude=self._absent) + "\n"

    def to_data(self) -> dict[str, Any]:
        """The same as data."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=self._absent)

    @property
    def _absent(self) -> set[str]:
        return set() if self.data else {"data"}

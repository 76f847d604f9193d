"""The manifest as data, and its JSON Schema.

`ramekin.manifest.reading` turns YAML into these and reports every problem with its line.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ramekin.methods import AnyMethod

_REPO = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w\-.]{0,95}/[A-Za-z0-9_][\w\-.]{0,95}(?<!\.git)(?<![-.])", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][\w\-./+]{0,254}", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)", re.IGNORECASE)
_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Source(_Part):
    """Where a checkpoint is: a repository on the Hub at a revision, or a local directory.

    Written in a manifest as `org/name`, `org/name@revision`, `./a/directory`, or with the keys below.
    """

    repo: str | None = Field(None, description="repository on the Hub, `namespace/name`")
    revision: str | None = Field(None, description="branch, tag or commit; the default branch if left out")
    path: str | None = Field(None, description="local directory, relative to the manifest")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.startswith((".", "/", "~")):
            return {"path": value}
        repo, at, revision = value.partition("@")
        return {"repo": repo, "revision": revision} if at else {"repo": repo}

    @field_validator("repo")
    @classmethod
    def _is_repo_id(cls, value: str | None) -> str | None:
        if value is not None and not _REPO.fullmatch(value):
            raise ValueError("is not a repository id, write `namespace/name` or a path that starts with `./`")
        return value

    @field_validator("revision")
    @classmethod
    def _is_revision(cls, value: str | None) -> str | None:
        if value is not None and (not _REVISION.fullmatch(value) or ".." in value):
            raise ValueError("is not a branch, tag or commit")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.repo is None) == (self.path is None):
            raise ValueError("needs either `repo` or `path`")
        if self.path is not None and self.revision is not None:
            raise ValueError("a local directory has no revision")
        return self

    def __str__(self) -> str:
        """The name people know it by: the repository id or the path as written."""
        return self.repo or self.path or ""


ExpertName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
DType = Literal["bfloat16", "float16", "float32"]


class Output(_Part):
    """Where the merge goes and in which form."""

    repo: str = Field(description="repository to publish to, `namespace/name`")
    private: bool = Field(True, description="visibility of the repository if it has to be created")
    dtype: DType | None = Field(None, description="element type of the merged weights; the base's if left out")
    shard_size: int | None = Field(None, description="largest file, such as 5GB; the base's own sharding if left out")
    tag: str | None = Field(None, description="tag to put on the published commit")

    _repo_id = field_validator("repo")(Source._is_repo_id.__func__)  # type: ignore[attr-defined]  # noqa: SLF001
    _tag = field_validator("tag")(Source._is_revision.__func__)  # type: ignore[attr-defined]  # noqa: SLF001

    @field_validator("shard_size", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        if isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is None:
                raise ValueError("is not a size, write for example 5GB or 500MB")
            value = int(float(match[1]) * _UNITS[match[2].upper()])
        if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= 10**15:
            raise ValueError("must be between 1 byte and 1000 TB")
        return value


class CardTexts(_Part):
    """Free texts for the model card. They are no part of the key: changing them merges nothing again."""

    title: str | None = Field(None, max_length=200, description="heading of the card")
    summary: str | None = Field(None, max_length=20_000, description="first paragraph of the card")
    license: str | None = Field(None, max_length=100, description="licence id; derived from the sources if left out")
    language: tuple[str, ...] | None = Field(None, description="ISO 639 codes; the sources' if left out")

    @field_validator("language", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Manifest(_Part):
    """A merge manifest, version 1."""

    version: Literal[1] = Field(description="version of this format")
    base: Source = Field(description="the model that all experts were trained from")
    experts: dict[ExpertName, Source] = Field(
        min_length=1, max_length=16, description="in the order that all tables keep"
    )
    method: AnyMethod = Field(description="how to merge, and its parameters")
    output: Output
    card: CardTexts = CardTexts()

    def canonical(self) -> dict[str, object]:
        """All that decides what is merged and where it goes, defaults filled in; card texts excepted."""
        return (
            self.model_dump(mode="json", exclude={"card"})
            | {"experts": [*self.experts]}
            | {"sources": [source.model_dump(mode="json") for source in self.sources.values()]}
        )

    @property
    def sources(self) -> dict[str, Source]:
        """All sources by role: `base` first, then the experts' names prefixed by `expert:`, in order."""
        return {"base": self.base} | {f"expert:{name}": source for name, source in self.experts.items()}


MANIFEST_NAME: Final = Path("merge.yaml")

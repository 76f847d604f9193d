"""The manifest as data.

`ramekin.manifest.reading` turns YAML into these and reports every problem with its line, `ramekin.manifest.schema`
describes them to editors. A description says what a key means, an example is what a hint tells people to write.
"""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, PrivateAttr, StringConstraints, field_validator, model_validator

from ramekin.digests import json_digest
from ramekin.manifest.benchmarks import MAX_BENCHMARKS, Benchmark, DataReference
from ramekin.manifest.evaluation import Evaluation, Gate
from ramekin.manifest.parts import (
    CONTROL,
    NAME_PATTERN,
    REPO_PATTERN,
    REVISION_PATTERN,
    Part,
    matching,
    repo_id,
    revision_name,
    wrong,
)
from ramekin.methods import AnyMethod

LICENSE_PATTERN: Final = r"[a-z0-9][a-z0-9.+\-]*"
LANGUAGE_PATTERN: Final = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"
COLLECTION_PATTERN: Final = r"([A-Za-z0-9][A-Za-z0-9_.\-]{0,95}/[a-z0-9\-]{1,100}-[0-9a-f]{24}|[^/\x00-\x1f]{1,60})"
SIZE_PATTERN: Final = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*((?:[KMGTkmgt][Ii]?)?[Bb])"
MAX_SIZE: Final = 10**15
MAX_EXPERTS: Final = 16
_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


class Source(Part):
    """Where a checkpoint is: a repository on the Hub at a revision, or a local directory.

    Written in a manifest as `org/name`, `org/name@revision`, `./a/directory`, or with the keys below.
    """

    repo: str | None = Field(
        None,
        description="repository on the Hub, `namespace/name`",
        examples=["org/name"],
        json_schema_extra=matching(REPO_PATTERN),
    )
    revision: str | None = Field(
        None,
        description="branch, tag or commit; the default branch if left out",
        examples=["main"],
        json_schema_extra=matching(REVISION_PATTERN),
    )
    path: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="local directory, relative to the manifest",
        examples=["./directory"],
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.startswith((".", "/", "~")):
            return {"path": value}
        repo, at, revision = value.partition("@")
        return {"repo": repo, "revision": revision} if at else {"repo": repo}

    _repo = field_validator("repo")(repo_id)
    _branch = field_validator("revision")(revision_name)

    @field_validator("path")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None and CONTROL.search(value):
            raise wrong("is not a path", "write a directory such as `./directory`")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.repo is None and self.path is None:
            raise wrong("names no checkpoint", "write `repo: namespace/name` or `path: ./directory` below it")
        if self.repo is not None and self.path is not None:
            raise wrong("has both `repo` and `path`", "keep one of them")
        if self.path is not None and self.revision is not None:
            raise wrong("has a revision, but a local directory has none", "remove `revision`")
        return self

    def __str__(self) -> str:
        """The name people know it by: the repository id or the path as written."""
        return self.repo or self.path or ""


# Names are taken as they are: if they were stripped, two keys could become one.
ExpertName = Annotated[str, StringConstraints(strip_whitespace=False, pattern=f"^{NAME_PATTERN}$", max_length=64)]
DType = Literal["bfloat16", "float16", "float32"]


class Output(Part):
    """Where the merge goes and in which form."""

    repo: str = Field(
        description="repository to publish to, `namespace/name`",
        examples=["my-org/agent-7b"],
        json_schema_extra=matching(REPO_PATTERN),
    )
    private: bool = Field(
        True, description="visibility of the repository if it has to be created", examples=[True, False]
    )
    dtype: DType | None = Field(
        None, description="element type of the merged weights; the base's if left out", examples=["bfloat16"]
    )
    shard_size: int | None = Field(
        None,
        description="largest file, as bytes or such as 5GB; the base's own sharding if left out",
        examples=["5GB", "500MiB"],
    )
    tag: str | None = Field(
        None,
        description="tag to put on the published commit",
        examples=["v1.0"],
        json_schema_extra=matching(REVISION_PATTERN),
    )
    collection: str | None = Field(
        None,
        min_length=1,
        max_length=160,
        description="collection to add the published repository to: its slug, or a title in the same namespace",
        examples=["Merged agents", "my-org/merged-agents-0123456789abcdef01234567"],
        json_schema_extra=matching(COLLECTION_PATTERN),
    )
    supersedes: str | None = Field(
        None,
        description="older repository whose card is to name this one as its new version",
        examples=["my-org/agent-7b-v1"],
        json_schema_extra=matching(REPO_PATTERN),
    )

    _repo = field_validator("repo", "supersedes")(repo_id)
    _tag = field_validator("tag")(revision_name)

    @field_validator("collection")
    @classmethod
    def _is_collection(cls, value: str | None) -> str | None:
        if value is not None and (CONTROL.search(value) or not re.fullmatch(COLLECTION_PATTERN, value)):
            raise wrong(
                "is neither a collection's slug nor a title",
                "write a slug such as `my-org/merged-agents-0123456789abcdef01234567`, or a title of at most 60 "
                "characters without a slash",
            )
        return value

    @field_validator("shard_size", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        if isinstance(value, str):
            match = re.fullmatch(SIZE_PATTERN, value.strip())
            if match is None:
                raise wrong("is not a size", "write for example `5GB`, `500MiB` or a number of bytes")
            value = int(Fraction(match[1]) * _UNITS[match[2].upper()])
        if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= MAX_SIZE:
            raise wrong("is out of range", "write a size between 1 byte and 1000 TB, such as `5GB`")
        return value


class CardTexts(Part):
    """Free texts for the model card. They are no part of the key: changing them merges nothing again."""

    title: str | None = Field(None, max_length=200, description="heading of the card", examples=["Agent 7B"])
    summary: str | None = Field(
        None,
        max_length=20_000,
        description="first paragraph of the card",
        examples=["One generalist from three experts."],
    )
    license: str | None = Field(
        None,
        max_length=100,
        description="licence id; derived from the sources if left out",
        examples=["apache-2.0"],
        json_schema_extra=matching(LICENSE_PATTERN),
    )
    samples: bool | None = Field(
        None,
        description="whether recorded runs are shown in part; those of public datasets alone if left out",
        examples=[True, False],
    )
    template: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Jinja template of the card, beside the manifest; ours if left out",
        examples=["card.md.jinja"],
    )
    language: tuple[str, ...] | None = Field(
        None,
        max_length=100,
        description="language codes, one or a list; the sources' if left out",
        examples=[["en"], ["en", "de"]],
    )

    @field_validator("title")
    @classmethod
    def _is_line(cls, value: str | None) -> str | None:
        if value is not None and CONTROL.search(value):
            raise wrong("has a line break or a control character", "write one line of plain text")
        return value

    @field_validator("summary")
    @classmethod
    def _is_text(cls, value: str | None) -> str | None:
        if value is not None and CONTROL.search(value.replace("\n", "").replace("\t", "")):
            raise wrong("has a control character", "write plain text")
        return value

    @field_validator("template")
    @classmethod
    def _is_beside(cls, value: str | None) -> str | None:
        if value is not None and (CONTROL.search(value) or "\\" in value or value.startswith(("/", "~"))):
            raise wrong("is not a file beside the manifest", "write a relative path such as `card.md.jinja`")
        if value is not None and ".." in value.split("/"):
            raise wrong("leads out of the manifest's directory", "put the template beside the manifest")
        return value

    @field_validator("license")
    @classmethod
    def _is_license(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(LICENSE_PATTERN, value):
            raise wrong("is not a licence id", "write one as the Hub does, such as `apache-2.0` or `mit`")
        return value

    @field_validator("language", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if isinstance(value, str):
            return (value,)
        return tuple(value) if isinstance(value, list) else value

    @field_validator("language")
    @classmethod
    def _are_codes(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if not all(re.fullmatch(LANGUAGE_PATTERN, code) for code in value or ()):
            raise wrong("has an entry that is not a language code", "write codes such as `en` or `pt-BR`")
        return value

    _content: str | None = PrivateAttr(None)

    def holding(self, template: str | None) -> Self:
        """The same texts with the template as it is.

        Args:
            template: sha256 of its content; None while that is not known, or if there is none.
        """
        found = self.model_copy()
        found._content = template  # noqa: SLF001 - its own
        return found

    @property
    def digest(self) -> str:
        """Digest of all texts, by which a change of them is known: of the template its content, not its name."""
        absent = {"template"} | ({"samples"} if self.samples is None else set())
        texts = self.model_dump(mode="json", exclude=absent)
        return "sha256:" + json_digest(texts | ({"template": self._content} if self._content else {}))


class Manifest(Part):
    """A merge manifest, version 1."""

    version: Literal[1] = Field(description="version of this format", examples=[1])
    base: Source = Field(description="the model that all experts were trained from")
    experts: dict[ExpertName, Source] = Field(
        min_length=1,
        max_length=MAX_EXPERTS,
        description="the checkpoints to merge, by a name of your choice, in the order that all tables keep",
    )
    method: AnyMethod = Field(description="how to merge, and its parameters")
    benchmarks: dict[ExpertName, Benchmark] = Field(
        {}, max_length=MAX_BENCHMARKS, description="what the merge is to be good at, by a name of your choice"
    )
    evaluate: Evaluation | None = Field(None, description="what is measured of the merge and its parents")
    gate: Gate | None = Field(None, description="what the merge must reach to be published")
    output: Output = Field(description="where the merge goes and in which form")
    card: CardTexts = Field(
        CardTexts.model_construct(),  # not by its validator, which would have to be built for it
        description="free texts for the model card; changing them merges nothing again",
    )

    @field_validator("version", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        # 1.0 and true equal 1 in Python, and are not what the format says.
        if isinstance(value, bool | float):
            raise wrong("is not a version", "write `version: 1`")
        return value

    @field_validator("evaluate", "gate", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        # Somebody who writes `gate:` and nothing below it believes that there is one.
        if value is None:
            raise wrong("is empty", "write its keys below it, or leave it out")
        return value

    def canonical(self) -> dict[str, object]:
        """All that decides what is merged and where it goes, defaults filled in; card texts excepted.

        Benchmarks are a part of it only where the method looks at them, and what is measured and demanded of the merge
        where the manifest says so. What is done with a merge once it is published is none: a collection, or a
        leaderboard for its scores, makes no other weights.
        """
        left_out: dict[str, Any] = {"card": True, "output": {"collection", "supersedes"}}
        if not self.method.uses_benchmarks:
            left_out["benchmarks"] = True
        left_out["evaluate"] = {"timeout": True, "tasks": {"__all__": {"results"}}} if self.evaluate else True
        if self.gate is None:
            left_out["gate"] = True
        return (
            self.model_dump(mode="json", by_alias=True, exclude=left_out)
            | {"experts": [*self.experts]}
            | {"sources": [source.model_dump(mode="json") for source in self.sources.values()]}
        )

    @property
    def sources(self) -> dict[str, Source]:
        """All sources by role: `base` first, then the experts' names prefixed by `expert:`, in order."""
        return {"base": self.base} | {f"expert:{name}": source for name, source in self.experts.items()}

    @property
    def data(self) -> dict[str, DataReference]:
        """All files of trajectories by role: `data:BENCHMARK:calibration` and likewise, in order."""
        return {
            f"data:{name}:{use}": reference
            for name, benchmark in self.benchmarks.items()
            for use, reference in benchmark.data.items()
        }


MANIFEST_NAME: Final = Path("merge.yaml")

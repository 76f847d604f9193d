"""`benchmarks:` in a manifest: what the merge is to be good at, and recorded runs that show it."""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import unquote

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_serializer,
    model_validator,
)

from ramekin.arm.roles import parsers
from ramekin.arm.roles.parsers import PARSERS, Parser, json_values, officebench
from ramekin.manifest.parts import CONTROL, REPO_PATTERN, Part, matching, wrong
from ramekin.manifest.suggestions import listed, near
from ramekin.text import printable

_TAGGED: Final = "officebench"
MAX_BENCHMARKS: Final = 64
MAX_TOKENS: Final = 12_000
# As in a path of `huggingface_hub`: a slash within the revision is written as `%2F`.
_REVISION: Final = r"(?![^/]*\.\.)[A-Za-z0-9_](?:[A-Za-z0-9_.\-+]|%2[Ff]){0,254}"
_FILE: Final = r"(?!(?:.*/)?\.\.(?:/|$))[^\x00-\x1f]{1,500}"
_ON_HUB: Final = re.compile(rf"hf://datasets/(?P<repo>{REPO_PATTERN})(?:@(?P<revision>{_REVISION}))?/(?P<file>{_FILE})")
DATA_PATTERN: Final = rf"(hf://datasets/{REPO_PATTERN}(?:@{_REVISION})?/{_FILE}|(?!hf://).+)"


@dataclass(frozen=True)
class DataReference:
    """A file of trajectories: in a dataset on the Hub at a revision, or a local one.

    Attributes:
        repo: The dataset; None for a local file.
        revision: Branch, tag or commit; None for the default branch.
        file: Path in the dataset, or the local path, relative to the manifest.
    """

    repo: str | None
    revision: str | None
    file: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `hf://datasets/org/name@revision/path` or a local path."""
        if match := _ON_HUB.fullmatch(text):
            revision = match["revision"]
            return cls(match["repo"], unquote(revision) if revision else None, match["file"])
        return cls(None, None, text)

    def __str__(self) -> str:
        """The name that people know it by: that of the dataset, or the path as written."""
        return self.repo or self.file


# Blanks at the ends of an expression, and of what stands around a turn, belong to it.
Expression = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=1000)]
Marker = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=500)]
Score = Annotated[float, Field(allow_inf_nan=False)]


class Role(Part):
    """What the agent says when it plays its part: a named role, or a pattern of its own.

    Written in a manifest as a name, or as a mapping with one of the first three keys below.
    """

    name: str | None = Field(None, description="one of the named roles", examples=["tool-call"])
    regex: Expression | None = Field(
        None,
        description="a regular expression, matched in each turn of the assistant: its group `span`, or all of it",
        examples=[r"<answer>(?P<span>.*?)</answer>"],
    )
    json_: Literal["first", "last", "all"] | None = Field(
        None, alias="json", description="the first, the last or all JSON values of a turn", examples=["last"]
    )

    keep_tags: bool = Field(
        False, description="whether `<answer>` and `</answer>` belong to the role `officebench`", examples=[True]
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(each is not None for each in (self.name, self.regex, self.json_)) != 1:
            raise wrong("is no role", "write the name of one, or one of `regex` and `json` below it")
        if self.name is not None and self.name not in PARSERS:
            guess = near(self.name, PARSERS)
            hint = f"did you mean `{guess}`? " if guess else ""
            raise wrong("is not a role", f"{hint}the roles are {listed(PARSERS)}")
        if self.keep_tags and self.name != _TAGGED:
            raise wrong("has `keep_tags`", f"leave it out: only `{_TAGGED}` has tags to keep")
        return self

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            with warnings.catch_warnings():
                # What later versions of Python may read otherwise is no matter of this manifest's reader.
                warnings.simplefilter("ignore")
                re.compile(value or "", re.DOTALL)
        except (re.error, OverflowError, RecursionError) as error:
            raise wrong("is not a regular expression", f"Python says: {printable(error, 200)}") from error
        return value

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What keeps no tags says nothing of tags: keys of manifests stay what they were before there was a choice."""
        found: dict[str, Any] = handler(self)
        return found if self.keep_tags else {key: value for key, value in found.items() if key != "keep_tags"}

    @property
    def parser(self) -> Parser:
        """What finds it in a turn."""
        if self.regex is not None:
            return parsers.matching(self.regex)
        if self.keep_tags:
            return partial(officebench, keep_tags=True)
        return json_values(self.json_) if self.json_ is not None else PARSERS[self.name or ""]

    def __str__(self) -> str:
        """As people read it."""
        if self.keep_tags:
            return f"{self.name}, tags kept"
        return self.name or (f"regex: {self.regex}" if self.regex is not None else f"json: {self.json_}")


def _data(description: str, **more: Any) -> Any:
    return Field(
        description=description,
        min_length=1,
        max_length=1000,
        examples=["./calibration/tau.jsonl", "hf://datasets/org/name@main/tau.jsonl"],
        json_schema_extra=matching(DATA_PATTERN),
        **more,
    )


def _as_written(value: object, validated: ValidatorFunctionWrapHandler) -> object:
    """Variables of a template as they are: checked, with the blanks at the ends of texts."""
    validated(value)
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise wrong("has a number that is not finite", "write numbers that JSON has") from error
    return value


class Benchmark(Part):
    """One thing that the merge is to be good at.

    Attributes:
        scores: Of models on the development data, by the name of an expert or candidate.
    """

    expert: str = Field(description="the expert that is best at it: its donor", examples=["tool"])
    role: Role = Field(description="what the agent says when it plays its part", examples=["tool-call"])
    calibration: str = _data("recorded runs in which neurons are watched: a file, or one in a dataset on the Hub")
    dev: str | None = _data(
        "recorded runs of other tasks, by which merges are judged; without them part of `calibration` is set aside",
        default=None,
    )
    scores: dict[str, Score] = Field(
        {},
        max_length=100,
        description="scores on the development data, by expert and candidate; more is better",
        examples=[{"tool": 0.95, "average": 0.4}],
    )
    evaluate: Literal["exact", "json"] | None = Field(
        None,
        description="have models answer the development data's prompts, and count answers that are `exact`ly the "
        "recorded one, or the same `json`",
        examples=["exact"],
    )
    max_new_tokens: int = Field(256, ge=1, le=8192, description="longest answer when models are asked")
    turns: Literal["all", "last"] = Field("all", description="in which of the assistant's turns the role counts")
    demonstrations: int = Field(
        0, ge=0, le=1000, description="how many of the assistant's first turns only show how it is done"
    )
    tokens: Literal["overlap", "within", "majority"] = Field(
        "overlap", description="which tokens belong to a span: those that touch it, are within it, or more than half"
    )
    max_tokens: int = Field(MAX_TOKENS, ge=1, le=1_000_000, description="tokens of a trajectory that are read")
    weight: Literal["trajectory", "task"] = Field(
        "trajectory", description="whether each trajectory counts the same, or each task"
    )
    assistant_prefix: Marker | None = Field(
        None, description="what stands before the assistant's turns, where that cannot be found out", examples=["A: "]
    )
    assistant_suffix: Marker | None = Field(None, description="what stands behind them", examples=["\n\n"])
    chat_template: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="file with a chat template to be used instead of the base's; relative to the manifest",
        examples=["./template.jinja"],
        json_schema_extra=matching(DATA_PATTERN),
    )
    template_kwargs: Annotated[dict[str, JsonValue], WrapValidator(_as_written)] = Field(
        {}, max_length=100, description="variables for the chat template", examples=[{"enable_thinking": False}]
    )

    @field_validator("calibration", "dev", "chat_template")
    @classmethod
    def _is_a_file(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if CONTROL.search(value):
            raise wrong("is not a path", "write a file such as `./calibration.jsonl`")
        if value.startswith("hf://") and not _ON_HUB.fullmatch(value):
            raise wrong("is no file of a dataset", "write `hf://datasets/org/name@revision/path.jsonl`")
        return value

    @model_validator(mode="after")
    def _both_markers(self) -> Self:
        if (self.assistant_prefix is None) != (self.assistant_suffix is None):
            raise wrong("has one of `assistant_prefix` and `assistant_suffix`", "write both, or neither")
        return self

    @property
    def data(self) -> Mapping[str, DataReference]:
        """Its files by their use: `calibration`, `dev` and `chat_template`, as far as there are such."""
        uses = {"calibration": self.calibration, "dev": self.dev, "chat_template": self.chat_template}
        return {use: DataReference.of(text) for use, text in uses.items() if text is not None}

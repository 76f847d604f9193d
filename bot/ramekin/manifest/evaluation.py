"""`evaluate:` and `gate:` in a manifest: what is measured of the merge, and what it must reach to be published."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from ramekin.manifest.parts import CONTROL, REPO_PATTERN, Part, matching, repo_id, wrong

MAX_TASKS: Final = 64
TASK_ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}"
OF_THE_HARNESS: Final = (
    "include", "apply_chat_template", "batch_size", "seed", "max_new_tokens", "confirm_run_unsafe_code",
)  # fmt: skip
"""Keys of `evaluate` that a command of the user's has no use for."""
OF_ITS_TASKS: Final = ("metric", "fewshot", "limit")
"""Keys of a task, likewise."""

Measured = Literal["base", "experts", "backbone"]


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else _listed(value)


def _once_each(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len({*value}) < len(value):
        raise wrong("has an entry twice", "keep one")
    return value


def _line(value: str) -> str:
    if CONTROL.search(value):
        raise wrong("has a line break or a control character", "write one line of plain text")
    return value


def _path(value: str) -> str:
    if CONTROL.search(value):
        raise wrong("is not a path", "write one such as `./tasks`")
    return value


TaskName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_line)]
# As for the names of experts: if keys were stripped, two could become one.
_Key = Annotated[str, StringConstraints(strip_whitespace=False, max_length=200), AfterValidator(_line)]
_Path = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_path)]
# A word of a command is what it is: a blank at its end may matter.
_Word = Annotated[str, StringConstraints(strip_whitespace=False, max_length=10_000)]
_NO_WORD: Final = re.compile("[\0\ud800-\udfff]")


class TaskResults(Part):
    """Where a leaderboard of the Hub keeps results of a task."""

    dataset: str = Field(
        description="dataset of the benchmark, `namespace/name`",
        examples=["openai/gsm8k"],
        json_schema_extra=matching(REPO_PATTERN),
    )
    task: str = Field(
        description="what that dataset calls the task",
        examples=["gsm8k"],
        json_schema_extra=matching(TASK_ID_PATTERN),
    )

    _dataset = field_validator("dataset")(repo_id)

    @field_validator("task")
    @classmethod
    def _is_an_id(cls, value: str) -> str:
        if not re.fullmatch(TASK_ID_PATTERN, value):
            raise wrong("is no id of a task", "write it as the dataset does, such as `gsm8k`")
        return value


class Task(Part):
    """Something that models are measured by.

    Written in a manifest as its name, or as a mapping with the keys below.

    Attributes:
        expert: Whose task it is; if left out, the expert of `benchmark`.
    """

    name: TaskName = Field(
        description="what lm-evaluation-harness calls it, or what `command` prints", examples=["gsm8k"]
    )
    metric: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="which of the task's scores counts, such as `exact_match` or `exact_match,flexible-extract`; "
        "its first if left out",
        examples=["exact_match"],
    )
    fewshot: int | None = Field(
        None, ge=0, le=1000, description="examples in the prompt; what the task says if left out", examples=[0, 5]
    )
    limit: int | None = Field(
        None, ge=1, description="items that are asked, the first ones; all if left out", examples=[100]
    )
    expert: str | None = Field(
        None, description="the expert whose task it is; that of `benchmark` if left out", examples=["coder"]
    )
    benchmark: str | None = Field(
        None, description="the benchmark that it scores, for methods that look at benchmarks", examples=["tau-bench"]
    )
    results: TaskResults | None = Field(
        None,
        description="where the Hub keeps results of it",
        examples=[{"dataset": "openai/gsm8k", "task": "gsm8k"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("metric")
    @classmethod
    def _is_a_line(cls, value: str | None) -> str | None:
        return value if value is None else _line(value)


class Evaluation(Part):
    """What is measured of the merge and its parents, and with what."""

    tasks: Annotated[tuple[Task, ...], BeforeValidator(_listed)] = Field(
        (),
        max_length=MAX_TASKS,
        description="names of tasks, or mappings that say more about them",
        examples=[["gsm8k", {"name": "humaneval", "metric": "pass@1", "expert": "coder"}]],
    )
    command: Annotated[tuple[_Word, ...], BeforeValidator(_listed)] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="a program that measures instead of lm-evaluation-harness: it is given the directory of a model "
        "as its last argument, and prints one JSON object with a score for each task",
        examples=[["python", "score.py"]],
    )
    models: Annotated[tuple[Measured, ...], BeforeValidator(_one_or_many), AfterValidator(_once_each)] = Field(
        ("base", "experts", "backbone"),
        max_length=3,
        description="what is measured beside the merge",
        examples=[["base", "experts"]],
    )
    include: _Path | None = Field(
        None, description="directory with definitions of tasks of your own, relative to the manifest",
        examples=["./tasks"],
    )  # fmt: skip
    reads: Annotated[tuple[_Path, ...], BeforeValidator(_one_or_many)] = Field(
        (),
        max_length=100,
        description="further files and directories that scores depend on: where one changes, all is measured again",
        examples=[["./questions.jsonl"]],
    )
    apply_chat_template: bool = Field(
        False, description="ask in the form of a chat, by each model's own template", examples=[True]
    )
    batch_size: int = Field(8, ge=1, le=4096, description="requests that a model works on at once", examples=[8])
    seed: int = Field(0, ge=0, le=2**31 - 1, description="for all that is drawn at random", examples=[0])
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="longest answer in tokens; what each task says if left out",
        examples=[512],
    )
    timeout: int = Field(
        86_400, ge=1, le=2_592_000, description="seconds that measuring one model may take", examples=[3600]
    )
    confirm_run_unsafe_code: bool = Field(
        False, description="run code that models write, where a task does that", examples=[True]
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.tasks and self.command is None:
            raise wrong("names nothing to measure", "write `tasks: [gsm8k]` below it, or a `command`")
        return self

    @field_validator("command")
    @classmethod
    def _is_a_program(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not value[0] or any(map(_NO_WORD.search, value))):
            raise wrong("is no command", "write a list such as `[python, score.py]`")
        return value


class Gate(Part):
    """What the merge must reach to be published."""

    of_expert: float | None = Field(
        None,
        gt=0,
        le=100,
        description="share of its expert's score that it must have on every task: of the one whose task it is, or "
        "else of the best",
        examples=[0.95],
    )
    of_base: float | None = Field(
        None, gt=0, le=100, description="share of the base's score that it must have on every task", examples=[1.0]
    )
    least: dict[_Key, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        {},
        max_length=MAX_TASKS,
        description="worst score that is good enough, by task",
        examples=[{"gsm8k": 0.5}],
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.of_expert is None and self.of_base is None and not self.least:
            raise wrong("asks for nothing", "write for example `of_expert: 0.95` below it, or leave it out")
        return self

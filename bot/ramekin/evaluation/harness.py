"""Measuring by lm-evaluation-harness."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from ramekin.errors import EvaluationError, Problem, ResourceError, SourceError, UsageError
from ramekin.evaluation.children import Surroundings
from ramekin.evaluation.measurements import Measurement, Measurements, ScoreStore, content_digest, score_key, today
from ramekin.evaluation.session import AnswerError, Session
from ramekin.manifest.evaluation import Evaluation, Task
from ramekin.manifest.reading import LoadedManifest
from ramekin.manifest.suggestions import listed
from ramekin.text import printable

HARNESS: Final = "lm-evaluation-harness"
_DISTRIBUTION: Final = "lm-eval"
_MODULE: Final = "lm_eval"
_CHECKING: Final = 600.0
"""Seconds to find out about the names of tasks: the harness reads ten thousand files for that."""
_TOGETHER: Final = ("torch", "transformers")
"""What computes scores beside the harness: its versions count."""
_CONFIRM: Final = "write `confirm_run_unsafe_code: true` below `evaluate` if you want that; see docs/evaluation.md"


def require_harness(loaded: LoadedManifest) -> None:
    """Find out before any work whether the harness is installed.

    Raises:
        UsageError: It is not.
    """
    if importlib.util.find_spec(_MODULE) is None:
        what = f"`evaluate.tasks` needs {HARNESS}, which is not installed"
        hint = "install `ramekin[eval]`, or measure with a program of your own: `evaluate.command`"
        raise UsageError(problems=[Problem(what, hint, loaded.path, loaded.line("evaluate"))])


@dataclass
class LmEvaluation:
    """The harness.

    Attributes:
        loaded: The manifest.
        evaluate: What it says.
        surroundings: Where the harness works, the manifest's directory, and with what.
        store: Where measurements are kept.
        session: The process that runs it.
        note: Is told what is measured.
        size: Bytes of a model.
        device: Where models run: `auto`, `cpu` or `cuda`.
        unsafe: Whether code that models write may be run.
    """

    loaded: LoadedManifest
    evaluate: Evaluation
    surroundings: Surroundings
    store: ScoreStore
    session: Session
    note: Callable[[str], None]
    size: int
    device: str = "auto"
    unsafe: bool = False
    _place: str = field(default="", init=False)

    @property
    def name(self) -> str:
        """Its name and version."""
        return f"{HARNESS} {_version(_DISTRIBUTION)}"

    @property
    def settings(self) -> dict[str, str]:
        """What holds for all tasks, in words, by name."""
        longest = self.evaluate.max_new_tokens
        return {
            "form": "chat, by each model's own template" if self.evaluate.apply_chat_template else "plain text",
            "batch size": str(self.evaluate.batch_size),
            "seed": str(self.evaluate.seed),
            **({"longest answer": f"{longest} tokens"} if longest else {}),
            "device": self._place,
        }

    def check(self) -> None:
        """Find out before the work whether there are such tasks.

        Raises:
            UsageError: There are not; every problem has its line.
            EvaluationError: The harness does not work here.
        """
        if self.evaluate.include and not (self.surroundings.directory / self.evaluate.include).is_dir():
            what = f"`evaluate.include: {printable(self.evaluate.include)}` is no directory"
            raise UsageError(problems=[self._problem(what, "write its path relative to the manifest", "include")])
        request = {"do": "check", "tasks": [task.name for task in self.evaluate.tasks], "device": self.device}
        problems = []
        try:
            for answer in self.session.ask(request | self._terms, _CHECKING):
                if "device" in answer:
                    self._place = answer["device"]
                else:
                    problems.append(self._wrong(answer))
        except AnswerError as error:
            self._refuse(error, "looked for its tasks")
        if problems:
            raise UsageError(problems=problems)

    def kept(self, digest: str) -> Measurements:
        """What was measured of a model before; nothing unless that is all."""
        found = {task.name: self._kept(digest, task) for task in self.evaluate.tasks}
        whole = {name: each for name, each in found.items() if each}
        return whole if len(whole) == len(found) else {}

    def measure(self, model: str, digest: str, directory: Path) -> Measurements:
        """Measure a model, on those tasks on which it was not yet.

        Args:
            model: `base`, `expert:NAME`, `backbone` or `merge`.
            digest: Of its files.
            directory: Where they are.

        Raises:
            EvaluationError: It cannot be measured, or takes too long.
            SourceError: A task's data cannot be had.
            ResourceError: There is not enough memory.
        """
        found = {task.name: self._kept(digest, task) for task in self.evaluate.tasks}
        missing = [task for task in self.evaluate.tasks if found[task.name] is None]
        try:
            for answer in self.session.ask(self._request(directory, missing), self.evaluate.timeout):
                task = next(each for each in missing if each.name == answer["task"])
                found[task.name] = self._keep(model, digest, task, answer)
                self.note(f"{model}: {task.name} measured")
        except AnswerError as error:
            self._refuse(error, f"measured `{printable(model)}`")
        return {name: each for name, each in found.items() if each}

    def _request(self, directory: Path, tasks: Sequence[Task]) -> dict[str, Any]:
        return self._terms | {
            "do": "measure",
            "model": str(directory),
            "tasks": [{"name": task.name, "fewshot": task.fewshot, "limit": task.limit} for task in tasks],
            "device": self._place,
            "bytes": self.size,
            "batch_size": self.evaluate.batch_size,
            "seed": self.evaluate.seed,
            "max_new_tokens": self.evaluate.max_new_tokens,
            "apply_chat_template": self.evaluate.apply_chat_template,
        }

    @property
    def _terms(self) -> dict[str, Any]:
        include = self.evaluate.include
        place = str((self.surroundings.directory / include).absolute()) if include else None
        return {"include": place, "unsafe": self.unsafe}

    def _keep(self, model: str, digest: str, task: Task, answer: Mapping[str, Any]) -> Measurement:
        limit = {"items": f"the first {task.limit}"} if task.limit else {}
        try:
            made = Measurement(found=answer["found"], details=answer["details"] | limit, date=today())
        except ValidationError as error:
            first = error.errors()[0]
            raise EvaluationError(
                f"`{printable(model)}` has no score on `{printable(task.name)}`: {printable(first['msg'])}",
                "see what the harness says with --verbose, or choose another task",
            ) from error
        self.store.put(self._key(digest, task), {task.name: made}, {"model": model, "task": task.name})
        return made

    def _kept(self, digest: str, task: Task) -> Measurement | None:
        return self.store.get(self._key(digest, task)).get(task.name)

    @cached_property
    def _content(self) -> str:
        """Digest of the user's tasks, and of what else is said to count; taken once, it may be much."""
        root = self.surroundings.directory
        include = [root / self.evaluate.include] if self.evaluate.include else []
        return content_digest([*include, *(root / path for path in self.evaluate.reads)], root)

    def _key(self, digest: str, task: Task) -> str:
        how = {
            "task": task.model_dump(mode="json", include={"name", "fewshot", "limit"}),
            "settings": self.evaluate.model_dump(
                mode="json", include={"apply_chat_template", "batch_size", "seed", "max_new_tokens"}
            ),
            "files": self._content,
            "libraries": [f"{name} {_version(name)}" for name in _TOGETHER],
            "device": self._place,
        }
        return score_key(digest, self.name, how)

    def _wrong(self, answer: Mapping[str, Any]) -> Problem:
        """What is wrong with a task, with its line."""
        number = next(n for n, task in enumerate(self.evaluate.tasks) if task.name == answer["task"])
        shown = f"`evaluate.tasks.{number}: {printable(answer['task'])}`"
        if answer["problem"] == "tag":
            some = printable(listed(answer["tasks"]), 200)
            what, hint = f"{shown} stands for several tasks", f"name them one by one, such as {some}"
        elif answer["problem"] == "unsafe":
            what, hint = f"{shown} runs code that models write", _CONFIRM
        else:
            guess = f"did you mean `{printable(answer['guess'])}`? " if answer["guess"] else ""
            hint = f"{guess}`lm-eval ls tasks` lists all; tasks of your own are looked for in `evaluate.include`"
            what = f"{shown} is no task of {HARNESS}"
        return self._problem(what, hint, f"tasks.{number}")

    def _problem(self, what: str, hint: str, key: str) -> Problem:
        return Problem(what, hint, self.loaded.path, self.loaded.line(f"evaluate.{key}"))

    def _refuse(self, error: AnswerError, deed: str) -> NoReturn:
        """Raise what has kept the harness from its work."""
        what = f"{HARNESS} {deed}, and failed: {printable(error.what, 300)}"
        if error.kind == "memory":
            raise ResourceError(what, "use a larger machine, or a smaller `evaluate.batch_size`") from error
        if error.kind == "source":
            hint = "check the network; it reads without a token, so fetch data that need one into the cache before"
            raise SourceError(what, hint) from error
        if error.kind == "unsafe":
            raise EvaluationError(what, _CONFIRM) from error
        raise EvaluationError(what, "see what it says with --verbose; the same command goes on from here") from error


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"

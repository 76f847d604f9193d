"""Measuring by a program of the user's: it is given a model, and prints its scores."""

import shlex
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from ramekin.errors import EvaluationError, UsageError
from ramekin.evaluation.children import Surroundings, run
from ramekin.evaluation.measurements import Measurement, Measurements, ScoreStore, content_digest, score_key, today
from ramekin.evaluation.printed import PrintedError, read_scores
from ramekin.manifest.evaluation import Evaluation
from ramekin.manifest.suggestions import listed
from ramekin.text import printable

_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class CommandHarness:
    """A program of the user's.

    Attributes:
        evaluate: What the manifest says.
        surroundings: Where it works, the manifest's directory, and with what.
        store: Where measurements are kept.
        note: Is told each line of its other output.
    """

    evaluate: Evaluation
    surroundings: Surroundings
    store: ScoreStore
    note: Callable[[str], None]

    name = "command"

    @property
    def settings(self) -> dict[str, str]:
        """What holds for all tasks, in words, by name."""
        return {"command": printable(shlex.join(self._command), 300)}

    @property
    def _command(self) -> tuple[str, ...]:
        return self.evaluate.command or ()

    def check(self) -> None:
        """Find out before the work whether there is such a program.

        Raises:
            UsageError: There is none.
        """
        program = self._command[0]
        directory = self.surroundings.directory
        # With a slash it is a path, which the program's own directory is the beginning of.
        place = directory / program if "/" in program else None
        path = self.surroundings.environment.get("PATH")
        if shutil.which(str(place)) if place else shutil.which(program, path=path):
            return
        raise UsageError(
            f"`evaluate.command`: there is no program `{printable(program)}`"
            + (f" in {printable(directory)}" if place else ""),
            "install it, or write its path relative to the manifest, such as `./score.sh`; it must be executable",
        )

    def kept(self, digest: str) -> Measurements:
        """What was measured of a model before."""
        return self._wanted(self.store.get(self._key(digest)))

    def measure(self, model: str, digest: str, directory: Path) -> Measurements:
        """Measure a model.

        Args:
            model: `base`, `expert:NAME`, `backbone` or `merge`.
            digest: Of its files.
            directory: Where they are.

        Raises:
            EvaluationError: The program fails, takes too long, or prints something else.
        """
        around = self.surroundings.given(RAMEKIN_MODEL=str(directory), RAMEKIN_MODEL_NAME=model)
        timeout = self.evaluate.timeout
        command = (*self._command, str(directory))
        ended = run(command, around, self.note, timeout=timeout, most=_MOST_BYTES)
        shown = f"`evaluate.command` for `{printable(model)}`"
        if ended.code is None:
            raise EvaluationError(
                f"{shown} took more than {timeout} seconds", "let it take longer with `evaluate.timeout`, or do less"
            )
        if ended.code:
            raise EvaluationError(f"{shown} {_failed(ended.code)}", "its output above may say why; try it by hand")
        try:
            found = read_scores(ended.out, today())
        except PrintedError as error:
            raise EvaluationError(
                f"{shown} {error}", 'print one object on stdout, such as `{"gsm8k": 0.5}`, and all else on stderr'
            ) from error
        self._check_all(found, shown)
        self.store.put(self._key(digest), found, {"model": model, "command": shlex.join(self._command)[:300]})
        return self._wanted(found)

    def _check_all(self, found: Mapping[str, Measurement], shown: str) -> None:
        missing = [task.name for task in self.evaluate.tasks if task.name not in found]
        if missing:
            raise EvaluationError(
                f"{shown} printed no score for {printable(listed(missing), 200)}",
                "print one for each of `evaluate.tasks`",
            )

    def _wanted(self, found: Mapping[str, Measurement]) -> Measurements:
        """Those of the tasks that the manifest names, in its order; all if it names none."""
        names = [task.name for task in self.evaluate.tasks] or [*found]
        return {name: found[name] for name in names} if found.keys() >= {*names} else {}

    @cached_property
    def _content(self) -> str:
        """Digest of the files that it is called with: a program that has changed may come to other scores."""
        root = self.surroundings.directory
        named = [root / word for word in self._command if word and (root / word).is_file()]
        return content_digest([*named, *(root / path for path in self.evaluate.reads)], root)

    def _key(self, digest: str) -> str:
        return score_key(digest, self.name, {"command": self._command, "files": self._content})


def _failed(code: int) -> str:
    if code > 0:
        return f"failed with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (", maybe for want of memory" if -code == signal.SIGKILL else "")

"""What people see: progress and messages on stderr, results on stdout, errors in two lines, and never a token."""

import contextlib
import errno
import json
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from ramekin.errors import InternalError, Problem, RamekinError, ResourceError, UsageError
from ramekin.progress import Bar, Unit
from ramekin.text import CUT, harmless, masked, printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

_MOST_PROBLEMS: Final = 50
_CUT_IN_JSON: Final = json.dumps(CUT)[1:-1]
_LEAST_CUT: Final = 5
"""Characters of a secret that say nothing, such as the beginning that all tokens have."""
_LONGEST: Final = 600
"""Characters of a line of an error; every name in it is short already, but there may be many."""
_BOLD_RED: Final = "\x1b[1;31m"
_BOLD_CYAN: Final = "\x1b[1;36m"
_PLAIN: Final = "\x1b[0m"


_MARK: Final = "\x1b[1;30;43m"
_MARKS: Final = ("\ufdd0", "\ufdd1")  # no characters: what is shown has none of them
_SPLIT: Final = re.compile(f"([{''.join(_MARKS)}])")


def marked(pieces: Iterable[tuple[str, bool]]) -> str:
    """Pieces of a text in a result, some of which are to stand out: by colour, or between brackets."""
    begin, end = _MARKS
    bare = ((_SPLIT.sub("", text), inside) for text, inside in pieces)
    return "".join(f"{begin}{text}{end}" if inside else text for text, inside in bare)


class Terminal:
    """One command's output.

    Args:
        json_output: The result is one JSON object on stdout, and nothing else goes there.
        verbosity: -1 quiet, 0 normal, 1 with tracebacks.
        color: Colour may be used, if stderr is a terminal.
    """

    def __init__(
        self,
        *,
        json_output: bool = False,
        verbosity: int = 0,
        color: bool = True,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self.json_output = json_output
        self.verbosity = verbosity
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._color = color and self._err.isatty()
        self._color_out = color and self._out.isatty()
        self._secrets: tuple[str, ...] = ()
        self._hiding: Callable[[str], None] | None = None
        self._answered = False
        self._bars: RichProgress | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Never show these values."""
        new = dict.fromkeys(s for s in secrets if len(s) > 5 and s not in self._secrets)
        self._secrets = (*self._secrets, *new)
        if self._hiding:
            for secret in new:
                self._hiding(secret)

    def on_hide(self, hiding: Callable[[str], None]) -> None:
        """Let a runner know of every value that must not be shown from now on."""
        self._hiding = hiding

    # Results

    def result(self, text: str, data: object = None) -> None:
        """Print what the command was asked for: `data` as JSON where that was wanted, else `text`."""
        self._answered = True
        if self.json_output:
            # The old form of a workflow command counts wherever it stands; escaped, it is the same JSON.
            text = json.dumps(data, indent=2, ensure_ascii=True).replace("##[", "#\\u0023[")
        codes = dict(zip(_MARKS, (_MARK, _PLAIN) if self._color_out else ("⟦", "⟧"), strict=True))
        parts = _SPLIT.split(self._clean(text.rstrip("\n")))
        print("".join(codes.get(part) or harmless(part) for part in parts), file=self._out, flush=True)

    # Progress: the protocol of ramekin.progress

    def note(self, text: str) -> None:
        """Tell one line on stderr, unless asked to be quiet."""
        if self.verbosity >= 0:
            self._print(text)

    @contextmanager
    def bar(self, label: str, total: int, unit: Unit = "bytes") -> Iterator[Bar]:
        """A progress bar on stderr; on anything but a terminal a line when it starts, and nothing moves.

        Of tokens, whose speed one wants to know, a second line tells how many there were in a second.
        """
        if self.verbosity < 0 or total <= 0:
            yield _Still()
        elif not self._err.isatty():
            self._print(f"{label} ({_size(total) if unit == 'bytes' else f'{total:,} tokens'})")
            counted = _Counting()
            yield counted
            if unit == "tokens":
                self._print(f"{label}: {counted.speed:,.0f} tokens/s")
        else:
            with self._rich() as progress:
                text = harmless(self._clean(label)).replace("[", r"\[")
                task = progress.add_task(text, total=total, unit=unit)
                try:
                    yield _Moving(progress, task)
                finally:
                    progress.remove_task(task)

    @contextmanager
    def _rich(self) -> Iterator["RichProgress"]:
        """Where bars are; one within another is a line below it."""
        if self._bars:
            yield self._bars
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from ramekin.columns import AmountColumn, SpeedColumn

        console = Console(file=self._err, no_color=not self._color)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            AmountColumn(),
            SpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            self._bars = progress
            try:
                yield progress
            finally:
                self._bars = None

    # Errors

    def failure(self, error: BaseException) -> int:
        """Show an error, two lines for every problem, and return the exit code."""
        ours = as_ours(error)
        for problem in ours.problems[:_MOST_PROBLEMS]:
            self._problem(problem)
        if len(ours.problems) > _MOST_PROBLEMS:
            left = len(ours.problems) - _MOST_PROBLEMS
            self._problem(Problem(f"and {left:,} more problems", "--json lists all of them"))
        self.traceback(error)
        if self.json_output and not self._answered:
            self.result("", {"error": ours.to_data()})
        return ours.exit_code

    def traceback(self, error: BaseException) -> None:
        """Show where an error came from, if asked to tell more."""
        if self.verbosity > 0:
            self._print("".join(traceback.format_exception(error)).rstrip())

    def usage(self, message: str, command: str) -> int:
        """Show what is wrong with a command line, and return the exit code for that."""
        return self.failure(UsageError(message[:1].lower() + message[1:].rstrip("."), f"see `{command} --help`"))

    def _problem(self, problem: Problem) -> None:
        self._print(printable(problem.place + problem.what, _LONGEST), "error:", _BOLD_RED)
        self._print(printable(problem.hint, _LONGEST), " hint:", _BOLD_CYAN)

    def _print(self, text: str, label: str = "", color: str = "") -> None:
        text = harmless(self._clean(text))
        if label:
            text = f"{color}{label}{_PLAIN} {text}" if self._color else f"{label} {text}"
        with contextlib.suppress(BrokenPipeError):
            # In one piece: several threads may have something to tell.
            print(f"{text}\n", end="", file=self._err, flush=True)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
            for cut in (CUT, _CUT_IN_JSON):  # a message may have been shortened in the middle of one
                lengths = range(len(secret) - 1, _LEAST_CUT, -1) if cut in text else ()
                for length in lengths:
                    text = text.replace(secret[:length] + cut, "***" + cut).replace(cut + secret[-length:], cut + "***")
        return masked(text)


class _Still:
    """A bar that is not drawn."""

    def advance(self, amount: int) -> None:
        """Nothing moves."""


class _Counting:
    """A bar that is not drawn, and counts."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._count = 0

    def advance(self, amount: int) -> None:
        """Count."""
        self._count += amount

    @property
    def speed(self) -> float:
        """How many in a second."""
        return self._count / max(time.monotonic() - self._begun, 1e-9)


class _Moving:
    """A bar on a terminal."""

    def __init__(self, progress: "RichProgress", task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: int) -> None:
        """Move on by `amount`."""
        self._progress.advance(self._task, amount)


def as_ours(error: BaseException) -> RamekinError:
    """An error as one of our own: what is none is a defect, or a lack of memory."""
    if isinstance(error, RamekinError):
        return error
    if _lacks_memory(error):
        return ResourceError("there is not enough memory", "raise the limit, or use a larger machine")
    kind = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return InternalError(f"a defect of ramekin: {kind}", "run again with --verbose and report it, please")


def _lacks_memory(error: BaseException) -> bool:
    match error:
        case MemoryError():
            return True
        case OSError():
            return error.errno == errno.ENOMEM
        case ImportError():  # in the words of the dynamic linker
            return "failed to map segment" in str(error) or "cannot allocate memory" in str(error).lower()
    return False


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

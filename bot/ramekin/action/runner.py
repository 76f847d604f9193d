"""What a runner of workflows understands: groups, annotations, masks, outputs and the step's summary."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TextIO

from ramekin.action.cutting import cut_to
from ramekin.errors import Problem
from ramekin.text import masked, printable

Level = Literal["error", "warning", "notice"]

_LARGEST_SUMMARY: Final = 1_000_000
"""Bytes of a summary; a runner refuses one of more than a mebibyte, and shows none of it."""
_LONGEST: Final = 1_000


class Runner:
    """The runner that this step belongs to.

    Values are escaped: none of them can end a command, begin another, or name another property.

    Args:
        stream: Where commands are written to.
        workspace: What paths in annotations are relative to.
        output: File for outputs; None to drop them.
        summary: File for the summary; likewise.
    """

    def __init__(
        self, stream: TextIO, workspace: Path, output: Path | None = None, summary: Path | None = None
    ) -> None:
        self._stream = stream
        self._workspace = workspace
        self._output = output
        self._summary = summary
        self._secrets: tuple[str, ...] = ()

    def mask(self, value: str) -> None:
        """Never show this value in the log, nor in anything else that is told here."""
        for line in value.splitlines():
            if line.strip():
                self._secrets = (*self._secrets, line)
                self._command("add-mask", line)

    def cleaned(self, text: str) -> str:
        """A text without values that must not show, and without what looks like a token; before it is escaped."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return masked(text)

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Fold what is printed meanwhile."""
        self._command("group", self._line(title, 200))
        try:
            yield
        finally:
            self._command("endgroup", "")

    def annotate(self, level: Level, problem: Problem, title: str = "ramekin") -> None:
        """Show a problem on the line of the file that it is in."""
        properties = {"title": self._line(title, 100)}
        path = self._relative(problem.path) if problem.path else None
        if path:
            properties |= {"file": path} | ({"line": str(problem.line)} if problem.line else {})
        text = f"{self._line(problem.what, _LONGEST)}. {self._line(problem.hint, _LONGEST)}".rstrip(". ")
        self._command(level, text, properties)

    def notice(self, what: str) -> None:
        """Tell what should be known, of no file in particular."""
        self.annotate("notice", Problem(what, ""))

    def outputs(self, values: Mapping[str, str]) -> None:
        """Set outputs of the step; each stands between delimiters that nobody can guess."""
        if self._output is None:
            return
        with self._output.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
            for name, value in values.items():
                delimiter = f"ramekin-{secrets.token_hex(16)}"
                file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def summarize(self, markdown: str) -> None:
        """Add to the step's summary; what does not fit any more is left out, and that is said."""
        if self._summary is None:
            return
        taken = 0
        with suppress(FileNotFoundError):
            taken = self._summary.stat().st_size
        left, whole = _LARGEST_SUMMARY - taken - 100, self.cleaned(markdown)
        if len(whole.encode(errors="replace")) > left:
            whole = cut_to(whole, max(left, 0)) + "\n… cut: a summary holds no more.\n"
        with self._summary.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(whole + "\n")

    def _relative(self, path: Path) -> str | None:
        try:
            return (self._workspace / path).resolve().relative_to(self._workspace.resolve()).as_posix()
        except (ValueError, OSError, RuntimeError):  # the last for links that go round in a circle
            return None

    def _line(self, text: str, limit: int) -> str:
        """What a stranger may have written, on one line; the older form of a command counts anywhere in it."""
        return printable(self.cleaned(text), limit).replace("##[", "## [")

    def _command(self, name: str, text: str, properties: Mapping[str, str] | None = None) -> None:
        joined = ",".join(f"{key}={_property(value)}" for key, value in (properties or {}).items())
        self._stream.write(f"::{name}{' ' if joined else ''}{joined}::{_data(text)}\n")
        self._stream.flush()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

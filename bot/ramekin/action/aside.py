"""What libraries print beside us, in a step's log: what strangers have named is in it, and no command."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Final, TextIO

from ramekin.text import harmless

_LONGEST: Final = 10_000
"""Characters of a line that are waited for."""


class Aside(io.TextIOBase):
    """Takes text in whatever pieces, and passes on whole lines that the runner obeys in nothing.

    Args:
        stream: The step's log.
        cleaned: Takes out of a text what must not show.
    """

    def __init__(self, stream: TextIO, cleaned: Callable[[str], str]) -> None:
        self._stream = stream
        self._cleaned = cleaned
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the log."""
        return self._stream.encoding

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Pass on the lines that are whole by now; the beginning of one waits for its end."""
        # For the runner a carriage return ends a line too.
        *lines, self._begun = (self._begun + text.replace("\r", "\n")).split("\n")
        if len(self._begun) > _LONGEST:
            lines, self._begun = [*lines, self._begun], ""
        for line in filter(None, lines):
            self._tell(line)
        return len(text)

    def finish(self) -> None:
        """Pass on what has no end of its own."""
        self.write("\n")

    def _tell(self, line: str) -> None:
        self._stream.write(harmless(self._cleaned(line)) + "\n")
        self._stream.flush()


@contextmanager
def aside(stream: TextIO, cleaned: Callable[[str], str]) -> Iterator[None]:
    """Whatever is printed in the block, but for what is written to the stream itself, cannot be taken for a command."""
    out, err = Aside(stream, cleaned), Aside(stream, cleaned)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        for each in (out, err):
            each.finish()

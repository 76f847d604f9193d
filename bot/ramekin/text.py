"""Text that came from a file or a source, made safe to show inside a message."""

import re
from typing import Final

CUT: Final = "…"
"""Stands where a text was shortened."""

# A runner of workflows takes `::name` at the start of a line for a command, and the older `##[name]` anywhere in it.
_COMMAND: Final = re.compile(r"^([^\S\n]*)::", re.MULTILINE)
_OLD_COMMAND: Final = "##["
# Tokens of the Hub and of GitHub, and ID tokens: two or three parts of base64 with dots between.
_TOKENS: Final = re.compile(
    r"(hf_[A-Za-z0-9]{30,}|hf_(?:jwt|oauth)_[\w.-]{6,}|gh[oprsu]_[\w.-]{30,}|eyJ[\w-]{6,}\.[\w.-]{2,})",
    re.ASCII,
)


def printable(text: object, limit: int = 80) -> str:
    r"""Return `text` on one line, escaped where it is not printable and shortened to `limit` characters.

    Whatever a manifest, a file name or a server's answer contains, the result has no newline, no escape sequence of a
    terminal, no character that changes the direction of writing and no lone surrogate: all of them are shown as
    Python would write them (`\n`, `\x1b`, `\u202e`). The ends of a long text are kept, since what tells two long
    names apart is often at the end.

    Args:
        text: What to show; anything but a text is shown by its `str`.
        limit: Characters that the result has at most.
    """
    whole = text if isinstance(text, str) else str(text)
    if len(whole) <= limit:
        shown = _escaped(whole)
        if len(shown) <= limit:
            return shown
    head = limit * 2 // 3
    tail = max(limit - head - len(CUT), 0)
    # Cut before escaping, so that the work is bounded, and again after, since escapes are longer.
    start, end = _escaped(whole[:head])[:head], _escaped(whole[-tail:] if tail else "")
    return start + CUT + (end[-tail:] if tail else "")


def harmless(text: str) -> str:
    """Return text of several lines with everything escaped that does not print, and nothing a runner would obey.

    It is the last check of what goes to a terminal or a log. Whoever puts a stranger's words into a message uses
    `printable`, which also keeps them short and on their line.
    """
    shown = text if text.isprintable() else "\n".join(map(_escaped, text.split("\n")))
    return _COMMAND.sub(r"\1: :", shown.replace(_OLD_COMMAND, "## ["))


def masked(text: str) -> str:
    """Return text with `***` for everything in it that looks like a token, known to us or not.

    To be applied to what a server said before it is shortened: half a token would not be known any more.
    """
    return _TOKENS.sub("***", text)


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

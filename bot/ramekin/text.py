"""Text that came from a file or a source, made safe to show inside a message."""

from typing import Final

_ELLIPSIS: Final = "…"


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
    tail = max(limit - head - len(_ELLIPSIS), 0)
    # Cut before escaping, so that the work is bounded, and again after, since escapes are longer.
    start, end = _escaped(whole[:head])[:head], _escaped(whole[-tail:] if tail else "")
    return start + _ELLIPSIS + (end[-tail:] if tail else "")


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

"""What the bot remembers in texts on GitHub: JSON in a line that no page shows, `<!-- ramekin:KIND {…} -->`.

A mark is to be believed only where it could not be put there by somebody else. So it counts only in a text whose author
we are ourselves, which whoever asks makes sure of, and only at its very beginning, before anything that repeats what a
stranger has written. No value can end the comment early: `-`, `<` and `>` are written as escapes.
"""

import json
import re
from typing import Any, Final

from ramekin.errors import InternalError

LONGEST: Final = 20_000
"""Characters of a mark; what GitHub takes as a body is three times as much."""
MOST: Final = 8
"""Marks at the beginning of a text."""

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPES: Final = str.maketrans({character: f"\\u{ord(character):04x}" for character in "-<>"})
_KIND: Final = re.compile(r"[a-z]{1,20}")
_LINE: Final = re.compile(r"<!-- ramekin:([a-z]{1,20}) (\{[^\r\n<>]*\}) -->[^\S\n]*\r?(?:\n|\Z)")


def mark(kind: str, data: dict[str, Any]) -> str:
    """A mark, for the beginning of a text; it ends with a line break.

    Raises:
        InternalError: There is too much to remember.
    """
    line = f"<!-- ramekin:{kind} {_json(data)} -->\n"
    if not _KIND.fullmatch(kind) or len(line) > LONGEST:
        raise InternalError(f"a mark `{kind}` of {len(line):,} characters", "report it, please")
    return line


def marks(kind: str, text: str) -> tuple[dict[str, Any], ...]:
    """The marks of one kind at the beginning of a text of ours. What is malformed is not there."""
    found = []
    place = 0
    for _ in range(MOST):
        line = _LINE.match(text, place, place + LONGEST + 2)
        if line is None:
            break
        place = line.end()
        if line[1] == kind and (data := _read(line[2])) is not None:
            found.append(data)
    return tuple(found)


def unmarked(text: str) -> str:
    """A text without the marks at its beginning."""
    for _ in range(MOST):
        line = _LINE.match(text, 0, LONGEST + 2)
        if line is None:
            break
        text = text[line.end() :]
    return text


def written(text: str) -> int:
    """Characters that a text takes in a mark."""
    return len(_json(text)) - 2


def _json(data: object) -> str:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    # Outside of strings `-` is the sign of a number, and never doubled.
    return _STRING.sub(lambda found: found[0].translate(_ESCAPES), text)


def _read(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _refuse(name: str) -> None:
    raise ValueError(name)

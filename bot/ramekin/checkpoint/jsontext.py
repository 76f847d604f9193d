"""JSON that a stranger wrote: bounded before it is parsed, one meaning only."""

import json
from typing import Any, Final

from ramekin.errors import DamagedError
from ramekin.text import printable

MAX_PARTS: Final = 8_000_000
"""Enough for the tokenizers with the largest vocabularies."""

_MAX_DEPTH: Final = 64

HINT: Final = "pin another revision of this source, or ask its author to upload the file again"
"""What to do about a file that is not what its format says."""


def parse_object(data: bytes, label: str, *, constants: bool = False, most_parts: int = MAX_PARTS) -> dict[str, Any]:
    """Parse one JSON object, all of whose objects have distinct keys.

    Args:
        data: The whole text, in UTF-8.
        label: The file as messages name it.
        most_parts: Most commas and opening brackets; what the values cost in memory is decided by these.
        constants: Take `NaN` and `Infinity`, which Python writes into some configs.

    Raises:
        DamagedError: It is too large, is not JSON, or is not an object.
    """
    parts = data.count(b",") + data.count(b"[") + data.count(b"{")
    if parts > most_parts:
        raise DamagedError(f"{label} has {parts:,} parts, more than the {most_parts:,} that are read", HINT)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_constant=float if constants else _no_constant,
        )
    except RecursionError as error:
        raise DamagedError(f"{label} is nested too deeply to be read", HINT) from error
    except UnicodeDecodeError as error:
        raise DamagedError(f"{label} is not UTF-8 text at byte {error.start}", HINT) from error
    except ValueError as error:
        raise DamagedError(f"{label} is not valid JSON: {printable(str(error), 200)}", HINT) from error
    if not isinstance(value, dict):
        raise DamagedError(f"{label} is not a JSON object", HINT)
    if _is_deep(value):
        raise DamagedError(f"{label} is nested more than {_MAX_DEPTH} levels deep", HINT)
    return value


def _is_deep(value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"key `{printable(key, 100)}` occurs twice")
            seen.add(key)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")

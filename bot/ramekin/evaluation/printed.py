"""What a program of the user's has printed: scores, as one JSON object."""

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from ramekin.evaluation.measurements import Found, Measurement
from ramekin.manifest.parts import CONTROL
from ramekin.text import printable

_MOST_TASKS: Final = 256
_MOST_TRIES: Final = 100
_LONGEST: Final = 200
_DEFAULT_METRIC: Final = "score"


class PrintedError(Exception):
    """It is not what was asked for; the text says why, as the end of a sentence about the program."""


def read_scores(out: bytes, date: str) -> dict[str, Measurement]:
    """Read the last JSON object of a program's output.

    Its keys are tasks, its values scores: numbers, or objects with a `value` and what else is known.

    Args:
        out: What was printed, or the end of it.
        date: The day.

    Raises:
        PrintedError: There is none, or it is something else.
    """
    content = _last_object(out.decode("utf-8", "replace").strip())
    if not content:
        raise PrintedError("printed an object without any task")
    if len(content) > _MOST_TASKS:
        raise PrintedError(f"printed more than {_MOST_TASKS} tasks")
    return {_checked(name): Measurement(found=(_found(name, value),), date=date) for name, value in content.items()}


def _last_object(text: str) -> dict[str, Any]:
    """The last object that begins where a line begins."""
    decoder = json.JSONDecoder(parse_constant=_not_finite, object_pairs_hook=_once_each)
    for place in _beginnings(text):
        try:
            found, end = decoder.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError):
            continue
        if not text[end:].partition("\n")[0].strip():
            return dict(found)
    raise PrintedError(f"printed no JSON object, but `{printable(text, 100)}`" if text else "printed nothing")


def _beginnings(text: str) -> Iterator[int]:
    """Places of braces at the beginning of a line, the last ones first."""
    place = len(text)
    for _ in range(_MOST_TRIES):
        place = text.rfind("\n{", 0, place)
        if place < 0:
            break
        yield place + 1
    if text.startswith("{"):
        yield 0


def _not_finite(word: str) -> NoReturn:
    raise PrintedError(f"printed {word}, which is no score")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PrintedError(f"printed `{printable(twice)}` twice")
    return found


def _checked(name: str) -> str:
    if not name or len(name) > _LONGEST or CONTROL.search(name):
        raise PrintedError(f"printed `{printable(name)}`, which is no name of a task")
    return name


def _found(task: str, value: object) -> Found:
    """A score: a number, or an object that says more about it."""
    content = value if isinstance(value, dict) else {"value": value}
    try:
        found = Found.model_validate({"metric": _DEFAULT_METRIC} | content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"`{printable('.'.join((task, *map(str, first['loc']))), 120)}`"
        kind = "is not a known key" if first["type"] == "extra_forbidden" else f"is refused: {first['msg']}"
        raise PrintedError(f"printed a score of which {where} {kind}") from error
    _checked(found.metric)
    return found

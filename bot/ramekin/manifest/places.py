"""Places in a manifest: from the validator's location to what stands there, and which keys are allowed there."""

from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ramekin.manifest.benchmarks import Benchmark, Role
from ramekin.manifest.document import Document, join
from ramekin.manifest.evaluation import Evaluation, Gate, Task, TaskResults
from ramekin.manifest.model import CardTexts, Manifest, Output, Source
from ramekin.methods import METHODS, Method, method_names
from ramekin.methods.base import WEIGHT_FORMS
from ramekin.methods.choices import REPAIR_FORMS
from ramekin.text import printable


@dataclass(frozen=True)
class Place:
    """Where in the document an error is.

    Attributes:
        keys: Keys that lead to it, as far as the document goes.
        missing: The key that should be there too and is not.
        value: What stands at `keys`.
    """

    keys: tuple[str, ...]
    missing: str | None
    value: object

    @property
    def path(self) -> str:
        """Dotted path of what stands in the document."""
        return ".".join(self.keys)

    @property
    def named(self) -> str:
        """Dotted path of what is wanted, safe to show."""
        return printable(join(self.path, self.missing) if self.missing else self.path)


def locate(data: object, loc: tuple[int | str, ...]) -> Place:
    """Follow an error's location as far as the document goes.

    The validator's locations also have parts that are no keys: the chosen method, the form of a weight, `[key]`, and
    the parts of what was written as one text.
    """
    if loc[:1] == ("method",):
        loc = tuple(part for number, part in enumerate(loc) if not number or not _is_a_form(loc, number))
    keys: list[str] = []
    for part in loc:
        if isinstance(data, dict) and isinstance(part, str):
            if part not in data:
                return Place(tuple(keys), part, None)
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            break
        keys.append(str(part))
    return Place(tuple(keys), None, data)


def _is_a_form(loc: tuple[int | str, ...], number: int) -> bool:
    """Whether a part of a method's location says which of several forms was tried."""
    part, before = loc[number], loc[number - 1]
    chosen = number == 1 or (isinstance(before, int) and loc[number - 2] == "pool")
    weight = before == "weight" and part in WEIGHT_FORMS
    repair = before == "repair" and part in REPAIR_FORMS
    return (chosen and part in method_names()) or weight or repair


def part_at(keys: tuple[str, ...], data: object) -> type[BaseModel] | None:  # noqa: PLR0911 - one for each kind
    """The model of the mapping at `keys`, if there is one; for `method` that of the method it names."""
    match keys:
        case ():
            return Manifest
        case ("base",) | ("experts", _):
            return Source
        case ("output",):
            return Output
        case ("card",):
            return CardTexts
        case ("method",):
            return method_named(data)
        case ("method", "pool", number):
            return _entry(data, int(number))
        case ("benchmarks", _):
            return Benchmark
        case ("benchmarks", _, "role"):
            return Role
        case ("evaluate" | "gate", *_):
            return _measured(keys)
    return None


def _measured(keys: tuple[str, ...]) -> type[BaseModel] | None:
    """The same for what is measured, and what it must reach."""
    match keys:
        case ("evaluate",):
            return Evaluation
        case ("evaluate", "tasks", _):
            return Task
        case ("evaluate", "tasks", _, "results"):
            return TaskResults
        case ("gate",):
            return Gate
    return None


def keys_of(part: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a mapping, as they are written."""
    return {info.alias or name: info for name, info in part.model_fields.items()}


def method_named(data: object) -> type[Method] | None:
    """The class of the method that the manifest's data names."""
    method = data.get("method") if isinstance(data, dict) else None
    return _called(method)


def _entry(data: object, number: int) -> type[Method] | None:
    """The class of an entry of the method's pool."""
    method = data.get("method") if isinstance(data, dict) else None
    pool = method.get("pool") if isinstance(method, dict) else None
    if not isinstance(pool, list) or number >= len(pool):
        return None
    return _called({"name": pool[number]} if isinstance(pool[number], str) else pool[number])


def _called(method: object) -> type[Method] | None:
    name = method.get("name") if isinstance(method, dict) else None
    return next((each for each in METHODS if each.title() == name), None)


def line_of(document: Document, place: Place) -> int:
    """Line of the place; where a key is missing, that of the key above it."""
    for depth in range(len(place.keys), -1, -1):
        line = document.lines.get(".".join(place.keys[:depth]))
        if line is not None:
            return line
    return 1

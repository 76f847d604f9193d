"""Places in a manifest: from the validator's location to what stands there, and which keys are allowed there."""

from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ramekin.manifest.document import Document, join
from ramekin.manifest.model import CardTexts, Manifest, Output, Source
from ramekin.methods import METHODS, Method, method_names
from ramekin.methods.base import WEIGHT_FORMS
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
    the parts of a source that was written as one text.
    """
    if loc[:1] == ("method",) and loc[1:2] and loc[1] in method_names():
        loc = ("method", *loc[2:])
        if loc[2:3] and loc[2] in WEIGHT_FORMS:
            loc = (*loc[:2], *loc[3:])
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


def part_at(keys: tuple[str, ...], data: object) -> type[BaseModel] | None:
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
    return None


def keys_of(part: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a mapping, as they are written."""
    return {info.alias or name: info for name, info in part.model_fields.items()}


def method_named(data: object) -> type[Method] | None:
    """The class of the method that the manifest's data names."""
    method = data.get("method") if isinstance(data, dict) else None
    name = method.get("name") if isinstance(method, dict) else None
    return next((each for each in METHODS if each.title() == name), None)


def line_of(document: Document, place: Place) -> int:
    """Line of the place; where a key is missing, that of the key above it."""
    for depth in range(len(place.keys), -1, -1):
        line = document.lines.get(".".join(place.keys[:depth]))
        if line is not None:
            return line
    return 1

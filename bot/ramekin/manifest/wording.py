"""What the validator found wrong, in the words of someone who writes a manifest.

Each error becomes a `Flaw`: the dotted key and what is wrong with it, what to write instead, and the line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import ErrorDetails

from ramekin.manifest.benchmarks import Role
from ramekin.manifest.document import Document, join
from ramekin.manifest.evaluation import Task
from ramekin.manifest.model import Source
from ramekin.manifest.nodes import Flaw
from ramekin.manifest.places import Place, keys_of, line_of, locate, part_at
from ramekin.manifest.suggestions import listed, near
from ramekin.methods import METHODS, Choosing, Method, method_names
from ramekin.text import printable

_POOLED: Final = [each.title() for each in METHODS if not issubclass(each, Choosing)]
_SEE: Final = "docs/manifest.md describes every key"
_TEXT: Final = "a text"
_WANTED: Final = {
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


_EXAMPLES: Final[Mapping[tuple[str, ...], str]] = {
    (): "write `version`, `base`, `experts`, `method` and `output`, as `ramekin init` does",
    ("experts",): "write `name: org/name` below it, one line for each expert",
    ("method",): "write `name: ram+` below it, or another method that `ramekin methods` lists",
    ("method", "name"): f"write one of {', '.join(f'`{name}`' for name in method_names())}",
    ("output",): "write `repo: namespace/name` below it",
    ("card",): "write its keys below it, or remove it",
    ("benchmarks",): "write a name below it, and `expert`, `role` and `calibration` below that",
    ("evaluate",): "write `tasks: [gsm8k]` below it, or a `command`",
    ("gate",): "write for example `of_expert: 0.95` below it, or leave it out",
}
_NAMED: Final = {"experts": "expert", "benchmarks": "benchmark"}


@dataclass(frozen=True)
class _Fault:
    """One of the validator's errors, with what is needed to word it."""

    kind: str
    message: str
    context: Mapping[str, Any]
    place: Place
    document: Document

    @property
    def value(self) -> object:
        """What stands in the document."""
        return self.place.value

    @property
    def named(self) -> str:
        """The dotted key."""
        return f"`{self.place.named}`" if self.place.named else "the manifest"

    @property
    def subject(self) -> str:
        """The dotted key with the value, where that is a text or a number."""
        if self.place.missing or isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            return self.named
        return f"`{self.place.named}: {self.written(60)}`"

    def written(self, limit: int = 60) -> str:
        """The scalar as it is written, or else the value, safe to show."""
        return printable(self.document.written.get(self.place.path, self.value), limit)


def flaw_of(error: ErrorDetails, document: Document) -> Flaw:
    """Word one of the validator's errors."""
    loc = error["loc"]
    if error["type"].startswith("union_tag"):
        loc = (*loc, "name")
    elif loc[:1] in {(key,) for key in _NAMED} and len(loc) == 3 and loc[2] == "[key]":
        loc = loc[:2]
    place = locate(document.data, loc)
    fault = _Fault(error["type"], error["msg"], error.get("ctx", {}), place, document)
    what, hint = _WORDING.get(fault.kind, _otherwise)(fault)
    return Flaw(what, hint, line_of(document, place), join(place.path, place.missing or ""))


def _otherwise(fault: _Fault) -> tuple[str, str]:
    # A kind of error that no field of the model gives today; its text is the validator's own.
    return f"{fault.subject} is refused: {printable(fault.message)}", _SEE


def _by_the_model(fault: _Fault) -> tuple[str, str]:
    return f"{fault.subject} {fault.message}", str(fault.context["hint"])


def _example(place: Place, data: object) -> str:  # noqa: PLR0911 - one for each kind
    """A line to write, such as ``write for example `alpha: 2.0` ``."""
    keys = (*place.keys, place.missing) if place.missing else place.keys
    if part_at(keys, data) is Source:
        return "write `org/name`, `org/name@revision` or `./directory`"
    if keys in _EXAMPLES:
        return _EXAMPLES[keys]
    if keys[:2] == ("method", "pool") and (len(keys) == 3 or keys[-1] == "name"):
        return f"write the name of a method, such as {listed(_POOLED[:3])}"
    if part_at(keys, data) is Task:
        return "write the name of a task, such as `gsm8k`"
    if keys[:1] == ("benchmarks",) and len(keys) == 2:
        return "write `expert`, `role` and `calibration` below it"
    if len(keys) > 2 and (keys[0] == "method" or keys[2:-1] == ("scores",) or keys[:2] == ("gate", "least")):
        return f"write for example `{printable(keys[-1], 64)}: 1.0`"
    part = part_at(keys[:-1], data)
    info = keys_of(part).get(keys[-1]) if part else None
    if info is None:
        return _SEE
    return f"write for example `{keys[-1]}: {_yaml((info.examples or [info.default])[0])}`"


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    return str(value)


def _wrong_type(fault: _Fault) -> tuple[str, str]:
    keys, value = fault.place.keys, fault.value
    key = printable(keys[-1], 64) if keys else ""  # the file's own word, where it names an expert or a benchmark
    wanted = _WANTED[fault.kind]
    if part_at(keys, fault.document.data) is Source:
        wanted = "a source"
    elif part_at(keys, fault.document.data) is Role:
        wanted = "a role"
    elif part_at(keys, fault.document.data) is Task:
        wanted = "a task"
    elif _is_entry(keys):
        wanted = "a method"
    elif key == "shard_size":
        wanted = "a size"
    hint = _example(fault.place, fault.document.data)
    if fault.kind == "string_unicode":
        return f"{fault.named} has an escape that is no character", hint
    if wanted == _TEXT and isinstance(value, bool | int | float) and key not in {"repo", "path"}:
        hint = f'if that is what you mean, put it in quotes: `"{fault.written()}"`'
    elif wanted in {"a number", "a whole number"} and isinstance(value, str) and _number(value):
        hint = f"write it without quotes: `{key}: {fault.written()}`"
    elif wanted == "true or false":
        hint = f"write `{key}: true` or `{key}: false`"
    return f"{fault.named} is {_found(value, fault.written())} where {wanted} is wanted", hint


def _is_entry(keys: Sequence[str]) -> bool:
    """Whether they lead to an entry of a pool."""
    return len(keys) == 3 and (*keys[:2],) == ("method", "pool")


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _found(value: object, written: str) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"`{written}`"
        case int() | float():
            return f"the number {written}"
        case str():
            return f"the text `{written}`"
        case list():
            return "a list"
    return "a mapping"


def _unknown_key(fault: _Fault) -> tuple[str, str]:
    *above, key = fault.place.keys
    part = part_at(tuple(above), fault.document.data)
    keys = keys_of(part) if part else {}
    what = f"{fault.named} is not a known key"
    if part is not None and issubclass(part, Method):
        what = f"{fault.named} is not a parameter of `{part.title()}`"
        possible = _POOLED if _is_entry(above) else method_names()
        owners = [each.title() for each in METHODS if key in keys_of(each) and each.title() in possible]
        if owners:
            owned = f"remove it, or set `{'.'.join(above)}.name` to a method that has it: {listed(owners)}"
            return what, f"{owned}; the keys here are {listed(keys)}"
    guess = near(key, keys)
    return what, f"did you mean `{guess}`?" if guess else f"the keys here are {listed(keys)}"


def _available(names: Sequence[str] | None = None) -> str:
    return f"the methods here are {listed(names or method_names())}"


def _unknown_method(fault: _Fault) -> tuple[str, str]:
    name = fault.value
    if fault.place.keys[:2] == ("method", "pool"):
        guess = near(str(name), _POOLED) if name not in method_names() else None
        hint = f"did you mean `{guess}`? {_available(_POOLED)}" if guess else _available(_POOLED)
        return f"{fault.subject} is no method that a pool can have", hint
    if not isinstance(name, str):
        return f"{fault.named} is {_found(name, fault.written())} where {_TEXT} is wanted", _available()
    guess = near(name, method_names())
    hint = f"did you mean `{guess}`? {_available()}" if guess else _available()
    return f"{fault.subject} is not a method", hint


def _missing(fault: _Fault) -> tuple[str, str]:
    part = part_at(fault.place.keys, fault.document.data)
    if isinstance(fault.value, str) and part is not None:
        needed = {key: info.examples[0] for key, info in keys_of(part).items() if info.is_required() and info.examples}
        hint = f"write it as a mapping, such as `{_yaml({'name': fault.value} | needed)}`"
        return f"{fault.subject} lacks {listed(needed)}", hint
    return f"{fault.named} is missing", _example(fault.place, fault.document.data)


def _choice(fault: _Fault) -> tuple[str, str]:
    value = fault.value
    if fault.place.keys == ("version",):
        if isinstance(value, int) and value > 1:
            upgrade = "upgrade ramekin with `pip install --upgrade ramekin`, or write `version: 1`"
            return f"{fault.subject} is newer than this ramekin, which reads version 1", upgrade
        return f"{fault.named} is {_found(value, fault.written())}, not a version", "write `version: 1`, without quotes"
    names = [name.strip(" '") for name in str(fault.context["expected"]).replace(" or ", ",").split(",")]
    guess = near(value, names) if isinstance(value, str) else None
    hint = f"did you mean `{guess}`? " if guess else ""
    what = f"{fault.named} is {_found(value, fault.written())}, which is not among its values"
    if value in names and isinstance(value, str):  # a number of which a text was made
        return what, f"write `{value}` without quotes"
    more = ", or a list of benchmarks" if fault.place.keys == ("method", "repair") else ""
    return what, f"{hint}write one of {listed(names)}{more}"


def _out_of_range(fault: _Fault) -> tuple[str, str]:
    words = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))
    bound = " and ".join(f"{word} {fault.context[key]:g}" for key, word in words if key in fault.context)
    hint = _example(fault.place, fault.document.data)
    return f"{fault.subject} is out of range: it must be {bound}", hint


def _not_finite(fault: _Fault) -> tuple[str, str]:
    return f"{fault.subject} is not a finite number", _example(fault.place, fault.document.data)


def _too_long(fault: _Fault) -> tuple[str, str]:
    limit, keys = fault.context["max_length"], fault.place.keys
    if fault.kind == "too_long":
        return f"{fault.named} has more than {limit} entries", f"keep at most {limit}"
    if len(keys) == 2 and keys[0] in _NAMED:
        what = f"the {_NAMED[keys[0]]} name `{printable(keys[1], 40)}` is too long"
        return what, f"write at most {limit} characters"
    return f"{fault.named} has more than {limit} characters", f"write at most {limit} characters"


def _too_short(fault: _Fault) -> tuple[str, str]:
    return f"{fault.named} is empty", _example(fault.place, fault.document.data)


def _bad_name(fault: _Fault) -> tuple[str, str]:
    kind, name = _NAMED.get(fault.place.keys[0], ""), fault.place.keys[-1]
    tidy = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name[:64].lower()).split())
    example = f", such as `{tidy}`" if tidy else ""
    hint = f"use lower-case letters, digits, `-` and `_`, and start with a letter or digit{example}"
    return f"the {kind} name `{printable(name, 40)}` is not possible", hint


_WORDING: Final[Mapping[str, Callable[[_Fault], tuple[str, str]]]] = {
    **dict.fromkeys(_WANTED, _wrong_type),
    "manifest": _by_the_model,
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "literal_error": _choice,
    "union_tag_invalid": _unknown_method,
    "union_tag_not_found": _missing,
    "greater_than": _out_of_range,
    "greater_than_equal": _out_of_range,
    "less_than": _out_of_range,
    "less_than_equal": _out_of_range,
    "finite_number": _not_finite,
    "string_too_long": _too_long,
    "too_long": _too_long,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "string_pattern_mismatch": _bad_name,
}

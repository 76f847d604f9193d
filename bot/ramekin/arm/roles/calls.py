"""What an agent can do at a turn: the tools that it has, and what a shop's page offers to click."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Tools = Mapping[str, frozenset[str]]
"""The arguments that a tool must be given, by its name."""

_DECODER: Final = json.JSONDecoder()
_OFFER: Final = "Available Actions:"
_TEXT: Final = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_CLICKABLE: Final = re.compile(
    rf"""\s*\{{[^\[]*?["']clickables["']:\s*\[\s*((?:(?:{_TEXT})\s*(?:,\s*|(?=\])))*)\]""", re.DOTALL
)
_ELIDED: Final = "..."


@dataclass(frozen=True)
class Scene:
    """What a turn is said in.

    Attributes:
        tools: The agent's; None where that is not known.
        offered: What can be clicked, in small letters; None where that is not known.
    """

    tools: Tools | None = None
    offered: frozenset[str] | None = None


ANYWHERE: Final = Scene()


def decode(text: str, start: int) -> tuple[object, int] | None:
    """The JSON value that begins here, and where it ends; None if there is none."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):  # also for an integer of more digits than Python reads
        return None


def is_call(value: object, tools: Tools | None = None) -> bool:
    """Whether this names a function and gives it arguments by name.

    Where tools are known, it has to be one of them, and all that it must be given has to be there.
    """
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):  # some write the arguments as JSON within JSON
        decoded = decode(arguments, 0)
        arguments = decoded[0] if decoded else None
    if not isinstance(arguments, dict):
        return False
    return tools is None or (value["name"] in tools and tools[value["name"]] <= arguments.keys())


def tools_of(schemas: Sequence[object] | None) -> Tools | None:
    """The tools that schemas describe, as OpenAI's interface has them, or without its `function`.

    None where there are none, or one of them has no name: nobody knows then which calls are wrong.
    """
    found = {}
    for schema in schemas or ():
        tool = schema.get("function", schema) if isinstance(schema, Mapping) else None
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if not isinstance(tool, Mapping) or not isinstance(name, str):
            return None
        found[name] = _required(tool.get("parameters"))
    return found or None


def _required(parameters: Any) -> frozenset[str]:
    required = parameters.get("required") if isinstance(parameters, Mapping) else None
    return frozenset(each for each in required if isinstance(each, str)) if isinstance(required, list) else frozenset()


def offered_in(message: str) -> frozenset[str] | None:
    """What a page of WebShop offers to click, as AgentBench tells it: a dictionary as Python or JSON writes it."""
    at = message.rfind(_OFFER)
    listed = _CLICKABLE.match(message, at + len(_OFFER)) if at >= 0 else None
    if not listed:
        return None
    values = [_said(text[0]) for text in re.finditer(_TEXT, listed[1], re.DOTALL)]
    # Examples of how it is done leave out what there was.
    return None if _ELIDED in values else frozenset(value.lower() for value in values)


def _said(literal: str) -> str:
    decoded = decode(literal, 0) if literal[0] == '"' else None
    return str(decoded[0]) if decoded else re.sub(r"\\(.)", r"\1", literal[1:-1], flags=re.DOTALL)

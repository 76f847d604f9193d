"""The JSON Schema of a manifest, for editors and for `ramekin schema`.

It is derived from the model. What the model takes in short forms (a source as one text, a size, one language, a role or
a method of a pool by its name) is written here, because a validator in code leaves no trace in a derived schema.
"""

import json
from typing import Any, Final

from ramekin.arm.roles.parsers import PARSERS
from ramekin.manifest.benchmarks import MAX_BENCHMARKS
from ramekin.manifest.model import (
    LANGUAGE_PATTERN,
    MAX_EXPERTS,
    MAX_SIZE,
    SIZE_PATTERN,
    Manifest,
)
from ramekin.manifest.parts import NAME_PATTERN, REPO_PATTERN, REVISION_PATTERN
from ramekin.methods import METHODS

SCHEMA_ID: Final = "https://raw.githubusercontent.com/ramekin-bot/ramekin/main/docs/manifest.schema.json"

_SHORT_SOURCE: Final = {
    "type": "string",
    "description": "`org/name`, `org/name@revision`, or a local directory such as `./directory`",
    "minLength": 1,
    "maxLength": 1000,
    "pattern": rf"^([./~].*|{REPO_PATTERN}(@{REVISION_PATTERN})?)$",
    "examples": ["org/name", "org/name@main", "./directory"],
}


def manifest_schema() -> dict[str, Any]:
    """The schema as data: JSON Schema, draft 2020-12."""
    derived = _without_titles(Manifest.model_json_schema())
    parts = {name: _summarized(part) for name, part in sorted(derived.pop("$defs").items())}
    parts["Source"] = _source(parts["Source"])
    parts["Role"] = _role(parts["Role"])
    parts["Benchmark"]["oneOf"] = _both_or_neither("assistant_prefix", "assistant_suffix")
    parts["Output"]["properties"]["shard_size"] |= {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MAX_SIZE},
            {"type": "string", "pattern": f"^{SIZE_PATTERN}$"},
            {"type": "null"},
        ]
    }
    code = {"type": "string", "pattern": f"^{LANGUAGE_PATTERN}$"}
    languages = parts["CardTexts"]["properties"]["language"]
    many = {"type": "array", "items": code, "maxItems": 100}
    languages["anyOf"] = [code, many, {"type": "null"}]
    _close_methods(derived, parts)
    keys = derived["properties"]
    keys["card"].pop("default")
    keys["experts"] = _by_name(keys["experts"], "Source", most=MAX_EXPERTS) | {"minProperties": 1}
    keys["benchmarks"] = _by_name(keys["benchmarks"], "Benchmark", most=MAX_BENCHMARKS)
    _open_evaluation(keys, parts)
    derived |= _needs_benchmarks() | {"dependentRequired": {"gate": ["evaluate"]}}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, "title": "ramekin manifest"}
    return head | _summarized(derived) | {"$defs": parts}


def schema_text() -> str:
    """The schema as `docs/manifest.schema.json` and `ramekin schema` have it."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_titles(node: Any) -> Any:
    """Leave out the titles that repeat each key's name."""
    if isinstance(node, dict):
        return {
            key: {name: _without_titles(each) for name, each in value.items()}
            if key in {"properties", "$defs"}
            else _without_titles(value)
            for key, value in node.items()
            if key != "title"
        }
    return [*map(_without_titles, node)] if isinstance(node, list) else node


def _summarized(part: dict[str, Any]) -> dict[str, Any]:
    """Keep the first line of a class's docstring: the rest is for readers of the code."""
    text = part.get("description", "")
    return part | {"description": text.split("\n")[0]} if text else part


def _source(mapping: dict[str, Any]) -> dict[str, Any]:
    keys = mapping["properties"]
    hub = {"repo": keys["repo"] | {"anyOf": [{"type": "string"}]}, "revision": keys["revision"]}
    local = {"path": keys["path"] | {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 1000}]}}
    for form in (hub["repo"], local["path"]):
        form.pop("default", None)
    return {
        "description": mapping["description"],
        "anyOf": [
            _SHORT_SOURCE,
            {"type": "object", "properties": hub, "required": ["repo"], "additionalProperties": False},
            {"type": "object", "properties": local, "required": ["path"], "additionalProperties": False},
        ],
    }


def _by_name(derived: dict[str, Any], part: str, most: int) -> dict[str, Any]:
    """A mapping whose names are people's choice."""
    return {
        "type": "object",
        "description": derived["description"],
        "maxProperties": most,
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$", "maxLength": 64},
        "additionalProperties": {"$ref": f"#/$defs/{part}"},
    }


def _role(mapping: dict[str, Any]) -> dict[str, Any]:
    """A name, or a mapping in which one key is not null; tags are kept of one name alone."""
    keys = mapping["properties"]
    forms = [key for key in keys if key != "keep_tags"]
    names = {"type": "string", "enum": [*PARSERS]}
    keys["name"]["anyOf"] = [names, {"type": "null"}]
    one = [
        {
            "required": [each],
            "properties": {name: {"type": "string" if name == each else "null"} for name in forms}
            | {"keep_tags": {"const": False}},
        }
        for each in forms
    ]
    tagged = {"name": {"const": "officebench"}, "regex": {"type": "null"}, "json": {"type": "null"}}
    one.append({"required": ["name", "keep_tags"], "properties": tagged | {"keep_tags": {"const": True}}})
    return {"description": mapping.pop("description"), "anyOf": [names, mapping | {"oneOf": one}]}


def _both_or_neither(one: str, other: str) -> list[dict[str, Any]]:
    written, absent = ({key: {"type": kind} for key in (one, other)} for kind in ("string", "null"))
    return [{"required": [one, other], "properties": written}, {"properties": absent}]


def _needs_benchmarks() -> dict[str, Any]:
    """Methods that look at benchmarks need one."""
    names = [method.title() for method in METHODS if method.uses_benchmarks]
    method = {"required": ["name"], "properties": {"name": {"enum": names}}}
    return {
        "if": {"required": ["method"], "properties": {"method": method}},
        "then": {"required": ["benchmarks"], "properties": {"benchmarks": {"minProperties": 1}}},
    }


def _open_evaluation(keys: dict[str, Any], parts: dict[str, Any]) -> None:
    """Tasks by their names alone, one word instead of a list; and no part that says nothing."""
    for name, part in (("evaluate", "Evaluation"), ("gate", "Gate")):
        keys[name] = {"$ref": f"#/$defs/{part}", "description": keys[name]["description"]}
    task, inner = parts["Task"], parts["Evaluation"]["properties"]
    short = {key: value for key, value in task["properties"]["name"].items() if key != "description"}
    parts["Task"] = {"description": task.pop("description"), "anyOf": [short, task]}
    for key, more in (("models", {"uniqueItems": True}), ("reads", {})):
        form = inner[key]
        many = {"type": "array", "items": form.pop("items"), "maxItems": form.pop("maxItems")} | more
        form.pop("type")
        inner[key] = {"anyOf": [many["items"], many]} | form
    words = inner["command"]["anyOf"][0]["items"]
    inner["command"]["anyOf"][0] = {"type": "array", "items": words, "minItems": 1, "maxItems": 100}
    command = {"required": ["command"], "properties": {"command": {"type": "array"}}}
    parts["Evaluation"] |= {"if": {"properties": {"tasks": {"maxItems": 0}}}, "then": command}
    shares = [{"required": [key], "properties": {key: {"type": "number"}}} for key in ("of_expert", "of_base")]
    parts["Gate"] |= {"if": {"properties": {"least": {"maxProperties": 0}}}, "then": {"anyOf": shares}}


def _close_methods(derived: dict[str, Any], parts: dict[str, Any]) -> None:
    """The name decides which parameters there are, and has no default in a manifest."""
    method = derived["properties"]["method"]
    method.pop("discriminator", None)
    for choice in method["oneOf"]:
        part = parts[choice["$ref"].rpartition("/")[2]]
        part["properties"]["name"].pop("default", None)
        part["required"] = ["name", *part.get("required", ())]
        _open_choices(part["properties"])


def _open_choices(keys: dict[str, Any]) -> None:
    """What a method that chooses among candidates takes as one word, or as a list in which nothing is there twice."""
    if "pool" in keys:
        entry = keys["pool"]["items"]
        alone = [each.title() for each in METHODS if not any(info.is_required() for info in each.fields().values())]
        possible = entry["discriminator"]["mapping"]
        names = {"type": "string", "enum": [name for name in alone if name in possible]}
        keys["pool"] |= {"items": {"anyOf": [names, *entry["oneOf"]]}, "uniqueItems": True}
    if "select" in keys:
        one = keys["select"]["items"]
        many = {"type": "array", "items": one, "minItems": 1, "maxItems": len(one["enum"]), "uniqueItems": True}
        kept = {key: keys["select"][key] for key in ("default", "description", "examples")}
        keys["select"] = {"anyOf": [one, many]} | kept
    if "repair" in keys:
        keys["repair"]["oneOf"][1] |= {"minItems": 1, "uniqueItems": True}

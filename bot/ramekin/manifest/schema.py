"""The JSON Schema of a manifest, for editors and for `ramekin schema`.

It is derived from the model. What the model takes in short forms (a source as one text, a size, one language) is
written here, because a validator in code leaves no trace in a derived schema.
"""

import json
from typing import Any, Final

from ramekin.manifest.model import (
    LANGUAGE_PATTERN,
    MAX_EXPERTS,
    MAX_SIZE,
    NAME_PATTERN,
    REPO_PATTERN,
    REVISION_PATTERN,
    SIZE_PATTERN,
    Manifest,
)

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
    derived["properties"]["card"].pop("default")
    derived["properties"]["experts"] = {
        "type": "object",
        "description": derived["properties"]["experts"]["description"],
        "minProperties": 1,
        "maxProperties": MAX_EXPERTS,
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$", "maxLength": 64},
        "additionalProperties": {"$ref": "#/$defs/Source"},
    }
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


def _close_methods(derived: dict[str, Any], parts: dict[str, Any]) -> None:
    """The name decides which parameters there are, and has no default in a manifest."""
    method = derived["properties"]["method"]
    method.pop("discriminator", None)
    for choice in method["oneOf"]:
        part = parts[choice["$ref"].rpartition("/")[2]]
        part["properties"]["name"].pop("default", None)
        part["required"] = ["name", *part.get("required", ())]

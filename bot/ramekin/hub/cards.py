"""The card of a repository: its front matter, what the Hub concludes from it, and whether the Hub would take it."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_FRONT: Final = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)(?:^|\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_MOST_VALUES: Final = 20_000
_DEEPEST: Final = 64

_LICENSES: Final = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
open-mdw openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4
grok2-community gemma unknown other
"""
#: Licence ids that the Hub takes in front matter.
LICENSES: Final = frozenset(_LICENSES.split())


@dataclass(frozen=True)
class Card:
    """A card that was read.

    Attributes:
        data: The front matter; empty if there is none, or none that can be read.
        body: The text after it.
        problem: Why the front matter cannot be read, if so.
        fronted: Whether there is any.
    """

    data: Mapping[str, Any]
    body: str
    problem: str | None
    fronted: bool


@dataclass(frozen=True)
class Verdict:
    """What the Hub says about a card that is about to be committed."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def read_card(text: str) -> Card:
    """Take a card apart. Cards come from strangers: YAML is read safely, and nothing that it says is an exception."""
    found = _FRONT.match(text)
    if not found:
        return Card({}, text, None, fronted=False)
    body = text[found.end() :]
    try:
        _check_depth(found.group(1))
        loaded = YAML(typ="safe", pure=True).load(StringIO(found.group(1)))
        data = _plain(loaded, iter(range(_MOST_VALUES)))
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return Card({}, body, str(error).partition("\n")[0] or type(error).__name__, fronted=True)
    if data is None:
        return Card({}, body, None, fronted=True)
    if not isinstance(data, dict):
        return Card({}, body, "the front matter is not a mapping", fronted=True)
    return Card(data, body, None, fronted=True)


def judge(text: str) -> Verdict:
    """What the Hub's check of a card's metadata would answer."""
    card = read_card(text)
    if card.problem:
        return Verdict((f"Invalid YAML in the front matter: {card.problem}",), ())
    if not card.data:
        return Verdict((), ("empty or missing yaml metadata in repo card",))
    return Verdict(tuple(_faulty(card.data)), ())


def _check_depth(text: str) -> None:
    """Refuse brackets in brackets in brackets: the parser takes seconds for a thousand of them."""
    depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if depth > _DEEPEST:
            raise ValueError("the front matter is nested too deeply")


def _faulty(data: Mapping[str, Any]) -> Iterator[str]:
    declared = strings(data.get("license"))
    if "license" in data and not declared:
        yield '"license" must be a string'
    for license_id in declared:
        if license_id not in LICENSES:
            yield f'"license" must be one of [{", ".join(sorted(LICENSES))}]: "{license_id}" is not'
    for key in ("tags", "base_model", "datasets", "language"):
        value = data.get(key)
        if value is None:
            continue
        if not isinstance(value, str) and not _string_list(value):
            yield f'"{key}" must be a string or a list of strings'
    for key in ("pipeline_tag", "library_name", "license_name", "license_link", "base_model_relation"):
        if data.get(key) is not None and not isinstance(data[key], str):
            yield f'"{key}" must be a string'
    if data.get("model-index") is not None and not isinstance(data["model-index"], list):
        yield '"model-index" must be a list'


def derived_tags(data: Mapping[str, Any]) -> list[str]:
    """The tags that the Hub makes from front matter, the declared ones among them."""
    tags = [*strings(data.get("library_name")), *strings(data.get("tags")), *strings(data.get("pipeline_tag"))]
    tags += strings(data.get("language"))
    tags += [f"dataset:{name}" for name in strings(data.get("datasets"))]
    parents = strings(data.get("base_model"))
    tags += [f"base_model:{parent}" for parent in parents]
    relation = base_model_relation(data)
    if relation:
        tags += [f"base_model:{relation}:{parent}" for parent in parents]
    tags += [f"license:{name}" for name in strings(data.get("license"))]
    return list(dict.fromkeys([*tags, "region:us"]))


def base_model_relation(data: Mapping[str, Any]) -> str | None:
    """How a model stems from its parents: as it says, or a merge if there are several."""
    declared = data.get("base_model_relation")
    if isinstance(declared, str):
        return declared
    return {0: None, 1: "finetune"}.get(len(strings(data.get("base_model"))), "merge")


def strings(value: Any) -> list[str]:
    """A string or a list of strings as a list; anything else is left out."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _string_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _plain(value: Any, budget: Iterator[int]) -> Any:
    """The value with nothing in it that JSON lacks: dates become text, so do keys.

    Aliases can make a short text stand for a huge value, or for one that contains itself: hence the budget.
    """
    if next(budget, None) is None:
        raise ValueError("the front matter is too large")
    if isinstance(value, dict):
        return {str(key): _plain(item, budget) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, budget) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)

"""The front matter of a card: plain values only, by a safe dumper, in a form that every YAML reads alike."""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from ramekin.licences.inheritance import Inheritance
from ramekin.lock.model import CardFacts, Lock
from ramekin.manifest.model import CardTexts
from ramekin.manifest.parts import REPO_PATTERN
from ramekin.markdown import plain

FrontMatter = Mapping[str, str | list[str]]

# What neither YAML 1.1 (Python's usual reader) nor 1.2 (the Hub's) takes for anything but a string, without quotes.
_UNQUOTED: Final = re.compile(r"[A-Za-z]{2,}[A-Za-z0-9]*(?:[_./+-]+[A-Za-z0-9]+)*\+*")
_WORDS_OF_YAML: Final = frozenset({"yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_TAGS: Final = ("merge", "ramekin")


class _PlainRepresenter(SafeRepresenter):
    """Represents strings, finite numbers, lists and mappings; quotes every string that could be read otherwise."""

    def represent_plain_string(self, value: str) -> ScalarNode:
        bare = _UNQUOTED.fullmatch(value) and value.lower() not in _WORDS_OF_YAML
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=None if bare else '"')

    def represent_plain_number(self, value: float) -> ScalarNode:
        # With an exponent it would be a number to one YAML and a string to the other.
        return self.represent_scalar("tag:yaml.org,2002:float", f"{Decimal(repr(value)):f}")

    def ignore_aliases(self, data: object) -> bool:
        return True


_PlainRepresenter.add_representer(str, _PlainRepresenter.represent_plain_string)
_PlainRepresenter.add_representer(float, _PlainRepresenter.represent_plain_number)


def front_matter(lock: Lock, texts: CardTexts, licence: Inheritance, method: str) -> FrontMatter:
    """What the Hub reads of a card.

    Args:
        lock: The pinned sources, for the parents and what their cards declare.
        texts: The manifest's own.
        licence: What the merge inherits.
        method: Name of the method.
    """
    facts = [source.card for source in lock.sources.values()]
    hub = [source.source for source in lock.sources.values() if source.kind == "hub"]
    parents = _strings(source for source in hub if re.fullmatch(REPO_PATTERN, source))
    data: dict[str, str | list[str] | None] = {
        "license": licence.license,
        "license_name": licence.license_name,
        "license_link": licence.license_link,
        "base_model": parents,
        "base_model_relation": "merge" if parents else None,
        "library_name": "transformers",
        "pipeline_tag": lock.base.card.pipeline_tag,
        "tags": [*_TAGS, method_tag(method)],
        "language": _strings(texts.language if texts.language is not None else _union(facts, "language")),
        "datasets": _strings(_union(facts, "datasets")),
    }
    return {key: value if isinstance(value, list) else _string(value) for key, value in data.items() if value}


def method_tag(method: str) -> str:
    """A method's name as a tag that survives in the address of a search: `ram+s` is `ram-plus-s`."""
    return re.sub(r"\+(?=\w)", "-plus-", plain(method, 60)).replace("+", "-plus")


def dump_front_matter(data: FrontMatter) -> str:
    """The YAML between the two lines of dashes, with those lines."""
    return f"---\n{dump_yaml(dict(data))}---\n"


def dump_yaml(data: object) -> str:
    """Plain values as YAML that every reader reads alike, in the order that they have."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _PlainRepresenter
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 1 << 16
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def _union(facts: Sequence[CardFacts], name: str) -> list[str]:
    return [value for fact in facts for value in getattr(fact, name)]


def _strings(values: Iterable[object]) -> list[str]:
    """Plain strings, each once, in order, without the empty ones."""
    return list(dict.fromkeys(value for value in map(_string, values) if value))


def _string(value: object) -> str:
    """A plain string on one line, never an instance of a subclass, which a dumper could write as code."""
    return plain(value) if value is not None else ""

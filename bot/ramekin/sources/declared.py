"""What a source's own card declares: licence, languages, data, parents. Written by strangers, read with bounds."""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ramekin.lock.model import CardFacts

CARD_LIMIT: Final = 1 << 20
"""Bytes of a card that are looked at."""
_FRONT_MATTER: Final = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_WORD: Final = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}", re.ASCII)
_REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
_LINK: Final = re.compile(r"https://[^\s<>\"'`]{1,400}|LICENSE")
_MOST: Final = 64
_DEEPER: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
_DEEPEST: Final = 50
"""Most brackets that may be open at once: the reader of YAML takes seconds for thousands of them."""


def declared_in(card: bytes | None) -> tuple[CardFacts, tuple[str, ...]]:
    """What a README's front matter declares, and the models it names as its base.

    Whatever is not of the expected form counts as not declared: a card is no reason to fail.
    """
    front = read_front_matter(card or b"")
    link = front.get("license_link")
    facts = CardFacts(
        # Of several nobody can tell whether they are a choice or all hold: together they are one that is not known.
        license=", ".join(_words(front.get("license"), _WORD)).lower() or None,
        license_name=_text(front.get("license_name")),
        license_link=link
        if isinstance(link, str) and re.fullmatch(r"https://[^\s<>\"'`]{1,400}|LICENSE", link)
        else None,
        language=_words(front.get("language"), _WORD),
        datasets=_words(front.get("datasets"), _REPO),
        pipeline_tag=next(iter(_words(front.get("pipeline_tag"), _WORD)), None),
    )
    return facts, _words(front.get("base_model"), _REPO)


def read_front_matter(card: bytes) -> dict[object, object]:
    """The front matter of a card; empty where there is none, or none that can be read within bounds."""
    match = _FRONT_MATTER.match(card[:CARD_LIMIT].decode("utf-8", "replace"))
    # Aliases are how a small file becomes a huge one, and no card needs them.
    if match is None or len(match[1]) > 1 << 16 or re.search(r"(^|[\s\[,{:-])[&*][A-Za-z0-9]", match[1]):
        return {}
    if max(accumulate(_DEEPER.get(char, 0) for char in match[1]), default=0) > _DEEPEST:
        return {}
    try:
        front = YAML(typ="safe", pure=True).load(match[1])
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError, NotImplementedError):
        return {}
    return front if isinstance(front, dict) else {}


def _words(value: object, form: re.Pattern[str]) -> tuple[str, ...]:
    items: Iterable[object] = value if isinstance(value, list) else (value,)
    return tuple(dict.fromkeys(v for v in items if isinstance(v, str) and form.fullmatch(v)))[:_MOST]


def _text(value: object) -> str | None:
    """A text on one line; one full of brackets would keep a card that repeats it from being read here."""
    if not isinstance(value, str) or not value.strip().isprintable():
        return None
    text = value.strip()[:200]
    return text if sum(map(text.count, "[{")) <= _DEEPEST // 4 else None

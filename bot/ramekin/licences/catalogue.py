"""The licence ids of the Hub, and a few that cards give as `other` by name: what kind each is, and what it asks for.

The table says what a licence means for a merge, coarsely. `docs/licences.md` explains the kinds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a licence asks of works made from what it covers.

    `FREE` asks for nothing, `PERMISSIVE` for notices. `COPYLEFT` and `SHARE_ALIKE` want the whole under the same
    licence; the former would let other files stand beside it, but a merge has no files of one source alone.
    `COMMUNITY` passes on terms of its own, `NON_COMMERCIAL` forbids trade, `NO_DERIVATIVES` forbids the merge itself,
    and of `UNKNOWN` nothing can be said.
    """

    FREE = "free"
    PERMISSIVE = "permissive"
    COPYLEFT = "weak copyleft"
    SHARE_ALIKE = "share-alike"
    COMMUNITY = "community"
    NON_COMMERCIAL = "non-commercial"
    NO_DERIVATIVES = "no-derivatives"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Licence:
    """One licence.

    Attributes:
        id: Id in the front matter of a card, or its usual name where the Hub has no id for it.
        title: Its name as people write it.
        kind: What it asks of a merge.
        trade: Whether commercial use is allowed.
        link: Its text, for those that the Hub does not link by itself.
        duties: Sentences that a card has to carry, beside what its kind implies.
        prefix: What the name of a model made from it must begin with.
        family: The models it belongs to; other models must not be improved with them where `closed` is set.
        closed: See `family`.
    """

    id: str
    title: str
    kind: Kind
    trade: bool = True
    link: str | None = None
    duties: tuple[str, ...] = ()
    prefix: str | None = None
    family: str | None = None
    closed: bool = False

    @property
    def hub_id(self) -> str:
        """What the Hub accepts as `license`."""
        return self.id if self.id in HUB_IDS else "other"


# From the one that asks for most to the one that asks for least: where all sources are permissive, the merge takes the
# first of theirs.
_PERMISSIVE: Final = """
apache-2.0 Apache License 2.0 · ecl-2.0 Educational Community License 2.0 · afl-3.0 Academic Free License 3.0
odc-by Open Data Commons Attribution · cc-by-4.0 CC BY 4.0 · cc-by-3.0 CC BY 3.0 · cc-by-2.5 CC BY 2.5
cc-by-2.0 CC BY 2.0 · etalab-2.0 Etalab Open License 2.0 · openmdw-1.1 OpenMDW 1.1 · openmdw-1.0 OpenMDW 1.0
open-mdw OpenMDW · cdla-permissive-1.0 CDLA Permissive 1.0 · cdla-permissive-2.0 CDLA Permissive 2.0
bsd-3-clause-clear BSD 3-Clause Clear · bsd-3-clause BSD 3-Clause · bsd-2-clause BSD 2-Clause · bsd BSD family
ncsa University of Illinois/NCSA · mit MIT · isc ISC · postgresql PostgreSQL License · zlib zlib License
bsl-1.0 Boost Software License 1.0
"""
_FREE: Final = "cc0-1.0 CC0 1.0 · pddl Public Domain Dedication · unlicense The Unlicense · wtfpl WTFPL"
_COPYLEFT: Final = """
mpl-2.0 Mozilla Public License 2.0 · lgpl LGPL family · lgpl-2.1 GNU LGPL 2.1 · lgpl-3.0 GNU LGPL 3.0
epl-1.0 Eclipse Public License 1.0 · epl-2.0 Eclipse Public License 2.0 · ms-pl Microsoft Public License
lppl-1.3c LaTeX Project Public License 1.3c · artistic-2.0 Artistic License 2.0 · lgpl-lr LGPL For Linguistic Resources
"""
_SHARE_ALIKE: Final = """
agpl-3.0 GNU AGPL 3.0 · gpl GNU GPL family · gpl-2.0 GNU GPL 2.0 · gpl-3.0 GNU GPL 3.0 · gfdl GNU FDL family
cc-by-sa-3.0 CC BY-SA 3.0 · cc-by-sa-4.0 CC BY-SA 4.0 · odbl Open Database License · cdla-sharing-1.0 CDLA Sharing 1.0
osl-3.0 Open Software License 3.0 · eupl-1.1 EUPL 1.1 · eupl-1.2 EUPL 1.2 · ofl-1.1 SIL Open Font License 1.1
"""
_NC_SHARE_ALIKE: Final = """
cc-by-nc-sa-2.0 CC BY-NC-SA 2.0 · cc-by-nc-sa-3.0 CC BY-NC-SA 3.0 · cc-by-nc-sa-4.0 CC BY-NC-SA 4.0
"""
_NON_COMMERCIAL: Final = "cc-by-nc-4.0 CC BY-NC 4.0 · cc-by-nc-3.0 CC BY-NC 3.0 · cc-by-nc-2.0 CC BY-NC 2.0"
_NO_DERIVATIVES: Final = """
cc-by-nd-4.0 CC BY-ND 4.0 · cc-by-nc-nd-3.0 CC BY-NC-ND 3.0 · cc-by-nc-nd-4.0 CC BY-NC-ND 4.0
"""
_UNKNOWN: Final = "unknown Unknown · other Other · cc Creative Commons family"

_RAIL: Final = "Pass the use restrictions of {title} on to everyone who gets the model, and give them its text."
_TEXT: Final = "Give everyone who gets the model a copy of {title}, and keep to its acceptable use policy."
_MARKED: Final = "Say prominently that the files were changed: this model is a merge."


def _llama(number: str, built: str | None, prefix: str | None, *, closed: bool) -> Licence:
    title = f"Llama {number} Community License Agreement"
    attribution = (
        f"Keep the notice: Llama {number} is licensed under the Llama {number} Community License, Copyright © Meta "
        "Platforms, Inc. All Rights Reserved."
    )
    shown = (f"Display on the model's page: {built}.",) if built else ()
    path = f"llama{number.replace('.', '_')}"
    return Licence(
        f"llama{number}",
        title,
        Kind.COMMUNITY,
        link="https://ai.meta.com/llama/license/" if number == "2" else f"https://www.llama.com/{path}/license/",
        duties=(_TEXT.format(title=title), attribution, *shown),
        prefix=prefix,
        family="Llama",
        closed=closed,
    )


def _terms(
    id_: str,
    title: str,
    *duties: str,
    link: str | None = None,
    trade: bool = True,
    family: str | None = None,
) -> Licence:
    sentences = tuple(duty.format(title=title) for duty in duties)
    return Licence(id_, title, Kind.COMMUNITY, trade, link, sentences, None, family, closed=family == "Grok")


_COMMUNITY: Final = (
    _llama("2", None, None, closed=True),
    _llama("3", "Built with Meta Llama 3", "Llama 3", closed=True),
    _llama("3.1", "Built with Llama", "Llama", closed=False),
    _llama("3.2", "Built with Llama", "Llama", closed=False),
    _llama("3.3", "Built with Llama", "Llama", closed=False),
    _llama("4", "Built with Llama", "Llama", closed=False),
    _terms(
        "gemma",
        "Gemma Terms of Use",
        "Pass the use restrictions of {title} on to everyone who gets the model, and give them a copy of the terms.",
        "Keep the notice: Gemma is provided under and subject to the Gemma Terms of Use found at "
        "ai.google.dev/gemma/terms.",
        _MARKED,
        link="https://ai.google.dev/gemma/terms",
        family="Gemma",
    ),
    _terms(
        "grok2-community",
        "Grok 2 Community License Agreement",
        _TEXT,
        "Display on the model's page: Powered by xAI.",
        family="Grok",
    ),
    _terms("openrail", "OpenRAIL", _RAIL, _MARKED),
    _terms("openrail++", "Open RAIL++-M", _RAIL, _MARKED),
    _terms("bigscience-openrail-m", "BigScience OpenRAIL-M", _RAIL, _MARKED),
    _terms("creativeml-openrail-m", "CreativeML OpenRAIL-M", _RAIL, _MARKED),
    _terms("bigscience-bloom-rail-1.0", "BigScience BLOOM RAIL 1.0", _RAIL, _MARKED),
    _terms("bigcode-openrail-m", "BigCode OpenRAIL-M v1", _RAIL, _MARKED),
    _terms("c-uda", "Computational Use of Data Agreement", _TEXT),
    _terms("apple-ascl", "Apple Sample Code License", _TEXT),
    _terms("apple-amlr", "Apple Machine Learning Research Model License", _TEXT, trade=False),
    _terms("deepfloyd-if-license", "DeepFloyd IF Research License Agreement", _TEXT, trade=False),
    _terms("fair-noncommercial-research-license", "FAIR Noncommercial Research License", _TEXT, trade=False),
    _terms("h-research", "H Research License", _TEXT, trade=False),
    _terms("intel-research", "Intel Research License", _TEXT, trade=False),
    _terms(
        "qwen",
        "Qwen License Agreement",
        "Give everyone who gets the model a copy of {title}; above 100 million monthly users ask for a licence.",
        "Keep the notice: Qwen is licensed under the Qwen LICENSE AGREEMENT, Copyright (c) Alibaba Cloud. "
        "All Rights Reserved.",
        "Display in the model's documentation: Built with Qwen.",
        _MARKED,
        link="https://huggingface.co/Qwen/Qwen2.5-72B-Instruct/blob/main/LICENSE",
        family="Qwen",
    ),
    _terms(
        "qwen-research",
        "Qwen Research License Agreement",
        "Give everyone who gets the model a copy of {title}.",
        "Display in the model's documentation: Built with Qwen.",
        _MARKED,
        link="https://huggingface.co/Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE",
        trade=False,
        family="Qwen",
    ),
    _terms(
        "deepseek",
        "DeepSeek License Agreement",
        _RAIL,
        _MARKED,
        link="https://github.com/deepseek-ai/DeepSeek-V3/blob/main/LICENSE-MODEL",
        family="DeepSeek",
    ),
)
_NAMED: Final = {"qwen", "qwen-research", "deepseek"}
_OTHER_NAMES: Final = {
    "tongyi-qianwen": "qwen",
    "tongyi-qianwen-license-agreement": "qwen",
    "qwen-license": "qwen",
    "qwen-license-agreement": "qwen",
    "qwen-research-license": "qwen-research",
    "tongyi-qianwen-research": "qwen-research",
    "deepseek-license": "deepseek",
    "deepseek-license-agreement": "deepseek",
    "deepseek-model-license": "deepseek",
    "gemma-terms-of-use": "gemma",
} | {f"llama-{number}": f"llama{number}" for number in ("2", "3", "3.1", "3.2", "3.3", "4")}


def _entries(table: str, kind: Kind, *, trade: bool = True) -> Iterator[Licence]:
    for entry in re.split(r"\s*[·\n]\s*", table.strip()):
        id_, _, title = entry.partition(" ")
        yield Licence(id_, title, kind, trade)


LICENCES: Final[dict[str, Licence]] = {
    licence.id: licence
    for licence in (
        *_entries(_PERMISSIVE, Kind.PERMISSIVE),
        *_entries(_FREE, Kind.FREE),
        *_entries(_COPYLEFT, Kind.COPYLEFT),
        *_entries(_SHARE_ALIKE, Kind.SHARE_ALIKE),
        *_entries(_NC_SHARE_ALIKE, Kind.SHARE_ALIKE, trade=False),
        *_COMMUNITY,
        *_entries(_NON_COMMERCIAL, Kind.NON_COMMERCIAL, trade=False),
        *_entries(_NO_DERIVATIVES, Kind.NO_DERIVATIVES),
        *_entries(_UNKNOWN, Kind.UNKNOWN),
    )
}
HUB_IDS: Final = frozenset(LICENCES) - _NAMED


def known_id(id_: str | None, name: str | None) -> str | None:
    """The id that stands for what a card declares: for `other` that of the named licence, if it is in the table."""
    found = find_licence(id_, name)
    return found.id if id_ == "other" and found.id in LICENCES else id_


def find_licence(id_: str | None, name: str | None = None) -> Licence:
    """The licence that a card declares.

    Args:
        id_: `license` of the card, None if it has none.
        name: `license_name` of the card, which tells where the id is `other`.

    Returns:
        The licence; one of kind `UNKNOWN` that keeps the declared words where it is not in the table.
    """
    if id_ is None:
        return Licence("none", "no licence", Kind.UNKNOWN)
    key = id_.lower()
    if key == "other" and name:
        key = re.sub(r"[\s_]+", "-", name.strip().lower())
        key = _OTHER_NAMES.get(key, key)
        return LICENCES.get(key) or Licence("other", name, Kind.UNKNOWN)
    # The Hub refuses these endings of SPDX; cards from elsewhere have them.
    key = re.sub(r"-(only|or-later)$", "", key)
    return LICENCES.get(key) or Licence(id_, id_, Kind.UNKNOWN)

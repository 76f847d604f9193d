"""From the licences of all sources to the licence of the merge, with the notices it has to carry.

It is help, not legal advice: it knows the kinds of licences, not their texts, and believes what cards declare.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Self

from ramekin.errors import Problem
from ramekin.licences.catalogue import HUB_IDS, LICENCES, Kind, Licence, find_licence
from ramekin.licences.compatibility import best_output, clash, is_met
from ramekin.lock.model import Lock, PinnedSource
from ramekin.markdown import https_url
from ramekin.text import printable

_UNREAD: Final = "not to be had"
_LEAVE_OUT: Final = "leave out one of the sources, or ask its authors for other terms"
_NAME_ONE: Final = "name one as `card.license` if you know it, or keep the output private"


@dataclass(frozen=True)
class Claim:
    """What one source declares about its licence.

    Attributes:
        role: `base` or `expert:NAME`.
        source: Repository id, or path.
        license: Licence id, None where none is declared.
        license_name: Name of the licence where the id is `other`.
        license_link: Address of its text.
        parents: Licence of every model it descends from, None where it is not to be had.
    """

    role: str
    source: str
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    parents: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, role: str, pinned: PinnedSource) -> Self:
        """What the card of a pinned source declares."""
        card = pinned.card
        return cls(role, pinned.source, card.license, card.license_name, card.license_link, card.parents)


@dataclass(frozen=True)
class Inheritance:
    """What the merge inherits.

    Attributes:
        license: Id for the front matter of its card.
        license_name: Name beside `other`.
        license_link: Address beside `other`.
        notices: Sentences that its card has to carry, as plain text.
        private_only: Whether it must not be published, since something about its sources is unknown.
        name_begins: What the model's name has to begin with, None if that is free.
        problems: Why there can be no such merge; the caller raises `IncompatibleError` with them.
    """

    license: str
    license_name: str | None = None
    license_link: str | None = None
    notices: tuple[str, ...] = ()
    private_only: bool = False
    name_begins: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Inherited:
    """One licence, the sources that it comes from, and the address that they give for it."""

    licence: Licence
    origins: tuple[str, ...]
    link: str | None

    def __str__(self) -> str:
        return f"`{printable(self.licence.id)}` of {', '.join(self.origins)}"


def claims_of(lock: Lock) -> tuple[Claim, ...]:
    """What the cards of all pinned sources declare, base first."""
    return tuple(Claim.of(role, pinned) for role, pinned in lock.sources.items())


def inherit(claims: Sequence[Claim], chosen: str | None = None) -> Inheritance:
    """Derive the licence of a merge.

    Args:
        claims: What every source declares.
        chosen: Licence that the manifest names for the merge. It decides where the sources leave a choice or say
            nothing, and cannot take back what one of them asks for.
    """
    inherited = _inherited(claims)
    unknown = [part for part in inherited if part.licence.kind is Kind.UNKNOWN]
    output = find_licence(chosen) if chosen is not None else None
    # `other` says that there are terms, and not which.
    named = output is not None and output.id not in {"other", "unknown"}
    problems = (*_conflicts(inherited), *_choice(inherited, chosen, output))
    derived = _derive(inherited) if output is None or output.id == "other" else Inheritance(output.hub_id)
    if output is not None and output.id not in HUB_IDS and output.id in LICENCES:
        derived = Inheritance("other", output.id, output.link)
    return Inheritance(
        "other" if output is not None and output.id == "other" else derived.license,
        derived.license_name or ("other" if output is not None and output.id == "other" else None),
        derived.license_link,
        tuple(dict.fromkeys(_notices(inherited, chosen if named else None))),
        private_only=bool(unknown) and not named,
        name_begins=max((part.licence.prefix or "" for part in inherited), key=len, default="") or None,
        problems=problems,
    )


def _inherited(claims: Sequence[Claim]) -> tuple[_Inherited, ...]:
    """Every licence once, in the order of the table, the unknown ones last."""
    declared = {claim.source: claim for claim in claims}
    origins: dict[Licence, dict[str, None]] = {}
    links: dict[Licence, str | None] = {}

    def add(claim: Claim, origin: str) -> None:
        licence = find_licence(claim.license, claim.license_name)
        origins.setdefault(licence, {})[printable(origin)] = None
        links[licence] = links.get(licence) or licence.link or https_url(claim.license_link or "")

    for claim in claims:
        add(claim, claim.source)
        for parent, license_ in claim.parents.items():
            # A parent that is a source itself speaks for itself, at the commit that is pinned.
            if parent not in declared:
                stated = license_ or _UNREAD
                add(Claim(claim.role, parent, stated), f"{parent} (from which {claim.source} descends)")
    rank = {licence: place for place, licence in enumerate(LICENCES.values())}
    ordered = sorted(origins, key=lambda licence: (licence.kind is Kind.UNKNOWN, rank.get(licence, len(rank))))
    return tuple(_Inherited(licence, tuple(origins[licence]), links[licence]) for licence in ordered)


def _derive(inherited: Sequence[_Inherited]) -> Inheritance:
    """Id, name and link that follow from the sources alone."""
    unknown = [part for part in inherited if part.licence.kind is Kind.UNKNOWN]
    if unknown:
        only = unknown[0] if len(unknown) == 1 and unknown[0].licence.id == "other" else None
        plain = all(part.licence.kind in {Kind.FREE, Kind.PERMISSIVE, Kind.UNKNOWN} for part in inherited)
        if only is None or not plain:
            return Inheritance("unknown")
        return Inheritance("other", only.licence.title, only.link)
    output = best_output([part.licence for part in inherited])
    if output is not None:
        link = next(part.link for part in inherited if part.licence == output)
        other = output.hub_id == "other"
        return Inheritance(output.hub_id, output.id if other else None, link if other else None)
    demanding = [part.licence.id for part in inherited if part.licence.kind not in {Kind.FREE, Kind.PERMISSIVE}]
    return Inheritance("other", " and ".join(demanding))


def _conflicts(inherited: Sequence[_Inherited]) -> Iterator[Problem]:
    for part in inherited:
        if part.licence.kind is Kind.NO_DERIVATIVES:
            yield Problem(f"{part} allows no derivatives, and a merge is one", _LEAVE_OUT)
    allowed = [part for part in inherited if part.licence.kind is not Kind.NO_DERIVATIVES]
    found = False
    for one, two in combinations(allowed, 2):
        reason = clash(one.licence, two.licence)
        if reason is not None:
            found = True
            yield Problem(f"{one} and {two} cannot both be met: {reason}", _LEAVE_OUT)
    wanting = [part for part in allowed if part.licence.kind in {Kind.COPYLEFT, Kind.SHARE_ALIKE}]
    if wanting and not found and best_output([part.licence for part in allowed]) is None:
        # Any two would do, all of them together do not.
        yield Problem(f"{wanting[0]} cannot be met together with {', '.join(map(str, allowed[1:]))}", _LEAVE_OUT)


def _choice(inherited: Sequence[_Inherited], chosen: str | None, output: Licence | None) -> Iterator[Problem]:
    """What speaks against the licence that the manifest names."""
    if chosen is None or output is None:
        return
    if output.id not in LICENCES:
        near = difflib.get_close_matches(chosen.lower(), LICENCES, 1)
        hint = f"did you mean `{near[0]}`?" if near else "write an id as the Hub lists them, or `other`"
        yield Problem(f"`card.license` is `{printable(chosen)}`, which the Hub does not know", hint)
        return
    for part in inherited:
        if part.licence.kind is not Kind.NO_DERIVATIVES and not is_met(part.licence, output):
            yield Problem(
                f"`card.license` is `{output.id}`, which does not meet {part}",
                "remove `card.license`, so that it is derived from the sources",
            )


def _notices(inherited: Sequence[_Inherited], chosen: str | None) -> Iterator[str]:
    for part in inherited:
        licence, who = part.licence, ", ".join(part.origins)
        match licence.kind:
            case Kind.PERMISSIVE if licence.id.startswith(("cc-by", "odc-by", "etalab")):
                yield f"Credit {who}, name the licence {licence.title}, and say that this model was changed from it."
            case Kind.PERMISSIVE:
                yield f"Keep the copyright notices and the licence text ({licence.title}) of {who}."
            case Kind.COPYLEFT | Kind.SHARE_ALIKE:
                yield f"{who}: {licence.title} asks that what is made from it stays under the same licence."
            case Kind.COMMUNITY:
                yield f"{who}: {licence.title} applies to this model too."
            case Kind.UNKNOWN:
                yield _unknown_notice(part, chosen)
            case _:
                pass
        yield from licence.duties
        if licence.prefix:
            yield f"Begin the name of this model, and of models made from it, with “{licence.prefix}”."
        if not licence.trade:
            yield f"Not for commercial use: {who} ({licence.title})."


def _unknown_notice(part: _Inherited, chosen: str | None) -> str:
    who = ", ".join(part.origins)
    unsaid = {"none": "declares no licence", _UNREAD: "declares no licence that could be read"}
    declares = (unsaid | {"unknown": "declares an unknown licence"}).get(
        part.licence.id, f"declares the licence “{printable(part.licence.title)}”, whose terms are not known here"
    )
    if chosen is not None:
        return f"{who} {declares}; {printable(chosen)} is what the manifest of this merge names."
    return f"{who} {declares}, so this model has to stay private: {_NAME_ONE}."

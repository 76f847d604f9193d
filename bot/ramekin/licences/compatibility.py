"""Which licence of a merge meets which licence of a source, and which two cannot both be met."""

from collections.abc import Sequence
from typing import Final

from ramekin.licences.catalogue import Kind, Licence

_KEEPING: Final = {Kind.COPYLEFT, Kind.SHARE_ALIKE}
_GPL: Final = frozenset({"gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0"})
_LGPL: Final = frozenset({"lgpl", "lgpl-2.1", "lgpl-3.0"})

# A licence that wants to be kept is also kept by these: later versions that its text allows, stronger ones of the same
# family, and those that it names as compatible.
_ALSO_KEPT_BY: Final[dict[str, frozenset[str]]] = {
    "gpl": frozenset({"gpl-2.0", "gpl-3.0", "agpl-3.0"}),
    "gpl-3.0": frozenset({"agpl-3.0"}),
    "lgpl": (_LGPL | _GPL) - {"lgpl"},
    "lgpl-2.1": _GPL,
    "lgpl-3.0": frozenset({"gpl-3.0", "agpl-3.0"}),
    "mpl-2.0": _LGPL | _GPL,
    "artistic-2.0": _GPL,
    "epl-1.0": frozenset({"epl-2.0"}),
    "eupl-1.1": frozenset({"eupl-1.2", "gpl-2.0", "osl-3.0", "epl-1.0"}),
    "eupl-1.2": frozenset({"mpl-2.0", "lgpl-2.1", "lgpl-3.0", "osl-3.0", "epl-1.0"}) | _GPL - {"gpl"},
    "cc-by-sa-3.0": frozenset({"cc-by-sa-4.0"}),
    "cc-by-sa-4.0": frozenset({"gpl-3.0"}),
    "cc-by-nc-sa-2.0": frozenset({"cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"}),
    "cc-by-nc-sa-3.0": frozenset({"cc-by-nc-sa-4.0"}),
}
# Permissive licences with terms that these do not allow to be added.
_REFUSED_BY: Final[dict[str, frozenset[str]]] = {
    "apache-2.0": frozenset({"gpl-2.0", "lgpl-2.1"}),
    "ecl-2.0": frozenset({"gpl-2.0", "lgpl-2.1"}),
    "afl-3.0": _GPL | _LGPL,
}


def keeps(licence: Licence) -> bool:
    """Whether it wants the merge under itself."""
    return licence.kind in _KEEPING


def is_met(source: Licence, output: Licence) -> bool:
    """Whether a merge under `output` keeps to what the licence of a source asks for.

    `other` as output stands for all terms of all sources together, so it meets whatever may be added to.
    """
    if source.id == output.id:
        return source.kind is not Kind.NO_DERIVATIVES
    met = {
        Kind.FREE: True,
        Kind.UNKNOWN: True,
        Kind.PERMISSIVE: output.id not in _REFUSED_BY.get(source.id, frozenset()),
        Kind.COPYLEFT: output.id in _ALSO_KEPT_BY.get(source.id, frozenset()),
        Kind.SHARE_ALIKE: output.id in _ALSO_KEPT_BY.get(source.id, frozenset()),
        Kind.NON_COMMERCIAL: output.id == "other" or not output.trade,
        Kind.COMMUNITY: output.id == "other",
        Kind.NO_DERIVATIVES: False,
    }
    return met[source.kind]


def clash(one: Licence, two: Licence) -> str | None:
    """Why no merge can meet both, as the end of a sentence; None if one can."""
    for first, second in ((one, two), (two, one)):
        if first.closed and second.family not in {None, first.family}:
            return f"{first.id} forbids using {first.family} to improve other models such as {second.family}"
    if not keeps(one) and not keeps(two):
        return None
    if (keeps(one) and is_met(two, one)) or (keeps(two) and is_met(one, two)):
        return None
    if keeps(one) and keeps(two):
        return "each wants the whole merge under itself"
    keeper, other = (one, two) if keeps(one) else (two, one)
    return f"{keeper.id} wants the whole merge under itself and allows no further terms, {other.id} adds some"


def best_output(licences: Sequence[Licence]) -> Licence | None:
    """The licence of the sources that meets all others, nearest to the start of the table; None if none does."""
    keepers = [licence for licence in licences if keeps(licence)]
    demanding = [licence for licence in licences if licence.kind in {Kind.COMMUNITY, Kind.NON_COMMERCIAL}]
    candidates = keepers or demanding or [licence for licence in licences if licence.kind is not Kind.UNKNOWN]
    return next((output for output in candidates if all(is_met(source, output) for source in licences)), None)

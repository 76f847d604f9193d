"""Whether there are recorded runs enough: two halves of them, each on its own, name the same neurons or do not.

The halves are told apart by the digests of what is read, so that neither order nor process decides. Each trajectory is
traced once, for its half, and what all of them say is the sum of both: to know the halves costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from ramekin.arm.neurons import overlap, salient
from ramekin.arm.saliency import Floats, RoleMean
from ramekin.arm.store import text_digest
from ramekin.arm.texts import Text

HALVES: Final = ("first", "second")

_V = TypeVar("_V")


def halved(texts: Sequence[Text], role: str = "role", *, whole: bool = False) -> tuple[Text, ...]:
    """Texts with one role as the role of their half, every other one by digest; other roles stay as they are.

    Args:
        texts: What is read.
        role: The role.
        whole: Whether it counts how long they are in all.
    """
    having = [number for number, text in enumerate(texts) if role in text.roles]
    ranking = sorted(having, key=lambda number: text_digest(texts[number], role, whole=whole))
    half_of = {number: HALVES[rank % 2] for rank, number in enumerate(ranking)}
    return tuple(
        replace(
            text,
            roles=_renamed(text.roles, role, half),
            weights=_renamed(text.weights, role, half),
            against=_renamed(text.against, role, half),
        )
        if (half := half_of.get(number))
        else text
        for number, text in enumerate(texts)
    )


def _renamed(found: Mapping[str, _V], old: str, new: str) -> dict[str, _V]:
    return {new if name == old else name: value for name, value in found.items()}


def joined(halves: Sequence[RoleMean], widths: Sequence[int]) -> RoleMean:
    """What both halves say together."""
    total = RoleMean(widths)
    for half in halves:
        total.merge(half)
    return total


def agreement(halves: Sequence[Floats], top_k: float) -> float:
    """How much the halves' sets of neurons have in common, as part of all that are in either (Jaccard).

    Args:
        halves: `[f]` for each layer, those of the first half and then those of the second.
        top_k: Share of each layer's neurons that count as salient.
    """
    middle = len(halves) // 2
    return float(overlap(salient(halves[:middle], top_k), salient(halves[middle:], top_k)))


def agreements(found: Mapping[str, Sequence[Floats]], top_k: float) -> dict[str, float]:
    """The same by benchmark, of those that have more than one trajectory."""
    return {name: agreement(halves, top_k) for name, halves in found.items()}

"""What models read: token ids, where in them roles are, and what is read together.

A text is cut after the last token of its roles: what comes later cannot change it. A prefix that all have in common,
such as a system prompt, is read once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ramekin.arm.roles.finding import Role

_MOST_PADDING: Final = 0.1  # of a batch that is large enough
_LEAST_BATCH: Final = 0.125  # of the budget


@dataclass(frozen=True)
class Text:
    """One trajectory to read.

    Attributes:
        ids: Token ids.
        roles: By role, the positions of its tokens, in order, at least one.
        weights: How much it counts in a role, as a multiple of what one of equals would; 1 if left out.
        length: Tokens of the whole trajectory, with those behind `ids` that nobody needs.
        against: By role, positions likewise whose mean is taken from that of the role; nothing is if left out.
    """

    ids: tuple[int, ...]
    roles: Mapping[str, tuple[int, ...]]
    weights: Mapping[str, float] = field(default_factory=dict)
    length: int = 0
    against: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def whole(self) -> int:
        """Tokens of the whole trajectory, at least those that are here."""
        return max(self.length, len(self.ids))

    @property
    def needed(self) -> int:
        """Tokens up to the last one of any role."""
        return 1 + max(positions[-1] for positions in self._looked_at)

    @property
    def before(self) -> int:
        """Tokens before the first one of any role."""
        return min(positions[0] for positions in self._looked_at)

    @property
    def _looked_at(self) -> tuple[tuple[int, ...], ...]:
        return *self.roles.values(), *self.against.values()


def together(roles: Mapping[str, Role], *, by_task: bool = False) -> tuple[Text, ...]:
    """Several roles of the same trajectories, to be traced in one go.

    Args:
        roles: By name.
        by_task: Whether each task counts the same, however many trajectories have the role.
    """
    texts: dict[str, Text] = {}
    for name, role in roles.items():
        runs = Counter(traced.task for traced in role.trajectories)
        share = len(role.trajectories) / max(1, len(runs))
        for traced in role.trajectories:
            known = texts.get(traced.digest, Text((), {}))
            ids = max(known.ids, traced.ids, key=len)
            weights = {**known.weights, name: share / runs[traced.task]} if by_task else {}
            length = max(known.length, traced.length)
            texts[traced.digest] = Text(ids, {**known.roles, name: traced.positions}, weights, length)
    return tuple(texts.values())


def contrasted(texts: Iterable[Text], role: str, other: str) -> tuple[Text, ...]:
    """Texts in which the mean of another role is taken from that of a role, wherever they have both."""
    return tuple(
        replace(text, against={role: text.roles[other]}) if {role, other} <= text.roles.keys() else text
        for text in texts
    )


def only(texts: Sequence[Text], roles: Iterable[str]) -> list[Text]:
    """Texts with some of their roles alone, and those without any of them left out."""
    wanted, found = {*roles}, []
    for text in texts:
        kept, against = (_some_of(each, wanted) for each in (text.roles, text.against))
        if kept:
            found.append(replace(text, roles=kept, against=against))
    return found


def _some_of(positions: Mapping[str, tuple[int, ...]], roles: set[str]) -> dict[str, tuple[int, ...]]:
    return {role: at for role, at in positions.items() if role in roles}


def batches(lengths: Sequence[int], budget: int, beside: int = 0) -> Iterator[list[int]]:
    """Indices of texts to read together: the longest first, as many as fit with their padding, or one that does not.

    A batch ends earlier where more of it would be padding than is worth a larger one.

    Args:
        lengths: Tokens of each text that are read.
        budget: Tokens of a batch, padding included.
        beside: Tokens of each that are there already, and take memory.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        tokens = sum(lengths[each] for each in batch)
        whole = (len(batch) + 1) * lengths[batch[0]] if batch else 0
        wasteful = whole - tokens - lengths[index] > _MOST_PADDING * whole and tokens >= budget * _LEAST_BATCH
        if batch and (whole + (len(batch) + 1) * beside > budget or wasteful):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def common_prefix(texts: Sequence[Text]) -> int:
    """Tokens that all texts begin with, before any of them has a role's token, one left to read for each."""
    if len(texts) < 2:
        return 0
    limit = min(min(text.before, text.needed - 1) for text in texts)
    first = texts[0].ids
    return next((at for at in range(limit) if any(text.ids[at] != first[at] for text in texts)), limit)

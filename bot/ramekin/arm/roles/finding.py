"""From a benchmark's trajectories to the tokens of its role, found once for all models."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ramekin.arm.roles.looking import Looked, Search, look
from ramekin.arm.roles.parsers import Span, merged
from ramekin.arm.roles.rendering import DroppedError, Renderer
from ramekin.arm.roles.tokens import check_offsets, role_positions, widened
from ramekin.arm.roles.trajectories import Trajectory, digest_of
from ramekin.errors import IncompatibleError, Problem

_MOST_DROPPED: Final = 0.05
_MOST_SKIPPED: Final = 0.5
_FEW_TOKENS, _MANY_TOKENS = 3, 200
_SAMPLES: Final = 3


@dataclass(frozen=True)
class Traced:
    """One trajectory as all models get it.

    Attributes:
        name: The trajectory's id.
        task: Its task.
        ids: Token ids up to the last one of the role: what comes after it cannot change it.
        positions: The role's tokens, in order.
        digest: Digest of the ids of the whole trajectory.
        text: What the ids stand for, and more behind it.
        spans: The role in the text.
        reply: Where in the text the last turn of the assistant is that counts; None where that is not known.
        length: Tokens of the whole trajectory, up to the limit.
    """

    name: str
    task: str
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    digest: str
    text: str = field(repr=False)
    spans: tuple[Span, ...]
    reply: Span | None = None
    length: int = 0


@dataclass
class Role:
    """What was found of a benchmark's role.

    Attributes:
        trajectories: Those that have the role.
        tokens: Tokens of all trajectories that could be read.
        without: How many of them do not have the role.
        turns: How many of the assistant's turns were looked at; none where texts were given.
        violations: How many attempts at the role were malformed.
        violating: How many trajectories have such.
        violating_turns: How many turns have such.
        cut: How many spans were cut by the limit, and left out.
        twice: How many trajectories are there a second time, and were left out.
        dropped: Why trajectories could not be used, by id.
        warnings: What looks wrong.
        unread: Why too many trajectories cannot be used; None if not too many.
        empty: That no trajectory has the role; None if one has.
        unmarked: The first few trajectories without the role: as `text`, what the assistant says in them.
    """

    trajectories: list[Traced] = field(default_factory=list)
    tokens: int = 0
    without: int = 0
    turns: int = 0
    violations: int = 0
    violating: int = 0
    violating_turns: int = 0
    cut: int = 0
    twice: int = 0
    dropped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unread: Problem | None = None
    empty: Problem | None = None
    unmarked: list[Traced] = field(default_factory=list)

    def take(self, traced: Traced, looked: Looked, cut: int) -> None:
        """Include a trajectory: what is traced of it, what was found in its turns, and spans that the limit cuts."""
        self.tokens += traced.length
        self.cut += cut
        self.turns += looked.turns
        self.violations += looked.violations
        self.violating += looked.violations > 0
        self.violating_turns += looked.violating
        if traced.positions:
            self.trajectories.append(traced)
            return
        self.without += 1
        if len(self.unmarked) < _SAMPLES:
            self.unmarked.append(replace(traced, text=looked.said, spans=()))

    @property
    def violation_rate(self) -> float:
        """Trajectories with a malformed attempt, of those that could be read."""
        return self.violating / max(1, len(self.trajectories) + self.without)

    @property
    def turn_violation_rate(self) -> float:
        """The same of turns."""
        return self.violating_turns / max(1, self.turns)

    @property
    def role_tokens(self) -> int:
        """Tokens in the role."""
        return sum(len(each.positions) for each in self.trajectories)

    @property
    def samples(self) -> list[Traced]:
        """A few trajectories to look at: the first, one in the middle, the last."""
        number = len(self.trajectories)
        chosen = sorted({0, number // 2, number - 1}) if number else []
        return [self.trajectories[at] for at in chosen][:_SAMPLES]


def find_roles(
    trajectories: Sequence[Trajectory],
    tokenizer: Any,
    renderer: Callable[[], Renderer],
    searches: Sequence[Search],
    where: str,
) -> list[Role]:
    """Find the tokens of several roles; each trajectory is rendered and tokenised once for all.

    Args:
        trajectories: All of a benchmark's.
        tokenizer: Of the transformers library, the same for all models.
        renderer: Makes what renders chats; not asked where all texts are given.
        searches: What to look for.
        where: What messages call the trajectories.

    No trajectory may have the role, or more than one in twenty may not be usable: the role says so.

    Raises:
        IncompatibleError: The tokenizer does not say where its tokens are.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise IncompatibleError(
            "the tokenizer does not say where its tokens are in the text",
            "use a fast tokenizer, one with a `tokenizer.json`",
        )
    roles, seen, trims = [Role() for _ in searches], set[str](), _trims(tokenizer)
    made = renderer() if any(each.text is None for each in trajectories) else None
    for trajectory in trajectories:
        try:
            rendered = made.render(trajectory) if made and trajectory.text is None else None
        except DroppedError as error:
            for role in roles:
                role.dropped[trajectory.name] = str(error)
            continue
        text = rendered.text if rendered else trajectory.text or ""
        ids, offsets = _encoded(tokenizer, text, trims=trims)
        digest = digest_of(ids)
        twice = digest in seen
        seen.add(digest)
        for role, search in zip(roles, searches, strict=True):
            if twice:
                role.twice += 1
                continue
            looked = look(trajectory, rendered, search)
            spans = merged([*looked.spans])
            positions, cut = role_positions(spans, offsets, limit=search.limit, policy=search.policy)
            needed = tuple(ids[: positions[-1] + 1]) if positions else ()
            name, task = trajectory.name, trajectory.task
            length = min(len(ids), search.limit)
            traced = Traced(name, task, needed, tuple(positions), digest, text, tuple(spans), looked.reply, length)
            role.take(traced, looked, cut)
    for role in roles:
        _judge(role, len(trajectories), where)
    return roles


def _encoded(tokenizer: Any, text: str, *, trims: bool) -> tuple[list[int], list[Span]]:
    """Token ids of a text, and where they are in it."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = encoded["input_ids"], [(start, end) for start, end in encoded["offset_mapping"]]
    offsets = widened(offsets, text) if trims else offsets
    special = set(tokenizer.all_special_ids)
    check_offsets(offsets, [token in special for token in ids])
    return ids, offsets


def _trims(tokenizer: Any) -> bool:
    """Whether offsets leave out the spaces that tokens begin with."""
    return '"trim_offsets":true' in tokenizer.backend_tokenizer.to_str().replace(" ", "")


def _judge(role: Role, number: int, where: str) -> None:
    """See whether what was found can be what was meant."""
    if len(role.dropped) > _MOST_DROPPED * number:
        reasons = _listed(role.dropped.items())
        role.unread = Problem(
            f"{len(role.dropped)} of {number} trajectories of {where} cannot be used: {reasons}",
            "remove them, or give `assistant_prefix` and `assistant_suffix`, or trajectories as `text` with spans",
        )
    elif not role.trajectories:
        role.empty = Problem(
            f"ARM_EMPTY_ROLE: in {where} no trajectory has a token in the role",
            "choose the role that the benchmark's agents speak in; `ramekin roles` shows what is found",
        )
    if role.unread or role.empty:
        return
    if role.without > _MOST_SKIPPED * (number - len(role.dropped) - role.twice):
        role.warnings.append(f"{role.without} of {number} trajectories do not have the role")
    if role.twice:
        role.warnings.append(f"{role.twice} trajectories are there twice; each counts once")
    each = role.role_tokens / len(role.trajectories)
    if not _FEW_TOKENS <= each <= _MANY_TOKENS:
        role.warnings.append(f"{each:.1f} tokens of the role in a trajectory, on average: the parser is probably wrong")
    if role.dropped:
        role.warnings.append(f"{len(role.dropped)} trajectories cannot be used: {_listed(role.dropped.items())}")


def _listed(dropped: Iterable[tuple[str, str]]) -> str:
    """The first few, with their reasons."""
    few = [*dropped][:_SAMPLES]
    return "; ".join(f"`{name}`: {reason}" for name, reason in few)

"""Where in one trajectory its role is, and what was malformed in it."""

from dataclasses import dataclass, field
from typing import Final

from ramekin.arm.roles.calls import Scene, offered_in, tools_of
from ramekin.arm.roles.parsers import Parser, Span, parse
from ramekin.arm.roles.rendering import Rendered, plain_text
from ramekin.arm.roles.tokens import Policy
from ramekin.arm.roles.trajectories import Trajectory

LONGEST: Final = 12_000
"""Tokens of a trajectory that are kept."""


@dataclass(frozen=True)
class Search:
    """What to look for.

    Attributes:
        parser: Finds the role in a turn of the assistant.
        last_turn: Whether only the last turn counts.
        shown_turns: How many of the assistant's turns at the beginning are demonstrations.
        policy: What to do with tokens that are partly in a span.
        limit: Tokens of a trajectory that are kept.
    """

    parser: Parser
    last_turn: bool = False
    shown_turns: int = 0
    policy: Policy = "overlap"
    limit: int = LONGEST


@dataclass
class Looked:
    """What was found in the turns of a trajectory.

    Attributes:
        spans: The role, in the order of turns.
        turns: How many were looked at.
        violations: How many attempts were malformed.
        violating: How many turns have such.
        said: What the assistant says in them.
        reply: The last turn that counts.
    """

    spans: list[Span] = field(default_factory=list)
    turns: int = 0
    violations: int = 0
    violating: int = 0
    said: str = ""
    reply: Span | None = None


def look(trajectory: Trajectory, rendered: Rendered | None, search: Search) -> Looked:
    """Look for the role in a trajectory, which is rendered unless its text was given."""
    if rendered is None:
        spans = [*trajectory.spans]
        return Looked(spans, said=trajectory.text or "", reply=max(spans, default=None))
    counted = [turn for turn in trajectory.turns[search.shown_turns :] if turn not in trajectory.demonstrations]
    found, tools, texts = Looked(), tools_of(trajectory.tools), []
    for turn in counted[-1:] if search.last_turn else counted:
        start, end = rendered.turns[turn]
        before = plain_text(trajectory.messages[turn - 1]) if turn else ""
        texts.append(rendered.text[start:end])
        inside = parse(search.parser, texts[-1], Scene(tools, offered_in(before)))
        found.spans += [(start + first, start + last) for first, last in inside.spans]
        found.turns += 1
        found.violations += inside.violations
        found.violating += inside.violations > 0
    found.said = "\n".join(texts)
    found.reply = rendered.turns[counted[-1]] if counted else None
    return found

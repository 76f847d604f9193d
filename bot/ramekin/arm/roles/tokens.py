"""From spans of characters to tokens."""

from collections.abc import Sequence
from typing import Final, Literal

from ramekin.arm.roles.parsers import Span
from ramekin.errors import IncompatibleError

Policy = Literal["overlap", "within", "majority"]
"""Which tokens a span takes: those that it touches, covers, or covers more than half of."""

_MOST_EMPTY: Final = 0.01


def widened(offsets: Sequence[Span], text: str) -> list[Span]:
    """Offsets of a tokenizer that leaves out the spaces that its tokens have: now each begins with its space."""
    found, end = [], 0
    for start, stop in offsets:
        blank = end < start and not text[end:start].strip()
        found.append((end if blank else start, stop))
        end = max(end, stop)
    return found


def check_offsets(offsets: Sequence[Span], special: Sequence[bool]) -> None:
    """See that the tokenizer says where its tokens are.

    Raises:
        IncompatibleError: It gives more than one ordinary token in a hundred no width.
    """
    ordinary = [span for span, is_special in zip(offsets, special, strict=True) if not is_special]
    empty = sum(start >= end for start, end in ordinary)
    if empty > _MOST_EMPTY * len(ordinary):
        raise IncompatibleError(
            f"ARM_BAD_OFFSETS: the tokenizer gives {empty} of {len(ordinary)} tokens no place in the text",
            "update `tokenizers`; older releases do this with tokenizers of Llama 3",
        )


def tokens_in(span: Span, offsets: Sequence[Span], policy: Policy = "overlap") -> list[int]:
    """The tokens of a span, in order; tokens without width are in none.

    Args:
        span: Characters.
        offsets: Of every token; those of a byte of one character are all of that character.
        policy: What to do with tokens that are partly in the span.
    """
    start, end = span
    found = []
    for number, (first, last) in enumerate(offsets):
        if first >= end or last <= start or first >= last:
            continue
        shared, width = min(last, end) - max(first, start), last - first
        if policy == "overlap" or shared == width or (policy == "majority" and 2 * shared > width):
            found.append(number)
    return found


def role_positions(
    spans: Sequence[Span], offsets: Sequence[Span], *, limit: int, policy: Policy = "overlap"
) -> tuple[list[int], int]:
    """The tokens of all spans, each once, in order, and how many spans the limit cuts; of such a span none is taken.

    Args:
        spans: Characters, not overlapping.
        offsets: Of every token of the whole text.
        limit: Tokens that are kept of it, from the first on.
        policy: See `tokens_in`.
    """
    found: list[int] = []
    cut = 0
    for span in spans:
        tokens = tokens_in(span, offsets, policy)
        if tokens and tokens[-1] >= limit:
            cut += 1
        else:
            found += tokens
    return sorted(set(found)), cut

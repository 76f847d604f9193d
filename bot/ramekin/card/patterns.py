"""The patterns of a report's overlap, in the order in which a card shows them."""

from dataclasses import dataclass
from typing import Final

from ramekin.records import ReportedOverlap

MOST_SHOWN: Final = 24
_ALL_OF: Final = 3
"""Up to so many experts, patterns without any element are shown too: that nothing is shared is worth seeing."""


@dataclass(frozen=True)
class Pattern:
    """Elements that exactly these experts changed.

    Attributes:
        code: One character per expert in manifest order, `1` where it changed the element.
        names: Those experts.
        count: How many elements.
        share: Their share in the whole model.
        share_of_changed: Their share in what anybody changed.
    """

    code: str
    names: tuple[str, ...]
    count: int
    share: float
    share_of_changed: float


@dataclass(frozen=True)
class Patterns:
    """All of it, summed up.

    Attributes:
        elements: Elements of the model.
        untouched: Elements that nobody changed.
        alone: Elements that exactly one expert changed.
        together: Elements that several experts changed.
        shown: Largest patterns first, without the untouched.
        left_out: How many patterns with elements are not in `shown`.
        left_out_count: Elements in those.
    """

    elements: int
    untouched: int
    alone: int
    together: int
    shown: tuple[Pattern, ...]
    left_out: int
    left_out_count: int

    @property
    def changed(self) -> int:
        """Elements that anybody changed."""
        return self.alone + self.together

    def of_all(self, count: int) -> float:
        """Share of a count in the whole model."""
        return count / self.elements if self.elements else 0.0

    def of_changed(self, count: int) -> float:
        """Share of a count in what anybody changed."""
        return count / self.changed if self.changed else 0.0


def patterns_of(overlap: ReportedOverlap, names: tuple[str, ...]) -> Patterns:
    """Sort and sum the patterns.

    Args:
        overlap: As the report has it.
        names: The experts in manifest order.
    """
    codes = {code: count for code, count in overlap.patterns.items() if "1" in code}
    alone = sum(count for code, count in codes.items() if code.count("1") == 1)
    changed = sum(codes.values())
    ranked = sorted(codes.items(), key=lambda item: (-item[1], item[0].count("1"), item[0].translate(_FIRST_FIRST)))
    listed = [(code, count) for code, count in ranked if count or len(names) <= _ALL_OF]
    kept, rest = listed[:MOST_SHOWN], listed[MOST_SHOWN:]
    shown = tuple(
        Pattern(
            code=code,
            names=tuple(name for name, mark in zip(names, code, strict=True) if mark == "1"),
            count=count,
            share=count / overlap.elements if overlap.elements else 0.0,
            share_of_changed=count / changed if changed else 0.0,
        )
        for code, count in kept
    )
    return Patterns(
        elements=overlap.elements,
        untouched=sum(count for code, count in overlap.patterns.items() if "1" not in code),
        alone=alone,
        together=changed - alone,
        shown=shown,
        left_out=len(rest),
        left_out_count=sum(count for _, count in rest),
    )


_FIRST_FIRST: Final = str.maketrans("10", "01")

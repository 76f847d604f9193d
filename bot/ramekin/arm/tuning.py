"""A search for better coefficients, without gradients: each in turn a little up and down, in ever smaller steps.

It minimises the negative log-likelihood of the role's tokens on development data. Whatever it finds has been chosen on
those data, so what it is worth is told on others, which were kept apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ramekin.methods.base import Method
from ramekin.methods.choices import label_of
from ramekin.methods.coefficients import coefficients_of, with_coefficients

FIRST_STEP: Final = 1.5
"""What a coefficient is multiplied and divided by at first; each round without gain takes the root of it."""

LAST_STEP: Final = 1.05
"""Smaller steps are not taken."""

Evaluate = Callable[[Mapping[str, Method]], Mapping[str, float]]
"""Negative log-likelihood of candidates by what they are called; less is better."""


@dataclass
class Search:
    """A search, and what it has tried.

    Attributes:
        experts: The experts' names.
        evaluate: Judges candidates.
        budget: How many may be tried.
        tried: All that were, by what they are called, in order.
        values: What they were found to be worth.
    """

    experts: Sequence[str]
    evaluate: Evaluate
    budget: int
    tried: dict[str, Method] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)

    def run(self, start: Method, value: float) -> tuple[Method, float]:
        """Search from a method; returns the best found, and its value.

        Args:
            start: Where to begin.
            value: What that is worth.
        """
        best, least = start, value
        step = FIRST_STEP
        while self._left and step >= LAST_STEP:
            before = least
            for place in range(len(coefficients_of(with_coefficients(best, self.experts)))):
                best, least = self._around(best, least, place, step)
            if least == before:
                step **= 0.5
        return best, least

    @property
    def _left(self) -> int:
        return self.budget - len(self.tried)

    def _around(self, best: Method, least: float, place: int, step: float) -> tuple[Method, float]:
        """One coefficient up and down, both from one read of the sources."""
        coefficient = coefficients_of(with_coefficients(best, self.experts))[place]
        both = (coefficient.moved(step), coefficient.moved(1 / step))
        moved = [each for each in both if each is not None]
        fresh = {label_of(each): each for each in moved if label_of(each) not in self.values}
        fresh = dict([*fresh.items()][: self._left])
        if fresh:
            found = self.evaluate(fresh)
            self.tried |= fresh
            self.values |= {name: found[name] for name in fresh}
        for each in moved:
            value = self.values.get(label_of(each))
            if value is not None and value < least:
                best, least = each, value
        return best, least

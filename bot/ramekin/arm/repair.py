"""Which benchmarks the backbone is weak in, so that neurons are transplanted for them.

The paper takes "the benchmarks with the largest performance gaps" on development data (arXiv 2601.07309, section 3.3)
and names no threshold; these are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeVar

Rule = Literal["scores", "likelihood", "list", "all", "none"]
"""What decides: scores on development data, the likelihood of the role's tokens, the manifest, or nothing."""

SCORE_GAP: Final = 0.05
"""A benchmark is weak where the backbone loses more than this part of its expert's score."""

LIKELIHOOD_GAP: Final = 0.02
"""A benchmark is weak where the backbone needs more nats for a token of the role than its expert, by more than this."""

_LEAST_SCORE: Final = Fraction(1, 10**9)
_N = TypeVar("_N", float, Fraction)


@dataclass(frozen=True)
class Weakness:
    """What is to be repaired.

    Attributes:
        rule: What decided.
        gaps: By benchmark; empty where nothing was measured.
        weak: The weak benchmarks in the order in which they are repaired: the worst is last, and so wins a neuron that
            several want; of equals in the manifest's order.
    """

    rule: Rule
    gaps: Mapping[str, float]
    weak: tuple[str, ...]


def weak_by_scores(experts: Mapping[str, float], backbone: Mapping[str, float]) -> Weakness:
    """Judge by scores on development data, by benchmark; more is better.

    It is reckoned with what was written: from 1.0 to 0.95 is one part in twenty, where floats would say a little more.
    """
    gaps = {
        name: (_written(score) - _written(backbone[name])) / max(_written(score), _LEAST_SCORE)
        for name, score in experts.items()
    }
    return Weakness("scores", {name: float(gap) for name, gap in gaps.items()}, _worst_last(gaps, _written(SCORE_GAP)))


def weak_by_likelihood(experts: Mapping[str, float], backbone: Mapping[str, float]) -> Weakness:
    """Judge by negative log-likelihood in nats a token, by benchmark; less is better."""
    gaps = {name: backbone[name] - own for name, own in experts.items()}
    return Weakness("likelihood", gaps, _worst_last(gaps, LIKELIHOOD_GAP))


def _written(value: float) -> Fraction:
    return Fraction(str(value))


def _worst_last(gaps: Mapping[str, _N], threshold: _N) -> tuple[str, ...]:
    weak = [name for name, gap in gaps.items() if gap > threshold]
    return tuple(sorted(weak, key=lambda name: gaps[name]))

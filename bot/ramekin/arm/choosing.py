"""The choice of a backbone from what was measured, by overlap, likelihood or scores, and the sets to transplant.

The paper chooses by mean AOS (arXiv 2601.07309, Eq. 5). That tells candidates apart that differ much; between the best
it often cannot decide, and the likelihood of the role's tokens on development data, or scores, can. So several signals
may be named, in order: what the first leaves within its noise, the next decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isnan, sqrt
from typing import Final

from ramekin.arm.neurons import (
    Neurons,
    Selection,
    collisions,
    mean,
    overlap_by_layer,
    salient,
    select_backbone,
    transplant_sets,
    union,
)
from ramekin.arm.saliency import Floats
from ramekin.errors import UsageError
from ramekin.methods.choices import Collision, Signal

Saliencies = Mapping[str, list[Floats]]
"""By benchmark, of each layer `[f]`."""

AOS_NOISE: Final = 0.01
"""Smaller differences of mean AOS say nothing: as much comes of running the same model in another element type."""


@dataclass(frozen=True)
class Traces:
    """Saliencies of all models.

    Attributes:
        experts: By benchmark, its donor's.
        candidates: By candidate, in the pool's order, and benchmark.
    """

    experts: Saliencies
    candidates: Mapping[str, Saliencies]

    def choose(self, top_k: float) -> "Choice":
        """Take the neurons that do most, and the candidate whose neurons they are (Eq. 3 to 5)."""
        experts = {name: salient(layers, top_k) for name, layers in self.experts.items()}
        candidates = {
            candidate: {name: salient(found[name], top_k) for name in experts}
            for candidate, found in self.candidates.items()
        }
        return Choice(experts, candidates, select_backbone(experts, candidates))


@dataclass(frozen=True)
class Choice:
    """Sets of neurons, and how near they are to each other.

    Attributes:
        experts: By benchmark, its donor's set.
        candidates: By candidate and benchmark.
        selection: AOS of all, and the candidate that has most.
    """

    experts: Mapping[str, Neurons]
    candidates: Mapping[str, Mapping[str, Neurons]]
    selection: Selection

    def layer_means(self) -> dict[str, Fraction]:
        """By candidate the mean, over benchmarks and layers, of each layer's own overlap."""
        return {
            candidate: mean(mean(overlap_by_layer(found[name], own)) for name, own in self.experts.items())
            for candidate, found in self.candidates.items()
        }

    def transplants(self, backbone: str, weak: Sequence[str], *, protect: bool = True) -> dict[str, Neurons]:
        """What to transplant for weak benchmarks into a candidate, in their order (Eq. 7 and 8)."""
        return transplant_sets(self.experts, self.candidates[backbone], weak, protect=protect)


def settled(sets: Mapping[str, Neurons], donors: Mapping[str, str], rule: Collision) -> dict[str, Neurons]:
    """Who gives which neuron in the end, so that no two experts give the same.

    Args:
        sets: What is to be transplanted, by benchmark, in the order of repair.
        donors: Expert by benchmark.
        rule: Who gives a neuron that several would: the `last`, the `first`, or nobody, `skip`.
    """
    if not sets:
        return {}
    contested = collisions(sets, donors)
    nothing = union([], like=contested)
    found = dict.fromkeys(sets, nothing)
    taken = nothing
    order = list(sets) if rule == "first" else list(reversed([*sets]))
    for name in order:
        wanted = sets[name] - contested if rule == "skip" else sets[name]
        found[name] = wanted - taken
        taken |= wanted
    return found


@dataclass(frozen=True)
class Ranked:
    """What one signal says of candidates; more is better.

    Attributes:
        values: By candidate.
        parts: By candidate and benchmark, values by trajectory, where the signal has such: of them its noise is known.
        noise: Differences up to this say nothing, where there are no such.
    """

    values: Mapping[str, Fraction | float]
    parts: Mapping[str, Mapping[str, Sequence[float]]] | None = None
    noise: float = 0.0

    def near(self, best: str, names: Sequence[str]) -> list[str]:
        """Those of some candidates that are not told apart from the best."""
        return [name for name in names if self.values[best] - self.values[name] <= self._noise(best, name)]

    def _noise(self, one: str, other: str) -> float:
        """Standard error of the difference of two candidates, from what both did on the same trajectories."""
        if self.parts is None or one == other:
            return self.noise
        variance, mine, others = 0.0, self.parts[one], self.parts[other]
        for name in mine:
            pairs = zip(mine[name], others[name], strict=True)
            differences = [a - b for a, b in pairs if not (isnan(a) or isnan(b))]
            number = len(differences)
            if number > 1:
                middle = sum(differences) / number
                variance += sum((each - middle) ** 2 for each in differences) / (number - 1) / number
        return sqrt(variance) / max(1, len(mine))


@dataclass(frozen=True)
class Selected:
    """The candidate that was chosen.

    Attributes:
        name: The candidate.
        signal: What decided.
        margin: How far it is, by that, ahead of the next of those between which it decided; None for the only one.
    """

    name: str
    signal: Signal
    margin: float | None


def select(signals: Sequence[Signal], ranked: Mapping[Signal, Ranked]) -> Selected:
    """Choose a candidate; of equals the first.

    Args:
        signals: In order; at least one.
        ranked: What each of them says.

    Raises:
        UsageError: A signal was not measured for every candidate.
    """
    left = [*ranked[signals[0]].values] if signals[0] in ranked else []
    for signal in signals:
        if signal not in ranked or not set(left) <= set(ranked[signal].values):
            raise UsageError(
                f"candidates cannot be chosen by {signal}: it is not known of all of them",
                "give `scores` for every candidate, or `evaluate`, for each benchmark; for likelihood, `dev`",
            )
        values = ranked[signal].values
        best = max(left, key=lambda name: values[name])
        near = ranked[signal].near(best, left)
        if len(near) == 1 or signal == signals[-1]:
            others = [values[name] for name in left if name != best]
            return Selected(best, signal, float(values[best] - max(others)) if others else None)
        left = near
    raise AssertionError

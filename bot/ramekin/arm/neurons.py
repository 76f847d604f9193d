"""Sets of neurons, and what ARM does with them (arXiv 2601.07309, Eq. 3 to 8).

A neuron is a pair (layer, index within the layer's MLP). A set of neurons has for every layer a row of booleans; layers
may differ in width. Sets of one model family only are put together: neuron j of an expert stands where neuron j of the
base stood.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Saliency = Sequence[npt.NDArray[np.float32]]
"""How much each neuron does in a role: for each layer `[f]`, its width."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """A set of neurons.

    Attributes:
        layers: For each layer `[f]`, which neurons are in the set.
    """

    layers: tuple[Bools, ...]

    def __len__(self) -> int:
        return sum(self.per_layer)

    def __and__(self, other: "Neurons") -> "Neurons":
        return Neurons(tuple(mine & its for mine, its in zip(self.layers, other.layers, strict=True)))

    def __or__(self, other: "Neurons") -> "Neurons":
        return Neurons(tuple(mine | its for mine, its in zip(self.layers, other.layers, strict=True)))

    def __sub__(self, other: "Neurons") -> "Neurons":
        return Neurons(tuple(mine & ~its for mine, its in zip(self.layers, other.layers, strict=True)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Neurons) and [*map(bytes, self.layers)] == [*map(bytes, other.layers)]

    __hash__ = None  # type: ignore[assignment]

    @property
    def per_layer(self) -> tuple[int, ...]:
        """How many there are in each layer."""
        return tuple(int(np.count_nonzero(layer)) for layer in self.layers)

    @property
    def possible(self) -> int:
        """Neurons of the model, in the set or not."""
        return sum(len(layer) for layer in self.layers)

    @property
    def share(self) -> Fraction:
        """Part of the model's neurons that is in the set."""
        return Fraction(len(self), self.possible)


def union(sets: Sequence[Neurons], like: Neurons) -> Neurons:
    """What is in any of the sets, which may be none; `like` has the widths."""
    found = Neurons(tuple(np.zeros_like(layer) for layer in like.layers))
    for each in sets:
        found |= each
    return found


def how_many(top_k: float, width: int) -> int:
    """`ceil(k * f)` of the k that was written: 7 of 100 for 0.07, where floats would give 8."""
    return math.ceil(Fraction(str(top_k)) * width)


def salient(saliency: Saliency, top_k: float) -> Neurons:
    """The neurons that do most in a role: in each layer the `ceil(k * f)` largest; of equals the first ones (Eq. 3).

    Args:
        saliency: Of every layer `[f]`.
        top_k: Share of each layer, above 0, at most 1.
    """
    layers = []
    for values in saliency:
        chosen = np.zeros(len(values), np.bool_)
        chosen[np.argsort(-values, kind="stable")[: how_many(top_k, len(values))]] = True
        layers.append(chosen)
    return Neurons(tuple(layers))


def overlap(one: Neurons, other: Neurons) -> Fraction:
    """How much two sets have in common: shared neurons as part of all, over all layers at once (AOS, Eq. 4)."""
    either = len(one | other)
    return Fraction(len(one & other), either) if either else Fraction(0)


def overlap_by_layer(one: Neurons, other: Neurons) -> tuple[Fraction, ...]:
    """The same for each layer alone."""
    pairs = zip(one.layers, other.layers, strict=True)
    return tuple(overlap(Neurons((mine,)), Neurons((its,))) for mine, its in pairs)


def chance(top_k: float) -> Fraction:
    """What two sets have in common, about, that were drawn at random: `k / (2 - k)`."""
    k = Fraction(str(top_k))
    return k / (2 - k)


@dataclass(frozen=True)
class Selection:
    """How near the candidates are to the experts, and which is nearest (Eq. 4 and 5).

    Attributes:
        scores: AOS by candidate and benchmark.
    """

    scores: Mapping[str, Mapping[str, Fraction]]

    @property
    def means(self) -> dict[str, Fraction]:
        """Mean AOS by candidate."""
        return {name: mean(scores.values()) for name, scores in self.scores.items()}

    @property
    def selected(self) -> str:
        """The candidate with the largest mean; of equals the first one."""
        means = self.means
        return max(means, key=lambda name: means[name])

    @property
    def margin(self) -> Fraction | None:
        """How far the next best is behind; None for a single candidate."""
        ranking = sorted(self.means.values(), reverse=True)
        return ranking[0] - ranking[1] if len(ranking) > 1 else None


def select_backbone(experts: Mapping[str, Neurons], candidates: Mapping[str, Mapping[str, Neurons]]) -> Selection:
    """Choose the candidate whose neurons do what the experts' do.

    Args:
        experts: By benchmark, the set of the expert that is its donor.
        candidates: By candidate, in the manifest's order, and benchmark.
    """
    return Selection(
        {
            name: {benchmark: overlap(found[benchmark], expert) for benchmark, expert in experts.items()}
            for name, found in candidates.items()
        }
    )


def protected_sets(backbone: Mapping[str, Neurons]) -> dict[str, Neurons]:
    """For each benchmark what the backbone needs for any of the others (Eq. 7)."""
    return {
        benchmark: union([its for other, its in backbone.items() if other != benchmark], like=own)
        for benchmark, own in backbone.items()
    }


def transplant_sets(
    experts: Mapping[str, Neurons], backbone: Mapping[str, Neurons], weak: Sequence[str], *, protect: bool = True
) -> dict[str, Neurons]:
    """What to transplant for each weak benchmark: the donor's neurons without the protected ones (Eq. 8).

    The backbone's sets stay what they were before any transplantation (Algorithm 1, line 12), so the order of the weak
    benchmarks decides nothing here.

    Args:
        experts: By benchmark, the donor's set.
        backbone: By benchmark, of all benchmarks, the backbone's set.
        weak: The benchmarks to repair, in the order in which they will be.
        protect: Whether to leave what other benchmarks need.
    """
    if not protect:
        return {benchmark: experts[benchmark] for benchmark in weak}
    kept = protected_sets(backbone)
    return {benchmark: experts[benchmark] - kept[benchmark] for benchmark in weak}


def collisions(sets: Mapping[str, Neurons], donors: Mapping[str, str]) -> Neurons:
    """Neurons that several benchmarks want from different experts; the last benchmark gets its own.

    Args:
        sets: What is transplanted, by benchmark; at least one.
        donors: Expert by benchmark.
    """
    first = next(iter(sets.values()))
    by_donor: dict[str, Neurons] = {}
    for benchmark, neurons in sets.items():
        donor = donors[benchmark]
        by_donor[donor] = by_donor[donor] | neurons if donor in by_donor else neurons
    wanted, contested = union([], like=first), union([], like=first)
    for neurons in by_donor.values():
        contested |= wanted & neurons
        wanted |= neurons
    return contested


def mean(values: Iterable[Fraction]) -> Fraction:
    """Exact, so that candidates that are equally good are equal."""
    found = list(values)
    return sum(found, Fraction(0)) / len(found)

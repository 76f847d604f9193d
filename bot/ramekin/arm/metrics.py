"""How the experts' sets overlap (arXiv 2601.07309, Fig. 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ramekin.arm.neurons import Neurons, mean, overlap


@dataclass(frozen=True)
class CrossOverlap:
    """How much the sets of several benchmarks have in common.

    Attributes:
        of_union: Neurons in at least two sets, as part of those in any: the rate that the card shows.
        of_own: By benchmark, the part of its set that others have too.
        pairwise: By two benchmarks, what both have as part of what either has.
    """

    of_union: Fraction
    of_own: dict[str, Fraction]
    pairwise: dict[tuple[str, str], Fraction]

    @property
    def mean_of_own(self) -> Fraction:
        """Mean over the benchmarks of the part of a set that others have too."""
        return mean(self.of_own.values())


def cross_overlap(sets: Mapping[str, Neurons]) -> CrossOverlap:
    """Overlap of sets, at least one, by benchmark."""
    times = [np.sum(layers, axis=0) for layers in zip(*(each.layers for each in sets.values()), strict=True)]
    everything, shared = (Neurons(tuple(found >= least for found in times)) for least in (1, 2))
    return CrossOverlap(
        Fraction(len(shared), max(1, len(everything))),
        {name: Fraction(len(own & shared), max(1, len(own))) for name, own in sets.items()},
        {(one, other): overlap(sets[one], sets[other]) for one in sets for other in sets},
    )

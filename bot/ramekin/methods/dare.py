"""DARE: drop and rescale (Yu et al., "Language Models are Super Mario", arXiv 2311.03099).

A fine-tuned model works with most of its changes set to 0, if the others are scaled up so that their expectation
stays. What is dropped at random rarely collides when experts are merged.

    drop      m_t,i ~ Bernoulli(1 - p),   tau'_t = m_t * tau_t                       (Eq. 2-3)
    rescale   tau''_t = tau'_t / (1 - p)                                             (Eq. 4)

The masks come from a counter-based generator: an element's depends on the seed, the expert's name, the tensor's name
and the element's index, and on nothing else.
"""

import hashlib
from typing import ClassVar, Final, Literal

from pydantic import Field

from ramekin.methods.base import EXAMPLES, MAX_FACTOR, Method, PositiveWeights, Weights, show_value, times
from ramekin.methods.ties import ELECTION

_MAX_SEED: Final = 2**63 - 1


class DareFamily(Method):
    """What both share: the masks."""

    drop_rate: float = Field(0.5, ge=0, lt=1, description="p, the probability that a change is dropped")
    seed: int = Field(0, ge=0, le=_MAX_SEED, description="another seed draws other masks")

    @property
    def _dropping(self) -> str:
        return (
            f"each change is dropped with probability {self.drop_rate} (by masks from the seed {self.seed}), the "
            "others are enlarged to make up for it"
        )

    def mask_key(self, expert: str, tensor: str) -> int:
        """Key of an expert's mask for a tensor, 64 bits."""
        text = f"{self.seed}\0{expert}\0{tensor}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


class Dare(DareFamily):
    """DARE: changes dropped at random, the others rescaled and summed."""

    formula: ClassVar[str] = (
        "tau_t = theta_t - theta_base;   m_t ~ Bernoulli(1 - p), p = drop_rate\n"
        "theta = theta_base + sum_t weight_t * m_t * tau_t / (1 - p)"
    )
    reference: ClassVar[str] = "arXiv 2311.03099, Eq. 2-4"

    name: Literal["dare"] = "dare"
    weight: Weights | None = Field(
        None,
        description="factor on the changes: a number, or one for each expert by name; 1/N if left out",
        examples=EXAMPLES,
    )

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return f"{self._dropping} and added to the base, times their weight ({show_value(self.weight)})"


class DareTies(DareFamily):
    """DARE with TIES: changes dropped at random, the others rescaled, and averaged where their signs agree."""

    formula: ClassVar[str] = (
        "m_t ~ Bernoulli(1 - p), p = drop_rate;   tau_t = m_t * (theta_t - theta_base) / (1 - p)\n" + ELECTION
    )
    reference: ClassVar[str] = "arXiv 2311.03099, Eq. 2-4, and arXiv 2306.01708, algorithm 1"

    name: Literal["dare-ties"] = "dare-ties"
    weight: PositiveWeights = Field(
        1.0, description="weight of each expert: a number, or one for each by name", examples=EXAMPLES
    )
    scale: float = Field(1.0, alias="lambda", ge=0, le=MAX_FACTOR, description="factor on the merged change")

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return f"{self._dropping}, and averaged where they have the sign that weighs more{times(self.scale)}"

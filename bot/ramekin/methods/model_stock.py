"""Model Stock (Jang et al., "Model Stock: All we need is just a few fine-tuned models", arXiv 2403.19522).

Experts lie on a thin shell around a centre, and their changes meet at nearly the same angle in every layer. The point
closest to that centre on the plane of the experts is found from the angle alone: the more the changes agree, the
closer to their mean, the less, the closer to the base.

    cos = mean over pairs t < u of <tau_t, tau_u> / (|tau_t| |tau_u|)                (section 3)
    t = N cos / (1 + (N - 1) cos)                                                    (Eq. 6, for N experts)
    theta = t * mean_t theta_t + (1 - t) * theta_base
"""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ramekin.methods.base import Method


class ModelStock(Method):
    """Model Stock: between the base and the mean of the experts, as their angle tells, tensor by tensor."""

    formula: ClassVar[str] = (
        "cos = mean over pairs t < u of <tau_t, tau_u> / (|tau_t| |tau_u|), in each tensor, or in each filter\n"
        "t = N * cos / (1 + (N - 1) * cos), within 0 and 1, 0 where the denominator vanishes\n"
        "theta = t * (1 / N) * sum_t theta_t + (1 - t) * theta_base"
    )
    reference: ClassVar[str] = "arXiv 2403.19522, section 3"
    looks: ClassVar[Literal[1, 2]] = 2
    least_experts: ClassVar[int] = 2

    name: Literal["model-stock"] = "model-stock"
    filter_wise: bool = Field(default=False, description="an angle for each filter (first dimension) of a tensor")

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        part = "filter" if self.filter_wise else "tensor"
        return (
            f"each {part} lies between the base's and the mean of the experts', the closer to the mean the more the "
            "experts' changes point the same way"
        )

    @staticmethod
    def share(products: Sequence[Sequence[float]]) -> float:
        """t, the share of the experts' mean, from the inner products `[N, N]` of the changes (upper triangle).

        A pair with a change that is 0 has no angle, and counts as orthogonal. The root of the product of two equal
        squares is exact, so changes that are equal or opposite meet at an angle that is. The denominator is never
        negative, but for rounding.
        """
        experts = range(len(products))
        squares = [products[t][t] for t in experts]
        cosines = [
            max(-1.0, min(1.0, products[t][u] / math.sqrt(squares[t] * squares[u])))
            if squares[t] and squares[u]
            else 0.0
            for t in experts
            for u in experts[t + 1 :]
        ]
        cosine = sum(cosines) / len(cosines)
        denominator = 1.0 + (len(products) - 1) * cosine
        return max(0.0, min(1.0, len(products) * cosine / denominator)) if denominator > 0 else 0.0

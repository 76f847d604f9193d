"""TIES: trim, elect sign, merge (Yadav et al., "TIES-Merging", arXiv 2306.01708).

Small changes are mostly noise, and changes of opposite sign cancel. TIES keeps the largest changes of each expert,
elects for each element the sign that weighs more, and averages only the changes that have it.

    trim     keep_t = the k = max(1, floor(density * n)) elements of largest |tau_t| in each tensor
    elect    gamma_i = sign(sum_t weight_t * tau_t,i) over what is kept; + where the sum is 0
    merge    A_i = {t kept at i: sign(tau_t,i) = gamma_i}
             tau_i = sum_{t in A_i} weight_t * tau_t,i / sum_{t in A_i} weight_t;   0 where A_i is empty
"""

from typing import ClassVar, Final, Literal

from pydantic import Field

from ramekin.methods.base import EXAMPLES, MAX_FACTOR, Method, PositiveWeights, times

ELECTION: Final = """gamma = sign(sum_t weight_t * tau_t), + where it is 0;   A = {t: sign(tau_t) = gamma}
theta = theta_base + lambda * sum_{t in A} weight_t * tau_t / sum_{t in A} weight_t
theta = theta_base + 0                                                                   where A is empty"""


class Ties(Method):
    """TIES: each expert's largest changes, averaged where their signs agree."""

    formula: ClassVar[str] = (
        "tau_t = theta_t - theta_base where it is among the max(1, floor(density * n)) largest |tau_t| of a tensor\n"
        "of n elements, of equals the first ones;   tau_t = 0 elsewhere\n" + ELECTION
    )
    reference: ClassVar[str] = "arXiv 2306.01708, algorithm 1"
    looks: ClassVar[Literal[1, 2]] = 2

    name: Literal["ties"] = "ties"
    density: float = Field(0.2, gt=0, le=1, description="share of each tensor's changes that is kept")
    weight: PositiveWeights = Field(
        1.0, description="weight of each expert: a number, or one for each by name", examples=EXAMPLES
    )
    scale: float = Field(1.0, alias="lambda", ge=0, le=MAX_FACTOR, description="factor on the merged change")

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return (
            f"of each expert's changes the largest are kept (density {self.density} in each tensor), the sign that "
            f"weighs more is elected for each element, and the changes that have it are averaged{times(self.scale)}"
        )

"""The plain average, and task arithmetic (Ilharco et al., "Editing Models with Task Arithmetic", arXiv 2212.04089).

An average dilutes what one expert alone has learned by N. Task arithmetic adds every expert's task vector, its
difference from the base, with a weight; `1/N` would be the average.

    task vector   tau_t = theta_t - theta_base                                       (section 2)
    addition      theta = theta_base + sum_t weight_t * tau_t
"""

from typing import ClassVar, Literal

from pydantic import Field

from ramekin.methods.base import EXAMPLES, Method, Weights, show_value


class Average(Method):
    """Average: the mean of all experts' weights."""

    formula: ClassVar[str] = "theta = (1 / N) * sum_t theta_t"
    reference: ClassVar[str] = "arXiv 2203.05482, uniform soup"

    name: Literal["average"] = "average"

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return "the mean of all experts' weights, in which a change that one expert alone had made is cut to 1/N"


class TaskArithmetic(Method):
    """Task arithmetic: the weighted sum of all task vectors, added to the base."""

    formula: ClassVar[str] = "tau_t = theta_t - theta_base\ntheta = theta_base + sum_t weight_t * tau_t"
    reference: ClassVar[str] = "arXiv 2212.04089, section 2"

    name: Literal["task-arithmetic"] = "task-arithmetic"
    weight: Weights = Field(
        0.4, description="factor on the task vectors: a number, or one for each expert by name", examples=EXAMPLES
    )

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return f"the experts' changes, times their weight ({show_value(self.weight)}), are summed and added to the base"

"""The plain average, and task arithmetic (Ilharco et al., "Editing Models with Task Arithmetic", arXiv 2212.04089).

An average dilutes what one expert alone has learned by N. Task arithmetic adds every expert's task vector, its
difference from the base, with a weight; `1/N` would be the average.

    task vector   tau_t = theta_t - theta_base                                       (section 2)
    addition      theta = theta_base + sum_t weight_t * tau_t
"""

from typing import ClassVar, Literal

from pydantic import Field

from ramekin.methods.base import Method, Weights


class Average(Method):
    """Average: the mean of all experts' weights."""

    formula: ClassVar[str] = "theta = (1 / N) * sum_t theta_t"
    reference: ClassVar[str] = "arXiv 2203.05482, uniform soup"

    name: Literal["average"] = "average"


class TaskArithmetic(Method):
    """Task arithmetic: the weighted sum of all task vectors, added to the base."""

    formula: ClassVar[str] = "tau_t = theta_t - theta_base\ntheta = theta_base + sum_t weight_t * tau_t"
    reference: ClassVar[str] = "arXiv 2212.04089, section 2"

    name: Literal["task-arithmetic"] = "task-arithmetic"
    weight: Weights = Field(0.4, description="factor on the task vectors: a number, or one for each expert by name")

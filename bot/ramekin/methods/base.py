"""What every merging method has: a name, parameters, a formula, a source."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

SEMANTICS = 1
"""Version of the arithmetic. It is part of every key: raise it when any method gives other bits for the same input."""

EPSILON: Final = 1e-5
"""A change of at most this size counts as none, where a method has no such parameter of its own."""

_MAX_WEIGHT: Final = 1e6


class Method(BaseModel):
    """Parameters of a merging method, validated, in the order in which they are shown.

    Attributes:
        formula: The method's equations in plain notation.
        reference: Where the equations come from.
        passes: How often all inputs are streamed: twice where something must be known of the whole model first.
        looks: How often each tensor is read in a pass: twice where something must be known of the tensor first.
        overlap: `defines` where the overlap of the experts decides the result, `shows` where it is only reported.
        least_experts: Fewer make no sense.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    formula: ClassVar[str]
    reference: ClassVar[str]
    passes: ClassVar[Literal[1, 2]] = 1
    looks: ClassVar[Literal[1, 2]] = 1
    overlap: ClassVar[Literal["defines", "shows"]] = "shows"
    least_experts: ClassVar[int] = 1

    name: str

    @classmethod
    def title(cls) -> str:
        """The name that a manifest uses."""
        return str(cls.model_fields["name"].default)

    @property
    def threshold(self) -> float:
        """A change must be greater than this to count in the overlap statistics."""
        return float(getattr(self, "epsilon", EPSILON))

    def parameters(self) -> dict[str, float | int | str | bool | dict[str, float] | None]:
        """All parameters with their values, by the names that a manifest uses, defaults filled in, without the name."""
        return self.model_dump(exclude={"name"})

    def misnamed(self, experts: Sequence[str]) -> dict[str, str]:
        """What is wrong with the experts' names in parameters: by parameter, what is wrong with it."""
        found = {}
        for parameter, value in self.parameters().items():
            if isinstance(value, dict) and set(value) != set(experts):
                found[parameter] = f"must have a number for each of {', '.join(f'`{name}`' for name in experts)}"
        return found


def _weights(value: object) -> float | dict[str, float]:
    if isinstance(value, Mapping) and value:
        return {str(name): _weight(each) for name, each in value.items()}
    return _weight(value)


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _not_a_weight()
    if abs(value) > _MAX_WEIGHT:
        raise _not_a_weight()
    return float(value)


def _not_a_weight() -> PydanticCustomError:
    hint = {"hint": "write one number such as `0.4`, or a mapping with one for each expert's name"}
    return PydanticCustomError("manifest", "is not a weight", hint)


def _positive_weights(value: object) -> float | dict[str, float]:
    weights = _weights(value)
    if any(weight < 0 for weight in (weights.values() if isinstance(weights, dict) else [weights])):
        hint = {"hint": "write 0 or more: an election of signs has no use for negative weights"}
        raise PydanticCustomError("manifest", "is negative", hint)
    return weights


def _schema(least: float) -> WithJsonSchema:
    number = {"type": "number", "minimum": least, "maximum": _MAX_WEIGHT}
    return WithJsonSchema({"anyOf": [number, {"type": "object", "minProperties": 1, "additionalProperties": number}]})


Weights = Annotated[float | dict[str, float], PlainValidator(_weights), _schema(-_MAX_WEIGHT)]
"""One weight for all experts, or one for each by name."""

PositiveWeights = Annotated[float | dict[str, float], PlainValidator(_positive_weights), _schema(0)]
"""The same without negative ones."""


def weights_of(weight: float | Mapping[str, float] | None, experts: Sequence[str]) -> tuple[float, ...]:
    """One weight per expert in manifest order; `1/N` each if None."""
    if weight is None:
        return (1.0 / len(experts),) * len(experts)
    if isinstance(weight, Mapping):
        return tuple(weight[name] for name in experts)
    return (float(weight),) * len(experts)

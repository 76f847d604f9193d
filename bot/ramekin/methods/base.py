"""What every merging method has: a name, parameters, a formula, a source."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag
from pydantic.fields import FieldInfo

SEMANTICS = 1
"""Version of the arithmetic. It is part of every key: raise it when any method gives other bits for the same input."""

EPSILON: Final = 1e-5
"""A change of at most this size counts as none, where a method has no such parameter of its own."""

MAX_FACTOR: Final = 1e6
"""Larger weights and factors are no use, and sums of them leave the range of float32."""

_MAX_EXPERTS: Final = 16

Value = float | int | str | bool | Mapping[str, float] | tuple[str, ...] | None
"""What a parameter can be; None where it is `1/N`."""


@dataclass(frozen=True)
class Misnamed:
    """A parameter and the manifest's experts that do not fit together.

    Attributes:
        parameter: The parameter, by the name that a manifest uses.
        name: The expert's name.
        known: Whether there is such an expert, and the parameter has nothing for it; or else it names one that is none.
    """

    parameter: str
    name: str
    known: bool


class Method(BaseModel):
    """Parameters of a merging method, validated, in the order in which they are shown.

    Attributes:
        formula: The method's equations in plain notation.
        reference: Where the equations come from.
        passes: How often all inputs are streamed: twice where something must be known of the whole model first.
        looks: How often each tensor is read in a pass: twice where something must be known of the tensor first.
        overlap: `defines` where the overlap of the experts decides the result, `shows` where it is only reported.
        least_experts: Fewer make no sense.
        uses_benchmarks: Whether what models do on the manifest's benchmarks decides the result.
    """

    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True
    )

    formula: ClassVar[str]
    reference: ClassVar[str]
    passes: ClassVar[Literal[1, 2]] = 1
    looks: ClassVar[Literal[1, 2]] = 1
    overlap: ClassVar[Literal["defines", "shows"]] = "shows"
    least_experts: ClassVar[int] = 1
    uses_benchmarks: ClassVar[bool] = False

    name: str

    @classmethod
    def title(cls) -> str:
        """The name that a manifest uses."""
        return str(cls.model_fields["name"].default)

    @classmethod
    def fields(cls) -> dict[str, FieldInfo]:
        """The parameters by the names that a manifest uses, without the method's name."""
        return {info.alias or name: info for name, info in cls.model_fields.items() if name != "name"}

    @property
    def threshold(self) -> float:
        """A change must be greater than this to count in the overlap statistics."""
        return float(getattr(self, "epsilon", EPSILON))

    @property
    def thresholds(self) -> int:
        """By how many thresholds the overlap is counted at once."""
        return 1

    @property
    def reads(self) -> int:
        """How often each tensor is read altogether."""
        return self.passes * self.looks

    @property
    @abstractmethod
    def deed(self) -> str:
        """What it did with the experts' changes, to be read on after a colon, without a final full stop."""

    def parameters(self) -> dict[str, Value]:
        """All parameters with their values, by the names that a manifest uses, defaults filled in, without the name."""
        return self.model_dump(exclude={"name"})

    def misnamed(self, experts: Sequence[str]) -> tuple[Misnamed, ...]:
        """Where a parameter by the experts' names has one too many, or lacks one."""
        found = []
        for parameter, value in self.parameters().items():
            if isinstance(value, Mapping):
                found += [Misnamed(parameter, name, known=False) for name in value if name not in experts]
                found += [Misnamed(parameter, name, known=True) for name in experts if name not in value]
        return tuple(found)


def _form_of_weight(value: object) -> str:
    return "by name" if isinstance(value, Mapping) else "for all"


# A tag keeps the validator's complaints to the form that was written.
_ByName = Field(min_length=1, max_length=_MAX_EXPERTS)
_Weight = Annotated[float, Field(ge=-MAX_FACTOR, le=MAX_FACTOR)]
_PositiveWeight = Annotated[float, Field(ge=0, le=MAX_FACTOR)]

Weights = Annotated[
    Annotated[_Weight, Tag("for all")] | Annotated[dict[str, _Weight], _ByName, Tag("by name")],
    Discriminator(_form_of_weight),
]
"""One weight for all experts, or one for each by name."""

PositiveWeights = Annotated[
    Annotated[_PositiveWeight, Tag("for all")] | Annotated[dict[str, _PositiveWeight], _ByName, Tag("by name")],
    Discriminator(_form_of_weight),
]
"""The same without negative ones, for which an election of signs has no use."""

EXAMPLES: Final[list[JsonValue]] = [0.5, {"coder": 0.5, "tool": 0.3}]
"""Weights as a manifest has them, for people to write their own."""

WEIGHT_FORMS: Final = frozenset({"for all", "by name"})
"""Parts of the location of an error in a weight that are no keys."""


def weights_of(weight: float | Mapping[str, float] | None, experts: Sequence[str]) -> tuple[float, ...]:
    """One weight per expert in manifest order; `1/N` each if None."""
    if weight is None:
        return (1.0 / len(experts),) * len(experts)
    if isinstance(weight, Mapping):
        return tuple(weight[name] for name in experts)
    return (float(weight),) * len(experts)


def show_value(value: Value) -> str:
    """A parameter's value as people read it, on one line: `0.4`, `false`, `coder 0.5, tool 1.0`, or `1/N` for None."""
    match value:
        case None:
            return "1/N"
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(show_value, value))
        case Mapping():
            return ", ".join(f"{name} {show_value(each)}" for name, each in value.items())
    return str(value)


def times(factor: float) -> str:
    """A factor at the end of a sentence, if it is one: `, times 0.5`."""
    return "" if factor == 1 else f", times {factor}"

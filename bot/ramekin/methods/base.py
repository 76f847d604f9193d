"""What every merging method has: a name, parameters, a formula, a source."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

SEMANTICS = 1
"""Version of the arithmetic. It is part of every key: raise it when any method gives other bits for the same input."""


class Method(BaseModel):
    """Parameters of a merging method, validated, in the order in which they are shown.

    Attributes:
        formula: The method's equations in plain notation.
        reference: Where the equations come from.
        passes: How often all inputs are read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    formula: ClassVar[str]
    reference: ClassVar[str]
    passes: ClassVar[int]

    name: str

    @classmethod
    def title(cls) -> str:
        """The name that a manifest uses."""
        return str(cls.model_fields["name"].default)

    def parameters(self) -> dict[str, float | int | str | bool]:
        """All parameters with their values, defaults filled in, without the name."""
        return self.model_dump(exclude={"name"})

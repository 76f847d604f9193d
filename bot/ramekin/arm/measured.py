"""What can be measured of a model, and what was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ramekin.arm.reading import Material
from ramekin.arm.saliency import Floats

Kind = Literal["role", "halves", "said", "loss", "right", "kept"]
"""Saliency in the role, in the role by two halves of the trajectories, and in all that the assistant says; negative
log-likelihood of the role on development data; right answers to its prompts; the likelihood on those development data
by which nothing is chosen."""

TRACED: Final[tuple[Kind, ...]] = ("role", "halves", "said")
JUDGED: Final[tuple[Kind, ...]] = ("loss", "kept")


@dataclass
class Measured:
    """What was measured of a model, by benchmark.

    Attributes:
        role: Saliency in the role, `[f]` for each layer.
        halves: The same of two halves of the trajectories: all layers of the first, and then those of the second.
        said: Saliency in all that the assistant says.
        loss: Negative log-likelihood of the role's tokens in nats a token, by trajectory.
        right: Whether each answer was right.
        kept: As `loss`, on development data by which nothing is chosen.
    """

    role: dict[str, list[Floats]] = field(default_factory=dict)
    halves: dict[str, list[Floats]] = field(default_factory=dict)
    said: dict[str, list[Floats]] = field(default_factory=dict)
    loss: dict[str, list[float]] = field(default_factory=dict)
    right: dict[str, list[float]] = field(default_factory=dict)
    kept: dict[str, list[float]] = field(default_factory=dict)

    def of(self, kind: Kind) -> dict[str, Any]:
        """What was measured of one kind."""
        found: dict[str, Any] = getattr(self, kind)
        return found


@dataclass(frozen=True)
class Aim:
    """What is to be measured.

    Attributes:
        overlap: Which neurons are at work; in the experts also whether halves of the trajectories say the same.
        said: In the experts also those in all that the assistant says.
        likelihood: How likely the role's tokens are.
        answers: Whether prompts are answered right, where the benchmark says how.
    """

    overlap: bool = True
    said: bool = False
    likelihood: bool = False
    answers: bool = False

    def kinds(self, material: Material, *, donor: bool) -> list[Kind]:
        """What that is for a benchmark, of its donor or of a candidate."""
        wanted: list[tuple[bool, Kind]] = [
            (self.overlap, "role"),
            (self.overlap and donor and len(material.role.trajectories) > 1, "halves"),
            (self.overlap and self.said and donor and material.said is not None, "said"),
            (self.likelihood and material.dev is not None, "loss"),
            (self.answers and bool(material.prompts), "right"),
        ]
        return [kind for want, kind in wanted if want]


@dataclass(frozen=True)
class Observed:
    """What was measured of all models.

    Attributes:
        experts: Of the donors, by benchmark.
        candidates: By candidate, in the pool's order.
    """

    experts: Measured
    candidates: Mapping[str, Measured]

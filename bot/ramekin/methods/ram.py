"""RAM, RAM+, RAM+s and the unique part of one expert: Reinforced Agent Merging (arXiv 2601.13572).

Reinforcement learning changes few weights, and different ones for different tasks. Where one expert alone changed an
element (its unique part) an average would dilute the change by N; RAM keeps it whole, and averages only what is
shared, over those who changed it. RAM+ and RAM+s strengthen the unique part of an expert the more of its changes are
shared with others, and so averaged away.

    probe     m_t,i = 1 if |tau_t,i| > epsilon else 0        c_i = sum_t m_t,i                         (Eq. 1-2)
    merge     tau_i = lambda_t tau_t,i          if c_i = 1, t the one that changed it                  (Eq. 7)
                    = (1 / c_i) sum_t m_t,i tau_t,i  if c_i >= 2;   0 if c_i = 0
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from ramekin.methods.base import EPSILON, MAX_FACTOR, Method, Misnamed, Value, times

_MERGE = """tau_t = theta_t - theta_base;   m_t,i = [|tau_t,i| > epsilon];   c_i = sum_t m_t,i
tau_i = lambda_t * tau_t,i                     where c_i = 1
tau_i = (1 / c_i) * sum_t m_t,i * tau_t,i      where c_i >= 2
theta = theta_base + tau"""


@dataclass(frozen=True)
class Overlap:
    """How the changes of N experts overlap, counted over the whole model (Eq. 1-2).

    Attributes:
        counts: Number of elements for each of the `2**N` patterns. Bit `t` of the index is set where expert `t`, in
            manifest order, changed the element; index 0 counts the elements that nobody changed.
    """

    counts: tuple[int, ...]

    @property
    def experts(self) -> int:
        """N, the number of experts."""
        return len(self.counts).bit_length() - 1

    @property
    def elements(self) -> int:
        """Number of elements of the model, each counted once."""
        return sum(self.counts)

    def shared_with(self, expert: int) -> tuple[int, ...]:
        """For k = 0 … N-1, the elements that `expert` changed together with exactly k others."""
        result = [0] * self.experts
        for pattern, count in enumerate(self.counts):
            if pattern >> expert & 1:
                result[pattern.bit_count() - 1] += count
        return tuple(result)

    def unique(self, expert: int) -> int:
        """Elements that `expert` alone changed."""
        return self.counts[1 << expert]

    def shared(self, expert: int) -> int:
        """Elements that `expert` changed and at least one other too."""
        return sum(self.shared_with(expert)[1:])

    def rho(self, expert: int) -> float | None:
        """Ratio of shared to unique elements; 0 for an expert that changed nothing, None where it is infinite."""
        unique, shared = self.unique(expert), self.shared(expert)
        if unique:
            return shared / unique
        return None if shared else 0.0


class RamFamily(Method):
    """What the three share: the probe and the merge. They differ in lambda."""

    reference: ClassVar[str] = "arXiv 2601.13572, Eq. 1-2 and 7"
    overlap: ClassVar[Literal["defines", "shows"]] = "defines"

    epsilon: float = Field(EPSILON, ge=0, description="a change of at most this size counts as none")
    shared: float = Field(
        1.0, ge=0, le=MAX_FACTOR, description="factor on changes that several experts made; not in the paper, 1 there"
    )

    @model_serializer(mode="wrap")
    def _as_the_paper_has_it(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Value]:
        """Without the factor where it is 1: a merge by the paper has the paper's parameters, and the same key."""
        found: dict[str, Value] = serialize(self)
        return {name: value for name, value in found.items() if name != "shared" or value != 1}

    _strengthened: ClassVar[str] = " and strengthened"

    @abstractmethod
    def lambda_of(self, shared: int, unique: int) -> float:
        """Factor on the unique part of an expert with so many shared and unique elements, in float64."""

    def coefficients(self, lambdas: Sequence[float]) -> list[float]:
        """Factor on the sum of the changes by pattern, in float64: `2**N`, bit t set where expert t has changed.

        It is `lambda_t` where t alone changed an element, and `1 / c` where c experts did (Eq. 7), times `shared`.
        """
        exact = [0.0] + [self.shared / pattern.bit_count() for pattern in range(1, 1 << len(lambdas))]
        for t, factor in enumerate(lambdas):
            exact[1 << t] = factor
        return exact

    def lambdas(self, overlap: Overlap) -> tuple[float, ...]:
        """One factor per expert, in manifest order, in float64; the kernels round them to float32 once."""
        return tuple(self.lambda_of(overlap.shared(t), overlap.unique(t)) for t in range(overlap.experts))

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return (
            f"what one expert alone had changed is kept whole{self._strengthened}, what several had changed is "
            f"averaged over those who did{times(self.shared)}, and all else is the base's"
        )


class Ram(RamFamily):
    """RAM: unique changes whole, shared changes averaged."""

    formula: ClassVar[str] = _MERGE + "\nlambda_t = 1"

    name: Literal["ram"] = "ram"

    _strengthened: ClassVar[str] = ""

    def lambda_of(self, shared: int, unique: int) -> float:
        """1, whatever the overlap."""
        return 1.0


class RamPlus(RamFamily):
    """RAM+: unique changes strengthened by the clipped ratio of shared to unique (Eq. 6)."""

    formula: ClassVar[str] = _MERGE + "\nlambda_t = 1 + r * clip(rho_t, 0, alpha),   rho_t = shared_t / unique_t"
    reference: ClassVar[str] = "arXiv 2601.13572, Eq. 1-2, 6 and 7"
    passes: ClassVar[Literal[1, 2]] = 2

    name: Literal["ram+"] = "ram+"
    r: float = Field(0.1, ge=0, description="strength of the rescaling")
    alpha: float = Field(2.0, ge=0, description="upper bound on rho")

    def lambda_of(self, shared: int, unique: int) -> float:
        """`1 + r * min(rho, alpha)`; rho is 0 where nothing changed and infinite where nothing is unique."""
        if not unique:
            return 1.0 + self.r * (self.alpha if shared else 0.0)
        return 1.0 + self.r * min(shared / unique, self.alpha)


class RamPlusSmooth(RamFamily):
    """RAM+s: the same without a clip, by the shared fraction of an expert's changes (Eq. 8)."""

    formula: ClassVar[str] = _MERGE + "\nlambda_t = 1 + r * shared_t / (shared_t + unique_t)"
    reference: ClassVar[str] = "arXiv 2601.13572, Eq. 1-2, 7 and 8"
    passes: ClassVar[Literal[1, 2]] = 2

    name: Literal["ram+s"] = "ram+s"
    r: float = Field(0.1, ge=0, description="strength of the rescaling")

    def lambda_of(self, shared: int, unique: int) -> float:
        """`1 + r * shared / (shared + unique)`, 1 for an expert that changed nothing."""
        changed = shared + unique
        return 1.0 + self.r * (shared / changed if changed else 0.0)


class RamUnique(Method):
    """RAM's unique part of one expert: what it alone changed, whole or diluted; a diagnostic (Fig. 3)."""

    formula: ClassVar[str] = (
        "tau_t = theta_t - theta_base;   m_t,i = [|tau_t,i| > epsilon];   c_i = sum_t m_t,i\n"
        "theta = theta_base + scale * tau_expert     where expert alone changed the element (c_i = 1)\n"
        "theta = theta_base                          elsewhere, and everywhere if scale is 0"
    )
    reference: ClassVar[str] = "arXiv 2601.13572, Fig. 3"
    overlap: ClassVar[Literal["defines", "shows"]] = "defines"

    name: Literal["ram-unique"] = "ram-unique"
    expert: str = Field(description="whose unique part", min_length=1, max_length=64, examples=["coder"])
    scale: float = Field(1.0, ge=0, le=MAX_FACTOR, description="factor on it; 1/N is what an average leaves of it")
    epsilon: float = Field(EPSILON, ge=0, description="a change of at most this size counts as none")

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        whole = "kept whole" if self.scale == 1 else f"kept{times(self.scale)}"
        return f"what {self.expert} alone had changed is {whole}, and all else is the base's"

    def misnamed(self, experts: Sequence[str]) -> tuple[Misnamed, ...]:
        """`expert` must be one of them."""
        return () if self.expert in experts else (Misnamed("expert", self.expert, known=False),)

    def coefficients(self, experts: Sequence[str]) -> list[float]:
        """Factor on the sum of the changes by pattern, in float64: `2**N`, bit t set where expert t has changed."""
        exact = [0.0] * (1 << len(experts))
        exact[1 << experts.index(self.expert)] = self.scale
        return exact

"""ARM and what it is made of: the choice of one merge among many by what the models do on benchmarks.

ARM is Agent-Role Merging (arXiv 2601.07309). The backbone is the candidate whose salient neurons are most like the
experts' own, each expert on the benchmarks that it is best at; where the backbone is weak, the expert's neurons are put
into it, but for those that other benchmarks need.

    candidates    M_g = g(experts)                                       for g in the pool             (Eq. 1)
    saliency      s_l[j] = mean over trajectories of mean over the role's tokens of |z_l[j]|           (Eq. 2)
    salient       S_l = the ceil(top_k * f_l) largest s_l                                              (Eq. 3)
    overlap       AOS(g; b) = |S(M_g; b) & S(donor_b; b)| / |S(M_g; b) | S(donor_b; b)|                (Eq. 4)
    backbone      g* = argmax_g mean_b AOS(g; b)                                                       (Eq. 5)
    transplant    the neurons of S(donor_b; b) without those of S(M_g*; b'), b' != b, for each weak b  (Eq. 6-8)

`best-of` is the choice alone, by any of the signals, and without transplantation.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer
from pydantic_core import PydanticCustomError

from ramekin.methods.base import Method, Misnamed, Value
from ramekin.methods.choices import (
    PAPERS_POOL,
    WIDE_POOL,
    Collision,
    Pool,
    Precision,
    Repair,
    Signal,
    Signals,
    label_of,
    names_of,
)
from ramekin.methods.watched import SALIENCY, SHIFT, Saliency, Shift, without_the_papers
from ramekin.text import printable

_IN_WORDS: Final[Mapping[Signal, str]] = {
    "aos": "overlap of its neurons with the experts'",
    "likelihood": "likelihood of its roles on development data",
    "scores": "scores on development data",
}


class Choosing(Method):
    """What all that choose among candidates share."""

    uses_benchmarks: ClassVar[bool] = True
    reading: ClassVar[str] = "reads its inputs for all candidates together, and again for the one it writes"

    @model_serializer(mode="wrap")
    def _as_the_paper_watches(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is as in the paper: what watches as the paper does has its parameters, and the same key."""
        return without_the_papers(serialize(self))

    @property
    def candidates(self) -> dict[str, Method]:
        """The pool by what each candidate is called, in its order."""
        return {label_of(entry): entry for entry in self.members}

    @property
    def members(self) -> Sequence[Method]:
        """The pool."""
        found: Sequence[Method] = getattr(self, "pool", ())
        return found

    @property
    def signals(self) -> tuple[Signal, ...]:
        """By what the candidate is chosen, in order."""
        found: tuple[Signal, ...] = getattr(self, "select", ())
        return found

    @property
    def judged_by(self) -> str:
        """The signals in words."""
        return ", then ".join(_IN_WORDS[signal] for signal in self.signals)

    @property
    def keeps_apart(self) -> bool:
        """Whether part of the development data is kept for the end, to tell what was chosen on the others is worth."""
        return False

    def develops(self, *, asked: bool, scored: bool = False) -> bool:
        """Whether it looks at development data: without any, part of the calibration data is set aside.

        Args:
            asked: Whether benchmarks have models answer prompts, which are development data's.
            scored: Whether the manifest has every score that could be wanted.
        """
        return "likelihood" in self.signals or (asked and "scores" in self.signals)

    @property
    def reads(self) -> int:
        """How often each tensor is read: for the statistics, for all candidates at once, and for what is written."""
        counting = any(entry.passes > 1 for entry in self.members)
        return counting + 2 * max((entry.looks for entry in self.members), default=1)

    @property
    def thresholds(self) -> int:
        """By how many thresholds the overlap is counted at once."""
        return max(1, len({entry.threshold for entry in self.members if entry.passes > 1}))

    def parameters(self) -> dict[str, Value]:
        """All parameters, the pool as the names of its candidates."""
        rest: dict[str, Value] = self.model_dump(exclude={"name", "pool"})
        return {"pool": tuple(self.candidates)} | rest

    def misnamed(self, experts: Sequence[str]) -> tuple[Misnamed, ...]:
        """Those of the pool's entries."""
        return tuple(
            Misnamed(f"pool.{number}.{found.parameter}", found.name, known=found.known)
            for number, entry in enumerate(self.members)
            for found in entry.misnamed(experts)
        )

    @field_validator("pool", check_fields=False)
    @classmethod
    def _are_different(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        labels = [label_of(entry) for entry in value]
        if twice := next((label for label in labels if labels.count(label) > 1), None):
            shown = {"label": printable(twice, 200), "hint": "keep one, or give it other parameters"}
            raise PydanticCustomError("manifest", "has `{label}` twice", shown)
        return value


_CHOICE: Final = """M_g = g(experts)   for g in pool
s_l[j](M; b) = mean over trajectories of b of mean over the role's tokens of |z_l[j]|,   z_l into MLP l's last layer
S_l(M; b) = the ceil(top_k * f_l) largest s_l
AOS(g; b) = |S(M_g; b) & S(donor_b; b)| / |S(M_g; b) | S(donor_b; b)|"""


class Arm(Choosing):
    """ARM: the candidate whose neurons do what the experts' do, given the experts' own neurons where it is weak."""

    formula: ClassVar[str] = (
        _CHOICE + "\ng* = argmax_g mean_b AOS(g; b)\n"
        "T_b = S(donor_b; b) without the union of S(M_g*; b') over b' != b,   for each weak b\n"
        "theta = M_g*, with the donor's rows of gate and up, and column of down, for each neuron of T_b"
    )
    reference: ClassVar[str] = "arXiv 2601.07309, Eq. 1-8"
    least_experts: ClassVar[int] = 2

    name: Literal["arm"] = "arm"
    pool: Pool = Field(
        names_of(PAPERS_POOL),
        validate_default=True,
        description="the candidates: names of methods, or mappings with their parameters",
        examples=[["average", {"name": "ties", "density": 0.3}]],
    )
    top_k: float = Field(0.1, gt=0, le=1, description="share of each layer's neurons that count as salient")
    saliency: Saliency = Field("abs", description=SALIENCY)
    shift: Shift = Field(0, description=SHIFT)
    select: Signals = Field(
        ("aos",),
        description="by what the backbone is chosen: `aos`, `likelihood`, `scores`, or a list of them in which the "
        "next decides what the one before leaves within its noise",
        examples=["aos", ["aos", "likelihood"]],
    )
    repair: Repair = Field(
        "auto",
        description="which benchmarks get their expert's neurons: `auto` for the weak ones, `all`, `none`, or a list, "
        "the last of which wins a neuron that several want",
        examples=["auto", ["tau-bench"]],
    )
    protect: bool = Field(True, description="whether neurons that other benchmarks need stay")
    collisions: Collision = Field(
        "last", description="who gets a neuron that several want: the `last` repaired, the `first`, or nobody: `skip`"
    )
    trace_dtype: Precision = Field("base", description="element type that models are traced in; `base`: the base's own")

    def develops(self, *, asked: bool, scored: bool = False) -> bool:
        """Likewise, and to tell weak benchmarks by answers or likelihood, where not all scores are given."""
        wanted = self.repair == "auto" and (asked or not scored)
        return wanted or super().develops(asked=asked, scored=scored)

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        like = "whose neurons are most like the experts' in the roles that they play"
        taken = f"the one was taken {like}" if self.select == ("aos",) else f"the best was taken, by {self.judged_by}"
        return f"of {len(self.pool)} candidates {taken}, and where it was weak it got the experts' own neurons"


class BestOf(Choosing):
    """Best of a pool: the candidate that does best on development data, by a signal of your choice."""

    formula: ClassVar[str] = (
        _CHOICE + "\nNLL(g; b) = mean over development trajectories of b of mean over the role's tokens of "
        "-log p(token | before)\n"
        "theta = M_g*,   g* = argmin_g mean_b NLL(g; b),   or argmax_g of mean AOS or mean score"
    )
    reference: ClassVar[str] = "arXiv 2601.07309, Eq. 1-5, with other signals"
    least_experts: ClassVar[int] = 2

    name: Literal["best-of"] = "best-of"
    pool: Pool = Field(
        names_of(WIDE_POOL),
        validate_default=True,
        description="the candidates: names of methods, or mappings with their parameters",
        examples=[["ram", {"name": "task-arithmetic", "weight": 0.7}]],
    )
    select: Signals = Field(
        ("likelihood",),
        description="by what the winner is chosen: `likelihood`, `aos`, `scores`, or a list of them in which the next "
        "decides what the one before leaves within its noise",
        examples=["likelihood", ["scores", "likelihood"]],
    )
    top_k: float = Field(0.1, gt=0, le=1, description="share of each layer's neurons that count as salient for AOS")
    saliency: Saliency = Field("abs", description=SALIENCY)
    shift: Shift = Field(0, description=SHIFT)
    trace_dtype: Precision = Field("base", description="element type that models are run in; `base`: the base's own")

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return f"of {len(self.pool)} candidates the best was taken, by {self.judged_by}"


class Tuned(Choosing):
    """Tuned: the best of a pool, its coefficients moved to what development data find most likely; without training."""

    formula: ClassVar[str] = (
        "NLL(theta; b) = mean over development trajectories of b of mean over the role's tokens of "
        "-log p(token | before)\n"
        "theta = g(experts; c*),   g the method of argmin over the pool of mean_b NLL\n"
        "c* = what a pattern search from its coefficients finds: each in turn times and by s, s = 1.5, sqrt(1.5), ..."
    )
    reference: ClassVar[str] = "pattern search after Hooke and Jeeves, 1961; RAM (arXiv 2601.13572) among the methods"
    least_experts: ClassVar[int] = 2

    name: Literal["tuned"] = "tuned"
    pool: Pool = Field(
        names_of(WIDE_POOL),
        validate_default=True,
        description="where to begin: the best of these methods",
        examples=[["ram", "task-arithmetic"]],
    )
    budget: int = Field(24, ge=1, le=1000, description="how many candidates may be tried beyond the pool")
    trace_dtype: Precision = Field("base", description="element type that models are run in; `base`: the base's own")

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Likelihood alone."""
        return ("likelihood",)

    @property
    def keeps_apart(self) -> bool:
        """Yes: what was found has been chosen on development data."""
        return True

    @property
    def deed(self) -> str:
        """What it did with the experts' changes."""
        return (
            f"the best of {len(self.pool)} candidates was taken by likelihood of its roles on development data, and "
            f"its coefficients were moved, in up to {self.budget} tries, to where these data are most likely"
        )

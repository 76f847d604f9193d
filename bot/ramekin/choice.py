"""What the report says of a choice among candidates, and of ARM's transplantation: `comparison` and `activation`.

Light, as the report is: cards are rendered from it where nothing else is installed.
"""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ramekin.methods import AnyMethod
from ramekin.methods.watched import Watched

CLOSE: Final = 0.005
"""Candidates that are closer in mean AOS than this are not told apart by it: there is a warning."""

ENOUGH: Final = 0.95
"""Where two halves of the recorded runs agree so far on the neurons that do most, more runs would change little."""


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class ReportedData(_Part):
    """A file of recorded runs.

    Attributes:
        source: Dataset or path.
        commit: What it was pinned to.
        file: Path in the dataset; the file's name for a local one.
        on_hub: Whether it is a dataset on the Hub.
    """

    source: str
    commit: str
    file: str
    on_hub: bool = False


class ReportedCalibration(_Part):
    """The recorded runs of one benchmark, and what was found in them.

    Attributes:
        expert: The donor.
        role: What counts as the role.
        source: Dataset or path.
        commit: What it was pinned to.
        file: Path in the dataset; the file's name for a local one.
        on_hub: Whether it is a dataset on the Hub.
        license: As the dataset's card declares it.
        trajectories: Those in which neurons were watched.
        without: Those that do not have the role.
        dropped: Those that could not be used.
        twice: Those that were there a second time.
        cut: Spans that the limit on tokens cut, and so left out.
        tokens: Tokens of all trajectories.
        role_tokens: Those in the role.
        violations: Malformed attempts at the role.
        violating: Trajectories that have such.
        dev_trajectories: Trajectories by which models were judged; 0 if none were needed.
        dev_tokens: Tokens of the role in these.
        held_out: Whether these were set aside from the calibration data, because no others were named.
        dev_watched: Whether neurons were watched in them, too: `ramekin compare` shows likelihood on such where the
            method decides nothing by it.
        dev: Where they are from, if the manifest names some.
        template: Digest of the chat template; None where texts were given.
        data_sha256: Digest of the token ids of all trajectories in which neurons were watched, in whatever order.
        dev_sha256: The same of the development trajectories.
        split_half: How far two halves of the trajectories agree on the neurons that do most in the role (Jaccard); None
            for a single one, or where neurons were not watched.
        scored: Where scores are from: `measured` on the development data as the share of right answers, or `given` in
            the manifest; None where there are none, or where an older report does not say.
        warnings: What looked wrong.
    """

    expert: str
    role: str
    source: str
    commit: str
    file: str
    on_hub: bool = False
    license: str | None = None
    trajectories: int
    without: int = 0
    dropped: int = 0
    twice: int = 0
    cut: int = 0
    tokens: int = 0
    role_tokens: int = 0
    violations: int = 0
    violating: int = 0
    dev_trajectories: int = 0
    dev_tokens: int = 0
    held_out: bool = False
    dev_watched: bool = False
    dev: ReportedData | None = None
    template: str | None = None
    data_sha256: str | None = None
    dev_sha256: str | None = None
    split_half: float | None = None
    scored: Literal["measured", "given"] | None = None
    warnings: tuple[str, ...] = ()


class ReportedMeasures(_Part):
    """What was measured of a model, by benchmark; empty where nothing was.

    Attributes:
        likelihood: Negative log-likelihood of the role's tokens on development data, in nats a token; less is better.
        scores: Given, or share of right answers; more is better.
    """

    likelihood: dict[str, float] = {}
    scores: dict[str, float] = {}

    @property
    def mean_likelihood(self) -> float | None:
        """Mean over the benchmarks."""
        return _mean(self.likelihood)

    @property
    def mean_score(self) -> float | None:
        """Mean over the benchmarks."""
        return _mean(self.scores)


class ReportedCandidate(ReportedMeasures):
    """One candidate.

    Attributes:
        method: How it is merged.
        aos: Activation-overlap score by benchmark (arXiv 2601.07309, Eq. 4).
        mean_aos: Mean over the benchmarks (Eq. 5).
        aos_layer_mean: Mean over benchmarks and layers of each layer's own score; at least `mean_aos`.
        changed: Elements that are not the base's; None if they were not counted.
    """

    method: AnyMethod
    aos: dict[str, float] = {}
    mean_aos: float | None = None
    aos_layer_mean: float | None = None
    changed: int | None = None


class ReportedSample(_Part):
    """A trajectory as the models read it, in part.

    Attributes:
        benchmark: Of which benchmark.
        trajectory: Its id.
        pieces: Text, and whether it is in the role.
    """

    benchmark: str
    trajectory: str
    pieces: tuple[tuple[str, bool], ...]


class ReportedTuning(_Part):
    """A search for better coefficients.

    Attributes:
        start: The candidate of the pool that it began from.
        tried: Candidates that it tried, in order; all of them are in the comparison.
        budget: How many it might have tried.
        kept: By benchmark, how many trajectories were kept for the end.
        before: By benchmark, likelihood of the start on those, in nats a token.
        after: The same of what was found.
    """

    start: str
    tried: tuple[str, ...]
    budget: int
    kept: dict[str, int]
    before: dict[str, float]
    after: dict[str, float]


class ReportedComparison(_Part, Watched):
    """A choice among candidates, and how neurons were watched for it.

    Attributes:
        signals: By what it was made, in order.
        decided_by: The signal that decided in the end.
        selected: The candidate.
        margin: How far it is ahead, by the signal that decided, of the next best among those between which it did.
        top_k: Share of each layer's neurons that count as salient.
        dtype: Element type that models were run in.
        device: What they were run on: `cpu`, or the GPU's name. Like the versions, part of no key.
        torch, transformers: Their versions.
        template: Digest of the chat template, if all benchmarks have one; None where texts were given.
        candidates: All of them, in the pool's order.
        experts: By benchmark, what was measured of its expert.
        calibration: By benchmark.
        tuned: The search for better coefficients; None without one.
        samples: A few trajectories, where they may be shown.
        warnings: What is to be known of the choice.
    """

    signals: tuple[str, ...]
    decided_by: str
    selected: str
    margin: float | None
    top_k: float
    dtype: str
    device: str | None = None
    torch: str | None = None
    transformers: str | None = None
    template: str | None = None
    candidates: dict[str, ReportedCandidate]
    experts: dict[str, ReportedMeasures] = {}
    calibration: dict[str, ReportedCalibration]
    tuned: ReportedTuning | None = None
    samples: tuple[ReportedSample, ...] = ()
    warnings: tuple[str, ...] = ()


class ReportedTransplant(_Part):
    """Neurons that one benchmark's expert gave.

    Attributes:
        expert: The donor.
        salient: Neurons that do most in the role, in the expert.
        protected: How many of them stayed the backbone's, because other benchmarks need them.
        neurons: How many are left: the transplant set (Eq. 8).
        applied: How many of these the merge has from this expert; others went to another benchmark's.
        fraction: `neurons` as part of all neurons of the model.
        per_layer: `neurons` by layer.
        gap: How much worse the backbone is than the expert; None where nothing was measured.
    """

    expert: str
    salient: int
    protected: int
    neurons: int
    applied: int
    fraction: float
    per_layer: tuple[int, ...]
    gap: float | None = None


class ReportedCrossOverlap(_Part):
    """How much the experts' salient sets have in common (arXiv 2601.07309, Fig. 4).

    Attributes:
        of_union: Neurons in at least two sets, as part of those in any.
        of_own: By benchmark, the part of its set that others have too.
        pairwise: By two benchmarks, what both have as part of what either has.
    """

    of_union: float
    of_own: dict[str, float]
    pairwise: dict[str, dict[str, float]]


class ReportedActivation(_Part):
    """What ARM saw and did (arXiv 2601.07309).

    Attributes:
        top_k: Share of each layer's neurons that count as salient (Eq. 3).
        chance: AOS of sets that are drawn at random, about.
        aos: By candidate and benchmark (Eq. 4).
        mean_aos: By candidate (Eq. 5).
        aos_layer_mean: By candidate, the mean of each layer's own score.
        per_layer: By benchmark, the backbone's score in each layer.
        selected: The backbone.
        margin: How far the best mean is ahead of the next best.
        neurons: Neurons of the model.
        overlap: How the experts' sets overlap in their roles.
        overlap_agnostic: The same over all that the assistant says; None where that is not known.
        rule: What told which benchmarks are weak: `scores`, `likelihood`, `list`, `all` or `none`.
        weak: The weak benchmarks, in the order of repair: the worst last.
        gaps: By benchmark, how much worse the backbone is than the expert; empty where nothing was measured.
        transplanted: By weak benchmark.
        collisions: Neurons that several experts would have given.
        weights_replaced: Elements of the neurons that were replaced.
    """

    top_k: float
    chance: float
    aos: dict[str, dict[str, float]]
    mean_aos: dict[str, float]
    aos_layer_mean: dict[str, float]
    per_layer: dict[str, tuple[float, ...]]
    selected: str
    margin: float | None
    neurons: int
    overlap: ReportedCrossOverlap
    overlap_agnostic: ReportedCrossOverlap | None = None
    rule: str
    weak: tuple[str, ...]
    gaps: dict[str, float] = {}
    transplanted: dict[str, ReportedTransplant] = Field({})
    collisions: int = 0
    weights_replaced: int = 0


def _mean(values: Mapping[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None

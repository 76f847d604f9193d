"""`ramekin/report.json`: what a merge did, written by `merge`, read by every command that takes a directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ramekin.choice import ReportedActivation, ReportedComparison
from ramekin.errors import DamagedError
from ramekin.lock.model import FileName, Lock, Sha256
from ramekin.methods import AnyMethod
from ramekin.methods.ram import Overlap
from ramekin.scores import ReportedEvaluation

REPORT_NAME: Final = "ramekin/report.json"
MANIFEST_COPY: Final = "ramekin/merge.yaml"
LOCK_COPY: Final = "ramekin/merge.lock"
NEURONS: Final = "ramekin/neurons.safetensors"
"""Where a merged directory says which neurons it has from which expert."""
CARD_TEMPLATE: Final = "ramekin/card.md.jinja"

Key = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class ReportedSource(_Part):
    """A source as it was used."""

    source: str
    commit: str
    license: str | None = None


class ReportedExpert(ReportedSource):
    """An expert as it was used."""

    name: str


class ExpertOverlap(_Part):
    """How one expert's changes overlap with the others'.

    Attributes:
        changed: Elements that it changed.
        density: Their share in the model.
        unique: Those that nobody else changed.
        shared: Those that others changed too.
        rho: Ratio of shared to unique; None where it is infinite.
        factor: Factor on the unique part; None for methods without one.
        shared_with: For k = 0 … N-1, the elements that it changed together with exactly k others.
    """

    changed: int
    density: float
    unique: int
    shared: int
    rho: float | None
    factor: float | None = Field(alias="lambda")
    shared_with: tuple[int, ...]

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)


class ModuleOverlap(_Part):
    """What was changed in one kind of module, such as `mlp.down_proj`, layer by layer.

    Attributes:
        layers: The layers it is in, ascending; None stands for what is in no layer, such as the embedding.
        elements: Elements of the module in each of them.
        anyone: Elements that at least one expert changed.
        several: Elements that at least two changed.
        experts: By expert, the elements that it changed.
    """

    layers: tuple[int | None, ...]
    elements: tuple[int, ...]
    anyone: tuple[int, ...]
    several: tuple[int, ...]
    experts: dict[str, tuple[int, ...]]


class ReportedOverlap(_Part):
    """The overlap statistics of the whole model.

    Attributes:
        elements: Elements that were compared.
        patterns: Elements by who changed them.
        experts: By expert.
        modules: The same by kind of module and layer; empty where a report was written before this was counted.
    """

    elements: int
    patterns: dict[str, int]
    experts: dict[str, ExpertOverlap]
    modules: dict[str, ModuleOverlap] = {}


class FileRecord(_Part):
    """Size in bytes and sha256 in hex of one file."""

    size: int = Field(ge=0)
    sha256: Sha256


class ReportedOutput(_Part):
    """What was written."""

    repo: str
    commit: str | None = None
    files: dict[FileName, FileRecord]


class Seconds(_Part):
    """Wall time of the stages."""

    fetch: float = 0.0
    merge: float = 0.0
    evaluate: float = 0.0
    publish: float = 0.0


class Cost(_Part):
    """What it took. Not part of what must be reproducible."""

    seconds: Seconds = Seconds()
    bytes_read: int = 0
    bytes_written: int = 0
    peak_rss_bytes: int = 0


class Report(_Part):
    """The whole report, schema 1.

    Attributes:
        key: Key of the merge.
        ramekin: Version that merged.
        comparison: The choice among candidates, for methods that make one.
        activation: What ARM saw and did; for ARM only.
        evaluation: Task scores of the merge and its parents, where they were measured. Not part of what must be
            reproducible: it is a record of what a harness found on a day.
        notes: What the plan found worth telling, such as a vocabulary that was padded differently.
        texts: Digest of the manifest's card texts, by which a change of them alone is known.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    key: Key
    ramekin: str
    method: AnyMethod
    base: ReportedSource
    experts: tuple[ReportedExpert, ...]
    overlap: ReportedOverlap
    comparison: ReportedComparison | None = None
    activation: ReportedActivation | None = None
    evaluation: ReportedEvaluation | None = None
    notes: tuple[str, ...] = ()
    texts: str
    output: ReportedOutput
    cost: Cost = Cost()

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)

    def to_json(self) -> str:
        """The file's text: keys in a fixed order, two spaces, a final newline."""
        return self.model_dump_json(by_alias=True, indent=2, exclude=self._absent) + "\n"

    def to_data(self) -> dict[str, Any]:
        """The same as data."""
        return self.model_dump(mode="json", by_alias=True, exclude=self._absent)

    @property
    def _absent(self) -> set[str]:
        """Parts that only some merges have."""
        return {name for name in ("comparison", "activation", "evaluation") if getattr(self, name) is None}


def redacted(report: Report, lock: Lock, *, samples: bool | None) -> Report:
    """A report without the recorded runs that may not be shown.

    Args:
        report: The report.
        lock: Its lock, which knows what is private.
        samples: Whether they may: all, none, or, if None, those of public datasets.
    """
    if report.comparison is None:
        return report
    kept = tuple(each for each in report.comparison.samples if may_show(each.benchmark, lock, samples=samples))
    return report.model_copy(update={"comparison": report.comparison.model_copy(update={"samples": kept})})


def may_show(benchmark: str, lock: Lock, *, samples: bool | None) -> bool:
    """Whether the recorded runs of a benchmark may be shown: public ones unless that is turned off, others if asked."""
    if samples is not None:
        return samples
    pinned = lock.data.get(f"data:{benchmark}:calibration")
    return pinned is not None and not pinned.private


def report_overlap(
    overlap: Overlap,
    names: tuple[str, ...],
    lambdas: tuple[float, ...] | None,
    modules: Mapping[str, ModuleOverlap] | None = None,
) -> ReportedOverlap:
    """Arrange the counts as the report shows them.

    Args:
        overlap: Counts by pattern over the whole model.
        names: The experts in manifest order.
        lambdas: Factor on each expert's unique part; None for methods without one.
        modules: Counts by kind of module and layer, where they are known.
    """
    elements = overlap.elements
    experts = {}
    for t, (name, factor) in enumerate(zip(names, lambdas or (None,) * len(names), strict=True)):
        shared_with = overlap.shared_with(t)
        changed = sum(shared_with)
        experts[name] = ExpertOverlap(
            changed=changed,
            density=changed / elements if elements else 0.0,
            unique=overlap.unique(t),
            shared=overlap.shared(t),
            rho=overlap.rho(t),
            factor=factor,
            shared_with=shared_with,
        )
    patterns = {"".join("01"[p >> t & 1] for t in range(len(names))): n for p, n in enumerate(overlap.counts)}
    return ReportedOverlap(elements=elements, patterns=patterns, experts=experts, modules=dict(modules or {}))


def read_report(directory: Path) -> Report:
    """Read the report of a merged directory.

    Raises:
        DamagedError: There is none, or it is not a report.
    """
    path = directory / REPORT_NAME
    try:
        return Report.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DamagedError(
            f"{path} does not exist", "give a directory that `ramekin merge` or `ramekin run --out` wrote"
        ) from error
    except (ValidationError, OSError) as error:
        raise DamagedError(f"{path} cannot be read as a report", "merge again, or restore the file") from error

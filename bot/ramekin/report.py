"""`ramekin/report.json`: what a merge did, written by `merge`, read by every command that takes a directory."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ramekin.choice import ReportedActivation, ReportedComparison
from ramekin.errors import DamagedError
from ramekin.lock.model import FileName, Lock
from ramekin.methods import AnyMethod
from ramekin.records import FileRecord, ReportedOverlap
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

    seconds: Seconds = Field(default_factory=Seconds)
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
    cost: Cost = Field(default_factory=Cost)

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

"""What was measured of a model, and where that is kept, so that a merge that is made again measures the merge alone.

Each file is named by the digest of all that decides what is in it: the model's files, the harness and its version, the
task and how it is asked.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ramekin.atomic import write_atomically
from ramekin.digests import json_digest
from ramekin.scores import Day

SEMANTICS: Final = 1
"""Version of how measuring is done here: another finds nothing of what this one left."""


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class Found(_Part):
    """One score that a task came to; some tasks come to several.

    Attributes:
        metric: Its name; with a filter behind a comma where the harness has several.
        value: The score.
        stderr: Its standard error, where that is known.
        samples: Items that it is of, where that is known.
        higher_is_better: Which way it counts.
    """

    metric: str
    value: float = Field(allow_inf_nan=False)
    stderr: float | None = Field(None, allow_inf_nan=False, ge=0)
    samples: int | None = Field(None, ge=0)
    higher_is_better: bool = True


class Measurement(_Part):
    """What one task came to with one model.

    Attributes:
        found: Its scores, in the order of the harness; at least one.
        details: How it was asked, in words, by name.
        date: The day, in UTC.
    """

    found: tuple[Found, ...] = Field(min_length=1)
    details: dict[str, str] = {}
    date: Day

    def choose(self, metric: str | None) -> Found | None:
        """The score that a metric names, with or without its filter; the first if it names none. None if it is none."""
        for each in self.found:
            if metric is None or metric in {each.metric, each.metric.partition(",")[0]}:
                return each
        return None


class _Kept(_Part):
    about: dict[str, str]
    tasks: dict[str, Measurement]


Measurements = Mapping[str, Measurement]
"""By task."""


def today() -> str:
    """The day that it is now, in UTC."""
    return datetime.now(UTC).date().isoformat()


class ScoreStore:
    """Measurements in a directory.

    Args:
        directory: Made when something is kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str) -> dict[str, Measurement]:
        """What was kept, by task; nothing where there is nothing, or not what should be there."""
        try:
            return dict(_Kept.model_validate_json(self._path(key).read_bytes()).tasks)
        except (OSError, ValidationError):
            return {}

    def put(self, key: str, tasks: Measurements, about: Mapping[str, str]) -> None:
        """Keep measurements.

        Args:
            key: What `score_key` gives.
            tasks: What was measured.
            about: What it is of, for people who look into the file.

        Raises:
            ResourceError: The disk is full.
        """
        kept = _Kept(about=dict(about), tasks=dict(tasks))
        write_atomically(self._path(key), (kept.model_dump_json(indent=2) + "\n").encode())

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.scores.json"


def score_key(model: str, harness: str, how: object) -> str:
    """Digest of all that scores depend on.

    Args:
        model: Digest of the model's files.
        harness: What measures, and in which version.
        how: All that was settled, as JSON can say it.
    """
    return json_digest({"semantics": SEMANTICS, "model": model, "harness": harness, "how": how})


def content_digest(paths: Sequence[Path], root: Path) -> str:
    """Digest of files and directories, by their paths below `root` where they are below it.

    What cannot be read counts as absent: whoever needs it says so.
    """
    from ramekin.digests import sha256_of

    found = {}
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" in file.parts:
                continue
            name = file.relative_to(root) if file.is_relative_to(root) else file
            try:
                found[str(name)] = sha256_of(file) if file.is_file() else None
            except OSError:
                found[str(name)] = None
    return json_digest(found)

"""One side of a comparison: a lock, a report, a merged directory or a published merge, and what each of them knows."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from ramekin.errors import DamagedError, LockError, RamekinError
from ramekin.lock.file import read_lock
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.manifest.parts import REPO_PATTERN
from ramekin.manifest.reading import read_manifest
from ramekin.report import (
    LOCK_COPY,
    MANIFEST_COPY,
    Report,
)
from ramekin.subject import MergedDirectory, Subject, opened
from ramekin.text import printable
from ramekin.workbench import Workbench

Kind = Literal["lock", "report", "directory", "repository"]

_LIMIT: Final = 64 << 20


@dataclass(frozen=True)
class Source:
    """A source as one side has it.

    Attributes:
        source: Repository or path.
        commit: What it was pinned to.
        license: As its card declares it.
        on_hub: Whether it is a repository on the Hub.
        dataset: Whether that is one of recorded runs.
    """

    source: str
    commit: str
    license: str | None
    on_hub: bool
    dataset: bool = False

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"source": self.source, "commit": self.commit, "license": self.license}


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: What it was called; a repository with its commit.
        kind: What it is.
        key: Key of the merge.
        sources: By role: `base`, the experts' names, and `data:BENCHMARK:USE`.
        report: Its report; a lock has none.
        manifest: Its manifest, where that can be read.
        subject: Where its files are; None for a lock or a report alone.
    """

    name: str
    kind: Kind
    key: str
    sources: Mapping[str, Source]
    report: Report | None = None
    manifest: Manifest | None = None
    subject: Subject | None = field(default=None, repr=False)

    @property
    def weights_here(self) -> bool:
        """Whether its weights are on this machine."""
        return isinstance(self.subject, MergedDirectory)

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "key": self.key,
            "ramekin": self.report.ramekin if self.report else None,
            "sources": {role: source.to_data() for role, source in self.sources.items()},
        }


@contextmanager
def opened_side(bench: Workbench, name: str) -> Iterator[Side]:
    """Open what was named: a file, a directory, or a repository at a revision.

    Raises:
        DamagedError: It is none of these, or holds no merge.
        SourceError: A repository cannot be had.
    """
    if _is_file(name):
        yield _file(Path(name))
        return
    with opened(bench, name) as subject:
        kind: Kind = "directory" if isinstance(subject, MergedDirectory) else "repository"
        lock, manifest = _readable_lock(subject), _readable_manifest(subject)
        sources = _of_report(subject.report, lock)
        yield Side(subject.name, kind, subject.report.key, sources, subject.report, manifest, subject)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # what cannot be a path at all
        return False


def _file(path: Path) -> Side:
    """A lock or a report, by what is in it."""
    shown = printable(path, 200)
    hint = "give a merge.lock, a report.json, a merged directory or a repository"
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
        data = json.loads(content) if len(content) <= _LIMIT else None
    except OSError as error:
        raise DamagedError(f"{shown}: {error.strerror or 'cannot be read'}", hint) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{shown}: is neither a lock nor a report", hint) from error
    try:
        if isinstance(data, dict) and "semantics" in data:
            lock = Lock.model_validate_json(content)
            return Side(str(path), "lock", lock.key, _of_lock(lock))
        if isinstance(data, dict) and "overlap" in data:
            report = Report.model_validate_json(content)
            return Side(str(path), "report", report.key, _of_report(report, None), report)
    except ValidationError as error:
        raise DamagedError(f"{shown}: cannot be read: {printable(error.errors()[0]['msg'])}", hint) from error
    raise DamagedError(f"{shown}: is neither a lock nor a report", hint)


def _of_lock(lock: Lock) -> dict[str, Source]:
    pinned = {"base": lock.base} | lock.experts | lock.data
    return {
        role: Source(each.source, each.commit, each.card.license, each.kind == "hub", each.repo_type == "dataset")
        for role, each in pinned.items()
    }


def _of_report(report: Report, lock: Lock | None) -> dict[str, Source]:
    """The sources that a report names, in its order, and what only its lock knows: recorded runs, and what is local."""
    known = _of_lock(lock) if lock else {}
    told = {"base": report.base} | {expert.name: expert for expert in report.experts}
    named = {
        role: Source(
            each.source,
            each.commit,
            each.license,
            known[role].on_hub if role in known else bool(re.fullmatch(REPO_PATTERN, each.source)),
        )
        for role, each in told.items()
    }
    return named | {role: source for role, source in known.items() if role.startswith("data:")}


def _readable_lock(subject: Subject) -> Lock | None:
    try:
        return read_lock(subject.directory / LOCK_COPY)
    except LockError:
        return None


def _readable_manifest(subject: Subject) -> Manifest | None:
    try:
        return read_manifest(subject.directory / MANIFEST_COPY).manifest
    except RamekinError:
        return None

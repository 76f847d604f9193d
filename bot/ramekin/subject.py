"""What `verify` and `diff` are pointed at: a finished merge, in a directory or in a repository at a revision."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ramekin.answers import RepoEntry, RepoState
from ramekin.attestation.statement import ATTESTATION
from ramekin.digests import sha256_of
from ramekin.errors import DamagedError, SourceError
from ramekin.fetch import fetch_published
from ramekin.lock.model import PinnedFile, PinnedSource
from ramekin.publish.checking import differing_files
from ramekin.records import FileRecord
from ramekin.report import LOCK_COPY, MANIFEST_COPY, NEURONS, REPORT_NAME, Report, read_report
from ramekin.text import printable
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.client import HubClient


_NEEDED: Final = (REPORT_NAME, MANIFEST_COPY, LOCK_COPY)
_OPTIONAL: Final = (NEURONS, ATTESTATION)
_LIMIT: Final = 64 << 20


class Subject(Protocol):
    """A finished merge."""

    @property
    def name(self) -> str:
        """The directory, or the repository at a commit."""

    @property
    def report(self) -> Report:
        """Its report."""

    @property
    def directory(self) -> Path:
        """A directory in which report, manifest and lock are, and what else there may be of ramekin's but weights."""

    def names(self) -> frozenset[str]:
        """Paths of all files that are there."""

    def wrong(self) -> dict[str, str]:
        """What is wrong with each file that is not as the report has it; empty if all are."""


@dataclass(frozen=True)
class MergedDirectory:
    """A directory that `ramekin merge` wrote."""

    name: str
    report: Report
    directory: Path

    def names(self) -> frozenset[str]:
        """Paths of all files in it."""
        return frozenset(
            path.relative_to(self.directory).as_posix() for path in self.directory.rglob("*") if path.is_file()
        )

    def wrong(self) -> dict[str, str]:
        """Compare every file with its digest."""
        checked = {name: self.wrong_with(name, record) for name, record in self.report.output.files.items()}
        return {name: what for name, what in checked.items() if what}

    def wrong_with(self, name: str, record: FileRecord) -> str:
        """What is wrong with a file; empty if it is as the report has it."""
        path = self.directory / name
        if not path.resolve().is_relative_to(self.directory.resolve()):
            return "is outside of the directory"
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != record.size or sha256_of(path) != record.sha256:
            return "differs from the report"
        return ""


@dataclass(frozen=True)
class PublishedMerge:
    """A repository at a commit.

    Attributes:
        state: Where it is.
        entries: All files of the commit, by path.
        directory: Its small files.
        client: The Hub.
    """

    state: RepoState
    entries: Mapping[str, RepoEntry]
    report: Report
    directory: Path
    client: "HubClient"

    @property
    def name(self) -> str:
        """The repository at the commit."""
        return f"{self.state.repo}@{self.state.commit}"

    def names(self) -> frozenset[str]:
        """Paths of all files of the commit."""
        return frozenset(self.entries)

    def wrong(self) -> dict[str, str]:
        """Compare large files by the digests that the Hub has, small ones by their content."""
        files = self.report.output.files
        return differing_files(self.client, self.state.repo, self.state.commit, self.entries, files)


def is_directory(subject: str) -> bool:
    """Whether a subject is a directory here; else it is taken for a repository."""
    return os.path.isdir(subject)  # noqa: PTH112 - pathlib raises for what cannot be a path at all


@contextmanager
def opened(bench: Workbench, subject: str) -> Iterator[Subject]:
    """Open a directory, or a repository at a revision: all that is read of it is of the one commit.

    Raises:
        DamagedError: It holds no merge of ramekin's.
        SourceError: The repository cannot be had.
    """
    if is_directory(subject):
        yield MergedDirectory(subject, read_report(Path(subject)), Path(subject))
        return
    repo, _, revision = subject.partition("@")
    state = bench.client.state(repo, revision or None)
    if state is None:
        raise SourceError(f"{printable(subject)}: there is no such repository or directory", "check the name")
    entries = {entry.path: entry for entry in bench.client.entries(state.repo, state.commit)}
    with tempfile.TemporaryDirectory(prefix="ramekin-subject-") as temporary:
        directory = Path(temporary)
        for name in (*_NEEDED, *(name for name in _OPTIONAL if name in entries)):
            if name not in entries:
                raise DamagedError(
                    f"{state.repo}@{state.commit[:7]}: has no {name}", "give a repository that ramekin published"
                )
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(bench.client.read(state.repo, state.commit, name, 0, _LIMIT))
        yield PublishedMerge(state, entries, read_report(directory), directory, bench.client)


def at_hand(bench: Workbench, subject: Subject, names: Iterable[str]) -> dict[str, Path]:
    """Files that a merge's report lists, on this machine; those of a repository are downloaded, and checked.

    Raises:
        SourceError: A file cannot be had.
        DamagedError: A file is not what the report says.
        ResourceError: There is not enough disk.
    """
    if not isinstance(subject, PublishedMerge):
        files = {name: subject.directory / name for name in names}
        if missing := next((path for path in files.values() if not path.is_file()), None):
            raise DamagedError(f"{missing}: is missing", "`ramekin verify` tells what else is wrong; merge again")
        return files
    records = subject.report.output.files
    pinned = {name: PinnedFile(size=records[name].size, sha256=records[name].sha256) for name in names}
    source = PinnedSource(source=subject.state.repo, kind="hub", commit=subject.state.commit, files=pinned)
    return fetch_published(source, bench.store, lambda: bench.client, bench.terminal)

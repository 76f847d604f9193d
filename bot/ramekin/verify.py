"""Verifying a merge: every file against its digest, and on request the weights against the sources themselves."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ramekin.answers import RepoEntry, RepoState
from ramekin.digests import sha256_of
from ramekin.errors import DamagedError, Problem, SourceError
from ramekin.lock.making import LockPolicy
from ramekin.pipeline import Request, merge_prepared, prepare
from ramekin.report import REPORT_NAME, FileRecord, Report, read_report
from ramekin.text import printable
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.merge.chosen import Recorded

_MANIFEST: Final = "ramekin/merge.yaml"
_LOCK: Final = "ramekin/merge.lock"
_NEURONS: Final = "ramekin/neurons.safetensors"
_LIMIT: Final = 64 << 20


@dataclass(frozen=True)
class Verdict:
    """What verifying found.

    Attributes:
        subject: Repository at a commit, or directory.
        key: Key of the merge.
        files: Number of files that the report names.
        wrong: Files that are missing or differ, with what is wrong.
        remerged: Files that were derived again, all of them bit for bit equal unless they are in `wrong`.
    """

    subject: str
    key: str
    files: int
    wrong: Mapping[str, str]
    remerged: int

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "subject": self.subject,
            "key": self.key,
            "ok": not self.wrong,
            "files": self.files,
            "wrong": dict(self.wrong),
            "remerged": self.remerged,
        }

    def check(self) -> None:
        """Raise what is wrong, if anything is."""
        if self.wrong:
            raise DamagedError(
                problems=[
                    Problem(f"{self.subject}: {printable(name)}: {what}", "publish or merge again")
                    for name, what in self.wrong.items()
                ]
            )


def verify_merge(bench: Workbench, subject: str, *, remerge: bool = False) -> Verdict:
    """Check a published or local merge.

    Raises:
        DamagedError: It holds no report.
        SourceError: The repository or, to merge again, a source cannot be had.
    """
    if os.path.isdir(subject):  # noqa: PTH112 - pathlib raises for what cannot be a path at all
        directory = Path(subject)
        report = read_report(directory)
        checked = {name: _local(directory, name, record) for name, record in report.output.files.items()}
        wrong = {name: what for name, what in checked.items() if what}
        remerged = _remerge(bench, directory, report) if remerge else {}
        name = subject
    else:
        name, report, wrong, remerged = _published(bench, subject, remerge=remerge)
    wrong |= {file: what for file, what in remerged.items() if what and file not in wrong}
    return Verdict(name, report.key, len(report.output.files), wrong, len(remerged))


def _local(directory: Path, name: str, record: FileRecord) -> str:
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        return "is outside of the directory"
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != record.size or sha256_of(path) != record.sha256:
        return "differs from the report"
    return ""


def _published(bench: Workbench, subject: str, *, remerge: bool) -> tuple[str, Report, dict[str, str], dict[str, str]]:
    """Check a repository at a revision: large files by the digests that the Hub has, small ones by their content."""
    repo, _, revision = subject.partition("@")
    state = bench.client.state(repo, revision or None)
    if state is None:
        raise SourceError(f"{printable(subject)}: there is no such repository or directory", "check the name")
    entries = {entry.path: entry for entry in bench.client.entries(state.repo, state.commit)}
    with _small_files(bench, state.repo, state.commit, entries.keys()) as directory:
        report = read_report(directory)
        checked = {n: _remote(bench, state, entries.get(n), record) for n, record in report.output.files.items()}
        wrong = {name: what for name, what in checked.items() if what}
        remerged = _remerge(bench, directory, report) if remerge else {}
    return f"{state.repo}@{state.commit}", report, wrong, remerged


def _remote(bench: Workbench, state: RepoState, entry: RepoEntry | None, record: FileRecord) -> str:
    if entry is None:
        return "is missing"
    same = entry.size == record.size
    if same and entry.sha256 is None:
        content = bench.client.read(state.repo, state.commit, entry.path, 0, record.size + 1)
        same = hashlib.sha256(content).hexdigest() == record.sha256
    elif same:
        same = entry.sha256 == record.sha256
    return "" if same else "differs from the report"


@contextmanager
def _small_files(bench: Workbench, repo: str, commit: str, present: Any) -> Iterator[Path]:
    """Report, manifest and lock of a published merge, in a directory of their own."""
    with tempfile.TemporaryDirectory(prefix="ramekin-verify-") as temporary:
        directory = Path(temporary)
        (directory / "ramekin").mkdir()
        for name in (REPORT_NAME, _MANIFEST, _LOCK, _NEURONS):
            if name not in present and name == _NEURONS:
                continue
            if name not in present:
                raise DamagedError(f"{repo}@{commit[:7]}: has no {name}", "give a repository that ramekin published")
            (directory / name).write_bytes(bench.client.read(repo, commit, name, 0, _LIMIT))
        yield directory


def _remerge(bench: Workbench, directory: Path, report: Report) -> dict[str, str]:
    """Merge again from the lock in an empty directory; what is wrong with each derived file, empty if nothing is.

    Local sources are looked for relative to the working directory.
    """
    with tempfile.TemporaryDirectory(prefix="ramekin-remerge-", dir=_roomy(bench)) as temporary:
        work = Path(temporary)
        out = work / "merged"
        request = Request(directory / _MANIFEST, LockPolicy(locked=True, write=False), out=out, root=Path.cwd())
        prepared = prepare(bench, request, ask_target=False)
        recorded = _recorded(directory, report) if prepared.loaded.manifest.method.uses_benchmarks else None
        again = merge_prepared(bench, prepared, out, recorded=recorded).output.files
        derived = [name for name in again if not name.startswith("ramekin/") or name == _NEURONS]
        before = report.output.files
        return {n: "" if before.get(n) == again[n] else "differs from what its sources give" for n in derived}


def _recorded(directory: Path, report: Report) -> "Recorded":
    """The choice that was made: what models do is not bit for bit the same on every machine, what is merged is."""
    from ramekin.merge.chosen import Recorded

    has_neurons = _NEURONS in report.output.files
    if has_neurons and (wrong := _local(directory, _NEURONS, report.output.files[_NEURONS])):
        raise DamagedError(f"{directory / _NEURONS}: {wrong}", "publish or merge again")
    return Recorded(report, directory / _NEURONS if has_neurons else None)


def _roomy(bench: Workbench) -> Path:
    bench.environment.state.mkdir(parents=True, exist_ok=True)
    return bench.environment.state


def show_verdict(verdict: Verdict) -> str:
    """The verdict as text."""
    good = verdict.files - len(verdict.wrong)
    lines = [f"{verdict.subject}: {good} of {verdict.files} files are as the report has them"]
    if verdict.remerged:
        wrong = sum(1 for what in verdict.wrong.values() if "sources" in what)
        lines.append(f"merged again: {verdict.remerged - wrong} of {verdict.remerged} files are equal, bit for bit")
    return "\n".join([*lines, verdict.key])

"""What the target repository holds now."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from ramekin.answers import RepoEntry
from ramekin.manifest.model import Manifest
from ramekin.plan.model import Target, TargetState
from ramekin.report import REPORT_NAME, Report

if TYPE_CHECKING:
    from ramekin.client import HubClient

_REPORT_LIMIT: Final = 32 << 20
# What a repository holds from the moment it is created.
_INITIAL: Final = frozenset({".gitattributes"})


@dataclass(frozen=True)
class Standing:
    """The target repository as it is now.

    Attributes:
        target: Its state in the words of the plan.
        report: The report of the merge that it holds, if it is one of ours.
        altered: Published files that are no longer as the report has them.
        files: Paths of all files.
    """

    target: Target
    report: Report | None = None
    altered: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()

    def holds(self, key: str) -> bool:
        """Whether it holds this merge, whole."""
        return self.target.key == key and not self.altered


def unseen(manifest: Manifest) -> Standing:
    """The target of a command that does not ask the Hub for it."""
    return Standing(Target(repo=manifest.output.repo, exists=False, state="absent", private=manifest.output.private))


def look_at(client: "HubClient", manifest: Manifest) -> Standing:
    """Look at the repository that a manifest publishes to.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    repo = manifest.output.repo
    state = client.state(repo)
    if state is None:
        return unseen(manifest)
    entries = {entry.path: entry for entry in client.entries(state.repo, state.commit)}
    report = _report(client, state.repo, state.commit) if REPORT_NAME in entries else None
    kind: TargetState = "ours" if report else "empty" if entries.keys() <= _INITIAL else "foreign"
    target = Target(
        repo=state.repo,
        exists=True,
        state=kind,
        head=state.commit,
        key=report.key if report else None,
        private=state.private,
    )
    return Standing(target, report, _altered(report, entries), frozenset(entries))


def _report(client: "HubClient", repo: str, commit: str) -> Report | None:
    try:
        return Report.model_validate_json(client.read(repo, commit, REPORT_NAME, 0, _REPORT_LIMIT))
    except ValidationError:
        return None


def _altered(report: Report | None, entries: dict[str, RepoEntry]) -> tuple[str, ...]:
    """Files that are gone, or differ in digest (large files) or size (those whose sha256 the Hub does not know)."""
    if report is None:
        return ()
    altered = []
    for name, record in report.output.files.items():
        entry = entries.get(name)
        if entry is None or entry.size != record.size or (entry.sha256 and entry.sha256 != record.sha256):
            altered.append(name)
    return tuple(altered)

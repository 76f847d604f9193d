"""What the target repository holds now."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ramekin.answers import RepoEntry
from ramekin.manifest.model import Manifest
from ramekin.plan.model import Target, TargetState
from ramekin.plan.published import published_report
from ramekin.plan.succession import Superseded, look_at_superseded
from ramekin.report import REPORT_NAME, Report

if TYPE_CHECKING:
    from ramekin.client import HubClient

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
        superseded: The older model whose card is to name this one, if the manifest names one and it was looked at.
    """

    target: Target
    report: Report | None = None
    altered: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    superseded: Superseded | None = None

    def holds(self, key: str) -> bool:
        """Whether it holds this merge, whole."""
        return self.target.key == key and not self.altered

    def shows(self, key: str, texts: str) -> bool:
        """Whether it holds this merge, whole, with these texts in its card."""
        return self.holds(key) and self.report is not None and self.report.texts == texts


def unseen(manifest: Manifest) -> Standing:
    """The target of a command that does not ask the Hub for it."""
    return Standing(Target(repo=manifest.output.repo, exists=False, state="absent", private=manifest.output.private))


def look_at(client: "HubClient", manifest: Manifest, revision: str | None = None) -> Standing:
    """Look at the repository that a manifest publishes to.

    Args:
        client: The Hub.
        manifest: The manifest.
        revision: Branch, or pull request as `refs/pr/N`; the default branch if left out.

    Raises:
        SourceError: The Hub cannot be asked, or has no such revision.
    """
    repo = manifest.output.repo
    state = client.state(repo, revision)
    if state is None:
        return unseen(manifest)
    entries = {entry.path: entry for entry in client.entries(state.repo, state.commit)}
    report = published_report(client, state.repo, state.commit) if REPORT_NAME in entries else None
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


def look_around(client: "HubClient", manifest: Manifest) -> Standing:
    """Look at the repository that a manifest publishes to, and at the older model that it supersedes.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    standing = look_at(client, manifest)
    if manifest.output.supersedes is None:
        return standing
    superseded = look_at_superseded(client, manifest.output.supersedes, standing.target.repo)
    return replace(standing, superseded=superseded)


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

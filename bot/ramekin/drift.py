"""Has a source moved since it was locked, and does it matter? It does if a file that a merge reads has changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ramekin.lock.file import lock_path, read_lock
from ramekin.lock.key import sources_fit
from ramekin.lock.making import make_lock, stale_lock
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.reading import read_manifest
from ramekin.text import printable
from ramekin.workbench import Workbench


@dataclass(frozen=True)
class SourceDrift:
    """One source, as it was pinned and as it is now."""

    role: str
    pinned: PinnedSource
    now: PinnedSource

    @property
    def moved(self) -> bool:
        """Whether its revision is at another commit."""
        return self.pinned.commit != self.now.commit

    @property
    def changed(self) -> tuple[str, ...]:
        """Files that are read and have changed, come or gone."""
        return changed_files(self.pinned, self.now)


@dataclass(frozen=True)
class Drift:
    """One manifest's sources."""

    manifest: Path
    sources: tuple[SourceDrift, ...]

    @property
    def matters(self) -> bool:
        """Whether a new merge would read anything else than the locked one."""
        return any(source.changed for source in self.sources)

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "manifest": str(self.manifest),
            "drift": self.matters,
            "sources": [
                {
                    "role": source.role,
                    "source": source.pinned.source,
                    "old": source.pinned.commit,
                    "new": source.now.commit,
                    "moved": source.moved,
                    "changed": list(source.changed),
                }
                for source in self.sources
            ],
        }


def changed_files(before: PinnedSource, after: PinnedSource) -> tuple[str, ...]:
    """Files that a merge reads and that differ in content, sorted; one that came or went differs as well."""
    old, new = before.files, after.files
    names = sorted(old.keys() | new.keys())
    return tuple(n for n in names if n not in old or n not in new or old[n].digest != new[n].digest)


def drift_between(lock: Lock, fresh: Lock) -> tuple[SourceDrift, ...]:
    """Every source that two locks of a manifest have in common, as it was and as it is."""
    before, now = lock.sources | lock.data, fresh.sources | fresh.data
    return tuple(SourceDrift(role, pinned, now[role]) for role, pinned in before.items() if role in now)


def look_for_drift(bench: Workbench, manifest: Path) -> Drift:
    """Look at every source of a manifest as it is now.

    Raises:
        LockError: There is no lock that fits the manifest.
        SourceError: A source cannot be had any more.
    """
    loaded = read_manifest(manifest)
    path = lock_path(manifest)
    lock = read_lock(path)
    if lock is None or not sources_fit(lock, loaded.manifest):
        raise stale_lock(path, lock)
    fresh = make_lock(loaded.manifest, bench.sources(loaded.directory))
    return Drift(manifest, drift_between(lock, fresh))


def show_drift(drift: Drift) -> str:
    """The drift as text, a line for each source."""
    lines = [f"{drift.manifest}: {'drift' if drift.matters else 'no drift'}"]
    for source in drift.sources:
        where = f"  {source.role:<20} {printable(source.pinned.source)}  {source.pinned.commit[:12]}"
        if source.changed:
            lines.append(f"{where} -> {source.now.commit[:12]}  changed: {', '.join(map(printable, source.changed))}")
        elif source.moved:
            lines.append(f"{where} -> {source.now.commit[:12]}  nothing that is read has changed")
        else:
            lines.append(f"{where}  unmoved")
    return "\n".join(lines)

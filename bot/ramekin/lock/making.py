"""Making a lock: asking every source what it holds now, or keeping what was pinned before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ramekin.errors import LockError, Problem, RamekinError
from ramekin.lock.file import lock_path, read_lock, write_lock
from ramekin.lock.key import data_fits, fits, merge_key, source_fits
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import LoadedManifest
from ramekin.methods.base import SEMANTICS
from ramekin.sources import Role, Sources
from ramekin.threads import at_once


@dataclass(frozen=True)
class LockPolicy:
    """How a command treats the lock.

    Attributes:
        locked: An absent or stale lock is an error.
        upgrade: Pin everything anew.
        write: Write the file beside the manifest if it changed; not in a CI checkout.
    """

    locked: bool = False
    upgrade: bool = False
    write: bool = True


def make_lock(manifest: Manifest, sources: Sources, old: Lock | None = None) -> Lock:
    """Pin all sources of a manifest; those that `old` pins already, at the same revision, stay as they are.

    Raises:
        SourceError: Sources that cannot be had; all of them at once.
        IncompatibleError: Sources without weights that can be merged.
    """
    kept = old.sources if old else {}

    def pin(role: str) -> PinnedSource | RamekinError:
        reference = manifest.sources[role]
        pinned = kept.get(role)
        if pinned and source_fits(pinned, reference):
            return pinned
        kind: Role = "base" if role == "base" else "expert"
        try:
            return sources.open(reference).pin(kind)
        except RamekinError as error:
            return error

    def pin_data(role: str) -> PinnedSource | RamekinError:
        reference = manifest.data[role]
        pinned = old.data.get(role) if old else None
        if pinned and data_fits(pinned, reference):
            return pinned
        try:
            return sources.open_data(reference).pin()
        except RamekinError as error:
            return error

    outcomes = dict(zip(manifest.sources, at_once(pin, manifest.sources, 8), strict=True))
    outcomes |= zip(manifest.data, at_once(pin_data, manifest.data, 8), strict=True)
    _raise_all(outcome for outcome in outcomes.values() if isinstance(outcome, RamekinError))
    return lock_of(manifest, {r: outcome for r, outcome in outcomes.items() if isinstance(outcome, PinnedSource)})


def lock_of(manifest: Manifest, pinned: Mapping[str, PinnedSource]) -> Lock:
    """The lock that pins every source of a manifest, and its recorded runs, as given by role."""
    base, data = pinned["base"], {role: pinned[role] for role in manifest.data}
    experts = {role.removeprefix("expert:"): pinned[role] for role in manifest.sources if role != "base"}
    key = merge_key(manifest, base, experts, data)
    return Lock(schema_version=1, key=key, semantics=SEMANTICS, base=base, experts=experts, data=data)


@dataclass(frozen=True)
class SettledLock:
    """The lock that a command works with.

    Attributes:
        lock: The lock.
        unwritten: The file that it still has to be written to; None where it came from there, or must not be written.
    """

    lock: Lock
    unwritten: Path | None = None

    def write(self) -> None:
        """Write the file, if it has to be."""
        if self.unwritten:
            write_lock(self.unwritten, self.lock)


def settle_lock(loaded: LoadedManifest, sources: Sources, policy: LockPolicy) -> SettledLock:
    """The lock that a command works with: the one on disk if it fits, else a new one, as the policy says.

    Nothing is written yet: sources that turn out not to fit, or to be damaged, are better not pinned.

    Raises:
        LockError: The policy demands a lock that fits, and there is none.
        SourceError: A source that has to be pinned cannot be had.
    """
    path = lock_path(loaded.path)
    old = None if policy.upgrade and not policy.locked else read_lock(path)
    if old is not None and fits(old, loaded.manifest):
        return SettledLock(old)
    if policy.locked:
        raise stale_lock(path, old)
    return SettledLock(make_lock(loaded.manifest, sources, old), path if policy.write else None)


def stale_lock(path: Path, lock: Lock | None) -> LockError:
    """The error for a lock that is absent or does not fit its manifest."""
    if lock is None:
        return LockError(f"{path}: there is no lock", "make it with `ramekin lock`, and commit it")
    return LockError(f"{path}: the lock does not fit the manifest", "run `ramekin lock` again, and commit the result")


def _raise_all(errors: Iterable[RamekinError]) -> None:
    """Raise one error with the problems of all; its kind is the first one's."""
    found = list(errors)
    if found:
        problems: list[Problem] = [problem for error in found for problem in error.problems]
        raise type(found[0])(problems=problems) from found[0]

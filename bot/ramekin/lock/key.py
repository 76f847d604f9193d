"""The key of a merge: equal keys mean bit-equal weights."""

from collections.abc import Mapping
from pathlib import PurePath

from ramekin.digests import json_digest
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.benchmarks import DataReference
from ramekin.manifest.model import Manifest, Source
from ramekin.methods.base import SEMANTICS


def merge_key(
    manifest: Manifest,
    base: PinnedSource,
    experts: Mapping[str, PinnedSource],
    data: Mapping[str, PinnedSource] | None = None,
) -> str:
    """Digest of everything that decides what is merged and where it goes.

    That is the canonical manifest (card texts excepted), the content of every file that is read, and the version of
    the arithmetic. Commits are no part of it: an expert whose README changed gives the same key. Recorded runs count
    where the method looks at them.
    """
    pinned = {"base": base, **{f"expert:{name}": source for name, source in experts.items()}}
    pinned |= (data or {}) if manifest.method.uses_benchmarks else {}
    content = {
        "semantics": SEMANTICS,
        "manifest": manifest.canonical(),
        "files": {role: {n: f.digest for n, f in sorted(s.files.items())} for role, s in pinned.items()},
    }
    return "sha256:" + json_digest(content)


def sources_fit(lock: Lock, manifest: Manifest) -> bool:
    """Whether the lock pins exactly the sources that the manifest names, at the revisions it names, in its order."""
    return (
        [*manifest.sources] == [*lock.sources]
        and all(source_fits(pinned, manifest.sources[role]) for role, pinned in lock.sources.items())
        and [*manifest.data] == [*lock.data]
        and all(data_fits(pinned, manifest.data[role]) for role, pinned in lock.data.items())
    )


def source_fits(pinned: PinnedSource, reference: Source) -> bool:
    """Whether a checkpoint is pinned as the manifest names it."""
    # The Hub redirects a renamed repository, and the lock has its canonical name; `named` is what the manifest said.
    return (pinned.named or pinned.source, pinned.requested) == (str(reference), reference.revision)


def data_fits(pinned: PinnedSource, reference: DataReference) -> bool:
    """Whether a file of recorded runs is pinned as the manifest names it."""
    file = reference.file if reference.repo else PurePath(reference.file).name
    named = (pinned.named or pinned.source, pinned.requested, [*pinned.files])
    return named == (str(reference), reference.revision, [file])


def fits(lock: Lock, manifest: Manifest) -> bool:
    """Whether the lock is the one that `ramekin lock` would leave as it is."""
    return sources_fit(lock, manifest) and lock.key == merge_key(manifest, lock.base, lock.experts, lock.data)

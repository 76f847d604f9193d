"""The key of a merge: equal keys mean bit-equal weights."""

from collections.abc import Mapping

from ramekin.digests import json_digest
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.methods.base import SEMANTICS


def merge_key(manifest: Manifest, base: PinnedSource, experts: Mapping[str, PinnedSource]) -> str:
    """Digest of everything that decides what is merged and where it goes.

    That is the canonical manifest (card texts excepted), the content of every file that is read, and the version of
    the arithmetic. Commits are no part of it: an expert whose README changed gives the same key.
    """
    pinned = {"base": base, **{f"expert:{name}": source for name, source in experts.items()}}
    content = {
        "semantics": SEMANTICS,
        "manifest": manifest.canonical(),
        "files": {role: {n: f.digest for n, f in sorted(s.files.items())} for role, s in pinned.items()},
    }
    return "sha256:" + json_digest(content)


def sources_fit(lock: Lock, manifest: Manifest) -> bool:
    """Whether the lock pins exactly the sources that the manifest names, at the revisions it names, in its order."""
    wanted = [(role, str(source), source.revision) for role, source in manifest.sources.items()]
    # The Hub redirects a renamed repository, and the lock has its canonical name; `named` is what the manifest said.
    return wanted == [(role, pinned.named or pinned.source, pinned.requested) for role, pinned in lock.sources.items()]


def fits(lock: Lock, manifest: Manifest) -> bool:
    """Whether the lock is the one that `ramekin lock` would leave as it is."""
    return sources_fit(lock, manifest) and lock.key == merge_key(manifest, lock.base, lock.experts)

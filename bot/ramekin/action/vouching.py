"""A stranger's lock is believed only as far as the Hub says the same.

A lock says what a source held when it was pinned, so that nobody has to ask again. Written by hand it may say anything:
another repository under the name that the manifest has, a licence that is not the source's, or a commit that the
repository's owners have never seen, such as one of a pull request there, which the Hub shows under the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ramekin.errors import LockError, Problem
from ramekin.lock.file import lock_path, read_lock
from ramekin.lock.key import data_fits, source_fits
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.reading import LoadedManifest
from ramekin.text import printable
from ramekin.threads import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from ramekin.sources import Sources
    from ramekin.workbench import Workbench

_HINT = "pin again with `ramekin lock --upgrade`, and commit the result"


@dataclass(frozen=True)
class _Claim:
    """One source of a lock that is going to be believed.

    Attributes:
        name: What the manifest calls it.
        pinned: What the lock says of it.
        look: Finds out what it is at the commit that is pinned.
        revision: Where the manifest wants it from.
    """

    name: str
    pinned: PinnedSource
    look: "Callable[[], PinnedSource]"
    revision: str | None


def check_lock(bench: "Workbench", loaded: LoadedManifest) -> None:
    """Compare what a lock says with its sources as they are at the commits that it pins.

    Args:
        bench: The Hub.
        loaded: The manifest.

    Raises:
        LockError: It is no lock, or says what is not so; all of that at once.
        SourceError: A source is not to be had.
        IncompatibleError: One holds no weights that can be merged.
    """
    path = lock_path(loaded.path)
    lock = read_lock(path)
    if lock is None:
        return
    claims = _claims(loaded, lock, bench.sources(loaded.directory))
    found = at_once(partial(_false_in, bench), claims, 8)
    problems = [
        Problem(f"the lock says of {printable(claim.name)} what is not so: {what}", _HINT, path)
        for claim, what in zip(claims, found, strict=True)
        if what
    ]
    if problems:
        raise LockError(problems=problems)


def _claims(loaded: LoadedManifest, lock: Lock, sources: "Sources") -> list[_Claim]:
    """What would be believed: also of a lock that does not fit as a whole."""
    manifest, claims = loaded.manifest, []
    for role, reference in manifest.sources.items():
        pinned = lock.sources.get(role)
        if pinned and source_fits(pinned, reference):
            at = reference.model_copy(update={"revision": pinned.commit}) if reference.repo else reference
            look = partial(sources.open(at).pin, "base" if role == "base" else "expert")
            claims.append(_Claim(str(reference), pinned, look, reference.revision))
    for role, data in manifest.data.items():
        pinned = lock.data.get(role)
        if pinned and data_fits(pinned, data):
            there = replace(data, revision=pinned.commit) if data.repo else data
            claims.append(_Claim(str(data), pinned, sources.open_data(there).pin, data.revision))
    return claims


def _false_in(bench: "Workbench", claim: _Claim) -> str:
    """What of a claim is not so; nothing if all of it is."""
    said, found = _said(claim.pinned), _said(claim.look())
    if wrong := [name for name, value in found.items() if said[name] != value]:
        return f"its {' and '.join(wrong)}"
    if found["kind"] == "hub" and not _is_in_history(bench, claim):
        return f"commit {claim.pinned.commit[:7]} is not in the history of `{printable(claim.revision or 'main')}`"
    return ""


def _said(pinned: PinnedSource) -> Mapping[str, Any]:
    """All that a merge or its licence depends on."""
    card = pinned.card
    return {
        "kind": pinned.kind,
        "repository": (pinned.source, pinned.repo_type),
        "commit": pinned.commit,
        "visibility": pinned.private,
        "licence": (card.license, card.license_name, card.license_link, card.parents),
        "files": pinned.files,
    }


def _is_in_history(bench: "Workbench", claim: _Claim) -> bool:
    pinned, dataset = claim.pinned, claim.pinned.repo_type == "dataset"
    now = bench.client.state(pinned.source, claim.revision, dataset=dataset)
    if now and now.commit == pinned.commit:
        return True
    return pinned.commit in bench.client.history(pinned.source, claim.revision, dataset=dataset)

"""Looking at one manifest: what it says, what its sources hold, and what its branch remembers."""

from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ramekin.action.proposals.branch import Branch, look
from ramekin.action.proposals.context import Context
from ramekin.action.proposals.cooldown import choose
from ramekin.action.proposals.deciding import Case
from ramekin.action.proposals.state import Failure, digest_of
from ramekin.digests import json_digest
from ramekin.errors import RamekinError
from ramekin.lock.file import lock_path, read_lock
from ramekin.lock.making import make_lock
from ramekin.lock.model import Lock
from ramekin.manifest.reading import LoadedManifest, read_manifest

UNREACHED: Final = "sources:"
"""Begins the name of a failure of sources that could not be looked at, so that nobody knows what they hold."""


@dataclass(frozen=True)
class Sight:
    """What is known of one manifest before its sources are asked.

    Attributes:
        manifest: Its path, relative to the repository.
        loaded: What it says.
        lock: Its lock on the default branch; None where there is none.
        branch: The branch of its proposals.
        ground: Digest of manifest and lock.
        failures: What has failed before; nothing if somebody asks to forget it.
        retry: Whether somebody asks for that.
    """

    manifest: Path
    loaded: LoadedManifest
    lock: Lock | None
    branch: Branch
    ground: str
    failures: Mapping[str, Failure] = field(default_factory=dict)
    retry: bool = False


def look_at_manifest(context: Context, manifest: Path, *, retry: bool) -> Sight:
    """Read the manifest and its lock, and look at its branch.

    Raises:
        ManifestError: It is no manifest.
        LockError: What should be its lock is none.
        GitHubError: GitHub cannot be asked.
    """
    with chdir(context.current.root):
        loaded = read_manifest(manifest)
        lock = read_lock(lock_path(manifest))
        content = lock_path(manifest).read_bytes() if lock else None
        ground = digest_of(manifest.read_bytes(), content)
    branch = look(context.job.github, manifest)
    remembered = branch.remembered
    failures = remembered.failures if remembered and not retry else {}
    return Sight(manifest, loaded, lock, branch, ground, failures, retry)


def look_at_sources(context: Context, sight: Sight) -> Case:
    """Ask the Hub what the sources hold, and choose what is due.

    Raises:
        SourceError: A source cannot be had.
        IncompatibleError: A source holds no weights that can be merged.
    """
    job, manifest = context.job, sight.loaded.manifest
    with chdir(context.current.root):
        fresh = make_lock(manifest, job.bench.sources(sight.loaded.directory))
    remembered = sight.branch.remembered
    # Whoever may push can imitate our branch. What it pins is looked at before it counts, but not with `policy: merge`.
    held = {} if job.settings.inputs.policy == "merge" else sight.branch.held(sight.lock)
    candidate = choose(
        manifest,
        sight.lock,
        fresh,
        held=held,
        seen=remembered.seen if remembered else {},
        now=context.now,
        cooldown=context.cooldown,
    )
    return Case(
        branch=sight.branch,
        candidate=candidate,
        lock=lock_path(sight.manifest).as_posix(),
        base=context.current.commit,
        default=job.github.default_branch,
        ground=sight.ground,
        now=context.now,
        retry=sight.retry,
        failures={name: failure for name, failure in sight.failures.items() if not name.startswith(UNREACHED)},
    )


def unreached(error: RamekinError) -> str:
    """The name of a failure of sources that could not be looked at."""
    return UNREACHED + json_digest(sorted(problem.what for problem in error.problems))[:20]

"""What ramekin refuses to publish, decided before anything is fetched, merged or written."""

from collections.abc import Iterable
from dataclasses import dataclass

from ramekin.errors import Problem
from ramekin.licences import Claim, Inheritance, inherit
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.plan.standing import Standing


@dataclass(frozen=True)
class Permissions:
    """What the user has explicitly allowed.

    Attributes:
        adopt: Writing to a repository that ramekin did not make.
        private_sources: Making weights public that descend from private ones.
    """

    adopt: bool = False
    private_sources: bool = False


def objections(
    manifest: Manifest, lock: Lock, standing: Standing, licence: Inheritance, allowed: Permissions
) -> tuple[Problem, ...]:
    """Every reason not to publish there; none if it may go ahead."""
    return (
        *_about_the_repository(manifest, lock, standing, allowed),
        *_about_visibility(manifest, lock, standing, licence, allowed),
    )


def inherited(manifest: Manifest, lock: Lock) -> Inheritance:
    """What the sources' licences make of the result."""
    return inherit([Claim.of(role, pinned) for role, pinned in lock.sources.items()], manifest.card.license)


def _about_the_repository(
    manifest: Manifest, lock: Lock, standing: Standing, allowed: Permissions
) -> Iterable[Problem]:
    repo = standing.target.repo
    if standing.target.state == "foreign" and not allowed.adopt:
        yield Problem(
            f"{repo}: was not made by ramekin and holds {len(standing.files)} files",
            "name another repository in output.repo, or say --adopt to replace its content in a new commit",
        )
    # By the names that the manifest has for them and those that the Hub has; to the Hub, upper case is lower case.
    sources = {*map(str, manifest.sources.values()), *(pinned.source for pinned in lock.sources.values())}
    if {repo.casefold(), manifest.output.repo.casefold()} & {source.casefold() for source in sources}:
        yield Problem(f"{repo}: is one of the sources", "name another repository in output.repo")


def _about_visibility(
    manifest: Manifest, lock: Lock, standing: Standing, licence: Inheritance, allowed: Permissions
) -> Iterable[Problem]:
    repo = standing.target.repo
    public = not (standing.target.private if standing.target.exists else manifest.output.private)
    if not public:
        return
    private = [pinned.source for pinned in lock.sources.values() if pinned.private]
    if private and (manifest.output.private or not allowed.private_sources):
        yield Problem(
            f"{repo}: is public, and would show weights from {', '.join(private)}, which are not",
            "keep output.private true with a private repository, or write `private: false` and say "
            "--allow-private-sources",
        )
    if licence.private_only:
        yield Problem(
            f"{repo}: is public, and the licence of a source is not known",
            "name the licence of the result in card.license, or publish to a private repository",
        )

"""What ramekin refuses to publish, decided before anything is fetched, merged or written."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ramekin.errors import Problem
from ramekin.licences.inheritance import Claim, Inheritance, inherit
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.plan.standing import Standing
from ramekin.text import printable


@dataclass(frozen=True)
class Permissions:
    """What the user has explicitly allowed.

    Attributes:
        adopt: Writing to a repository that ramekin did not make.
        private_sources: Making weights public that descend from private ones.
        namespaces: Namespaces that may be written to; None for all.
    """

    adopt: bool = False
    private_sources: bool = False
    namespaces: frozenset[str] | None = None

    def excludes(self, namespace: str) -> bool:
        """Whether nothing may be written to a namespace. To the Hub, upper case is lower case."""
        return self.namespaces is not None and namespace.casefold() not in {n.casefold() for n in self.namespaces}


def objections(
    manifest: Manifest, lock: Lock, standing: Standing, licence: Inheritance, allowed: Permissions
) -> tuple[Problem, ...]:
    """Every reason not to publish there; none if it may go ahead."""
    return (
        *_about_namespaces(manifest, standing, allowed),
        *_about_the_repository(manifest, lock, standing, allowed),
        *_about_the_superseded(standing, allowed),
        *_about_visibility(manifest, lock, standing, licence, allowed),
    )


def inherited(manifest: Manifest, lock: Lock) -> Inheritance:
    """What the sources' licences make of the result."""
    return inherit([Claim.of(role, pinned) for role, pinned in lock.sources.items()], manifest.card.license)


def _about_namespaces(manifest: Manifest, standing: Standing, allowed: Permissions) -> Iterable[Problem]:
    # Under its name in the manifest the Hub may lead to a repository elsewhere: where it leads is what counts.
    places = {standing.target.repo: "output.repo"}
    if manifest.output.collection and "/" in manifest.output.collection:
        places[manifest.output.collection] = "output.collection"
    if standing.superseded:
        places[standing.superseded.repo] = "output.supersedes"
    only = ", ".join(sorted(allowed.namespaces or ())) or "none"
    for place, key in places.items():
        if allowed.excludes(place.partition("/")[0]):
            yield Problem(
                f"{place}: is in no namespace that may be written to (allowed: {printable(only, 200)})",
                f"name another in {key}, or allow its namespace with --allowed-namespaces",
            )


def _about_the_superseded(standing: Standing, allowed: Permissions) -> Iterable[Problem]:
    old, new = standing.superseded, standing.target.repo
    if old is None:
        return
    if old.repo.casefold() == new.casefold():
        yield Problem(f"{old.repo}: cannot be its own new version", "name another repository in output.supersedes")
        return
    if not old.exists:
        yield Problem(f"{old.repo}: does not exist, or this token may not see it", "check output.supersedes")
    if old.exists and not old.ours and not allowed.adopt:
        yield Problem(
            f"{old.repo}: was not made by ramekin, and its card would be changed",
            "take it out of output.supersedes, or say --adopt to change its card in a new commit",
        )
    if old.repo.casefold() in _folded(old.target_newer):
        yield Problem(
            f"{old.repo}: is named as the new version of {new}, and each cannot be the other's",
            "take output.supersedes out of one of the two manifests, and `new_version` out of that card",
        )
    if old.newer and new.casefold() not in _folded(old.newer) and not allowed.adopt:
        yield Problem(
            f"{old.repo}: its card names {old.newer[0]} as its new version, not {new}",
            "take that line out of its card, or say --adopt to replace it",
        )


def _begins(name: str, prefix: str) -> bool:
    """Whether a name begins with a prefix, however they are written: `llama-3-agent` with `Llama 3`."""
    plain, start = (re.sub(r"[^a-z0-9]", "", text.casefold()) for text in (name, prefix))
    return plain.startswith(start)


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


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
    if licence.name_begins and not _begins(repo.partition("/")[2], licence.name_begins):
        yield Problem(
            f"{repo}: is public, and its name does not begin with “{licence.name_begins}”, as a source's licence asks",
            "name it so in output.repo, or publish to a private repository",
        )
    if licence.private_only:
        yield Problem(
            f"{repo}: is public, and the licence of a source is not known",
            "name the licence of the result in card.license, or publish to a private repository",
        )

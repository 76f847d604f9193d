"""What has to be watched on the Hub: every source of the manifests that can move."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ramekin.manifest.reading import read_manifest

Kind = Literal["model", "dataset"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_DEFAULT_BRANCH: Final = "main"


@dataclass(frozen=True, order=True)
class Source:
    """A repository on the Hub that is merged from.

    Attributes:
        kind: Its kind.
        name: `namespace/name`, as the manifest writes it.
    """

    kind: Kind
    name: str

    @property
    def same(self) -> tuple[str, str]:
        """What it is compared by: the Hub's names differ in more than their case."""
        return self.kind, self.name.casefold()


@dataclass(frozen=True)
class Watch:
    """What the manifests need to hear of.

    Attributes:
        refs: Of each source the refs that are merged from, such as `refs/heads/main`. Commits do not move.
        outputs: Repositories that are published to, in lower case.
    """

    refs: Mapping[Source, frozenset[str]]
    outputs: frozenset[str]

    def source(self, kind: str, name: str) -> Source | None:
        """The source of this kind and name, in whatever case."""
        asked = (kind, name.casefold())
        return next((source for source in self.refs if source.same == asked), None)


def what_to_watch(manifests: Iterable[Path]) -> Watch:
    """Read the manifests.

    Raises:
        ManifestError: One of them cannot be read.
    """
    refs: dict[Source, frozenset[str]] = {}
    outputs: set[str] = set()
    for path in manifests:
        manifest = read_manifest(path).manifest
        outputs.add(manifest.output.repo.casefold())
        named: list[tuple[Kind, str | None, str | None]] = [
            *(("model", source.repo, source.revision) for source in manifest.sources.values()),
            *(("dataset", data.repo, data.revision) for data in manifest.data.values()),
        ]
        for kind, repo, revision in named:
            if repo and not _COMMIT.fullmatch(revision or ""):
                source = next((s for s in refs if s.same == (kind, repo.casefold())), Source(kind, repo))
                refs[source] = refs.get(source, frozenset()) | _refs(revision or _DEFAULT_BRANCH)
    return Watch(dict(sorted(refs.items())), frozenset(outputs))


def _refs(revision: str) -> frozenset[str]:
    """What a revision may be: a branch or a tag, or a ref by its whole name."""
    if revision.startswith("refs/"):
        return frozenset({revision})
    return frozenset({f"refs/heads/{revision}", f"refs/tags/{revision}"})

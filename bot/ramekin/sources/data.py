"""Recorded runs of benchmarks: files of datasets on the Hub, and local files."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from ramekin.digests import DigestMemory
from ramekin.errors import ResourceError, SourceError
from ramekin.lock.model import CardFacts, PinnedFile, PinnedSource
from ramekin.manifest.benchmarks import DataReference
from ramekin.sources.declared import CARD_LIMIT, declared_in
from ramekin.sources.hub import pinned_at
from ramekin.sources.local import local_path
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.client import HubClient

LARGEST: Final = 2 << 30
"""Bytes that a file of recorded runs may have: it is read whole."""


class HubData:
    """A file of a dataset on the Hub."""

    def __init__(self, reference: DataReference, client: "HubClient") -> None:
        self._repo = str(reference)
        self._reference = reference
        self._client = client

    def pin(self) -> PinnedSource:
        """Resolve the revision to a commit, and find the file.

        Raises:
            SourceError: The dataset or the file is absent, gated or private without access.
            ResourceError: The file is too large to be read whole.
            DamagedError: What the Hub says of it cannot be.
        """
        state = self._client.state(self._repo, self._reference.revision, dataset=True)
        if state is None:
            raise SourceError(
                f"{printable(self._repo)}: there is no such dataset, or this token may not see it",
                self._client.access.cure_for_unseen,
            )
        entries = {entry.path: entry for entry in self._client.entries(state.repo, state.commit, dataset=True)}
        entry = entries.get(self._reference.file)
        if entry is None:
            raise SourceError(
                f"{printable(self._repo)}/{printable(self._reference.file)}: the dataset has no such file",
                "check the path; it begins behind the name of the dataset, or its revision",
            )
        _see_that_it_is_readable(str(entry.path), entry.size)
        # A gated dataset shows its list of files to everyone: find out now.
        self._client.read(state.repo, state.commit, entry.path, 0, 1, dataset=True)
        card = None
        if "README.md" in entries:
            card = self._client.read_if_present(state.repo, state.commit, "README.md", CARD_LIMIT, dataset=True)
        facts, _ = declared_in(card)
        requested = self._reference.revision
        return pinned_at(state, [entry], facts, called=self._repo, requested=requested, repo_type="dataset")


class LocalData:
    """A local file."""

    def __init__(self, reference: DataReference, root: Path, digests: DigestMemory) -> None:
        self._name = reference.file
        self.path = local_path(reference.file, root)
        self._digests = digests

    def pin(self) -> PinnedSource:
        """Take its digest, whose beginning stands for a commit.

        Raises:
            SourceError: It does not exist or cannot be read.
            ResourceError: It is too large to be read whole.
        """
        try:
            if not self.path.is_file():
                raise SourceError(
                    f"{printable(self._name)}: there is no such file", "check the path; it is relative to the manifest"
                )
            size = self.path.stat().st_size
            _see_that_it_is_readable(self._name, size)
            digest = self._digests.sha256(self.path)
            return PinnedSource(
                source=self._name,
                kind="local",
                commit=digest[:40],
                private=True,
                card=CardFacts(),
                files={self.path.name: PinnedFile(size=size, sha256=digest)},
            )
        except OSError as error:
            raise SourceError(
                f"{printable(self._name)}: {error.strerror or error}", "check the path and its permissions"
            ) from error
        except ValidationError as error:
            raise SourceError(f"{printable(self._name)}: is no name for a file", "name it otherwise") from error


def _see_that_it_is_readable(name: str, size: int) -> None:
    if size > LARGEST:
        raise ResourceError(
            f"{printable(name)} has {size:,} bytes; recorded runs are read whole, up to {LARGEST >> 30} GiB",
            "a few hundred trajectories are enough: cut the file",
        )

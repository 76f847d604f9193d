"""What repositories on the Hub were found to hold, for a job with many manifests that name the same ones."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final

from ramekin.errors import RamekinError
from ramekin.lock.model import PinnedSource
from ramekin.manifest.benchmarks import DataReference
from ramekin.manifest.model import Source as Reference
from ramekin.sources.base import ReadRange, Role
from ramekin.sources.data import HubData
from ramekin.sources.hub import HubSource
from ramekin.store import BlobStore

if TYPE_CHECKING:
    from ramekin.client import HubClient

_LARGEST: Final = 64 << 20
"""Bytes of headers and small files that are kept."""


class SourceMemory:
    """What was asked of the Hub once, and is not asked again for as long as one job lasts.

    Where a revision is, is believed for so long; what a commit holds never changes. A source that could not be had is
    remembered too: ten manifests that name a repository which is gone need not find out ten times, each patiently.
    """

    def __init__(self) -> None:
        self._pins: dict[Hashable, PinnedSource | RamekinError] = {}
        self._pieces: dict[Hashable, bytes] = {}
        self._kept = 0

    def pin(self, key: Hashable, ask: Callable[[], PinnedSource]) -> PinnedSource:
        """What was pinned before, or refused; else what is pinned now.

        Raises:
            RamekinError: It cannot be pinned.
        """
        known = self._pins.get(key)
        if known is None:
            try:
                known = ask()
            except RamekinError as error:
                self._pins[key] = error
                raise
            self._pins[key] = known
        if isinstance(known, RamekinError):
            raise type(known)(problems=known.problems) from known
        return known

    def reader(self, pinned: PinnedSource, read: ReadRange) -> ReadRange:
        """A reader that reads no range twice, as long as there is room for it."""

        def remembered(file: str, start: int, stop: int) -> bytes:
            key = (pinned.repo_type, pinned.source, pinned.commit, file, start, stop)
            piece = self._pieces.get(key)
            if piece is None:
                piece = read(file, start, stop)
                if self._kept + len(piece) <= _LARGEST:
                    self._kept += len(piece)
                    self._pieces[key] = piece
            return piece

        return remembered


class RememberedSource(HubSource):
    """A repository on the Hub that other manifests of the same job may name as well."""

    def __init__(self, reference: Reference, client: "HubClient", store: BlobStore, memory: SourceMemory) -> None:
        super().__init__(reference, client, store)
        self._memory = memory

    def pin(self, role: Role) -> PinnedSource:
        """As it was pinned for the first of them."""
        return self._memory.pin((self._repo, self._revision, role), lambda: super(RememberedSource, self).pin(role))

    def reader(self, pinned: PinnedSource) -> ReadRange:
        """A reader that shares with the others what was read."""
        return self._memory.reader(pinned, super().reader(pinned))


class RememberedData(HubData):
    """A file of a dataset on the Hub, likewise."""

    def __init__(self, reference: DataReference, client: "HubClient", memory: SourceMemory) -> None:
        super().__init__(reference, client)
        self._memory = memory

    def pin(self) -> PinnedSource:
        """As it was pinned for the first of them."""
        key = (self._repo, self._reference.revision, "data", self._reference.file)
        return self._memory.pin(key, super().pin)

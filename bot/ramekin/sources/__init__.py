"""Where checkpoints and recorded runs come from: repositories on the Hub and local directories."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.manifest.benchmarks import DataReference
from ramekin.manifest.model import Source as Reference
from ramekin.progress import Progress
from ramekin.sources.base import ReadRange, Role, Source
from ramekin.sources.data import HubData, LocalData
from ramekin.sources.hub import HubSource
from ramekin.sources.local import LocalSource
from ramekin.sources.memory import RememberedData, RememberedSource, SourceMemory
from ramekin.store import BlobStore

if TYPE_CHECKING:
    from ramekin.client import HubClient

__all__ = ["HubData", "HubSource", "LocalData", "LocalSource", "ReadRange", "Role", "Source", "SourceMemory", "Sources"]


class Sources:
    """Opens what a manifest names.

    Args:
        connect: Gives the Hub; asked only where a source is there, since its client takes a while to load.
        root: Directory that relative paths start from: the manifest's.
        store: Files that are here already, and digests that were taken before.
        progress: Where reading large local files is shown.
        memory: What was already asked of the Hub; without one it is asked each time.
    """

    def __init__(
        self,
        connect: "Callable[[], HubClient]",
        root: Path,
        store: BlobStore,
        progress: Progress,
        memory: SourceMemory | None = None,
    ) -> None:
        self._connect = connect
        self._root = root
        self._store = store
        self.progress = progress
        self._memory = memory

    def open(self, reference: Reference) -> HubSource | LocalSource:
        """The source behind a reference."""
        if reference.path is not None:
            return LocalSource(reference, self._root, self._store.digests, self.progress)
        if self._memory:
            return RememberedSource(reference, self._connect(), self._store, self._memory)
        return HubSource(reference, self._connect(), self._store)

    def open_data(self, reference: DataReference) -> HubData | LocalData:
        """The recorded runs behind a reference."""
        if reference.repo is None:
            return LocalData(reference, self._root, self._store.digests)
        if self._memory:
            return RememberedData(reference, self._connect(), self._memory)
        return HubData(reference, self._connect())

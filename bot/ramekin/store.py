"""Downloaded files, kept by their digest, and those that the Hub's client has in its own cache."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

from ramekin.atomic import exclusive
from ramekin.digests import DigestMemory, blob_id_of
from ramekin.errors import DamagedError
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.text import printable


class BlobStore:
    """Downloaded files by digest."""

    def __init__(self, root: Path, digests: DigestMemory, cache: Path | None = None) -> None:
        self._root = root
        self._cache = cache
        self.digests = digests

    def path(self, file: PinnedFile) -> Path:
        """Where a file with this digest is, or would be."""
        return self._root / file.digest.replace(":", "-")

    def find(self, source: PinnedSource, name: str, file: PinnedFile) -> Path | None:
        """The file if it is here already: in this store, or in the Hub client's cache.

        Raises:
            DamagedError: It is in this store, but its content has changed; it is then removed.
        """
        path = self.path(file)
        if path.is_file():
            if self.holds(path, file):
                return path
            path.unlink()
            raise DamagedError(
                f"{printable(source.source)}/{printable(name)}: the downloaded file was damaged on disk",
                "it has been removed; run the same command again to download it anew",
            )
        cached = self._cached(source, name)
        return cached if cached and self.holds(cached, file) else None

    def holds(self, path: Path, file: PinnedFile) -> bool:
        """Whether a file's content is what the lock says."""
        if path.stat().st_size != file.size:
            return False
        return self.digests.sha256(path) == file.sha256 if file.sha256 else blob_id_of(path) == file.blob

    def unfinished(self, file: PinnedFile) -> Path:
        """Where its download is until it is whole."""
        path = self.path(file)
        return path.with_name(path.name + ".incomplete")

    @contextlib.contextmanager
    def receiving(self, file: PinnedFile) -> Iterator[io.FileIO]:
        """The unfinished download of a file, open for appending, locked against other processes."""
        self._root.mkdir(parents=True, exist_ok=True)
        with exclusive(self.unfinished(file)) as stream:
            yield stream

    def missing(self, lock: Lock) -> dict[str, int]:
        """Bytes still to be downloaded, by digest of the file."""
        return {
            file.digest: file.size
            for source in (lock.sources | lock.data).values()
            if source.kind == "hub"
            for name, file in source.files.items()
            if self._glimpse(source, name, file) is None
        }

    def at_hand(self, source: PinnedSource, name: str, file: PinnedFile) -> Path | None:
        """The file if it is here already and as the lock says; a damaged one counts as absent, and stays."""
        path = self._glimpse(source, name, file)
        return path if path and self.holds(path, file) else None

    def _cached(self, source: PinnedSource, name: str) -> Path | None:
        """The file in the Hub client's own cache."""
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(
            source.source, name, cache_dir=self._cache, revision=source.commit, repo_type=source.repo_type
        )
        return Path(cached) if isinstance(cached, str) else None

    def _glimpse(self, source: PinnedSource, name: str, file: PinnedFile) -> Path | None:
        """Like `find`, but believing sizes."""
        for path in (self.path(file), self._cached(source, name)):
            if path is not None and path.is_file() and path.stat().st_size == file.size:
                return path
        return None

"""Fetching what a lock pins: downloads that resume, and nothing used before its digest is checked.

Files are kept by their digest in `HF_HOME/ramekin/blobs`. The Hub client's own cache is looked at first, so that what
a user has already is not downloaded again; its downloader is not used, because it neither resumes after the process
has ended nor checks what plain HTTP brings.
"""

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.atomic import append, enough_disk
from ramekin.download import Line, Wanted, new_digest, raise_all
from ramekin.errors import DamagedError, RamekinError, ResourceError, SourceError
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.progress import Progress
from ramekin.room import check_room, shortages
from ramekin.sources import LocalData, LocalSource, Sources
from ramekin.store import BlobStore
from ramekin.text import printable
from ramekin.threads import at_once

if TYPE_CHECKING:
    from ramekin.client import HubClient

_AT_ONCE: Final = 4
_CHUNK: Final = 1 << 22


@dataclass(frozen=True)
class Fetched:
    """All files of all sources, on this machine and as the lock has them.

    Attributes:
        files: Local path by role (`base`, `expert:NAME`) and file name; without those that were left out.
        downloaded: Bytes that had to be downloaded.
    """

    files: Mapping[str, Mapping[str, Path]]
    downloaded: int


def fetch_sources(
    lock: Lock,
    manifest: Manifest,
    sources: Sources,
    store: BlobStore,
    connect: "Callable[[], HubClient]",
    *,
    leave: Callable[[str], bool] = lambda _: False,
) -> Fetched:
    """Bring every pinned file of every source to this machine.

    Args:
        lock: What is pinned.
        manifest: What the sources are called.
        sources: Where they are.
        store: Where downloads go.
        connect: Gives the Hub; asked only where something is to be downloaded.
        leave: Tells by its name whether a file that would have to be downloaded is left out.

    Raises:
        SourceError: A file cannot be had.
        DamagedError: A file is not what the lock says.
        ResourceError: The disk is full.
    """
    found: dict[str, dict[str, Path]] = {role: {} for role in lock.sources}
    missing: dict[str, list[Wanted]] = {}
    for role, source in lock.sources.items():
        opened = sources.open(manifest.sources[role])
        if isinstance(opened, LocalSource):
            found[role] = _check_local(opened, source, store, sources.progress)
            continue
        for name, file in source.files.items():
            path = store.find(source, name, file)
            if path is None and leave(name):
                continue
            if path is None:
                missing.setdefault(file.digest, []).append(Wanted(role, source, name, file))
            else:
                found[role][name] = path
    downloaded = _download_all([wanted[0] for wanted in missing.values()], store, connect, sources.progress)
    for same in missing.values():
        for wanted in same:
            found[wanted.role][wanted.name] = store.path(wanted.file)
    return Fetched(files=found, downloaded=downloaded)


def fetch_data(
    lock: Lock, manifest: Manifest, sources: Sources, store: BlobStore, connect: "Callable[[], HubClient]"
) -> dict[str, Path]:
    """Bring every pinned file of recorded runs to this machine.

    Returns:
        Local path by role, as `Lock.data` has them.

    Raises:
        SourceError: A file cannot be had.
        DamagedError: A file is not what the lock says.
        ResourceError: The disk is full.
    """
    found: dict[str, Path] = {}
    missing: dict[str, Wanted] = {}
    for role, source in lock.data.items():
        opened = sources.open_data(manifest.data[role])
        ((name, file),) = source.files.items()
        path: Path | None
        if isinstance(opened, LocalData):
            path = _checked(opened.path, source.source, file, store)
        else:
            path = store.find(source, name, file)
        if path is None:
            missing.setdefault(file.digest, Wanted(role, source, name, file))
        found[role] = path or store.path(file)
    _download_all([*missing.values()], store, connect, sources.progress)
    return found


def fetch_published(
    source: PinnedSource, store: BlobStore, connect: "Callable[[], HubClient]", progress: Progress
) -> dict[str, Path]:
    """Bring files of a published merge to this machine, pinned to what its report says; local paths by name.

    Raises:
        SourceError: A file cannot be had.
        DamagedError: A file is not what the report says.
        ResourceError: The disk is too small, or full.
    """
    found = {name: store.find(source, name, file) for name, file in source.files.items()}
    missing = {
        source.files[name].digest: Wanted(source.source, source, name, source.files[name], "report")
        for name, path in found.items()
        if path is None
    }
    room = [(store.path(wanted.file).parent, wanted.file.size) for wanted in missing.values()]
    check_room(shortages(room), 0)
    _download_all([*missing.values()], store, connect, progress)
    return {name: path or store.path(source.files[name]) for name, path in found.items()}


def _download_all(files: list[Wanted], store: BlobStore, connect: "Callable[[], HubClient]", progress: Progress) -> int:
    """Download several files at once; returns how many bytes they have."""
    if not files:
        return 0
    total = sum(wanted.file.size for wanted in files)
    with progress.bar("fetching", total) as bar:
        download = _Downloader(store, Line(connect(), bar))
        try:
            # Largest first: the last one running should be a small one.
            outcomes = at_once(download.attempt, sorted(files, key=lambda w: -w.file.size), _AT_ONCE)
        finally:  # when the user interrupts, too: what has arrived so far stays for the next run
            download.line.stopped.set()
    if any(isinstance(outcome, ResourceError) for outcome in outcomes):
        for wanted in files:  # whoever has to make room should not have to look for our leftovers
            store.unfinished(wanted.file).unlink(missing_ok=True)
    raise_all(outcomes)
    return total


def _check_local(opened: LocalSource, source: PinnedSource, store: BlobStore, progress: Progress) -> dict[str, Path]:
    found = {name: opened.directory / name for name in source.files}
    with progress.bar(f"checking {printable(source.source)}", sum(f.size for f in source.files.values())):
        for name, path in found.items():
            _checked(path, f"{source.source}/{name}", source.files[name], store)
    return found


def _checked(path: Path, called: str, file: PinnedFile, store: BlobStore) -> Path:
    """A local file that must be what the lock pins."""
    where = printable(called)
    if not path.is_file():
        raise SourceError(
            f"{where}: the file that the lock pins is gone", "restore it, or pin again with `ramekin lock --upgrade`"
        )
    if not store.holds(path, file):
        raise DamagedError(
            f"{where}: the file is not the one that the lock pins",
            "restore it, or pin again with `ramekin lock --upgrade`",
        )
    return path


class _FileSink:
    """An unfinished download on the disk, with the digest of what is there."""

    start = 0

    def __init__(self, stream: io.FileIO, file: PinnedFile) -> None:
        self._stream = stream
        self._file = file
        self._digest = new_digest(file)
        self.stop = file.size
        self.received = _take_up(stream, self._digest, file)

    def take(self, piece: bytes) -> None:
        append(self._stream, piece)
        self._digest.update(piece)
        self.received += len(piece)

    def restart(self) -> None:
        self._digest = new_digest(self._file)
        self._stream.truncate(0)
        self.received = 0

    @property
    def right(self) -> bool:
        return self._digest.hexdigest() == (self._file.sha256 or self._file.blob)


@dataclass(frozen=True)
class _Downloader:
    """Downloads one file per call, from several threads."""

    store: BlobStore
    line: Line

    def attempt(self, wanted: Wanted) -> RamekinError | None:
        """Download a file; returns what went wrong. The first to fail stops all others."""
        return self.line.guarded(lambda: self._download(wanted))

    def _download(self, wanted: Wanted) -> None:
        """Go on where an earlier try stopped, and put the file in its place once its digest is right."""
        final, partial = self.store.path(wanted.file), self.store.unfinished(wanted.file)
        with enough_disk(final.parent), self.store.receiving(wanted.file) as stream:
            if final.is_file():  # another process was faster
                partial.unlink()
                return
            try:
                sink = _FileSink(stream, wanted.file)
                self.line.bar.advance(sink.received)
                self.line.receive(wanted, sink)
                if not sink.right:
                    raise wanted.damaged()
            except DamagedError:
                partial.unlink()
                raise
            os.fsync(stream.fileno())
            partial.replace(final)
        if wanted.file.sha256:
            self.store.digests.note(final, wanted.file.sha256)


def _take_up(stream: io.FileIO, digest: "hashlib._Hash", file: PinnedFile) -> int:
    """Digest what an earlier try left; start afresh if that cannot be a beginning of the file."""
    if stream.seek(0, os.SEEK_END) > file.size:
        stream.truncate(0)
    stream.seek(0)
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    return stream.tell()

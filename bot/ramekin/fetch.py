"""Fetching what a lock pins: downloads that resume, and nothing used before its digest is checked.

Files are kept by their digest in `HF_HOME/ramekin/blobs`. The Hub client's own cache is looked at first, so that what
a user has already is not downloaded again; its downloader is not used, because it neither resumes after the process
has ended nor checks what plain HTTP brings.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from huggingface_hub import try_to_load_from_cache

from ramekin.atomic import enough_disk
from ramekin.client import HubClient
from ramekin.digests import DigestMemory, blob_id_of
from ramekin.errors import DamagedError, RamekinError, SourceError
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.progress import Bar, Progress
from ramekin.sources import LocalSource, Sources
from ramekin.text import printable

_AT_ONCE: Final = 4
_TRIES: Final = 5
_CHUNK: Final = 1 << 22


@dataclass(frozen=True)
class Fetched:
    """All files of all sources, on this machine and as the lock has them.

    Attributes:
        files: Local path by role (`base`, `expert:NAME`) and file name.
        downloaded: Bytes that had to be downloaded.
    """

    files: Mapping[str, Mapping[str, Path]]
    downloaded: int


@dataclass(frozen=True)
class _Wanted:
    role: str
    source: PinnedSource
    name: str
    file: PinnedFile

    def __str__(self) -> str:
        return f"{printable(self.source.source)}/{printable(self.name)}"


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
        cached = try_to_load_from_cache(source.source, name, cache_dir=self._cache, revision=source.commit)
        return Path(cached) if isinstance(cached, str) and self.holds(Path(cached), file) else None

    def holds(self, path: Path, file: PinnedFile) -> bool:
        """Whether a file's content is what the lock says."""
        if path.stat().st_size != file.size:
            return False
        return self.digests.sha256(path) == file.sha256 if file.sha256 else blob_id_of(path) == file.blob

    @contextmanager
    def receiving(self, file: PinnedFile) -> Iterator[tuple[BinaryIO, Path]]:
        """The unfinished download of a file, open for appending, locked against other processes."""
        self._root.mkdir(parents=True, exist_ok=True)
        final = self.path(file)
        partial = final.with_name(final.name + ".incomplete")
        with partial.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream, partial

    def missing(self, lock: Lock) -> dict[str, int]:
        """Bytes still to be downloaded, by digest of the file."""
        return {
            file.digest: file.size
            for source in lock.sources.values()
            if source.kind == "hub"
            for name, file in source.files.items()
            if self._glimpse(source, name, file) is None
        }

    def _glimpse(self, source: PinnedSource, name: str, file: PinnedFile) -> Path | None:
        """Like `find`, but believing sizes."""
        cached = try_to_load_from_cache(source.source, name, cache_dir=self._cache, revision=source.commit)
        for path in (self.path(file), Path(cached) if isinstance(cached, str) else None):
            if path is not None and path.is_file() and path.stat().st_size == file.size:
                return path
        return None


def fetch_sources(lock: Lock, manifest: Manifest, sources: Sources, store: BlobStore, client: HubClient) -> Fetched:
    """Bring every pinned file of every source to this machine.

    Raises:
        SourceError: A file cannot be had.
        DamagedError: A file is not what the lock says.
        ResourceError: The disk is full.
    """
    found: dict[str, dict[str, Path]] = {role: {} for role in lock.sources}
    missing: dict[str, list[_Wanted]] = {}
    for role, source in lock.sources.items():
        opened = sources.open(manifest.sources[role])
        if isinstance(opened, LocalSource):
            found[role] = _check_local(opened, source, store, sources.progress)
            continue
        for name, file in source.files.items():
            path = store.find(source, name, file)
            if path is None:
                missing.setdefault(file.digest, []).append(_Wanted(role, source, name, file))
            else:
                found[role][name] = path
    downloaded = _download_all([wanted[0] for wanted in missing.values()], store, client, sources.progress)
    for same in missing.values():
        for wanted in same:
            found[wanted.role][wanted.name] = store.path(wanted.file)
    return Fetched(files=found, downloaded=downloaded)


def _download_all(files: list[_Wanted], store: BlobStore, client: HubClient, progress: Progress) -> int:
    """Download several files at once; returns how many bytes they have."""
    if not files:
        return 0
    total = sum(wanted.file.size for wanted in files)
    with progress.bar("fetching", total) as bar, ThreadPoolExecutor(_AT_ONCE) as pool:
        download = _Downloader(store, client, bar)
        # Largest first: the last one running should be a small one.
        jobs = [pool.submit(download, wanted) for wanted in sorted(files, key=lambda w: -w.file.size)]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:  # also when the user interrupts: what has arrived so far stays for the next run
            download.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
    _raise_first([job.exception() for job in jobs if not job.cancelled()])
    return total


def _raise_first(outcomes: list[BaseException | None]) -> None:
    """Raise what went wrong; of our own errors all at once."""
    failures = [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, _Stopped)]
    ours = [failure for failure in failures if isinstance(failure, RamekinError)]
    for failure in failures:
        if failure not in ours:
            raise failure
    if ours:
        raise type(ours[0])(problems=[problem for error in ours for problem in error.problems]) from ours[0]


def _check_local(opened: LocalSource, source: PinnedSource, store: BlobStore, progress: Progress) -> dict[str, Path]:
    found = {name: opened.directory / name for name in source.files}
    with progress.bar(f"checking {printable(source.source)}", sum(f.size for f in source.files.values())):
        for name, path in found.items():
            if not path.is_file():
                raise SourceError(
                    f"{printable(source.source)}/{printable(name)}: the file that the lock pins is gone",
                    "restore it, or pin again with `ramekin lock --upgrade`",
                )
            if not store.holds(path, source.files[name]):
                raise DamagedError(
                    f"{printable(source.source)}/{printable(name)}: the file is not the one that the lock pins",
                    "restore it, or pin again with `ramekin lock --upgrade`",
                )
    return found


class _Restart(Exception):  # noqa: N818 - a turn in the road, not an error
    """The server does not go on where we stopped."""


class _Stopped(Exception):  # noqa: N818 - likewise
    """Another download has failed, or the user has had enough."""


@dataclass(frozen=True)
class _Downloader:
    """Downloads one file per call, from several threads."""

    store: BlobStore
    client: HubClient
    bar: Bar
    stopped: threading.Event = field(default_factory=threading.Event)

    def __call__(self, wanted: _Wanted) -> None:
        """Go on where an earlier try stopped, and put the file in its place once its digest is right."""
        final = self.store.path(wanted.file)
        with self.store.receiving(wanted.file) as (stream, partial), enough_disk(final.parent):
            if final.is_file():  # another process was faster
                partial.unlink(missing_ok=True)
                return
            digest = self._receive_all(wanted, stream)
            stream.flush()
            os.fsync(stream.fileno())
            if digest != (wanted.file.sha256 or wanted.file.blob):
                partial.unlink(missing_ok=True)
                raise DamagedError(
                    f"{wanted}: what was downloaded is not what the lock says",
                    "run the same command again; if it stays so, pin again with `ramekin lock --upgrade`",
                )
            partial.replace(final)
        if wanted.file.sha256:
            self.store.digests.note(final, wanted.file.sha256)

    def _receive_all(self, wanted: _Wanted, stream: BinaryIO) -> str:
        """Receive until the file is whole, over as many connections as it takes; returns its digest."""
        digest = _new_digest(wanted.file)
        received = _take_up(stream, digest, wanted.file)
        self.bar.advance(received)
        tries = _TRIES
        while received < wanted.file.size:
            before = received
            reason = "the connection closed early"
            try:
                self._receive(wanted, stream, digest)
            except _Restart:
                digest = _new_digest(wanted.file)
                stream.truncate(0)
                continue
            except ConnectionError as error:
                reason = printable(str(error))
            received = stream.seek(0, os.SEEK_END)
            if received < wanted.file.size:
                tries = _TRIES if received > before else tries - 1
                if tries == 0:
                    raise SourceError(
                        f"{wanted}: the network gave up ({reason})",
                        "run the same command again; it goes on where it stopped",
                    )
                self.client.pause(_TRIES - tries)
        return digest.hexdigest()

    def _receive(self, wanted: _Wanted, stream: BinaryIO, digest: "hashlib._Hash") -> None:
        """Append to the unfinished file until the connection ends."""
        received = stream.seek(0, os.SEEK_END)
        source = wanted.source
        with self.client.download(source.source, source.commit, wanted.name, received) as (start, pieces):
            if start != received:
                raise _Restart
            for piece in pieces:
                if self.stopped.is_set():
                    stream.flush()
                    raise _Stopped
                if received + len(piece) > wanted.file.size:
                    raise DamagedError(
                        f"{wanted}: is longer than the {wanted.file.size} bytes that the lock says",
                        "pin again with `ramekin lock --upgrade`",
                    )
                stream.write(piece)
                digest.update(piece)
                received += len(piece)
                self.bar.advance(len(piece))


def _new_digest(file: PinnedFile) -> "hashlib._Hash":
    return hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def _take_up(stream: BinaryIO, digest: "hashlib._Hash", file: PinnedFile) -> int:
    """Digest what an earlier try left; start afresh if that cannot be a beginning of the file."""
    if stream.seek(0, os.SEEK_END) > file.size:
        stream.truncate(0)
    stream.seek(0)
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    return stream.tell()

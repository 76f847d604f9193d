"""Fetching what a lock pins: downloads that resume, and nothing used before its digest is checked.

Files are kept by their digest in `HF_HOME/ramekin/blobs`. The Hub client's own cache is looked at first, so that what
a user has already is not downloaded again; its downloader is not used, because it neither resumes after the process
has ended nor checks what plain HTTP brings.
"""

import hashlib
import io
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ramekin.atomic import append, enough_disk
from ramekin.client import HubClient, NoAnswer
from ramekin.errors import DamagedError, RamekinError, ResourceError, SourceError
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.progress import Bar, Progress
from ramekin.sources import LocalSource, Sources
from ramekin.store import BlobStore
from ramekin.text import printable
from ramekin.threads import at_once

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
    with progress.bar("fetching", total) as bar:
        download = _Downloader(store, client, bar)
        try:
            # Largest first: the last one running should be a small one.
            outcomes = at_once(download.attempt, sorted(files, key=lambda w: -w.file.size), _AT_ONCE)
        finally:  # when the user interrupts, too: what has arrived so far stays for the next run
            download.stopped.set()
    failures = [outcome for outcome in outcomes if outcome is not None]
    if any(isinstance(failure, ResourceError) for failure in failures):
        for wanted in files:  # whoever has to make room should not have to look for our leftovers
            store.unfinished(wanted.file).unlink(missing_ok=True)
    if failures:
        problems = {problem: None for error in failures for problem in error.problems}
        raise type(failures[0])(problems=problems) from failures[0]
    return total


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

    def attempt(self, wanted: _Wanted) -> RamekinError | None:
        """Download a file; returns what went wrong. The first to fail stops all others."""
        if self.stopped.is_set():
            return None
        try:
            self._download(wanted)
        except _Stopped:
            return None
        except RamekinError as error:
            self.stopped.set()
            return error
        except BaseException:
            self.stopped.set()
            raise
        return None

    def _download(self, wanted: _Wanted) -> None:
        """Go on where an earlier try stopped, and put the file in its place once its digest is right."""
        final, partial = self.store.path(wanted.file), self.store.unfinished(wanted.file)
        with enough_disk(final.parent), self.store.receiving(wanted.file) as stream:
            if final.is_file():  # another process was faster
                partial.unlink()
                return
            try:
                self._receive_all(wanted, stream)
            except DamagedError:
                partial.unlink()
                raise
            os.fsync(stream.fileno())
            partial.replace(final)
        if wanted.file.sha256:
            self.store.digests.note(final, wanted.file.sha256)

    def _receive_all(self, wanted: _Wanted, stream: io.FileIO) -> None:
        """Receive until the file is whole, over as many connections as it takes, and check its digest."""
        digest = _new_digest(wanted.file)
        received = _take_up(stream, digest, wanted.file)
        self.bar.advance(received)
        tries = _TRIES
        while received < wanted.file.size:
            before, wait = received, None
            reason = "the connection closed early"
            try:
                self._receive(wanted, stream, digest)
            except _Restart:
                digest = _new_digest(wanted.file)
                stream.truncate(0)
                continue
            except NoAnswer as error:
                reason, wait = printable(str(error)), error.wait
            received = stream.seek(0, os.SEEK_END)
            if received < wanted.file.size:
                tries = _TRIES if received > before else tries - 1
                if tries == 0:
                    raise SourceError(
                        f"{wanted}: the network gave up ({reason})",
                        "run the same command again; it goes on where it stopped",
                    )
                if self.stopped.wait(self.client.patience(_TRIES - tries, wait)):
                    raise _Stopped
        if digest.hexdigest() != (wanted.file.sha256 or wanted.file.blob):
            raise DamagedError(
                f"{wanted}: what was downloaded is not what the lock says",
                "run the same command again; if it stays so, pin again with `ramekin lock --upgrade`",
            )

    def _receive(self, wanted: _Wanted, stream: io.FileIO, digest: "hashlib._Hash") -> None:
        """Append to the unfinished file until the connection ends."""
        received = stream.seek(0, os.SEEK_END)
        source = wanted.source
        with self.client.download(source.source, source.commit, wanted.name, received) as (start, pieces):
            if start != received:
                raise _Restart
            for piece in pieces:
                if self.stopped.is_set():
                    raise _Stopped
                if received + len(piece) > wanted.file.size:
                    raise DamagedError(
                        f"{wanted}: is longer than the {wanted.file.size} bytes that the lock says",
                        "pin again with `ramekin lock --upgrade`",
                    )
                append(stream, piece)
                digest.update(piece)
                received += len(piece)
                self.bar.advance(len(piece))


def _new_digest(file: PinnedFile) -> "hashlib._Hash":
    return hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def _take_up(stream: io.FileIO, digest: "hashlib._Hash", file: PinnedFile) -> int:
    """Digest what an earlier try left; start afresh if that cannot be a beginning of the file."""
    if stream.seek(0, os.SEEK_END) > file.size:
        stream.truncate(0)
    stream.seek(0)
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    return stream.tell()

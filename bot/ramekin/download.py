"""One download over as many connections as it takes: a file, or a range of it, received by whoever checks it."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from ramekin.answers import NoAnswer
from ramekin.errors import DamagedError, RamekinError, SourceError
from ramekin.lock.model import PinnedFile, PinnedSource
from ramekin.progress import Bar
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.client import HubClient

_TRIES: Final = 5


_REMEDIES: Final = {"lock": "pin again with `ramekin lock --upgrade`", "report": "publish the merge again"}


@dataclass(frozen=True)
class Wanted:
    """A pinned file of a source.

    Attributes:
        role: What the source is in a merge.
        source: The source.
        name: Path of the file in it.
        file: What it must be.
        said_by: What says so: a `lock`, or the `report` of a published merge.
    """

    role: str
    source: PinnedSource
    name: str
    file: PinnedFile
    said_by: Literal["lock", "report"] = "lock"

    def __str__(self) -> str:
        return f"{printable(self.source.source)}/{printable(self.name)}"

    def damaged(self) -> DamagedError:
        """What is to be said when its content is not the pinned one."""
        return DamagedError(
            f"{self}: what was downloaded is not what the {self.said_by} says",
            f"run the same command again; if it stays so, {self.remedy}",
        )

    @property
    def remedy(self) -> str:
        """What to do if it is not what it must be."""
        return _REMEDIES[self.said_by]


class Sink(Protocol):
    """Takes what arrives.

    Attributes:
        start: Place in the file where it begins.
        stop: Place where it ends.
        received: Bytes that it has.
    """

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def stop(self) -> int: ...  # noqa: D102
    @property
    def received(self) -> int: ...  # noqa: D102

    def take(self, piece: bytes) -> None:
        """Take the next bytes."""

    def restart(self) -> None:
        """Forget everything: the server begins at the start of the file again."""


class Stopped(Exception):  # noqa: N818 - a turn in the road, not an error
    """Another download has failed, or the user has had enough."""


@dataclass(frozen=True)
class Line:
    """The way to the Hub, for several downloads at a time: the first that fails stops all others."""

    client: "HubClient"
    bar: Bar
    stopped: threading.Event = field(default_factory=threading.Event)

    def receive(self, wanted: Wanted, sink: Sink) -> None:
        """Receive until the sink has everything.

        Raises:
            SourceError: The file cannot be had, or the network gave up.
            DamagedError: The file is longer than it is pinned.
            Stopped: Something else ended it.
        """
        size = sink.stop - sink.start
        tries, most = _TRIES, sink.received
        while sink.received < size:
            before, wait = sink.received, None
            reason = "the connection closed early"
            try:
                self._receive(wanted, sink)
            except NoAnswer as error:
                reason, wait = printable(str(error)), error.wait
            if sink.received < before:
                continue  # it begins again
            if sink.received < size:
                tries = _TRIES if sink.received > most else tries - 1
                most = max(most, sink.received)
                if tries == 0:
                    raise SourceError(
                        f"{wanted}: the network gave up ({reason})",
                        "run the same command again; it goes on where it stopped",
                    )
                if self.stopped.wait(self.client.patience(_TRIES - tries, wait)):
                    raise Stopped

    def _receive(self, wanted: Wanted, sink: Sink) -> None:
        """Receive until the connection ends."""
        place, source = sink.start + sink.received, wanted.source
        whole = (sink.start, sink.stop) == (0, wanted.file.size)
        stop = None if whole else sink.stop
        dataset = source.repo_type == "dataset"
        with self.client.download(source.source, source.commit, wanted.name, place, stop, dataset=dataset) as (
            start,
            pieces,
        ):
            if start != place and whole:
                sink.restart()
                return
            for piece in _after(pieces, place - start):
                if self.stopped.is_set():
                    raise Stopped
                left = sink.stop - sink.start - sink.received
                if len(piece) > left and whole:
                    raise DamagedError(
                        f"{wanted}: is longer than the {wanted.file.size} bytes that the {wanted.said_by} says",
                        wanted.remedy,
                    )
                sink.take(piece[:left])
                self.bar.advance(min(len(piece), left))
                if len(piece) >= left and not whole:
                    return  # a server that does not know ranges would go on

    def guarded(self, work: Callable[[], None]) -> RamekinError | None:
        """Do something that receives, in a thread of its own: returns what went wrong, and stops the others then."""
        if self.stopped.is_set():
            return None
        try:
            work()
        except Stopped:
            return None
        except RamekinError as error:
            self.stopped.set()
            return error
        except BaseException:
            self.stopped.set()
            raise
        return None


def new_digest(file: PinnedFile) -> "hashlib._Hash":
    """What takes a file's digest, in the way that it is pinned."""
    return hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def raise_all(outcomes: list[RamekinError | None]) -> None:
    """Raise what went wrong in several downloads as one error, if anything did."""
    failures = [outcome for outcome in outcomes if outcome is not None]
    if failures:
        problems = {problem: None for error in failures for problem in error.problems}
        raise type(failures[0])(problems=problems) from failures[0]


def _after(pieces: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """Pieces without the first so many bytes."""
    for piece in pieces:
        if skip < len(piece):
            yield piece[skip:] if skip else piece
        skip = max(0, skip - len(piece))

"""Following a job: its log as it comes, its state beside it, and the outcome that it sends, whatever of them is lost.

The Hub's client follows a log by itself when the connection breaks, and leaves out what it has given already. It gives
up after a while, and never where a log is opened and stays empty. So it follows in a thread, is started again where it
gave up, and the job's state is asked for beside it: that alone tells when there is nothing to wait for any more.
"""

import hashlib
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from huggingface_hub import JobInfo

from ramekin.errors import PublishError, SourceError
from ramekin.jobs.message import Envelope
from ramekin.jobs.submission import Jobs, Started
from ramekin.refusals import HUB_ERRORS
from ramekin.text import printable

_OVER: Final = frozenset({"COMPLETED", "CANCELED", "ERROR", "DELETED"})
_BETWEEN: Final = 10.0
"""Times the first wait: seconds between two looks at the job's state."""
_GRACE: Final = 3
"""Looks that a log may take to end after its job has."""
_MOST_LOST: Final = 60
"""Looks in a row without an answer after which nothing is known of a job any more: ten minutes."""
_SELDOM: Final = 12
"""Looks between two tries, at most, to follow a log that cannot be followed."""
_LONGEST_LINE: Final = 2000
_MOST_SEEN: Final = 200_000


class Teller(Protocol):
    """Where the log is shown."""

    def note(self, text: str) -> None:
        """Tell one line."""


@dataclass(frozen=True)
class Ended:
    """What was learned of a job.

    Attributes:
        job: It as it was last seen; None if it was deleted.
        message: What it has sent back; None if that did not arrive.
        installed: Whether ramekin could be installed there, as far as is known.
    """

    job: JobInfo | None
    message: dict[str, Any] | None
    installed: bool = True


class Following:
    """Follows one job to its end.

    Args:
        jobs: Where it is.
        started: The job.
        teller: Where its log is shown.
        wait: Seconds before the first repetition of a call that failed.
    """

    def __init__(self, jobs: Jobs, started: Started, teller: Teller, wait: float) -> None:
        self._jobs = jobs
        self._started = started
        self._teller = teller
        self._between = max(_BETWEEN * wait, 0.05)
        self._envelope = Envelope(started.mark)
        self._installed = True
        self._seen = _Seen()
        self._reader = _Reader(jobs, started.number)
        self._tries = 0
        self._rests = 0
        self._job: JobInfo | None = None
        self._stage = ""

    def to_its_end(self) -> Ended:
        """Wait until the job has sent its outcome, or has ended without.

        Raises:
            PublishError: Nothing can be learned of it any more.
        """
        lost = over = 0
        due = time.monotonic()
        while over <= _GRACE:
            self._show(due)
            if message := self._envelope.message:
                return Ended(self._job, message)
            if not self._installed or (over and self._reader.ended):
                break
            due = time.monotonic() + self._between
            try:
                job = self._jobs.look(self._started.number)
            except SourceError as error:
                lost += 1
                if lost > _MOST_LOST and not self._reader.alive:
                    raise self._lost(error) from error
                continue
            lost = 0
            if job is None:
                return Ended(None, None)
            over += self._has_ended(job)
            if not over:
                self._see_to_the_log()
        return self._without_a_word()

    def _show(self, until: float) -> None:
        """Show what of the log comes until then, or until it ends."""
        while not (self._envelope.message or self._reader.ended):
            try:
                line = self._reader.lines.get(timeout=max(until - time.monotonic(), 0))
            except Empty:
                return
            self._take(line)
        if not self._envelope.message:
            time.sleep(max(until - time.monotonic(), 0))

    def _take(self, line: str | None) -> None:
        if line is None:
            self._reader.ended = True
            return
        self._tries = 0
        for part in line.splitlines() or [""]:
            if self._envelope.take(part):
                self._installed = self._installed and ":install:" not in part
            elif self._seen.is_new(part) and part.strip():
                self._teller.note(f"  | {part[:_LONGEST_LINE]}")

    def _has_ended(self, job: JobInfo) -> bool:
        """Whether it has; what changes is told."""
        self._job = job
        stage = str(getattr(job.status.stage, "value", job.status.stage))
        if stage != self._stage:
            self._stage = stage
            told = {"SCHEDULING": "the job waits for a machine", "RUNNING": "the job runs"}.get(stage)
            if told:
                self._teller.note(told)
        return stage in _OVER

    def _see_to_the_log(self) -> None:
        """Follow the log again where it could not be followed, more and more seldom."""
        if not self._reader.ended:
            return
        if self._rests:
            self._rests -= 1
            return
        if self._tries == 0:
            why = f" ({self._reader.why})" if self._reader.why else ""
            self._teller.note(f"the job's log cannot be followed for now{why}; it goes on all the same")
        self._rests = min(2**self._tries, _SELDOM)
        self._tries += 1
        self._seen.begin_again()
        self._reader = _Reader(self._jobs, self._started.number)

    def _without_a_word(self) -> Ended:
        """The job has ended. What of its log was not followed to its end is there to be read now."""
        for _ in range(_GRACE):
            if self._envelope.message or not self._installed:
                break
            self._seen.begin_again()
            # Of a job that has ended, the client takes a connection that breaks for the end of its log. Asked for what
            # there is now, it would leave out what is younger than the Hub's clock.
            self._reader = _Reader(self._jobs, self._started.number)
            end = time.monotonic() + max(_GRACE * self._between, 1.0)
            while not self._reader.ended and not self._envelope.message and time.monotonic() < end:
                self._show(min(end, time.monotonic() + self._between))
            if not self._reader.ended:
                break
        return Ended(self._job, self._envelope.message, self._installed)

    def _lost(self, error: SourceError) -> PublishError:
        return PublishError(
            f"nothing is known of the job any more: {error.problems[0].what}",
            f"it may go on: {self._started.url}; run the same command again to follow it",
        )


class _Reader:
    """Reads a log in a thread, which waits as long as the Hub lets it, and keeps nobody from ending.

    Attributes:
        lines: What was read; None at its end.
        ended: Whether that was seen.
        why: What has ended it before its time.
    """

    def __init__(self, jobs: Jobs, number: str) -> None:
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self.ended = False
        self.why = ""
        self._thread = threading.Thread(target=self._read, args=(jobs, number), daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still reads."""
        return self._thread.is_alive()

    def _read(self, jobs: Jobs, number: str) -> None:
        try:
            for line in jobs.log(number):
                self.lines.put(line)
        except (*HUB_ERRORS, RuntimeError) as error:  # a connection that is closed while it is read
            self.why = printable(str(error).partition("\n")[0] or type(error).__name__)
        finally:
            self.lines.put(None)


class _Seen:
    """Which lines were shown: a log that is read again begins with them, unless its beginning is gone."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._at: int | None = None

    def begin_again(self) -> None:
        """The log is read from its beginning."""
        self._at = 0

    def is_new(self, line: str) -> bool:
        """Whether the next line of the log was not shown yet, as far as that can be known."""
        digest = hashlib.blake2b(line.encode("utf-8", "replace"), digest_size=8).digest()
        if self._at is not None and self._at < len(self._lines) and self._lines[self._at] == digest:
            self._at += 1
            return False
        self._at = None
        if len(self._lines) < _MOST_SEEN:
            self._lines.append(digest)
        return True

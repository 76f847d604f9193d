"""Everything about the Hub in a run: what it holds already, whether it may be written to, and what is written."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from ramekin.preparing import Prepared, Request, own_place
from ramekin.publish.card_only import publish_card
from ramekin.publish.committing import Published, merged_files, note_commit, publish, uploaded_files, waiting
from ramekin.publish.following import Followed, check_ahead, follow_up
from ramekin.publish.landing import Landed
from ramekin.publish.telling import Background
from ramekin.publish.uploads import Uploads
from ramekin.report import REPORT_NAME, Report, read_report
from ramekin.staging import clear_workplace, workplace
from ramekin.stock import InPlace, Shelf
from ramekin.workbench import Workbench


class Release:
    """The release of one merge: to the branch, or by a pull request.

    Args:
        bench: The tools; its writer is made when something is about to be written.
        request: What was asked for.
        prepared: What was planned.
    """

    def __init__(self, bench: Workbench, request: Request, prepared: Prepared) -> None:
        self._bench = bench
        self._request = request
        self._prepared = prepared
        self._manifest = prepared.loaded.manifest
        self._own = own_place(bench, prepared.plan.target.repo)

    @property
    def replaces(self) -> bool:
        """Whether another merge in the directory may go: it is asked for, or the directory is ramekin's own."""
        return self._request.force or self._request.out is None

    @cached_property
    def shelf(self) -> Shelf:
        """Where finished files go before they are published together: to the Hub, unless a directory is to have them.

        A merge that is measured stays here until it is: nothing of one that a gate stops is ever on the Hub.
        """
        if self._request.out or self._manifest.evaluate:
            return InPlace()
        private, pull_request = self._manifest.output.private, self._request.pull_request
        return Uploads(self._bench.writer, self._prepared.standing, private=private, pull_request=pull_request)

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Where the merge is made. One that nobody asked to keep goes once it is published."""
        if self._request.out:
            yield self._request.out
            return
        with workplace(self._own) as out:
            yield out

    def held(self) -> Published:
        """What the Hub holds already; what a run that was killed after its commit could not do any more is done now."""
        clear_workplace(self._own)
        target, out = self._prepared.plan.target, self._request.out
        at = Landed.at(self._bench.environment.endpoint, target.repo, target.head or "")
        held = self._followed(Published(target.repo, at.commit, at.url, fresh=False))
        if out and (out / REPORT_NAME).is_file():
            report = read_report(out)
            if report.key == self._prepared.lock.key and not report.output.commit:
                note_commit(out, at.commit, 0.0)
        return held

    def check_access(self) -> None:
        """Find out before the work what would make publishing fail after it.

        Raises:
            PublishError: The Hub refuses.
        """
        target, writer = self._prepared.plan.target, self._bench.writer
        if self._request.pull_request and target.exists:
            writer.check_known(target.repo)
            return
        # A repository is not made only to find out whether it can be, where a gate may stop what it is made for.
        private, create = self._manifest.output.private, self._manifest.evaluate is None
        writer.check_write(target.repo, exists=target.exists, private=private, create=create)
        if not self._request.pull_request:
            check_ahead(writer, self._manifest, self._prepared.standing, self._prepared.lock.key)

    def waiting(self) -> Published | None:
        """The pull request of an earlier run that holds this merge already, if there is one."""
        if self._background is None or self._request.force:
            return None
        found = waiting(self._bench.writer, self._background, self._prepared.standing)
        if found:
            clear_workplace(self._own)
        return found

    def publish_card(self) -> Published:
        """Publish the card alone."""
        prepared = self._prepared
        return self._followed(publish_card(self._bench, prepared.loaded, prepared.standing, self._background))

    def publish(self, out: Path, report: Report) -> Published:
        """Publish a merged directory, and do what comes after."""
        started = time.monotonic()
        uploaded = uploaded_files(out, report, self.shelf.has)
        published = publish(
            self._bench.writer,
            self._manifest,
            self._prepared.standing,
            merged_files(out, report, uploaded),
            uploaded=uploaded,
            background=self._background,
        )
        if self._request.out:
            note_commit(out, published.commit, time.monotonic() - started)
        return self._followed(published)

    @property
    def _background(self) -> Background | None:
        """What a pull request tells, if there is to be one."""
        if not self._request.pull_request:
            return None
        prepared = self._prepared
        return Background(self._manifest, prepared.lock, prepared.standing.report, prepared.plan)

    def _followed(self, published: Published) -> Published:
        """What was published, with all that comes after a commit done; after a pull request nothing does."""
        if not published.pull_request and not self._request.pull_request:
            at, adopt = Followed(self._prepared.lock.key, published.commit), self._request.allowed.adopt
            follow_up(self._bench.writer, self._manifest, self._prepared.standing, at, adopt=adopt)
        return published

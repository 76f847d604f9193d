"""How a run is told: in the comment of the pull request that asked for it, in the summary, and as outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.action.account import Account
from ramekin.action.approval import PlanChangedError, check_approval
from ramekin.action.approved import Approved
from ramekin.action.current import Current
from ramekin.action.job import Job, Result
from ramekin.action.marking import unmarked
from ramekin.action.naming import slug
from ramekin.action.placing import lines_of, placed
from ramekin.action.sticky import State, Sticky, show
from ramekin.action.telling import summary_text, tell
from ramekin.atomic import write_atomically
from ramekin.errors import RamekinError
from ramekin.github.refusals import GitHubError
from ramekin.lock.file import lock_path
from ramekin.plan.published import published_report
from ramekin.terminal import as_ours

if TYPE_CHECKING:
    from ramekin.github.records import Pull
    from ramekin.manifest.reading import LoadedManifest
    from ramekin.pipeline import Outcome
    from ramekin.plan.model import Plan
    from ramekin.report import Report
    from ramekin.workbench import Workbench


@dataclass(frozen=True)
class Follow:
    """The pull request that a run belongs to.

    Attributes:
        number: Its number.
        approved: The plan that it showed, if the run is to keep to it.
        sticky: Its comment as it was before the run; looked for if left out.
    """

    number: int
    approved: Approved | None = None
    sticky: Sticky | None = None


def find_follow(job: Job, now: Current, manifest: Path) -> Follow | None:
    """The merged pull request that a manifest is as it is by, if it has a comment of ours for it.

    What it showed is kept to after a push. A person who starts the workflow by hand decides anew.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    for commit in _changes(job, now, manifest):
        for pull in _merged(job, commit):
            if sticky := Sticky.find(job.github, pull.number, manifest.as_posix()):
                kept = job.event.name == "push"
                return Follow(pull.number, _binding(sticky) if kept else None, sticky)
    return None


def _changes(job: Job, now: Current, manifest: Path) -> Iterator[str]:
    """Commits that may have made a manifest what it is now: the one that was pushed, and the last change of it."""
    if job.event.name == "push" and not now.late:
        yield now.commit
    paths = (manifest.as_posix(), lock_path(manifest).as_posix())
    found = [commit for path in paths if (commit := job.github.last_change(path, now.commit))]
    if len(found) == 2 and found[0] != found[1] and job.github.contains(found[1], found[0]):
        found.reverse()  # the lock was changed after the manifest
    yield from found[:1]


def _merged(job: Job, commit: str) -> "list[Pull]":
    """The pull requests that have brought a commit to the default branch; the one that was merged as it first."""
    branch = job.github.default_branch
    found = [pull for pull in job.github.pulls_with(commit) if pull.merged and pull.base == branch]
    return sorted(found, key=lambda pull: (pull.merge_commit == commit, pull.number), reverse=True)


def _binding(sticky: Sticky) -> Approved | None:
    """The plan that a run has to keep to.

    Once it was carried out, the target holds what it asked for: the rest of it binds, not what the target was before.
    """
    approved = sticky.marker.approved
    if approved and sticky.marker.state in {"published", "nothing"}:
        return replace(approved, saw_target=False)
    return approved


class Following:
    """Tells how the run of one manifest goes. That a comment cannot be written never stops it.

    Attributes:
        loaded: The manifest, once it was read.

    Args:
        job: The job.
        manifest: The manifest, relative to the repository.
        follow: The pull request; None where none is followed.
    """

    def __init__(self, job: Job, manifest: Path, follow: Follow | None) -> None:
        self._job = job
        self._manifest = manifest
        self._follow = follow
        self.loaded: LoadedManifest | None = None
        self._plan: Plan | None = None
        self._since: datetime | None = None
        self._end: Account | None = None
        self._warnings: list[str] = []
        self._sticky = follow.sticky if follow else None
        if follow and follow.sticky is None:
            with self._harmless():
                self._sticky = Sticky.find(job.github, follow.number, manifest.as_posix())

    def approve(self, plan: "Plan") -> None:
        """See the plan before it is carried out.

        Raises:
            PlanChangedError: It is not what the pull request showed.
        """
        self._plan = plan
        if self._follow and self._follow.approved:
            check_approval(self._follow.approved, plan)
        if plan.action in {"publish", "card"}:
            self._since = datetime.now(UTC)
            self._tell(self._account("running"))

    def done(self, bench: "Workbench", outcome: "Outcome") -> Result:
        """What came of it."""
        from ramekin.cli.outcome import show_outcome

        self._plan, published = outcome.plan, outcome.published
        show_outcome(bench.terminal, outcome)
        state: State = "published" if published and published.fresh else "nothing"
        if published and published.pull_request and not published.fresh:
            self._plan = self._plan.model_copy(update={"reason": "the pull request on the Hub is there already"})
        self._end = replace(self._account(state), published=published)
        report, path = self._report(bench, outcome)
        account = self._end = replace(self._end, report=report)
        if state == "published":
            self._tell(account)
        else:
            self._tell_nothing(account)
        found = self._result(account)
        if published is None:
            return found
        return replace(
            found,
            changed=published.fresh,
            repo=published.repo,
            commit=published.commit,
            url=published.url,
            report=path,
            warnings=(*found.warnings, *published.notes),
        )

    def failed(self, error: RamekinError) -> Result:
        """Why nothing came of it."""
        changed = error.differences if isinstance(error, PlanChangedError) else ()
        if self.loaded and not changed:
            error = placed(error, self.loaded)
        account = replace(self._account("changed" if changed else "failed"), error=error, differences=changed)
        # A comment that tells of what is published tells no lie while another run fails before it has begun anything.
        if changed or self._found_state() != "published":
            self._tell(account)
        return replace(self._result(account), error=error)

    def cancelled(self) -> None:
        """Somebody has stopped it."""
        if self._end and self._end.state == "published":
            self._tell(self._end)
        elif self._since and self._end is None:
            self._tell(self._account("cancelled"))

    def _account(self, state: State) -> Account:
        """What there is to tell, as far as it is known."""
        marker = self._sticky.marker if self._sticky else None
        head = marker.head if marker else self._job.settings.sha
        approved = None
        if self._plan and state in {"published", "nothing"}:
            # Until then, what people agreed to stays what a later run is compared with.
            approved = Approved.of(self._plan.model_copy(update={"manifest": self._manifest.as_posix()}), head)
        return Account(
            self._manifest,
            head,
            state,
            plan=self._plan,
            since=self._since,
            approved=approved,
            lines=lines_of(self.loaded) if self.loaded else {},
        )

    def _result(self, account: Account) -> Result:
        plan = self._plan
        return Result(
            self._manifest,
            summary_text(self._job, account),
            key=plan.key if plan else "",
            repo=plan.target.repo if plan else "",
            warnings=tuple(self._warnings),
        )

    # The comment

    def _found_state(self) -> State | None:
        """How far things are by the comment as it is now: another run may have written it meanwhile."""
        if self._follow is None:
            return None
        try:
            found = Sticky.find(self._job.github, self._follow.number, self._manifest.as_posix())
        except GitHubError:
            return None
        return found.marker.state if found else None

    def _tell_nothing(self, account: Account) -> None:
        """Leave the comment as it was before the run, unless it does not tell yet of what is there."""
        told: set[State | None] = {"published", "nothing"}
        found = self._found_state()
        if found in told:
            return
        if self._since and self._follow and self._sticky and self._sticky.marker.state in told:
            with self._harmless():
                show(self._job.github, self._follow.number, self._sticky.marker, unmarked(self._sticky.body))
        elif found in {"running", "cancelled", "failed"}:
            # Whoever has published it could not say so any more.
            self._tell(replace(account, state="published"))
        else:
            self._tell(account)

    def _tell(self, account: Account) -> None:
        """Write the comment."""
        if self._follow:
            with self._harmless():
                _, warnings = tell(self._job, self._follow.number, account)
                self._warnings += warnings

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Turn whatever keeps the comment from being written into a warning."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - what is published is published, whatever can be told of it
            self._job.bench.terminal.traceback(error)
            what = "; ".join(problem.what for problem in as_ours(error).problems)
            self._warnings.append(f"the comment on the pull request could not be written: {what}")

    # The report

    def _report(self, bench: "Workbench", outcome: "Outcome") -> "tuple[Report | None, Path | None]":
        """What a merge has reported, and a file of it that outlasts this step."""
        published = outcome.published
        if published is None:
            return outcome.report, None
        try:
            report = outcome.report or published_report(bench.writer, published.repo, published.commit)
            return report, self._kept(report, published.commit) if report else None
        except (RamekinError, OSError) as error:
            self._warnings.append(f"the report of what is published could not be kept: {error}")
            return None, None

    def _kept(self, report: "Report", commit: str) -> Path:
        output = report.output.model_copy(update={"commit": commit})
        path = self._job.settings.temporary / "ramekin" / slug(self._manifest) / "report.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, report.model_copy(update={"output": output}).to_json().encode())
        return path

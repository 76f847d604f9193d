"""What updating one manifest came to: for the step's summary, its outputs, and the dashboard."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ramekin.action.job import Result
from ramekin.action.proposals.cooldown import Candidate
from ramekin.action.proposals.deciding import Verdict
from ramekin.action.proposals.state import Failure
from ramekin.action.proposals.wording import failures_told, moment, place_of
from ramekin.errors import RamekinError
from ramekin.plan.rendering import prose
from ramekin.templating import template_environment

if TYPE_CHECKING:
    from ramekin.github.records import Pull

HEADLINES: Final[dict[Verdict | None, str]] = {
    None: "could not be looked at",
    "fresh": "up to date",
    "cooling": "sources have moved, and wait for the cooldown",
    "declined": "declined: its pull request was closed without merging",
    "resting": "failed, to be tried again later",
    "proposed": "proposed",
    "due": "proposed",
    "strange": "left alone",
}


@dataclass(frozen=True)
class Outcome:
    """One manifest.

    Attributes:
        manifest: Its path, relative to the repository.
        verdict: What was found; None where that could not be told.
        candidate: The lock that is due; None where the sources could not be looked at.
        failures: What has failed and is remembered.
        pull: The open pull request.
        changed: Whether something was proposed or published by this run.
        merged: Whether that was published at once, and its lock committed.
        repo: Repository on the Hub that the merge goes to.
        strange: Why nothing is done to the branch.
        error: Why it could not be done.
        warnings: What should be seen and stops nothing.
        ran: What a run came to, by `policy: merge`.
    """

    manifest: Path
    verdict: Verdict | None = None
    candidate: Candidate | None = None
    failures: dict[str, Failure] = field(default_factory=dict)
    pull: "Pull | None" = None
    changed: bool = False
    merged: bool = False
    repo: str = ""
    strange: str = ""
    error: RamekinError | None = None
    warnings: tuple[str, ...] = ()
    ran: Result | None = None

    @property
    def headline(self) -> str:
        """How things stand, in a few words."""
        if self.merged:
            return HEADLINES["fresh"]
        if self.error and self.verdict != "resting":
            return "failed"
        return HEADLINES[self.verdict]

    @property
    def retryable(self) -> bool:
        """Whether there is something to forget, so that it is tried again."""
        return bool(self.failures) or self.verdict == "declined"

    @property
    def key(self) -> str:
        """Key of the lock that the default branch has now."""
        if self.candidate is None:
            return ""
        lock = self.candidate.lock if self.merged else self.candidate.current
        return lock.key if lock else ""

    @property
    def values(self) -> dict[str, Any]:
        """For templates."""
        candidate = self.candidate
        return {
            "manifest": self.manifest.as_posix(),
            "headline": self.headline,
            "verdict": self.verdict,
            "pull": self.pull,
            "strange": self.strange,
            "repo": self.repo,
            "key": self.key,
            "new": tuple((place_of(role), pinned) for role, pinned in candidate.new.items()) if candidate else (),
            "merged": self.merged,
            "waiting": tuple((place_of(c.drift.role), c.drift.now, moment(c.ready)) for c in candidate.cooling)
            if candidate
            else (),
            "failures": tuple(failures_told(self.failures)),
            "problems": self.error.problems if self.error else (),
        }

    def result(self, endpoint: str) -> Result:
        """What the step tells of it."""
        template = template_environment(markup=False).get_template("action/update.md.jinja")
        summary = template.render(one=self.values, endpoint=endpoint, prose=prose)
        ran = self.ran or Result(self.manifest)
        return Result(
            self.manifest,
            summary=f"{summary}\n{ran.summary}".strip() + "\n",
            changed=self.changed or ran.changed,
            key=ran.key or (self.candidate.lock.key if self.candidate else ""),
            repo=ran.repo or self.repo,
            commit=ran.commit,
            url=ran.url or (self.pull.url if self.pull else ""),
            report=ran.report,
            error=self.error,
            warnings=(*ran.warnings, *self.warnings),
        )

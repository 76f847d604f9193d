"""What one manifest came to, as far as people are told."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.action.approved import Approved
from ramekin.action.sticky import Marker, State
from ramekin.errors import Problem, RamekinError
from ramekin.plan.model import Change, Plan

if TYPE_CHECKING:
    from ramekin.publish.committing import Published
    from ramekin.report import Report


@dataclass(frozen=True)
class Account:
    """What is told of one manifest.

    Attributes:
        manifest: Its path, relative to the repository.
        head: Commit of the repository that it is about.
        state: How far things are.
        plan: The plan that was made or followed.
        error: Why it could not be planned or carried out.
        published: Where the merge is now.
        report: What merging it came to.
        differences: For `changed`, what is another than what was shown.
        since: For `running`, since when.
        notice: What whoever looks has to know first: one sentence without a full stop, names between backticks.
        approved: The plan to remember: if left out, what is `planned`, and else what the comment remembers already.
        unlocked: Whether no lock fits, so that a run would pin anew.
        lines: Line of the base and of every expert in the manifest, by name.
    """

    manifest: Path
    head: str
    state: State = "planned"
    plan: Plan | None = None
    error: RamekinError | None = None
    published: "Published | None" = None
    report: "Report | None" = None
    differences: tuple[Change, ...] = ()
    since: datetime | None = None
    notice: str = ""
    approved: Approved | None = None
    unlocked: bool = False
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, but for what the plan itself shows."""
        if self.error is None or (self.state == "planned" and self.plan and _is_shown(self.plan)):
            return ()
        return () if self.state == "changed" else self.error.problems

    def marker(self, run_url: str) -> Marker:
        """What the comment remembers of it."""
        manifest, approved = self.manifest.as_posix(), self.approved
        if self.plan and self.state == "planned" and approved is None:
            approved = Approved.of(self.plan.model_copy(update={"manifest": manifest}), self.head)
        # A plan that says the same again leaves the comment as it is, whichever run made it.
        return Marker(manifest, self.head, self.state, approved, "" if self.state == "planned" else run_url)


def _is_shown(plan: Plan) -> bool:
    return bool(plan.errors or plan.licence.problems)

"""Whether a run is about to do what people saw before they merged."""

from typing import TYPE_CHECKING, Final, Self

from ramekin.errors import LockError
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.action.approved import Approved
    from ramekin.plan.model import Change, Plan

_MOST: Final = 5
"""Differences that the message lists; the comment and the summary have all."""
_LONGEST: Final = 100


class PlanChangedError(LockError):
    """What would be done now is not what the pull request showed. Nothing was written.

    Attributes:
        differences: What is another now.
    """

    differences: "tuple[Change, ...]" = ()

    @classmethod
    def of(cls, differences: "tuple[Change, ...]") -> Self:
        """The error that lists what is another now."""
        listed = [_told(change) for change in differences[:_MOST]]
        if len(differences) > _MOST:
            listed.append(f"and {len(differences) - _MOST} more")
        error = cls(
            f"plan-changed: what the pull request showed is not what would be done now: {'; '.join(listed)}",
            "look at the differences, then start this workflow by hand to go on; a lock in the pull request keeps "
            "sources from moving meanwhile",
        )
        error.differences = differences
        return error


def check_approval(approved: "Approved", plan: "Plan") -> None:
    """Make sure that a plan is the one that was shown, as far as both could see.

    What is published already is not done again, so that there is nothing to agree to.

    Raises:
        PlanChangedError: It is another.
    """
    if plan.action == "nothing":
        return
    if differences := approved.differences(plan):
        raise PlanChangedError.of(differences)


def _told(change: "Change") -> str:
    old, new = ("nothing" if value is None else printable(value, _LONGEST) for value in (change.old, change.new))
    return f"{printable(change.subject, _LONGEST)}: {old} → {new}"

"""One tree of errors: each carries its exit code, and each problem says what happened and what to do.

They are shown in one place, `ramekin.terminal`. A third party's exception becomes one of these where it is called.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what: What happened, in one sentence without a final full stop.
        hint: What to do about it, likewise.
        path: File the problem is in, where there is one.
        line: Line in that file, counted from 1.
    """

    what: str
    hint: str
    path: Path | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """`file:line: `, or as much of it as is known."""
        if self.path is None:
            return ""
        return f"{self.path}: " if self.line is None else f"{self.path}:{self.line}: "


class RamekinError(Exception):
    """Base of all errors that a user is meant to see.

    Args:
        what: What happened.
        hint: What to do.
        problems: Instead of the two, any number of problems that are reported together.
    """

    exit_code: ClassVar[int] = 70
    reason: ClassVar[str] = "internal"

    def __init__(self, what: str = "", hint: str = "", *, problems: Iterable[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(what, hint),)
        super().__init__("; ".join(problem.place + problem.what for problem in self.problems))

    def to_data(self) -> dict[str, object]:
        """For `--json`, as `error`."""
        problems = [
            {"what": p.what, "hint": p.hint, "path": str(p.path) if p.path else None, "line": p.line}
            for p in self.problems
        ]
        return {"reason": self.reason, "exit_code": self.exit_code, "problems": problems}


class UsageError(RamekinError):
    """A command line or manifest that cannot be carried out."""

    exit_code = 2
    reason = "usage"


class ManifestError(UsageError):
    """A manifest with problems, all of them at once, each with its line."""


class TemplateError(ManifestError):
    """A card template with a mistake. What was merged is as good as it was, and is not made again."""


class LockError(RamekinError):
    """The lock is absent, unreadable, or does not fit the manifest."""

    exit_code = 3
    reason = "lock"


class SourceError(RamekinError):
    """A source cannot be had: absent, gated, no access, or the network gave up."""

    exit_code = 4
    reason = "source"


class IncompatibleError(RamekinError):
    """The checkpoints, or their licences, do not fit together."""

    exit_code = 5
    reason = "incompatible"


class DamagedError(RamekinError):
    """Data that is damaged, or is not what its lock or format says."""

    exit_code = 6
    reason = "damaged"


class EvaluationError(DamagedError):
    """Scores could not be measured. What is merged stays: the next run goes on from it."""


class PublishError(RamekinError):
    """Publishing failed, was refused, or lost a race for the branch."""

    exit_code = 7
    reason = "publish"


class GateError(RamekinError):
    """The merge's scores are not what its manifest demands: it is not published."""

    exit_code = 9
    reason = "publish"


class ResourceError(RamekinError):
    """Not enough disk or memory."""

    exit_code = 8
    reason = "resources"


class LostError(ResourceError):
    """Another of the processes that merge together has ended. What is finished stays: the next run goes on from it."""


class InternalError(RamekinError):
    """A defect of ramekin's own."""

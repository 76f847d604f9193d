"""Which runs are watched, which judge, and which are kept for the end: no merge is judged by what it was chosen on."""

import hashlib
import math
from collections.abc import Collection, Sequence
from typing import Final

from ramekin.arm.roles.finding import Role
from ramekin.arm.roles.trajectories import Trajectory
from ramekin.errors import DamagedError
from ramekin.text import printable

HELD_OUT: Final = 0.2
"""Part of the tasks that is set aside where no development data are named (the project's choice)."""

KEPT: Final = 0.5
"""Part of the tasks of development data that is kept where coefficients are tuned (the project's choice)."""

_SHOWN: Final = 5


def parted(trajectories: Sequence[Trajectory], share: float) -> tuple[list[Trajectory], list[Trajectory]]:
    """Set part of the tasks aside, by their names' digests: the same on every machine, and in any order."""
    aside = _first_tasks({each.task for each in trajectories}, share)
    kept = [each for each in trajectories if each.task not in aside]
    return kept, [each for each in trajectories if each.task in aside]


def some_of(role: Role, share: float) -> Role:
    """As many of the trajectories as would be set aside, and without taking them away."""
    chosen = _first_tasks({traced.task for traced in role.trajectories}, share)
    return Role([traced for traced in role.trajectories if traced.task in chosen])


def _first_tasks(tasks: Collection[str], share: float) -> set[str]:
    """So large a part of some tasks, rounded up, the first by their names' digests."""
    ranking = sorted(tasks, key=lambda task: hashlib.sha256(task.encode()).digest())
    return {*ranking[: math.ceil(share * len(ranking))]}


def same_texts(calibration: Role, dev: Role) -> list[str]:
    """Names of development runs that are calibration runs under another name."""
    known = {traced.digest for traced in calibration.trajectories}
    return [traced.name for traced in dev.trajectories if traced.digest in known]


def not_apart(where: str, names: Sequence[str], kind: str) -> DamagedError:
    """That `tasks` or `runs` are in both."""
    shown = ", ".join(f"`{printable(name, 40)}`" for name in names[:_SHOWN])
    more = " …" if len(names) > _SHOWN else ""
    return DamagedError(
        f"`{where}` has {len(names)} {kind} both in `calibration` and in `dev`: {shown}{more}",
        "a merge must not be judged by what it was chosen on: keep each task in one of the two",
    )

"""Several processes at work on one merge, or one alone."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from ramekin.plan.layout import TensorTask

_T = TypeVar("_T")


class Team(Protocol):
    """Processes that merge together; each has a rank, and rank 0 leads."""

    @property
    def rank(self) -> int:
        """This process."""

    @property
    def size(self) -> int:
        """How many there are."""

    def gather(self, mine: _T) -> list[_T]:
        """What every process has, by rank, on every process; none goes on before all have come here."""


class Alone:
    """One process."""

    rank = 0
    size = 1

    def gather(self, mine: _T) -> list[_T]:
        """What it has."""
        return [mine]


def share(tasks: Sequence[TensorTask], team: Team) -> tuple[TensorTask, ...]:
    """The tensors that fall to this process: the largest first, each to whoever has least to do; in their order."""
    loads = [0] * team.size
    mine = set()
    for task in sorted(tasks, key=lambda task: -task.numel):
        rank = loads.index(min(loads))
        loads[rank] += task.numel + 1
        if rank == team.rank:
            mine.add(task.name)
    return tuple(task for task in tasks if task.name in mine)


def agree(team: Team, error: Exception | None) -> None:
    """Go on only if every process may: what one of them met is raised by all.

    Raises:
        Exception: The first error by rank.
    """
    if team.size > 1 or error:
        for each in team.gather(error):
            if each:
                raise each

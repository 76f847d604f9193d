"""Several processes at work on one merge, or one alone."""

import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ramekin.environment import Processes
from ramekin.errors import InternalError
from ramekin.plan.layout import Shard, TensorTask
from ramekin.progress import Bar

_T = TypeVar("_T")


class Team(Protocol):
    """Processes that merge together; each has a rank, and rank 0 leads."""

    @property
    def rank(self) -> int:
        """This process."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def place(self) -> int:
        """This process among those on its machine."""

    @property
    def neighbours(self) -> int:
        """How many are on its machine, this one included."""

    def gather(self, mine: _T) -> list[_T]:
        """What every process has, by rank, on every process; none goes on before all have come here.

        Raises:
            Exception: What another process met, wherever it met it.
        """


class Alone:
    """One process."""

    rank = 0
    size = 1
    place = 0
    neighbours = 1

    def gather(self, mine: _T) -> list[_T]:
        """What it has."""
        return [mine]


@dataclass(frozen=True)
class Failure:
    """Instead of what a process was to give: why it cannot."""

    error: Exception

    @classmethod
    def of(cls, error: Exception, rank: int) -> "Failure":
        """An error on its way to other processes, with its traceback as a note, for `--verbose`."""
        where = "".join(traceback.format_exception(error)).rstrip()
        try:
            travelled = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own, a moment ago
        except Exception:  # noqa: BLE001 - an exception of any kind may turn out not to travel, in any way
            travelled = InternalError(f"{type(error).__name__}: {error}"[:300], "report it, please")
        travelled.add_note(f"in process {rank}:\n{where}")
        return cls(travelled)


@dataclass(frozen=True)
class Dismissal:
    """The leading process has ended, with this exit code."""

    code: int


class Dismissed(Exception):  # noqa: N818 - nothing is wrong
    """There is nothing left to do for this process.

    Attributes:
        code: The exit code that all end with.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Crew:
    """Several processes that do everything in step.

    There is one thing that they do together, an exchange of what each has. Whoever fails gives a `Failure` at the next
    one, wherever the others are by then; the leading one, when it ends, a `Dismissal`. So nobody waits for long for
    somebody who will not come, and nobody has to ask.

    Args:
        processes: How many there are, and which this is.
        exchange: Gives what every process has, by rank. Raises `LostError` when one is gone.
    """

    def __init__(self, processes: Processes, exchange: Callable[[object], list[object]]) -> None:
        self.rank = processes.rank
        self.size = processes.count
        self.place = processes.place
        self.neighbours = processes.neighbours
        self._exchange = exchange
        self._own: Failure | None = None
        self._shared: Exception | None = None

    def gather(self, mine: _T) -> list[_T]:
        """What every process has, by rank.

        Raises:
            Dismissed: The leading process has ended.
            Exception: The first failure by rank, the same on all.
            LostError: A process is gone.
        """
        own, self._own = self._own, None
        found = self._exchange(own or mine)
        if isinstance(found[0], Dismissal):
            raise Dismissed(found[0].code)
        for each in found:
            if isinstance(each, Failure):
                self._shared = each.error
                raise each.error
        return found  # type: ignore[return-value]

    def fail(self, error: Exception) -> None:
        """Tell the others of an error at the next exchange, unless all know it already."""
        if error is not self._shared:
            self._own = Failure.of(error, self.rank)

    def dismiss(self, code: int) -> None:
        """Let the others end, with this exit code.

        Raises:
            LostError: One of them is gone.
        """
        self._exchange(Dismissal(code))


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
    if team.size == 1:
        if error:
            raise error
        return
    for each in team.gather(Failure.of(error, team.rank) if error else None):
        assert each is None  # noqa: S101 - a failure was raised


def part_of(bar: Bar, step: Shard, team: Team) -> Bar:
    """A bar for this process's part of a step, which stands for the whole of it."""
    if team.size == 1:
        return bar
    mine = sum(task.input_bytes for task in share(step.tensors, team))
    return _Scaled(bar, mine, sum(task.input_bytes for task in step.tensors))


class _Scaled:
    """Shows a part of the work as all of it."""

    def __init__(self, bar: Bar, part: int, whole: int) -> None:
        self._bar = bar
        self._part = max(part, 1)
        self._whole = whole
        self._done = 0

    def advance(self, amount: int) -> None:
        before = self._whole * self._done // self._part
        self._done += amount
        self._bar.advance(self._whole * self._done // self._part - before)

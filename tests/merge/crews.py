"""Threads that merge together as if they were processes."""

import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ramekin.environment import Processes
from ramekin.errors import LostError
from ramekin.merge.orders import follow
from ramekin.merge.team import Crew

_T = TypeVar("_T")


@dataclass
class Meeting:
    """Where threads exchange what they have, pickled as between processes."""

    size: int
    barrier: threading.Barrier = field(init=False)
    given: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=60)
        self.given = [b""] * self.size

    def crew(self, rank: int, neighbours: int | None = None) -> Crew:
        def exchange(mine: object) -> list[object]:
            self.given[rank] = pickle.dumps(mine)
            try:
                self.barrier.wait()
                found = [pickle.loads(each) for each in self.given]  # noqa: S301 - what was pickled a line ago
                self.barrier.wait()
            except threading.BrokenBarrierError as error:
                raise LostError("one has ended", "run it again") from error
            return found

        neighbours = neighbours or self.size
        return Crew(Processes(rank, self.size, rank % neighbours, neighbours), exchange)


def with_followers(
    size: int, command: Callable[[Crew], _T], *, lead: Callable[[Crew], int] = follow, neighbours: int | None = None
) -> tuple[_T | Exception, list[object]]:
    """Run a command in the leading one; returns what came of it, and how the others ended."""
    meeting = Meeting(size)
    ends: list[object] = [None] * (size - 1)

    def other(rank: int) -> None:
        try:
            ends[rank - 1] = lead(meeting.crew(rank, neighbours))
        except BaseException as error:  # noqa: BLE001 - whatever ended it
            ends[rank - 1] = error
            meeting.barrier.abort()

    threads = [threading.Thread(target=other, args=(rank,)) for rank in range(1, size)]
    for thread in threads:
        thread.start()
    crew = meeting.crew(0, neighbours)
    result: _T | Exception
    try:
        result = command(crew)
        crew.dismiss(0)
    except LostError as error:
        result = error
    except Exception as error:  # noqa: BLE001 - likewise
        result = error
        crew.dismiss(getattr(error, "exit_code", 70))
    for thread in threads:
        thread.join(60)
    return result, ends

"""How long a set of sources that could not be used is left in peace: two hours, then twice as long each time."""

from datetime import datetime, timedelta
from typing import Final

from ramekin.action.proposals.state import Failure

_FIRST: Final = timedelta(hours=2)
_LONGEST: Final = timedelta(days=5)


def next_try(failure: Failure) -> datetime:
    """When the set is tried again."""
    doublings = min(failure.count - 1, 10)
    return failure.last + min(_FIRST * (1 << doublings), _LONGEST)


def rests(failure: Failure | None, now: datetime) -> bool:
    """Whether it is not to be tried yet. A failure that lies ahead is that of a clock, and holds nothing up."""
    return failure is not None and failure.last <= now < next_try(failure)


def failed_again(failure: Failure | None, now: datetime, run: str, why: str) -> Failure:
    """What to remember once it has failed."""
    count = min(failure.count + 1, 1_000) if failure else 1
    return Failure(count=count, last=now, run=run[:500], why=why[:200])

"""Calls over the network that are repeated while the other side is busy, waiting twice as long each time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from ramekin.refusals import BUSY, TransportError, asked_to_wait

_TRIES: Final = 5
_LONGEST_WAIT: Final = 310.0
"""Seconds that the Hub may ask us to wait at most: its windows for counting requests have five minutes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait before a call is repeated.

    Attributes:
        wait: Seconds before the first repetition; doubled each time.
    """

    wait: float

    def until_next(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait before trying again: what the Hub has asked for, else twice as long each time."""
        return self.wait * 2**attempt if asked is None else min(asked, _LONGEST_WAIT)

    def pause(self, attempt: int, asked: float | None = None) -> None:
        """Wait that long."""
        time.sleep(self.until_next(attempt, asked))

    def repeat(self, call: Callable[[], T]) -> T:
        """Call until an answer comes that is not about being busy; the last failure is raised as it is."""
        for attempt in range(_TRIES):
            try:
                return call()
            except HfHubHTTPError as error:
                if attempt == _TRIES - 1 or error.response.status_code not in BUSY:
                    raise
                self.pause(attempt, asked_to_wait(error))
            except (TransportError, ConnectionError, TimeoutError) as error:
                if attempt == _TRIES - 1 or isinstance(error, OfflineModeIsEnabled):
                    raise
                self.pause(attempt)
        raise AssertionError

"""Starts the workflow: once for a burst of pushes, again where GitHub was not there, never twice for the same news."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ramekin.terminal import as_ours
from ramekin.webhook.delivery import Delivery

_MOST_REMEMBERED: Final = 4_096
_LONGEST_PAUSE: Final = 300.0


@dataclass(frozen=True)
class Pace:
    """How soon and how often.

    Attributes:
        quiet: Seconds to wait for more after the first of a burst.
        retry: Seconds before the first repetition where GitHub was not there; doubled each time, up to five minutes.
    """

    quiet: float = 10.0
    retry: float = 5.0


class Dispatcher:
    """Collects sources that have moved, and sends them together, from a thread of its own.

    What it knows is in memory only: what is lost when it ends, the workflow's schedule makes up for.

    Args:
        send: Starts the workflow, with the names of the sources that have moved.
        tell: Tells a line of what happened.
        pace: How soon and how often.
    """

    def __init__(
        self, send: Callable[[tuple[str, ...]], None], tell: Callable[[str], None], pace: Pace = Pace()
    ) -> None:
        self._send = send
        self._tell = tell
        self._pace = pace
        self._waiting: dict[str, None] = {}
        self._known: OrderedDict[object, None] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """Send no more; what is being sent is waited for."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()
        self._thread.join()

    def offer(self, delivery: Delivery) -> bool:
        """Take a source that has moved; returns whether that is news. Never waits for the network."""
        if delivery.source is None:
            return False
        with self._changed:
            mark = (delivery.source.same, delivery.news)
            # Without commits nobody can tell whether it was sent before: it is collected like all others.
            if delivery.news and mark in self._known:
                return False
            self._known[mark] = None
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
            self._waiting[delivery.source.name] = None
            self._changed.notify_all()
        return True

    def _work(self) -> None:
        failures = 0
        while self._anything():
            # What comes meanwhile goes along.
            pause = self._pace.retry * 2 ** (failures - 1) if failures else self._pace.quiet
            if self._closed.wait(min(pause, _LONGEST_PAUSE)):
                return
            with self._changed:
                names = tuple(self._waiting)
                self._waiting.clear()
            failures = 0 if self._sent(names) else failures + 1
            if failures:
                with self._changed:
                    self._waiting = dict.fromkeys([*names, *self._waiting])

    def _anything(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed.is_set())
            return not self._closed.is_set()

    def _sent(self, names: tuple[str, ...]) -> bool:
        try:
            self._send(names)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next delivery finds somebody at work
            self._tell(f"could not start the workflow, trying again: {as_ours(error)}")
            return False
        self._tell(f"started the workflow for {', '.join(names)}")
        return True

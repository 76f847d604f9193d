"""Several calls at once, in threads that never keep the process from ending.

The standard library's pools wait for what is running, also when the user interrupts and a server answers nothing.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def at_once(call: Callable[[A], B], items: Iterable[A], most: int) -> list[B]:
    """Call a function with every item, at most so many at once; returns the results in the items' order.

    The first exception stops what has not begun, and is raised once all that has begun is over. An interruption of the
    caller waits for nothing.

    Args:
        call: Called from several threads.
        items: Its arguments.
        most: How many threads there are at most.
    """
    waiting = deque(enumerate(items))
    results: dict[int, B] = {}
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            try:
                index, item = waiting.popleft()
            except IndexError:
                return
            try:
                results[index] = call(item)
            except BaseException as error:  # noqa: BLE001 - raised again where the caller can catch it
                failures.append(error)

    count = len(waiting)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(most, count))]
    running = []
    try:
        for thread in threads:
            with contextlib.suppress(RuntimeError):  # there is no room for another one
                thread.start()
                running.append(thread)
        if not running:
            work()
        for thread in running:
            thread.join()
    finally:
        waiting.clear()
    if failures:
        raise failures[0]
    return [results[index] for index in range(count)]

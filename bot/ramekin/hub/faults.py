"""Faults on demand: which requests are to go wrong, and how. Tests plan them; `front` carries them out."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["status", "drop-before", "drop-after", "truncate", "flip", "delay"]


@dataclass(frozen=True)
class Fault:
    """One way for requests to go wrong.

    Attributes:
        kind: `status` answers without handling; `drop-before` closes the connection unhandled; `drop-after` handles the
            request and then closes, so that a commit lands and its answer is lost; `truncate` closes after `at` bytes
            of the body although Content-Length promised all; `flip` inverts the byte at `at`; `delay` waits first.
        path: Regular expression searched in path and query, as they were sent.
        method: The only method that it applies to, if any.
        times: How often it strikes; None for always.
        every: It strikes at every so-manieth match.
        status: For `status`.
        headers: For `status`, such as `Retry-After`.
        message: For `status`.
        body: For `status`: the whole body, instead of one with the message.
        at: Offset into the body, for `truncate` and `flip`.
        seconds: For `delay`.
    """

    kind: Kind
    path: str = ""
    method: str | None = None
    times: int | None = 1
    every: int = 1
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "A fault that was asked for"
    body: str | None = None
    at: int = 0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Fault":
        """A fault as the control route receives it."""
        return cls(**fields)

    def fits(self, method: str, target: str) -> bool:
        """Whether it is about such a request."""
        return self.method in (None, method) and re.search(self.path, target) is not None


@dataclass
class _Planned:
    fault: Fault
    matches: int = 0
    struck: int = 0


class FaultPlan:
    """The faults that are to come."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Plan faults, beside those that are planned already."""
        with self._lock:
            self._planned.extend(map(_Planned, faults))

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._planned.clear()

    def pending(self) -> list[Fault]:
        """Those that may still strike."""
        with self._lock:
            return [one.fault for one in self._planned if not _spent(one)]

    def take(self, method: str, target: str) -> list[Fault]:
        """The faults that strike this request; each is counted as used."""
        with self._lock:
            return [one.fault for one in self._planned if _strikes(one, method, target)]


def _spent(one: _Planned) -> bool:
    return one.fault.times is not None and one.struck >= one.fault.times


def _strikes(one: _Planned, method: str, target: str) -> bool:
    if _spent(one) or not one.fault.fits(method, target):
        return False
    one.matches += 1
    if one.matches % one.fault.every:
        return False
    one.struck += 1
    return True

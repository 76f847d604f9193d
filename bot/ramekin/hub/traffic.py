"""What went over the wire, request by request, and a limit on how much may."""

import re
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request that was answered, or not.

    Attributes:
        method: HTTP method.
        path: As it was sent, still percent-encoded.
        query: Likewise.
        status: Of the answer; 0 if the connection was closed without one.
        range: The Range header, if any.
        received: Bytes of the request's body.
        sent: Bytes of the answer's body.
        user: Name of the token's owner; None if anonymous.
        seconds: Until the last byte.
        faults: Kinds of the faults that struck it.
    """

    method: str
    path: str
    query: str
    status: int
    range: str | None
    received: int
    sent: int
    user: str | None
    seconds: float
    faults: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Log:
    """All requests since the start, or since the last `clear`."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._cleared = 0
        self._lock = threading.Lock()

    @property
    def page(self) -> int:
        """What a request that begins now is to be noted with."""
        return self._cleared

    def add(self, request: Request, page: int) -> None:
        """Note one that has ended, unless the log was cleared since it began: it belongs to what was forgotten."""
        with self._lock:
            if page == self._cleared:
                self._requests.append(request)

    def clear(self) -> None:
        """Forget all, those under way as well."""
        with self._lock:
            self._requests.clear()
            self._cleared += 1

    def requests(self, method: str | None = None, path: str = "") -> list[Request]:
        """Those of a method whose path and query contain a regular expression, oldest first."""
        with self._lock:
            return [one for one in self._requests if method in (None, one.method) and re.search(path, one.target)]


@dataclass(frozen=True)
class RateLimit:
    """So many requests per window and token."""

    requests: int
    window: float


@dataclass(frozen=True)
class Allowance:
    """Where a token stands: how many requests are left, for how many more seconds, and whether this one is too many."""

    limit: RateLimit
    left: int
    seconds: float
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """As the Hub says it."""
        limit = self.limit
        return {
            "RateLimit": f'"api";r={self.left};t={int(self.seconds) + 1}',
            "RateLimit-Policy": f'"fixed window";"api";q={limit.requests};w={int(limit.window)}',
        }


class Meter:
    """Counts requests in fixed windows.

    Args:
        limit: The limit; without one nothing is counted.
    """

    def __init__(self, limit: RateLimit | None) -> None:
        self.limit = limit
        self._windows: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def count(self, who: str) -> Allowance | None:
        """Count one request of a token, or of an address if it came without."""
        limit = self.limit
        if limit is None:
            return None
        now = time.monotonic()
        with self._lock:
            start, used = self._windows.get(who, (now, 0))
            if now - start >= limit.window:
                start, used = now, 0
            self._windows[who] = (start, used + 1)
        remaining = limit.window - (now - start)
        return Allowance(limit, max(0, limit.requests - used - 1), remaining, exceeded=used >= limit.requests)

"""What stands before the application: the request log, the faults that were planned, and the rate limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from ramekin.hub.calls import Parts, refusal
from ramekin.hub.faults import Fault
from ramekin.hub.refusal import Refusal
from ramekin.hub.traffic import Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Connection = tuple[object, object]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

CONTROL: Final = ("/_faults", "/_log")
#: By client and server address: two Hubs in one process may see the same client port.
_CONNECTIONS: Final[dict[Connection, asyncio.Transport]] = {}


class Protocol(H11Protocol):
    """uvicorn's protocol, with its connections within reach: a fault may have to cut one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection by the client's address."""
        super().connection_made(transport)
        _CONNECTIONS[self.client, self.server] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        _CONNECTIONS.pop((self.client, self.server), None)
        super().connection_lost(exc)


@dataclass
class _Exchange:
    """One request and what became of its answer."""

    method: str
    path: str
    query: str
    headers: Headers
    start: float = field(default_factory=time.perf_counter)
    status: int = 0
    received: int = 0
    sent: int = 0
    cut: bool = False
    faults: tuple[Fault, ...] = ()

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    def fault(self, kind: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.kind == kind), None)


class Front:
    """The outermost ASGI application.

    Args:
        inner: The application proper.
        hub: The Hub's parts.
    """

    def __init__(self, inner: Application, hub: Parts) -> None:
        self._inner = inner
        self._hub = hub

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection event of ASGI."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        # Routes look at the path as it was sent: a revision such as refs%2Fpr%2F1 is one step of it.
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.partition(b"?")[0].decode("ascii", "replace")
        query = scope["query_string"].decode("ascii", "replace")
        exchange = _Exchange(scope["method"], path, query, Headers(scope=scope))
        log_page = self._hub.log.page
        if path not in CONTROL:
            exchange.faults = tuple(self._hub.faults.take(exchange.method, exchange.target))
        try:
            await self._exchange(exchange, {**scope, "path": path}, receive, send)
        finally:
            if path not in CONTROL:
                self._hub.log.add(self._logged(exchange), log_page)

    async def _exchange(self, exchange: _Exchange, scope: Message, receive: Receive, send: Send) -> None:
        ends = (scope["client"], scope["server"])
        for fault in exchange.faults:
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
        if exchange.fault("drop-before"):
            await _cut(ends, receive)
            return
        sending = self._sending(exchange, ends, send)
        receiving = _receiving(exchange, receive)
        early = self._early(exchange, scope["client"])
        if early is not None:
            await early(scope, receiving, sending)
            return
        await self._inner(scope, receiving, sending)
        if exchange.fault("drop-after"):
            await _cut(ends, receive)

    def _early(self, exchange: _Exchange, client: tuple[str, int] | None) -> Response | None:
        """An answer without handling: a planned one, or too many requests."""
        fault = exchange.fault("status")
        if fault and fault.body is not None:
            return Response(fault.body, fault.status, {"Content-Type": "application/json", **fault.headers})
        if fault:
            return refusal(Refusal(fault.status, fault.message, headers=fault.headers))
        if exchange.path in CONTROL:
            return None
        who = exchange.headers.get("authorization") or (client[0] if client else "")
        allowance = self._hub.meter.count(who)
        if allowance and allowance.exceeded:
            return refusal(Refusal(429, "We had to rate limit you.", headers=allowance.headers))
        return None

    def _sending(self, exchange: _Exchange, ends: Connection, send: Send) -> Send:
        lost, short, flip = (exchange.fault(kind) for kind in ("drop-after", "truncate", "flip"))

        async def sending(message: Message) -> None:
            if lost or exchange.cut:
                return
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                await send(message)
                return
            body = message.get("body", b"")
            offset = exchange.sent
            if flip and offset <= flip.at < offset + len(body):
                at = flip.at - offset
                body = body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]
            if short and offset + len(body) > short.at:
                body = body[: short.at - offset]
                exchange.cut = True
            exchange.sent += len(body)
            await send({**message, "body": body, "more_body": exchange.cut or message.get("more_body", False)})
            if exchange.cut and ends in _CONNECTIONS:
                _CONNECTIONS[ends].close()  # once what was written so far is out

        return sending

    def _logged(self, exchange: _Exchange) -> Request:
        token = exchange.headers.get("authorization")
        try:
            viewer = self._hub.access.viewer(token)
        except Refusal:
            viewer = None
        return Request(
            method=exchange.method,
            path=exchange.path,
            query=exchange.query,
            status=exchange.status,
            range=exchange.headers.get("range"),
            received=exchange.received,
            sent=exchange.sent if exchange.method != "HEAD" else 0,
            user=viewer.name if viewer else None,
            seconds=time.perf_counter() - exchange.start,
            faults=tuple(fault.kind for fault in exchange.faults),
        )


def _receiving(exchange: _Exchange, receive: Receive) -> Receive:
    async def receiving() -> Message:
        message = await receive()
        exchange.received += len(message.get("body", b""))
        return message

    return receiving


async def _cut(ends: Connection, receive: Receive) -> None:
    """Close the connection and wait until the server has noticed, so that it does not answer after all."""
    if ends not in _CONNECTIONS:
        return
    _CONNECTIONS[ends].abort()
    while (await receive())["type"] != "http.disconnect":
        pass

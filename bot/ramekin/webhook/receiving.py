"""A small server for the Hub's webhooks: looks at the secret, then at the delivery, and answers at once."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ramekin.secret import Secret
from ramekin.text import printable
from ramekin.webhook.delivery import NoDelivery, judge
from ramekin.webhook.dispatching import Dispatcher
from ramekin.webhook.watched import Watch

HEADER: Final = "X-Webhook-Secret"
LARGEST: Final = 1 << 20
"""Bytes of a delivery; the Hub's have a few thousand."""


class TooLarge(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """A body of more than `LARGEST` bytes."""


def receiver(secret: Secret, watch: Watch, dispatcher: Dispatcher, tell: Callable[[str], None]) -> Starlette:
    """The application.

    Args:
        secret: What every delivery has to bring along.
        watch: What is news.
        dispatcher: Takes what is.
        tell: Tells a line of what happened; nothing of a stranger's is ever told.
    """

    async def receive(request: Request) -> Response:
        # Before anything else is read: a stranger gets no further.
        if not _knows(request, secret):
            return _refusal(401, "the secret is not right")
        delivery = judge(await _body(request), watch)
        if delivery.source is None:
            return JSONResponse({"ignored": delivery.why})
        if not await run_in_threadpool(dispatcher.offer, delivery):
            return JSONResponse({"ignored": "it was sent before"})
        tell(f"{printable(delivery.source.name)} has moved")
        return JSONResponse({"accepted": delivery.source.name}, 202)

    async def alive(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [Route("/", receive, methods=["POST"]), Route("/health", alive, methods=["GET"])]
    return Starlette(routes=routes, exception_handlers=_REFUSALS)


def server(application: Starlette, host: str, port: int) -> uvicorn.Server:
    """The server, not yet running."""
    settings: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "ws": "none",
        "lifespan": "off",
        "limit_concurrency": 64,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": 5,
    }
    return uvicorn.Server(uvicorn.Config(application, host=host, port=port, **settings))


def _knows(request: Request, secret: Secret) -> bool:
    """Whether the secret came along; how long that takes tells nothing about it."""
    sent = request.headers.getlist(HEADER)
    return len(sent) == 1 and hmac.compare_digest(sent[0].encode("latin-1"), secret.reveal().encode())


async def _body(request: Request) -> bytes:
    """The body.

    Raises:
        TooLarge: It is larger than anything that the Hub sends.
    """
    taken = bytearray()
    async for piece in request.stream():
        taken += piece
        if len(taken) > LARGEST:
            raise TooLarge
    return bytes(taken)


def _refusal(status: int, what: str) -> Response:
    # What is left of the body is not waited for.
    return JSONResponse({"error": what}, status, {"Connection": "close"})


_REFUSALS: Final[Mapping[Any, Callable[[Request, Any], Response]]] = {
    TooLarge: lambda *_: _refusal(413, "it is too large"),
    NoDelivery: lambda *_: _refusal(400, "it is no delivery of a webhook of the Hub"),
    ClientDisconnect: lambda *_: _refusal(400, "it has ended too soon"),
}

"""Running a loopback GitHub: its routes, and in front of them the request log, planned faults and rate limits."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from ramekin.hub.faults import Fault, FaultPlan
from tests.github import git_routes as git
from tests.github import talk_routes as talk
from tests.github.calls import Handler, endpoint
from tests.github.shapes import Shapes
from tests.github.state import State
from tests.github.world import World

HOST = "127.0.0.1"
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
_REPO = "/api/v3/repos/{owner}/{repo}"
_CONNECTIONS: dict[tuple[object, object], Any] = {}
_ROUTES: tuple[tuple[str, str, Handler, int], ...] = (
    ("GET", "/api/v3/user", talk.get_user, 200),
    ("POST", "/api/graphql", talk.graphql, 200),
    ("GET", _REPO, talk.get_repository, 200),
    ("GET", f"{_REPO}/collaborators/{{login}}/permission", talk.permission, 200),
    ("GET", f"{_REPO}/pulls", talk.list_pulls, 200),
    ("POST", f"{_REPO}/pulls", talk.create_pull, 201),
    ("GET", f"{_REPO}/pulls/{{number}}", talk.get_pull, 200),
    ("PATCH", f"{_REPO}/pulls/{{number}}", talk.edit_pull, 200),
    ("GET", f"{_REPO}/pulls/{{number}}/files", talk.pull_files, 200),
    ("PUT", f"{_REPO}/pulls/{{number}}/merge", talk.merge_pull, 200),
    ("GET", f"{_REPO}/issues", talk.list_issues, 200),
    ("POST", f"{_REPO}/issues", talk.create_issue, 201),
    ("GET", f"{_REPO}/issues/comments/{{id:int}}", talk.get_comment, 200),
    ("PATCH", f"{_REPO}/issues/comments/{{id:int}}", talk.edit_comment, 200),
    ("DELETE", f"{_REPO}/issues/comments/{{id:int}}", talk.delete_comment, 204),
    ("POST", f"{_REPO}/issues/comments/{{id:int}}/reactions", talk.react, 201),
    ("GET", f"{_REPO}/issues/{{number}}", talk.get_issue, 200),
    ("PATCH", f"{_REPO}/issues/{{number}}", talk.edit_issue, 200),
    ("GET", f"{_REPO}/issues/{{number}}/comments", talk.list_comments, 200),
    ("POST", f"{_REPO}/issues/{{number}}/comments", talk.create_comment, 201),
    ("POST", f"{_REPO}/actions/runs/{{run:int}}/rerun-failed-jobs", talk.rerun_workflow, 201),
    ("POST", f"{_REPO}/dispatches", talk.dispatch_repository, 204),
    ("GET", f"{_REPO}/commits", git.list_commits, 200),
    ("GET", f"{_REPO}/commits/{{ref}}/pulls", git.commit_pulls, 200),
    ("GET", f"{_REPO}/commits/{{ref:path}}", git.get_commit, 200),
    ("GET", f"{_REPO}/compare/{{basehead:path}}", git.compare, 200),
    ("GET", f"{_REPO}/git/ref/{{ref:path}}", git.get_ref, 200),
    ("GET", f"{_REPO}/git/matching-refs/{{ref:path}}", git.matching_refs, 200),
    ("POST", f"{_REPO}/git/refs", git.create_ref, 201),
    ("PATCH", f"{_REPO}/git/refs/{{ref:path}}", git.update_ref, 200),
    ("DELETE", f"{_REPO}/git/refs/{{ref:path}}", git.delete_ref, 204),
    ("GET", f"{_REPO}/git/commits/{{sha}}", git.get_git_commit, 200),
    ("POST", f"{_REPO}/git/commits", git.create_commit, 201),
    ("POST", f"{_REPO}/git/blobs", git.create_blob, 201),
    ("GET", f"{_REPO}/git/blobs/{{sha}}", git.get_blob, 200),
    ("GET", f"{_REPO}/git/trees/{{sha:path}}", git.get_tree, 200),
    ("POST", f"{_REPO}/git/trees", git.create_tree, 201),
    ("GET", f"{_REPO}/contents/{{path:path}}", git.get_contents, 200),
    ("PUT", f"{_REPO}/contents/{{path:path}}", git.put_contents, 200),
    ("GET", f"{_REPO}/tarball/{{ref:path}}", git.tarball, 200),
    ("GET", "/_codeload/{owner}/{repo}/legacy.tar.gz/{sha}", git.codeload, 200),
)


@dataclass(frozen=True)
class Logged:
    """A request.

    Attributes:
        method: Such as `POST`.
        path: Without `/api/v3` and without the query.
        query: What stood after the question mark.
        status: Of the answer; 0 where the connection was cut.
        authorized: Whether a token came with it.
    """

    method: str
    path: str
    query: str
    status: int
    authorized: bool


@dataclass(frozen=True)
class Loopback:
    """A GitHub that answers.

    Attributes:
        url: Its address, `GITHUB_SERVER_URL`.
        world: What it holds.
        faults: What is to go wrong.
        requests: What was asked of it.
        certificate: File with the authority that its certificate is of, for `REQUESTS_CA_BUNDLE`; None for plain http.
    """

    url: str
    world: World
    faults: FaultPlan
    requests: list[Logged]
    certificate: Path | None

    @property
    def api_url(self) -> str:
        """Address of its interface, `GITHUB_API_URL`."""
        return f"{self.url}/api/v3"

    def asked(self, method: str, path: str = "") -> list[Logged]:
        """The requests of this method whose path has this in it."""
        return [each for each in self.requests if each.method == method and path in each.path]

    def limit(self, requests: int | None, wait: float = 1800) -> None:
        """Answer only so many more requests until `wait` seconds from now; None to lift the limit."""
        limit = self.world.state.limit
        limit.left, limit.reset = requests, self.world.clock.now().timestamp() + wait

    def refuse(
        self, path: str = "", method: str | None = None, *, wait: float, times: int = 1, status: int = 403
    ) -> None:
        """The secondary limit: the next such requests are to be sent again after some seconds."""
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        headers = {"Retry-After": f"{wait:g}"}
        kind, fault = "status", Fault
        self.faults.add(
            fault(kind, path, method, times, status=status, headers=headers, message=message)  # type: ignore[arg-type]
        )

    def fail(self, path: str = "", method: str | None = None, *, status: int = 502, times: int = 1) -> None:
        """Answer the next such requests with an error, without doing anything."""
        self.faults.add(Fault("status", path, method, times, status=status, message="Server Error"))

    def drop(self, path: str = "", method: str | None = None, *, done: bool, times: int = 1) -> None:
        """Cut the connection of the next such requests, before or after they were carried out."""
        self.faults.add(Fault("drop-after" if done else "drop-before", path, method, times))


class _Protocol(H11Protocol):
    """uvicorn's protocol, with its connections within reach: a fault may have to cut one."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        _CONNECTIONS[self.client, self.server] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _CONNECTIONS.pop((self.client, self.server), None)
        super().connection_lost(exc)


class _Front:
    """Stands before the routes."""

    def __init__(self, inner: Any, state: State, faults: FaultPlan, requests: list[Logged]) -> None:
        self._inner = inner
        self._state = state
        self._faults = faults
        self._requests = requests

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        # Routes look at the path as it was sent: a branch of the name a%2Fb is one step of it.
        raw = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("ascii", "replace")
        query = scope["query_string"].decode("ascii", "replace")
        path, ends, status = raw.removeprefix("/api/v3"), (scope["client"], scope["server"]), 0
        faults = self._faults.take(scope["method"], f"{path}?{query}" if query else path)
        kinds = {fault.kind for fault in faults}

        def note() -> None:
            # Before the answer is there: whoever has it may look at once.
            authorized = "authorization" in Headers(scope=scope)
            self._requests.append(Logged(scope["method"], path, query, status, authorized))

        async def sending(message: Message) -> None:
            nonlocal status
            if "drop-after" in kinds:
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._additions()]
                note()
            await send(message)

        if "drop-before" not in kinds:
            early = self._early(path, faults)
            await (early or self._inner)({**scope, "path": raw}, receive, sending)
        if not kinds.isdisjoint({"drop-before", "drop-after"}):
            note()
            _CONNECTIONS[ends].abort()
            while (await receive())["type"] != "http.disconnect":
                pass

    def _early(self, path: str, faults: list[Fault]) -> Response | None:
        """An answer without handling: a planned one, or too many requests."""
        fault = next((fault for fault in faults if fault.kind == "status"), None)
        if fault:
            if fault.body is not None:
                return Response(fault.body, fault.status, dict(fault.headers), "application/json")
            return JSONResponse({"message": fault.message}, fault.status, dict(fault.headers))
        limit = self._state.limit
        if limit.left is None or path.startswith("/_codeload"):
            return None
        if limit.reset < self._state.at().timestamp():
            limit.left = None
        elif limit.left == 0:
            message = "API rate limit exceeded for installation ID 1. If you reach out to GitHub Support for help, …"
            return JSONResponse({"message": message, "documentation_url": "https://docs.github.com"}, 403)
        else:
            limit.left -= 1
        return None

    def _additions(self) -> list[tuple[bytes, bytes]]:
        limit = self._state.limit
        left = limit.most if limit.left is None else limit.left
        now = self._state.at()
        reset = limit.reset if limit.left is not None else now.timestamp() + 3600
        values = {"limit": limit.most, "remaining": left, "reset": int(reset), "used": limit.most - left}
        return [
            *((f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in values.items()),
            (b"x-ratelimit-resource", b"core"),
            (b"date", format_datetime(now, usegmt=True).encode()),
        ]


@contextlib.contextmanager
def serve(root: Path, *, tls: bool = False) -> Iterator[Loopback]:
    """A GitHub on loopback, served from a thread until the block ends.

    Args:
        root: Directory for its repositories.
        tls: Speak https, with a certificate of its own authority; `act` speaks nothing else.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind((HOST, 0))
        listener.listen(128)
        url = f"{'https' if tls else 'http'}://{HOST}:{listener.getsockname()[1]}"
        state, faults, requests = State(root), FaultPlan(), list[Logged]()
        shapes = Shapes(state, url)
        routes = [
            Route(path, endpoint(handler, status, state, shapes), methods=[method])
            for method, path, handler, status in _ROUTES
        ]
        missing = {404: lambda *_: JSONResponse({"message": "Not Found"}, 404)}
        app = Starlette(routes=routes, exception_handlers=missing)
        config = uvicorn.Config(
            _Front(app, state, faults, requests),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            date_header=False,  # our own clock says it
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        certificate = _certify(config, root) if tls else None
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="loopback-github", daemon=True)
        thread.start()
        try:
            yield Loopback(url, World(state, shapes), faults, requests, certificate)
        finally:
            server.should_exit = True
            thread.join()


def _certify(config: uvicorn.Config, root: Path) -> Path:
    """Give the server a certificate; returns the file with its authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST, "localhost")
    config.load()
    config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(config.ssl)
    path = root / "authority.pem"
    root.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(path)
    return path

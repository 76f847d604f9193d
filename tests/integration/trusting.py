"""A Hub that trusts jobs, a user whom one of them reads as, and another host that looks who sends it what."""

import contextlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ramekin.hub import Job, User
from tests.integration.scenes import Scene, Stage

ANNA = User("anna", "hf_anna_token_of_the_tests")
READER = "RAMEKIN_OIDC_READER"
RESOURCE = "HF_OIDC_RESOURCE"


@dataclass
class Trusting(Scene):
    """A test's working directory, with a target of its own that nobody is trusted with yet."""

    @property
    def target(self) -> str:
        """What the manifest publishes to."""
        return f"demo/{self.name}-merged"

    def become(self, job: Job | None = None, **more: str) -> None:
        """Be a job of GitHub's that may prove who it is, and has no token."""
        self.env |= {"HF_TOKEN": "", **self.hub.trust.environment(job), **more}

    def has(self, *, trusts: bool = True, private: bool = True) -> None:
        """The target is there, and trusts the job."""
        self.hub.store.create_repo(self.target, private=private)
        if trusts:
            self.hub.trust.add(self.target)

    def alone(self) -> None:
        """Nothing was downloaded yet."""
        self.env["HF_HOME"] = str(self.directory / "home")

    def senders(self, pattern: str) -> set[str | None]:
        """As whom the requests that fit were made."""
        return {request.user for request in self.hub.log.requests(path=pattern)}

    def exchanges(self) -> list[int]:
        """How the Hub has answered when tokens were asked of it."""
        return [request.status for request in self.hub.log.requests("POST", "^/oauth/token")]


def trusting(shared: Stage, directory: Path, name: str) -> Trusting:
    """A fresh workplace on a Hub that trusts nobody."""
    hub = shared.hub
    hub.faults.clear()
    hub.trust.clear()
    hub.trust.lifetime = 3600
    hub.access.add(ANNA)
    hub.log.clear()
    directory.mkdir()
    made = Trusting(shared, directory, name)
    made.manifest()
    return made


@dataclass
class Elsewhere:
    """Another host.

    Attributes:
        url: Its address.
        files: What it has, by path.
        heard: Method, path, headers and body of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    heard: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)


@contextlib.contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Another host, for as long as the block lasts."""
    told = Elsewhere()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.heard.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            data = told.files.get(self.path, b"{}")
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()

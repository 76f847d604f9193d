"""Running a Hub: in a thread of this process, or as a process of its own."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import uvicorn

from ramekin.hub import xet as storage
from ramekin.hub.access import DEMO, Access, User
from ramekin.hub.app import make_app
from ramekin.hub.calls import Options, Parts
from ramekin.hub.faults import FaultPlan
from ramekin.hub.front import Protocol
from ramekin.hub.machines import Machines, in_a_process
from ramekin.hub.store import LFS_THRESHOLD, Store, open_store
from ramekin.hub.traffic import Log, Meter
from ramekin.hub.trust import Trust

HOST: Final = "127.0.0.1"
_UNWANTED: Final = """
    HF_OIDC_RESOURCE HF_OIDC_ID_TOKEN HF_HUB_OFFLINE TRANSFORMERS_OFFLINE HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy
    https_proxy all_proxy GITHUB_ACTIONS HF_HUB_USER_AGENT_ORIGIN HUGGING_FACE_HUB_TOKEN HF_HUB_CACHE HF_TOKEN_PATH
    HF_HUB_DISABLE_XET HF_XET_CACHE HF_HUB_DISABLE_IMPLICIT_TOKEN RAMEKIN_OIDC_READER ACTIONS_ID_TOKEN_REQUEST_URL
    ACTIONS_ID_TOKEN_REQUEST_TOKEN
"""


@dataclass(frozen=True)
class Hub:
    """A Hub that answers.

    Attributes:
        url: Its address; what `HF_ENDPOINT` must be.
        parts: What it is made of.
    """

    url: str
    parts: Parts

    @property
    def store(self) -> Store:
        """Repositories and their files; may be filled and looked at while the Hub runs."""
        return self.parts.store

    @property
    def access(self) -> Access:
        """Its users."""
        return self.parts.access

    @property
    def faults(self) -> FaultPlan:
        """What is to go wrong."""
        return self.parts.faults

    @property
    def log(self) -> Log:
        """What was asked of it."""
        return self.parts.log

    @property
    def trust(self) -> Trust:
        """Which jobs it trusts."""
        return self.parts.trust

    @property
    def machines(self) -> Machines:
        """The jobs that it runs."""
        return self.parts.machines

    @property
    def token(self) -> str:
        """The token of its first user."""
        return self.parts.access.first().token

    def browse(self, path: str = "/") -> str:
        """An address that lets a browser look at a page as the Hub's first user, private repositories included."""
        return f"{self.url}/_signin?{urlencode({'key': self.parts.options.control_key, 'next': path})}"

    def env(
        self, home: Path | str, *, token: str | None = None, base: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The environment for a process whose Hub client is to talk to this Hub and to nothing else.

        Args:
            home: Its `HF_HOME`.
            token: Its token; the first user's if none is given, no token at all if empty.
            base: Environment to start from; that of this process if none is given.
        """
        env = {
            name: value
            for name, value in (os.environ if base is None else base).items()
            if name not in _UNWANTED.split()
        }
        return env | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": self.token if token is None else token,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            **({} if self.parts.options.xet else {"HF_HUB_DISABLE_XET": "1"}),
        }


def assemble(store: Store, users: Iterable[User], options: Options, url: str) -> Parts:
    """The parts of a Hub at an address."""
    storage.sweep(store)
    access = Access(users)
    machines = Machines(url, in_a_process if options.jobs else None)
    return Parts(store, access, options, FaultPlan(), Log(), Meter(options.rate_limit), Trust(access, url), machines)


@contextlib.contextmanager
def serve(
    root: Path | str,
    *,
    xet: bool = False,
    users: Iterable[User] = (DEMO,),
    port: int = 0,
    lfs_threshold: int = LFS_THRESHOLD,
    options: Options | None = None,
) -> Iterator[Hub]:
    """A Hub on loopback, served from a thread until the block ends.

    Args:
        root: Directory of its store; made if it is not there, kept afterwards.
        xet: Offer xet storage.
        users: Its users, the first being the one that `Hub.token` and `Hub.env` stand for.
        port: Its port; any free one if 0.
        lfs_threshold: Files above this many bytes are large.
        options: Everything else; its `xet` counts instead of the argument.
    """
    with open_store(root, lfs_threshold=lfs_threshold) as store, listening(port) as (listener, url):
        parts = assemble(store, users, options or Options(xet=xet), url)
        server = make_server(parts)
        thread = threading.Thread(target=server.run, args=([listener],), name="embedded-hub", daemon=True)
        thread.start()
        try:
            yield Hub(url, parts)
        finally:
            parts.machines.close()
            server.should_exit = True
            thread.join()


def make_server(parts: Parts) -> uvicorn.Server:
    """The server, not yet running."""
    config = uvicorn.Config(
        make_app(parts),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def listening(port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens on loopback, and its address: clients may connect before the server runs."""
    # The protocol is named because asyncio turns delays off (TCP_NODELAY) only where it is: 40 ms for many an answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        yield listener, f"http://{HOST}:{listener.getsockname()[1]}"

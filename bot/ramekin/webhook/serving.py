"""`ramekin webhook --serve`: the receiver with a workflow of GitHub's behind it, until it is stopped."""

import re
from typing import TYPE_CHECKING, Final

from ramekin.errors import UsageError
from ramekin.secret import Secret, can_be_sent
from ramekin.text import printable
from ramekin.webhook.asked import SECRET, Asked
from ramekin.webhook.showing import EVENT

if TYPE_CHECKING:
    from ramekin.github.access import Access
    from ramekin.webhook.watched import Watch
    from ramekin.workbench import Workbench

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+):(?P<port>\d{1,5})", re.ASCII)
_SHORTEST_SECRET: Final = 16
_MOST_NAMES: Final = 100


def serve(bench: "Workbench", watch: "Watch", address: str, repository: str | None) -> None:
    """Receive deliveries until interrupted.

    Args:
        bench: Environment and terminal.
        watch: What is news.
        address: `HOST:PORT` to listen on.
        repository: Whose workflow is started, `owner/name`; that of `GITHUB_REPOSITORY` if None.

    Raises:
        UsageError: Something is missing without which nothing can be received or started.
    """
    host, port = _split(address)
    asked = bench.environment.webhook
    secret = _secret(asked)
    access = _access(asked, repository or asked.repository)
    try:
        from ramekin.github.client import GitHub
        from ramekin.webhook.dispatching import Dispatcher
        from ramekin.webhook.receiving import receiver, server
    except ImportError as error:
        what = f"receiving webhooks needs more packages ({error.name} is missing)"
        raise UsageError(what, "pip install 'ramekin[webhook]'") from error
    note = bench.terminal.note

    def send(names: tuple[str, ...]) -> None:
        github = GitHub.of(access, bench.environment.retry_wait)
        github.dispatch_event(EVENT, {"sources": [*names[:_MOST_NAMES]]})

    dispatcher = Dispatcher(send, note)
    dispatcher.start()
    note(f"listening on {host}:{port}, watching {len(watch.refs)} sources")
    try:
        server(receiver(secret, watch, dispatcher, note), host, port).run()
    finally:
        dispatcher.close()


def _split(address: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(address)
    if not found or int(found["port"]) > 65_535:
        raise UsageError("--serve takes HOST:PORT", "write such as `--serve 127.0.0.1:8787`")
    return found["host"].strip("[]"), int(found["port"])


def _secret(asked: Asked) -> Secret:
    if asked.secret is None or len(asked.secret.reveal()) < _SHORTEST_SECRET:
        what = f"{SECRET} is not set, or shorter than {_SHORTEST_SECRET} characters"
        raise UsageError(what, "set it to a long random text, and give the same to the Hub")
    return asked.secret


def _access(asked: Asked, repository: str) -> "Access":
    """Whose workflow is started, and with which token."""
    from ramekin.github.access import API_URL, REPOSITORY, Access

    if asked.token is None:
        raise UsageError("GITHUB_TOKEN is not set", "set it to a token that may write contents of that repository")
    if not repository:
        raise UsageError("nobody knows whose workflow to start", "give --repository OWNER/NAME")
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(f"`{printable(repository)}` names no repository", "give --repository OWNER/NAME")
    if not can_be_sent(asked.token.reveal()):
        raise UsageError("GITHUB_TOKEN has characters that no token has", "set it again")
    return Access(repository, asked.token, (asked.api_url or API_URL).rstrip("/"))

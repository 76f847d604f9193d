"""The receiver as a process, with GitHub on loopback: who gets in, what is taken, and what is told to whom."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ramekin.webhook.receiving import LARGEST
from tests.github.loopback import Loopback
from tests.github.loopback import serve as serve_github
from tests.leaks import WATCH
from tests.webhook.sent import NEW, SECRET, manifest, raw


@dataclass
class Receiver:
    """A receiver that runs."""

    github: Loopback
    process: subprocess.Popen[str]
    port: int
    told: list[str] = field(default_factory=list)

    def post(self, body: bytes, *secrets: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        given = [("Content-Length", str(len(body))), *(headers or {}).items()]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.putrequest("POST", "/")
            for name, value in (*dict(given).items(), *(("X-Webhook-Secret", secret) for secret in secrets)):
                connection.putheader(name, value)
            connection.endheaders()
            # It may have answered already, and want no more.
            with contextlib.suppress(OSError):
                connection.send(body)
            with connection.getresponse() as answer:
                return answer.status, answer.read().decode()

    @property
    def dispatched(self) -> list[tuple[str, object]]:
        return self.github.world.repository("o/r").dispatched

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.dispatched) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.dispatched) == count

    def end(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        WATCH.text("output of the receiver", out, err)
        assert "Traceback" not in err
        return err


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with serve_github(tmp_path / "github") as github:
        github.world.create("o/r", {"merge.yaml": "version: 1\n"})
        token = github.world.person("o")
        manifest(tmp_path)
        port = free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "HF_"))} | {
            "RAMEKIN_WEBHOOK_SECRET": SECRET,
            "GITHUB_TOKEN": token,
            "GITHUB_API_URL": github.api_url,
            "HF_HOME": str(tmp_path / "home"),
            "NO_PROXY": "127.0.0.1",
            "RAMEKIN_RETRY_WAIT": "0.01",
        }
        WATCH.token(token)
        WATCH.token(SECRET)
        address = ["--serve", f"127.0.0.1:{port}", "--repository", "o/r"]
        # A burst is shorter here.
        program = (
            "import sys; from ramekin.webhook import dispatching\n"
            "dispatching.Dispatcher.__init__.__defaults__ = (dispatching.Pace(0.2, 0.1),)\n"
            "from ramekin.cli.main import main; sys.exit(main(sys.argv[1:]))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, "webhook", "merge.yaml", *address],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        made = Receiver(github, process, port)
        try:
            for _ in range(400):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.025)
            yield made
        finally:
            process.kill()
            process.communicate()


def test_it_takes_what_is_news_and_from_the_hub(receiver: Receiver) -> None:
    # A stranger: without a secret, with a wrong one, with two, and with a body that is never read.
    body = raw()
    assert receiver.post(body)[0] == 401
    assert receiver.post(body, "wrong" * 5)[0] == 401
    assert receiver.post(body, SECRET, SECRET)[0] == 401
    assert receiver.post(body, "\xe9" * 20)[0] == 401
    assert receiver.post(b"{", headers={"Content-Length": "999999999"})[0] == 401
    # The Hub, with what nobody wants.
    assert receiver.post(b"x" * (LARGEST + 1), SECRET)[0] == 413
    assert receiver.post(b"{}", SECRET) == (400, '{"error":"it is no delivery of a webhook of the Hub"}')
    assert receiver.post(raw("me/agent"), SECRET) == (200, '{"ignored":"it is published to, not merged from"}')
    assert receiver.post(raw("someone/else"), SECRET)[0] == 200
    assert receiver.post(raw(event={"action": "create", "scope": "discussion.comment"}), SECRET)[0] == 200
    assert receiver.dispatched == []
    # A burst, each of it twice, while GitHub is down.
    receiver.github.fail("/dispatches", "POST", status=502, times=1)
    began = time.monotonic()
    answers = [
        receiver.post(raw(name, {"refs/heads/main": commit * 40}), SECRET)[0]
        for name in ("org/coder", "org/base")
        for commit in "cd"
        for _ in range(2)
    ]
    assert time.monotonic() - began < 2
    assert answers == [202, 200] * 4
    receiver.wait(1)
    assert receiver.dispatched == [("ramekin-update", {"sources": ["org/coder", "org/base"]})]
    # Afterwards, something new.
    assert receiver.post(raw("Org/Tool", {"refs/heads/dev": NEW}), SECRET)[0] == 202
    receiver.wait(2)
    assert receiver.dispatched[1] == ("ramekin-update", {"sources": ["Org/Tool"]})
    err = receiver.end()
    assert re.search(r"^listening on 127\.0\.0\.1:\d+, watching 3 sources$", err, flags=re.MULTILINE)
    assert "org/coder has moved\n" in err
    assert "could not start the workflow, trying again: " in err
    assert "started the workflow for org/coder, org/base\n" in err
    assert "someone/else" not in err
    assert SECRET not in err

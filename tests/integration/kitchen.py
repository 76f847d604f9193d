"""An embedded Hub with a family of models, commands as forked processes, and a fresh workplace for every test."""

import contextlib
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ramekin.demo.family import Size, base_weights, checkpoint_files, trained_weights
from ramekin.hub import DEMO, Hub, Options, Scope, User, serve
from ramekin.hub.records import DEFAULT_BRANCH
from tests.integration.conftest import CARD, EXPERTS, Done, push
from tests.integration.served import ROOT, Server, server
from tests.leaks import WATCH

READER = User("reader", "hf_reader_token_of_the_tests", role="read", organizations=("demo", "closed"))
GUEST = User("guest", "hf_guest_token_of_the_tests")
NARROW = User(
    "narrow",
    "hf_narrow_token_of_the_tests",
    role="fine-grained",
    organizations=("demo",),
    scopes=(Scope.of("demo", "read"), Scope.of("narrow", "read")),
)
USERS = (DEMO, READER, GUEST, NARROW)
SECRETS = [user.token for user in USERS]

SIZE = Size(hidden=128, layers=4, heads=4, kv_heads=2, width=256, vocabulary=272)
WEIGHTS = r"^/demo/[a-z]+/resolve/[0-9a-f]{40}/model"
_NUMBERS = itertools.count(1)


@dataclass
class Child:
    """A command that runs."""

    server: Server
    pid: int
    out: Path
    err: Path

    def wait(self, timeout: float = 60.0) -> Done:
        """Wait for its end; it is killed if that takes too long."""
        code = self.server.wait(self.pid, timeout)
        done = Done(code, self.out.read_text(), self.err.read_text())
        assert_silent(done)
        return done


def assert_silent(done: Done) -> None:
    """No token, and no header that carries one, is in any output."""
    for text in (done.out, done.err):
        assert not re.search(r"authorization\W+bearer", text, re.IGNORECASE), text
        for secret in SECRETS:
            for length in range(12, len(secret) + 1):  # the beginning of one, cut off, says too much as well
                assert secret[:length] not in text, text


@dataclass
class Kitchen:
    """What one test has: a manifest in a directory of its own, a target of its own, and an empty `HF_HOME`."""

    hub: Hub
    server: Server
    directory: Path
    number: int

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def target(self) -> str:
        return f"demo/agent-{self.number}"

    def manifest(self, *, repo: str | None = None, more: str = "", sources: Mapping[str, str] | None = None) -> None:
        """Write the manifest: two shards, to a repository of this test's own."""
        named = {name: f"demo/{name}" for name in ("base", *EXPERTS)} | dict(sources or {})
        experts = "".join(f"  {name}: {named[name]}\n" for name in EXPERTS)
        (self.work / "merge.yaml").write_text(
            f"version: 1\nbase: {named['base']}\nexperts:\n{experts}method:\n  name: ram+\n"
            f"output:\n  repo: {repo or self.target}\n  shard_size: 900KB\n{more}"
        )

    def environment(self, **changes: str) -> dict[str, str]:
        env = self.hub.env(self.home) | {"RAMEKIN_RETRY_WAIT": "0.01"} | changes
        return {name: value for name, value in env.items() if name not in {"CI", "GITHUB_ACTIONS"} or name in changes}

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        trap: Mapping[str, Any] | None = None,
        clock: float | None = 100.0,
        memory: int | None = None,
    ) -> Child:
        """Start a command in a fork."""
        out, err = (self.directory / f"{next(_NUMBERS)}.{name}" for name in ("out", "err"))
        for path in (out, err):
            path.touch()
        request = {
            "arguments": arguments,
            "directory": str(self.work),
            "environment": self.environment(**(env or {})),
            "out": str(out),
            "err": str(err),
            "trap": dict(trap) if trap else None,
            "clock": clock,
            "memory": memory,
        }
        WATCH.process(request["environment"], self.work, arguments)
        return Child(self.server, self.server.ask(request), out, err)

    def ramekin(self, *arguments: str, timeout: float = 60.0, **options: Any) -> Done:
        """Run a command in a fork."""
        return self.start(*arguments, **options).wait(timeout)

    def fresh(self, *arguments: str, trap: Mapping[str, Any] | None = None) -> Done:
        """Run a command in a process that is really new."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.forking", json.dumps({"trap": dict(trap or {})}), *arguments],
            cwd=self.work,
            env=self.environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        result = Done(done.returncode, done.stdout, done.stderr)
        assert_silent(result)
        return result

    def ok(self, *arguments: str, **options: Any) -> Done:
        """Run a command that has to succeed."""
        done = self.ramekin(*arguments, **options)
        assert done.code == 0, f"{arguments}: {done.code}\n{done.out}\n{done.err}"
        return done

    def fails(self, code: int, *arguments: str, **options: Any) -> str:
        """Run a command that has to fail with this exit code, in two lines for every problem; returns them."""
        done = self.ramekin(*arguments, **options)
        assert done.code == code, f"{arguments}: {done.code}\n{done.out}\n{done.err}"
        assert_two_lines(done)
        return "\n".join(done.error_lines)

    def commits(self, repo: str | None = None) -> list[str]:
        """Titles of the target's commits, newest first, without the one that it was created with."""
        found = self.hub.store.find(repo or self.target)
        if found is None:
            return []
        head = found.read_commit(found.refs()[DEFAULT_BRANCH])
        return [commit.title for commit in found.history(head) if commit.title != "initial commit"]

    def published(self) -> dict[str, str]:
        """sha256 of every published file of weights, and of their index."""
        found = self.hub.store.get(self.target)
        tree = found.tree(found.read_commit(found.refs()[DEFAULT_BRANCH]))
        return {path: entry.sha256 for path, entry in tree.items() if path.startswith("model")}

    def weights_asked_for(self) -> list[str]:
        """Ranges of weights that were downloaded: headers are read by ranges that end."""
        return [r.range or "all" for r in self.hub.log.requests("GET", WEIGHTS) if not r.range or r.range.endswith("-")]

    def assert_clean(self, *beside: str) -> None:
        """Nothing is left of a run but downloads, their digests and the lock."""
        state = self.home / "ramekin"
        assert {path.name for path in state.iterdir()} == {"blobs", "digests.json"}
        for path in (state / "blobs").iterdir():
            content = path.read_bytes()
            kind, _, digest = path.name.partition("-")
            blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False)
            assert digest == (hashlib.sha256(content) if kind == "sha256" else blob).hexdigest(), path.name
        assert {path.name for path in self.work.iterdir()} == {"merge.yaml", "merge.lock", *beside}


_OUT_OF_MEMORY = "SystemError: deallocated bytearray object has exported buffers"
"""What the interpreter itself prints, past every handler, when memory runs out while it reads from a socket."""


def assert_two_lines(done: Done) -> None:
    """Every error is two lines, and nothing else is on stderr but progress."""
    lines = [line for line in done.err.splitlines() if not line.endswith("B)") and line != _OUT_OF_MEMORY]
    assert lines
    assert len(lines) % 2 == 0, done.err
    for error, hint in zip(lines[::2], lines[1::2], strict=True):
        assert error.startswith("error: "), done.err
        assert hint.startswith(" hint: "), done.err


def family() -> dict[str, dict[str, bytes]]:
    """The base and its experts."""
    base = base_weights(SIZE, seed=0)
    weights = {"base": base} | {name: trained_weights(base, EXPERTS[name], n) for n, name in enumerate(EXPERTS, 1)}
    return {name: checkpoint_files(weights[name], SIZE, CARD.format(name=name, more="")) for name in weights}


@contextlib.contextmanager
def opened(*, xet: bool = False) -> Iterator[tuple[Hub, Server]]:
    """A Hub with the family, and the server of commands."""
    with (
        tempfile.TemporaryDirectory(prefix="ramekin-faults-") as name,
        serve(Path(name) / "hub", users=USERS, options=Options(xet=xet)) as hub,
    ):
        for repo, files in family().items():
            push(hub, repo, files)
        yield hub, server()


@contextlib.contextmanager
def kitchen(hub: Hub, server: Server, directory: Path) -> Iterator[Kitchen]:
    """A fresh workplace; the Hub forgets its faults and its log."""
    hub.faults.clear()
    hub.log.clear()
    made = Kitchen(hub, server, directory, next(_NUMBERS))
    made.work.mkdir(parents=True)
    made.manifest()
    try:
        yield made
    finally:
        hub.faults.clear()
        shutil.rmtree(directory, ignore_errors=True)

"""What integration tests share: an embedded Hub with a family of tiny models, and `ramekin` as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ramekin.demo.family import Size, base_weights, checkpoint_files, trained_weights
from ramekin.hub import Hub, serve
from tests.integration.served import server
from tests.leaks import WATCH

TINY = Size(hidden=32, layers=2, heads=4, kv_heads=2, width=48, vocabulary=272)
EXPERTS = {"coder": 0.05, "tool": 0.4, "memory": 0.6}
CARD = "---\nlicense: apache-2.0\npipeline_tag: text-generation\n{more}---\n# {name}\n"


@dataclass(frozen=True)
class Done:
    """One finished command."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        WATCH.text("output of a command", self.out, self.err)

    @property
    def data(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)

    @property
    def error_lines(self) -> list[str]:
        """Stderr's lines without progress."""
        lines = self.err.splitlines()
        return [line for line in lines if line.startswith(("error:", " hint:")) or "Traceback" in line]


@dataclass
class World:
    """A Hub, a working directory with a manifest, and the command line."""

    hub: Hub
    directory: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        env = self.hub.env(self.directory / "home") | {"RAMEKIN_RETRY_WAIT": "0.01"} | self.extra
        return {
            name: value for name, value in env.items() if name not in {"CI", "GITHUB_ACTIONS"} or name in self.extra
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ramekin", *arguments]

    def ramekin(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Done:
        """Run the command line, in a process that is forked."""
        return Done(*server().run(arguments, self.directory, self.environment | dict(env or {}), timeout))

    def fresh(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Done:
        """Run the command line, in a process that is really new."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run a command that has to succeed."""
        done = self.ramekin(*arguments, env=env)
        assert done.code == 0, f"{arguments}: {done.code}\n{done.out}\n{done.err}"
        return done

    def manifest(self, text: str | None = None, **changes: str) -> Path:
        """Write the manifest; `changes` replace parts of the usual one."""
        path = self.directory / "merge.yaml"
        path.write_text(text if text is not None else manifest_text(**changes))
        return path

    def commits(self, repo: str = "demo/agent") -> list[str]:
        """Titles of the commits of a repository, newest first, without the one it was created with."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.hub.url, token=self.hub.token)
        return [commit.title for commit in api.list_repo_commits(repo) if commit.title != "initial commit"]


def manifest_text(method: str = "ram+", repo: str = "demo/agent", more: str = "", card: str = "") -> str:
    """A manifest of the tiny family."""
    experts = "".join(f"  {name}: demo/{name}\n" for name in EXPERTS)
    return (
        f"version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: {method}\n"
        f"output:\n  repo: {repo}\n{more}{card}"
    )


def push(hub: Hub, name: str, files: Mapping[str, Any], **options: Any) -> str:
    """Put files into a repository, which is created if need be; returns the commit."""
    repo = name if "/" in name else f"demo/{name}"
    if hub.store.find(repo) is None:
        hub.store.create_repo(repo, **options)
    return hub.store.commit(repo, dict(files), message=f"files of {name}").id


def family_files(name: str, seed: int | None = None) -> dict[str, bytes]:
    """The files of the base, or of an expert trained with a seed."""
    base = base_weights(TINY, seed=0)
    if name == "base":
        return checkpoint_files(base, TINY, CARD.format(name="base", more="language: [en]\n"))
    number = [*EXPERTS].index(name) + 1 if seed is None else seed
    weights = trained_weights(base, EXPERTS[name], number)
    return checkpoint_files(weights, TINY, CARD.format(name=name, more="base_model: demo/base\n"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with the family, and a directory with its manifest."""
    with serve(tmp_path / "hub") as hub:
        for name in ("base", *EXPERTS):
            push(hub, name, family_files(name))
        work = tmp_path / "work"
        work.mkdir()
        made = World(hub, work)
        made.manifest()
        yield made


@pytest.fixture
def empty_world(tmp_path: Path) -> Iterator[World]:
    """A Hub with nothing on it."""
    with serve(tmp_path / "hub") as hub:
        work = tmp_path / "work"
        work.mkdir()
        yield World(hub, work)


os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")

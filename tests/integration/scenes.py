"""What tables of cases use: a Hub with the tiny family, the command line warmed up, a working directory per test."""

import contextlib
import copy
import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ramekin.hub import Hub, Sparse, User, serve
from tests.integration.conftest import EXPERTS, Done, family_files, push
from tests.integration.served import Server, server

STRANGER = User("stranger", "hf_stranger_token_of_the_tests")
Files = Mapping[str, bytes | Path | Sparse | None]


@functools.cache
def family() -> dict[str, dict[str, bytes]]:
    """The files of the base and of every expert."""
    return {name: family_files(name) for name in ("base", *EXPERTS)}


@dataclass
class Stage:
    """What the tests of one module share."""

    hub: Hub
    server: Server
    home: Path
    merged: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a command."""
        env = self.hub.env(self.home) | {"RAMEKIN_RETRY_WAIT": "0.01"} | more
        return {name: value for name, value in env.items() if name not in {"CI", "GITHUB_ACTIONS"} or name in more}

    def refs(self) -> dict[str, dict[str, str]]:
        """Where every branch and tag of every repository is."""
        return {one.info.id: one.refs() for one in self.hub.store.repositories()}


@contextlib.contextmanager
def stage(root: Path, *flags: str) -> Iterator[Stage]:
    """A Hub with the family and an expert merge of it, ready to be copied; `flags` say what else is warmed up."""
    with serve(root / "hub") as hub:
        hub.access.add(STRANGER)
        for name, files in family().items():
            push(hub, name, files)
        (root / "home").mkdir()
        made = Stage(hub, server(*flags), root / "home", root / "made" / "merged")
        made.merged.parent.mkdir()
        scene = Scene(made, made.merged.parent, "made")
        scene.manifest()
        done = scene.ramekin("merge", "merge.yaml", "--out", "merged")
        assert done.code == 0, done.err
        yield made


@dataclass
class Scene:
    """One test's working directory, and what it puts on the Hub."""

    stage: Stage
    directory: Path
    name: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def hub(self) -> Hub:
        """The Hub."""
        return self.stage.hub

    def ramekin(self, *arguments: str, fresh: bool = False) -> Done:
        """Run a command, in a process that is forked or one that is really new."""
        environment = self.stage.environment(**self.env)
        if not fresh:
            return Done(*self.stage.server.run(arguments, self.directory, environment))
        command = [sys.executable, "-m", "ramekin", *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def repo(self, files: Files, name: str = "one", **options: Any) -> str:
        """A repository of this test's own, with these files and nothing else."""
        repo = f"demo/{self.name}-{name}"
        self.hub.store.create_repo(repo, **options)
        present = {path: content for path, content in files.items() if content is not None}
        if present:
            self.hub.store.commit(repo, present)
        return repo

    def variant(self, changes: Files = {}, like: str = "coder", name: str = "one", **options: Any) -> str:  # noqa: B006
        """A repository like one of the family; `None` leaves a file out."""
        return self.repo({**family()[like], **changes}, name, **options)

    def expert(self, changes: Files, **options: Any) -> None:
        """A manifest whose first expert is like `coder`, but for these files."""
        self.manifest(coder=self.variant(changes, **options))

    def base(self, changes: Files, **options: Any) -> None:
        """A manifest whose base is like the usual one, but for these files."""
        self.manifest(base=self.variant(changes, "base", **options))

    def manifest(self, more: str = "", *, repo: str = "", method: str = "ram+", **sources: str) -> None:
        """Write the usual manifest, with other sources where given; `more` is put below `output`."""
        named = {"base": "demo/base"} | {expert: f"demo/{expert}" for expert in EXPERTS} | sources
        quoted = {role: json.dumps(source) for role, source in named.items()}
        base = quoted.pop("base")
        experts = "".join(f"  {role}: {source}\n" for role, source in quoted.items())
        target = repo or f"demo/{self.name}-merged"
        text = (
            f"version: 1\nbase: {base}\nexperts:\n{experts}method:\n  name: {method}\noutput:\n  repo: {target}\n{more}"
        )
        self.write("merge.yaml", text)

    def write(self, path: str, content: str | bytes) -> Path:
        """Write a file below the working directory."""
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
        return target

    def local(self, name: str, files: Files) -> None:
        """A local checkpoint."""
        for path, content in files.items():
            if isinstance(content, bytes):
                self.write(f"{name}/{path}", content)

    def locked(self, **sources: str) -> dict[str, Any]:
        """The lock of the usual manifest, written and returned for changing it."""
        self.manifest(**sources)
        done = self.ramekin("lock", "merge.yaml")
        assert done.code == 0, done.err
        return json.loads((self.directory / "merge.lock").read_text())  # type: ignore[no-any-return]

    def merged(self) -> dict[str, Any]:
        """A merged directory `merged`; returns its report for changing it."""
        shutil.copytree(self.stage.merged, self.directory / "merged")
        return json.loads((self.directory / "merged/ramekin/report.json").read_text())  # type: ignore[no-any-return]

    def reported(self, **output: Any) -> None:
        """A merged directory whose report says something else about its output."""
        report = self.merged()
        report["output"] |= output
        self.write("merged/ramekin/report.json", json.dumps(report))

    def published(self, changes: Mapping[str, bytes | None]) -> str:
        """A published merge with these files of it changed."""
        files = {
            str(path.relative_to(self.stage.merged)): path.read_bytes()
            for path in self.stage.merged.rglob("*")
            if path.is_file()
        }
        return self.repo({**files, **changes}, "published")

    def contents(self) -> dict[str, bytes | None]:
        """Everything below the working directory."""
        return {
            str(path.relative_to(self.directory)): path.read_bytes() if _is_readable_file(path) else None
            for path in self.directory.rglob("*")
        }


def _is_readable_file(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


@dataclass
class Weights:
    """A safetensors file taken apart, to be put together another way."""

    header: dict[str, Any]
    data: bytes

    @classmethod
    def of(cls, role: str = "coder") -> "Weights":
        """Those of a member of the family."""
        content = family()[role]["model.safetensors"]
        end = 8 + int.from_bytes(content[:8], "little")
        return cls(json.loads(content[8:end]), content[end:])

    def tensor(self, name: str) -> bytes:
        """A tensor's data."""
        begin, end = self.header[name]["data_offsets"]
        return self.data[begin:end]

    @property
    def tensors(self) -> dict[str, tuple[str, list[int], bytes]]:
        """Element type, shape and data of every tensor."""
        entries = {name: entry for name, entry in self.header.items() if name != "__metadata__"}
        return {name: (entry["dtype"], entry["shape"], self.tensor(name)) for name, entry in entries.items()}

    def poked(self, name: str, value: bytes, *places: int) -> bytes:
        """The file with some elements of a tensor replaced."""
        data = bytearray(self.data)
        begin = self.header[name]["data_offsets"][0]
        for place in places:
            data[begin + 2 * place : begin + 2 * place + 2] = value
        return assemble(self.header, bytes(data))

    def with_header(self, **entries: Any) -> bytes:
        """The file with some entries of its header replaced: a mapping is merged in, None takes one out."""
        header = copy.deepcopy(self.header)
        for name, entry in entries.items():
            if entry is None:
                del header[name]
            elif isinstance(entry, dict) and name in header:
                header[name] |= entry
            else:
                header[name] = entry
        return assemble(header, self.data)


def assemble(header: object, data: bytes) -> bytes:
    """A safetensors file of that header and data."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def weights_file(tensors: Mapping[str, tuple[str, list[int], bytes]]) -> bytes:
    """A safetensors file of these tensors."""
    header: dict[str, Any] = {}
    place = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + len(data)]}
        place += len(data)
    return assemble(header, b"".join(data for _, _, data in tensors.values()))


def config(role: str = "coder", **changes: Any) -> bytes:
    """A `config.json` of the family with some keys changed."""
    return json.dumps(json.loads(family()[role]["config.json"]) | changes).encode()


_PROGRESS = re.compile(r"(fetching|statistics|(reading|checking|merge) .{1,100}) \([\d.]+ [kMGT]?B\)")
LONGEST = 610


def assert_calm(done: Done) -> None:
    """Nothing that is printed is more than plain text: no escapes, no commands to a runner, no traceback, no token."""
    for text in (done.out, done.err):
        assert all(char.isprintable() or char == "\n" for char in text), ascii(text)
        assert "Traceback" not in text, text
        assert "##[" not in text
        assert not re.search(r"^\s*::", text, re.MULTILINE)
        assert "hf_" not in re.sub(r"hf_\w+\(", "", text), text
    assert all(len(line) <= LONGEST for line in done.err.splitlines()), max(done.err.splitlines(), key=len)


def assert_two_lines_each(done: Done) -> list[str]:
    """Stderr holds pairs of lines, `error: …` and ` hint: …`, and nothing else but progress; returns the errors."""
    lines = [line for line in done.err.splitlines() if not _PROGRESS.fullmatch(line)]
    assert lines, "no error is shown"
    assert len(lines) % 2 == 0, done.err
    for error, hint in zip(lines[::2], lines[1::2], strict=True):
        assert re.match(r"error: \S", error), done.err
        assert re.match(r" hint: \S", hint), done.err
    return lines[::2]

"""No token in any output: whatever a test leaves behind is looked through for every token that was used.

Looked through are: what processes print, every file below their working directory and their `HF_HOME`, and what is sent
to an embedded Hub. Looked for are: the tokens of every embedded Hub, those that it gives out, the proofs of who a job
is, and whatever a process was given as a token. Where one is found, the test fails in which it was.

A plugin for pytest: `tests/conftest.py` loads it for the whole suite, and `-p tests.leaks` for any other.
"""

import functools
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_OIDC_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "RAMEKIN_KEY_PASSPHRASE",
    "RAMEKIN_WEBHOOK_SECRET",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "RAMEKIN_INPUT_HF_TOKEN",
    "RAMEKIN_INPUT_GITHUB_TOKEN",
)
LEAST = 8
"""Tokens with fewer characters are words that may stand anywhere."""
PIECE = 12
"""So many characters of either end are a leak too: messages are shortened."""
DISTINCT = 4
"""So many characters of a piece have to differ, or the whole token is looked for."""
SMALL = 1 << 20
"""In larger files, which hold weights, only beginnings are looked for."""
PART = 8 << 20
"""Of huge files, which are mostly holes, so much of either end."""


class Watch:
    """What is looked for, and what was not looked at yet."""

    def __init__(self) -> None:
        self._heads: dict[bytes, str] = {}
        self._tails: dict[bytes, str] = {}
        self._texts: list[tuple[str, bytes]] = []
        self._files: set[Path] = set()
        self._roots: set[Path] = set()
        self._logins: set[Path] = set()
        self._known: dict[Path, tuple[int, int]] = {}

    # What there is to look for and at

    def token(self, value: str | None, what: str = "a token") -> None:
        """From now on this must not be seen."""
        data = (value or "").strip().encode("utf-8", "surrogateescape")
        if len(data) >= LEAST:
            for known, piece in ((self._heads, data[:PIECE]), (self._tails, data[-PIECE:])):
                # Twelve times the same letter are in every other commit that a test makes up.
                known[piece if len(set(piece)) >= DISTINCT else data] = what

    def text(self, where: str, *texts: str | bytes | None) -> None:
        """Something was printed or sent."""
        for text in texts:
            if text:
                data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
                self._texts.append((where, data))

    def file(self, path: Path) -> None:
        """A file was written."""
        self._files.add(path)

    def process(
        self, environment: Mapping[str, str], directory: str | os.PathLike[str] | None, arguments: Iterable[Any] = ()
    ) -> None:
        """A process is started: its tokens are to be looked for, and the places it works in to be looked at."""
        for name in VARIABLES:
            self.token(environment.get(name), name)
        home = environment.get("HF_HOME")
        if home:
            # A login that was there before. What a process of ours writes there is not allowed.
            login = Path(home) / "token"
            if login.is_file() and login not in self._logins:
                self._logins.add(login)
                self.token(login.read_text(), str(login))
        named = (str(each) for each in arguments if isinstance(each, str | os.PathLike))
        for place in (directory, home, *(each for each in named if each.startswith("/"))):
            if place:
                self._add_root(Path(place))

    def _add_root(self, path: Path) -> None:
        path = path.resolve()
        if path.is_dir() and not ROOT.is_relative_to(path) and not path.is_relative_to(ROOT) and len(path.parts) > 2:
            self._roots.add(path)

    # Looking

    def found(self) -> list[str]:
        """Where a token is, in what is new since the last time."""
        # Hubs in other threads may go on.
        texts, self._texts = self._texts, []
        files, self._files = self._files, set()
        roots, self._roots = self._roots, set()
        leaks = [f"{where}: {what}" for where, data in texts for what in self._in(data)]
        for path in sorted(files.union(*map(_files_below, roots)) - self._logins):
            leaks += [f"{path}: {what}" for what in self._in_file(path)]
        return leaks

    def _in_file(self, path: Path) -> list[str]:
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if self._known.get(path) == state:
                return []
            self._known[path] = state
            with path.open("rb") as stream:
                data = stream.read(PART)
                if status.st_size > 2 * PART:
                    stream.seek(-PART, os.SEEK_END)
                data += stream.read(PART)
        except OSError:  # gone meanwhile, or not to be read, which some tests are about
            return []
        return self._in(os.fsencode(path) + b"\n" + data)

    def _in(self, data: bytes) -> list[str]:
        marks = dict(self._heads) if len(data) > SMALL else self._heads | self._tails
        return list(dict.fromkeys(what for mark, what in marks.items() if mark in data))


def _files_below(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        # Installed programs are nobody's output, and the embedded Hub's own has the demo's token in it.
        below[:] = [name for name in below if name != "site-packages"]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


class WatchedProcess(subprocess.Popen):  # type: ignore[type-arg]
    """A process whose tokens and output are watched, whoever starts it."""

    def __init__(self, args: Any, *more: Any, **options: Any) -> None:
        arguments = [args] if isinstance(args, str | bytes | os.PathLike) else args
        environment = options.get("env")
        WATCH.process({} if environment is None else environment, options.get("cwd"), arguments)
        super().__init__(args, *more, **options)

    def communicate(self, *arguments: Any, **options: Any) -> Any:
        """What it has printed, watched."""
        said = super().communicate(*arguments, **options)
        WATCH.text(f"output of {self.args!r}"[:300], *said)
        return said


WATCH = Watch()


def _after(owner: Any, name: str, see: Callable[..., Any]) -> None:
    """Call `see` with the result and the arguments of every call of a function."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        see(result, *arguments, **options)
        return result

    setattr(owner, name, wrapped)


def pytest_configure() -> None:
    """Watch every process that is started, and every embedded Hub in this process."""
    from ramekin.hub import threads
    from ramekin.hub.access import DEMO, Access
    from ramekin.hub.blobs import Blobs
    from ramekin.hub.repository import Note
    from ramekin.hub.trust import Trust

    if subprocess.Popen is WatchedProcess:
        return
    subprocess.Popen = WatchedProcess  # type: ignore[misc]
    WATCH.token(DEMO.token, "the demo's token")

    def users(_: None, access: Access, *__: Any, **___: Any) -> None:
        for token, user in access._users.items():
            WATCH.token(token, f"{user.name}'s token")

    def job(variables: dict[str, str], *_: Any, **__: Any) -> None:
        WATCH.token(variables["ACTIONS_ID_TOKEN_REQUEST_TOKEN"], "a job's token")

    def noted(_: None, note: Note, *__: Any, **___: Any) -> None:
        WATCH.text("a commit, or the title of a pull request", note.title, note.message)

    _after(Access, "__init__", users)
    _after(Access, "add", lambda user, *_: WATCH.token(user.token, f"{user.name}'s token"))
    _after(Trust, "environment", job)
    _after(Trust, "id_token", lambda token, *_, **__: WATCH.token(token, "an ID token"))
    _after(Blobs, "keep", lambda _, blobs, __, sha256: WATCH.file(blobs.path(sha256)))
    _after(Note, "__init__", noted)
    _after(threads, "comment_text", lambda _, text, *__: WATCH.text("a comment on the Hub", text))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Look when a test has run, before its places are cleared away."""
    try:
        yield
    finally:
        leaks = WATCH.found()
    if leaks:
        pytest.fail("a token is where none belongs:\n" + "\n".join(leaks), pytrace=False)

"""Bytes that are not what the lock says are never merged, and a download goes on where it stopped."""

import hashlib
import http.server
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ramekin.hub import Fault, Hub
from tests.integration.kitchen import Kitchen, Server, family, kitchen, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOWNLOAD = r"^/demo/coder/resolve/[0-9a-f]{40}/model\.safetensors$"
CONTENT = family()["coder"]["model.safetensors"]
SIZE = len(CONTENT)


@pytest.fixture(scope="module")
def open_kitchen() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        yield made


@pytest.fixture
def made(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> Iterator[Kitchen]:
    with kitchen(*open_kitchen, tmp_path / "kitchen") as one:
        yield one


def flip(path: Path, at: int) -> None:
    """Invert a byte of a file, and leave its size and its time as they were."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def blob(made: Kitchen, content: bytes = CONTENT) -> Path:
    """Where the store keeps the download of a file."""
    return next(path for path in (made.home / "ramekin/blobs").iterdir() if path.read_bytes() == content)


def asked(made: Kitchen) -> list[tuple[str | None, int, int]]:
    """Range, status and bytes of every download of the coder's weights: reading headers asks for ranges that end."""
    found = made.hub.log.requests("GET", DOWNLOAD)
    return [(one.range, one.status, one.sent) for one in found if not one.range or one.range.endswith("-")]


def lock_and_plan(made: Kitchen) -> None:
    """Have everything read that is read before the download, so that a fault hits the download."""
    made.ok("lock", "merge.yaml")


@pytest.mark.parametrize("at", [SIZE // 2, SIZE - 1])
def test_a_byte_flipped_in_transfer(made: Kitchen, at: int) -> None:
    made.hub.faults.add(Fault("flip", path=DOWNLOAD, at=at, times=None))
    assert "demo/coder/model.safetensors: what was downloaded is not what" in made.fails(6, "run", "merge.yaml")
    assert made.hub.store.find(made.target) is None
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert list((made.home / "ramekin/blobs").glob(f"*{digest}*")) == []
    made.hub.faults.clear()
    made.ok("run", "merge.yaml")
    made.assert_clean()


def test_a_byte_flipped_in_the_store(made: Kitchen) -> None:
    made.ok("merge", "merge.yaml", "--out", "out")
    flip(blob(made), 5000)
    shutil.rmtree(made.work / "out")
    made.hub.log.clear()
    said = made.fails(6, "run", "merge.yaml")
    assert "the downloaded file was damaged on disk" in said
    assert made.commits() == []
    made.ok("run", "merge.yaml")
    assert len(made.weights_asked_for()) == 1
    made.assert_clean()


def test_a_truncated_file_in_the_store(made: Kitchen) -> None:
    made.ok("merge", "merge.yaml", "--out", "out")
    os.truncate(blob(made), SIZE - 10)
    shutil.rmtree(made.work / "out")
    made.fails(6, "run", "merge.yaml")
    made.ok("run", "merge.yaml")


@pytest.mark.parametrize("damaged", [False, True])
def test_the_clients_cache(made: Kitchen, damaged: bool) -> None:
    commit = made.hub.store.get("demo/coder").refs()["refs/heads/main"]
    snapshot = made.home / "hub/models--demo--coder/snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(CONTENT)
    if damaged:
        flip(snapshot / "model.safetensors", SIZE - 20)
    made.ok("run", "merge.yaml")
    assert bool(asked(made)) == damaged
    assert (snapshot / "model.safetensors").stat().st_size == SIZE
    assert len(made.commits()) == 1
    made.assert_clean()


def test_a_local_source_that_changes_after_the_lock(made: Kitchen) -> None:
    for name, content in family()["coder"].items():
        (made.work / "coder").mkdir(exist_ok=True)
        (made.work / "coder" / name).write_bytes(content)
    made.manifest(sources={"coder": "./coder"})
    made.ok("lock", "merge.yaml")
    flip(made.work / "coder/model.safetensors", SIZE - 20)
    assert "the file is not the one that the lock pins" in made.fails(6, "run", "merge.yaml")
    assert made.commits() == []
    flip(made.work / "coder/model.safetensors", SIZE - 20)
    made.ok("run", "merge.yaml")
    made.assert_clean("coder")


def test_a_body_that_ends_early_is_resumed(made: Kitchen) -> None:
    lock_and_plan(made)
    # Reading the header takes the first piece only: what is cut is the download.
    made.hub.faults.add(Fault("truncate", path=DOWNLOAD, at=700_000, times=None))
    made.ok("run", "merge.yaml")
    ranges = asked(made)
    starts = [int(re.sub(r"\D", "", span)) if span else 0 for span, _, _ in ranges]
    assert starts == [0, *(sum(sent for _, _, sent in ranges[:n]) for n in range(1, len(ranges)))]
    assert sum(sent for _, _, sent in ranges) == SIZE
    assert len(ranges) == -(-SIZE // 700_000)
    made.assert_clean()


def test_a_download_that_is_killed_goes_on_by_range(made: Kitchen) -> None:
    lock_and_plan(made)
    made.hub.log.clear()
    killed = made.ramekin("run", "merge.yaml", trap={"label": r"write sha256-.*\.incomplete", "at": 6})
    assert killed.code == -9
    there = {p.name: p.stat().st_size for p in (made.home / "ramekin/blobs").iterdir()}
    left = sum(size for name, size in there.items() if name.endswith(".incomplete"))
    assert left > 0
    made.hub.log.clear()
    made.ok("run", "merge.yaml")
    weights = r"/resolve/[0-9a-f]{40}/model\.safetensors$"
    again = [r for r in made.hub.log.requests("GET", weights) if not r.range or r.range.endswith("-")]
    spans = [int(re.sub(r"\D", "", r.range)) for r in again if r.range]
    assert sum(spans) == left
    whole = [path.stat().st_size for path in (made.home / "ramekin/blobs").iterdir() if path.stat().st_size > 100_000]
    had = sum(size for name, size in there.items() if name.startswith("sha256-"))
    assert sum(r.sent for r in again) == sum(whole) - had
    made.assert_clean()


@contextmanager
def stubborn(body: bytes, *, length: int | None = None) -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers every request with the same whole body, whatever range was asked for."""
    seen: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Range"])
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


def fetch_from(url: str, made: Kitchen, unfinished: bytes) -> tuple[Path, Exception | None]:
    """Download the coder's weights from a server of our own, with some of them here already."""
    from ramekin import fetch
    from ramekin.client import HubClient
    from ramekin.digests import DigestMemory
    from ramekin.download import Wanted
    from ramekin.environment import Environment
    from ramekin.errors import RamekinError
    from ramekin.lock.model import CardFacts, PinnedFile, PinnedSource
    from ramekin.progress import Silence
    from ramekin.store import BlobStore

    pinned = PinnedFile(size=SIZE, sha256=hashlib.sha256(CONTENT).hexdigest(), blob=None)
    source = PinnedSource(
        source="demo/coder",
        kind="hub",
        commit="c" * 40,
        private=False,
        card=CardFacts(),
        files={"model.safetensors": pinned},
    )
    environment = Environment.read({"HF_ENDPOINT": url, "HF_HOME": str(made.home), "RAMEKIN_RETRY_WAIT": "0.01"})
    store = BlobStore(environment.state / "blobs", DigestMemory(environment.state / "digests.json"))
    store.path(pinned).parent.mkdir(parents=True)
    if unfinished:
        store.unfinished(pinned).write_bytes(unfinished)
    wanted = Wanted("expert:coder", source, "model.safetensors", pinned)
    try:
        fetch._download_all([wanted], store, lambda: HubClient(environment), Silence())
    except RamekinError as error:
        return store.path(pinned), error
    return store.path(pinned), None


def test_a_server_that_ignores_ranges(made: Kitchen) -> None:
    with stubborn(CONTENT, length=SIZE) as (url, seen):
        path, error = fetch_from(url, made, CONTENT[:1000])
    assert error is None
    assert path.read_bytes() == CONTENT
    assert seen == ["bytes=1000-", None]


def test_a_server_that_ignores_ranges_and_never_gets_to_the_end(made: Kitchen) -> None:
    with stubborn(CONTENT[:-1], length=SIZE) as (url, seen):
        path, error = fetch_from(url, made, b"")
    assert "the network gave up" in str(error)
    assert not path.exists()
    assert len(seen) < 20


@pytest.mark.parametrize("length", [None, SIZE + 5000])
def test_a_body_that_is_longer_than_was_promised(made: Kitchen, length: int | None) -> None:
    with stubborn(CONTENT + bytes(5000), length=length) as (url, _):
        path, error = fetch_from(url, made, b"")
    assert f"is longer than the {SIZE} bytes that the lock says" in str(error)
    assert list(path.parent.iterdir()) == []


def test_what_was_there_already_is_not_a_beginning_of_the_file(made: Kitchen) -> None:
    with stubborn(CONTENT, length=SIZE) as (url, _):
        path, error = fetch_from(url, made, bytes(SIZE + 1))
    assert error is None
    assert path.read_bytes() == CONTENT

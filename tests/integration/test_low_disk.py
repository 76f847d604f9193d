"""Merges on a disk that does not hold the sources: the same published files, less disk, and nothing left behind."""

import contextlib
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import Fault, Hub
from ramekin.room import SPARE, allocated
from tests.integration.conftest import EXPERTS, push
from tests.integration.kitchen import Kitchen, Server, assert_two_lines, family, kitchen, opened
from tests.integration.test_faults_stop import disk, fill, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FILES = {"base": 2, "coder": 3, "tool": 1, "memory": 4}
SOURCES = {name: f"demo/sharded-{name}" for name in FILES}
WEIGHTS = r"^/demo/sharded-[a-z]+/resolve/[0-9a-f]{40}/model-\d+-of"
SMALL = {"README.md", "ramekin/report.json"}


def in_files(files: dict[str, bytes], count: int) -> dict[str, bytes]:
    """A checkpoint with its weights in several files."""
    body = files["model.safetensors"]
    length = int.from_bytes(body[:8], "little")
    header = json.loads(body[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    per = -(-len(names) // count)
    made = {name: content for name, content in files.items() if name != "model.safetensors"}
    where = {}
    for number in range(count):
        entries: dict[str, Any] = {}
        data = b""
        file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        for name in names[number * per : (number + 1) * per]:
            begin, end = header[name]["data_offsets"]
            entries[name] = header[name] | {"data_offsets": [len(data), len(data) + end - begin]}
            data += body[8 + length + begin : 8 + length + end]
            where[name] = file
        text = json.dumps(entries).encode()
        made[file] = len(text).to_bytes(8, "little") + text + data
    made["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": where}).encode()
    return made


@pytest.fixture(scope="module", params=[False, True], ids=["lfs", "xet"])
def either(request: pytest.FixtureRequest) -> Iterator[tuple[Hub, Server]]:
    with opened(xet=request.param) as made:
        stock(made[0])
        yield made


@pytest.fixture(scope="module")
def plain() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        stock(made[0])
        yield made


@pytest.fixture
def made(plain: tuple[Hub, Server], tmp_path: Path) -> Iterator[Kitchen]:
    with kitchen(*plain, tmp_path / "kitchen") as one:
        order(one)
        yield one


def stock(hub: Hub) -> None:
    for name, files in family().items():
        push(hub, SOURCES[name], in_files(files, FILES[name]))


def order(made: Kitchen, method: str = "ram", **sources: str) -> None:
    """Write a manifest for sources that are all cut differently; the output has five files."""
    named = SOURCES | sources
    experts = "".join(f"  {name}: {named[name]}\n" for name in EXPERTS)
    (made.work / "merge.yaml").write_text(
        f"version: 1\nbase: {named['base']}\nexperts:\n{experts}method:\n  name: {method}\n"
        f"output:\n  repo: {made.target}\n  shard_size: 300KB\n"
    )


def tree(made: Kitchen, revision: str = "refs/heads/main") -> dict[str, str]:
    """sha256 of every published file; of the report without its cost."""
    found = made.hub.store.get(made.target)
    entries = found.tree(found.read_commit(found.refs()[revision]))
    digests = {path: entry.sha256 for path, entry in entries.items()}
    report = json.loads(made.hub.store.blobs.path(digests["ramekin/report.json"]).read_bytes())
    del report["cost"]
    return digests | {"ramekin/report.json": hashlib.sha256(json.dumps(report).encode()).hexdigest()}


def afresh(made: Kitchen) -> None:
    """Forget everything but the manifest."""
    if made.hub.store.find(made.target):
        made.hub.store.delete_repo(made.target)
    shutil.rmtree(made.home, ignore_errors=True)
    (made.work / "merge.lock").unlink(missing_ok=True)
    made.hub.log.clear()


def downloaded(made: Kitchen) -> int:
    """Bytes of weights that were fetched: not those of headers, which are asked for by short ranges from the start."""
    asked = made.hub.log.requests("GET", WEIGHTS)
    return sum(one.sent for one in asked if not (one.range or "").startswith(("bytes=0-", "bytes=8-")))


@contextlib.contextmanager
def watched(*places: Path) -> Iterator[list[int]]:
    """How much disk some places take, looked at again and again."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            with contextlib.suppress(OSError):
                seen.append(sum(allocated(place) for place in places))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def nothing_left(made: Kitchen) -> None:
    """Neither weights nor unfinished work, but small files that are kept for the next run."""
    state = made.home / "ramekin"
    assert {path.name for path in state.iterdir()} <= {"blobs", "digests.json"}
    assert all(path.name.startswith("blob-") for path in (state / "blobs").iterdir())


@pytest.mark.parametrize("method", ["ram", "ram+"])
def test_the_same_files_with_less_disk(either: tuple[Hub, Server], tmp_path: Path, method: str) -> None:
    with kitchen(*either, tmp_path / "kitchen") as made:
        order(made, method)
        made.ok("run", "merge.yaml")
        expected, url = tree(made), made.commits()
        afresh(made)
        plan = json.loads(made.ok("plan", "merge.yaml", "--low-disk", "--json").out)["cost"]
        chosen = plan["disk"]["low_disk"]
        assert plan["disk"]["mode"] == "low-disk"
        assert chosen["download_bytes"] == plan["download_bytes"]
        made.hub.log.clear()
        with watched(made.home / "ramekin" / "runs") as seen:
            made.ok("run", "merge.yaml", "--low-disk")
        assert tree(made) == expected
        assert made.commits() == url
        nothing_left(made)
        if method == "ram":  # all that there is in one pass: less than the whole
            assert max(seen) < chosen["disk_bytes"] < 0.8 * plan["disk"]["normal"]["disk_bytes"]
        assert max(seen) <= chosen["disk_bytes"] + (64 << 10)  # card, report, plots
        small = sum(path.stat().st_size for path in (made.home / "ramekin/blobs").iterdir())
        assert downloaded(made) == chosen["download_bytes"] - small
        assert (chosen["repeated_bytes"] > 0) == (method == "ram+")


LABELS = [
    {"label": r"send GET /demo/sharded-coder/resolve", "at": 4},
    {"label": r"pwrite", "at": 4},
    {"label": r"pwrite", "at": 60},
    {"label": r"fsync \.journal\.json\.part", "at": 2, "tear": True},
    {"label": r"rename model-00002", "at": 1},
    {"label": r"send PUT /_upload", "at": 3},
    {"label": r"remove model-00003", "at": 1},
    {"label": r"rename merge$", "at": 1},
    {"label": r"send POST /api/models/\S+/commit/main", "at": 1},
    {"label": r"send POST /api/models/\S+/commit/main", "at": 2},
]


def killed(made: Kitchen, expected: dict[str, str], trap: dict[str, Any]) -> None:
    """Kill a run, run it again, and look at everything."""
    assert made.ramekin("run", "merge.yaml", "--low-disk", trap=trap).code in {-9, 0}
    made.ok("run", "merge.yaml", "--low-disk")
    assert tree(made) == expected, trap
    assert len(made.commits()) == 1, trap
    nothing_left(made)


def test_killed_at_any_point(either: tuple[Hub, Server], tmp_path: Path) -> None:
    xet = either[0].parts.options.xet
    with kitchen(*either, tmp_path / "kitchen") as made:
        order(made, "ram+" if xet else "ram")
        made.ok("run", "merge.yaml")
        expected = tree(made)
        for trap in LABELS[1::4] if xet else LABELS:
            afresh(made)
            killed(made, expected, trap)


def test_killed_in_either_pass(made: Kitchen) -> None:
    order(made, "ram+")
    made.ok("run", "merge.yaml")
    expected = tree(made)
    for trap in ({"label": r"send GET /demo/sharded", "at": 40}, {"label": r"rename journal\.json", "at": 5}):
        afresh(made)
        killed(made, expected, trap)


def test_what_was_uploaded_is_not_made_again(made: Kitchen) -> None:
    assert made.ramekin("run", "merge.yaml", "--low-disk", trap={"label": "rename model-00004", "at": 1}).code == -9
    made.hub.log.clear()
    made.ok("run", "merge.yaml", "--low-disk")
    assert len(made.hub.log.requests("PUT", "^/_upload")) == 2
    whole = sum(one["bytes"] for one in json.loads(made.ok("plan", "merge.yaml", "--json").out)["sources"])
    assert downloaded(made) < whole * 0.6


def test_what_the_hub_has_lost_is_made_again(made: Kitchen) -> None:
    made.ok("run", "merge.yaml")
    expected = tree(made)
    afresh(made)
    trap = {"label": r"send POST /api/models/\S+/commit/main", "at": 1}
    assert made.ramekin("run", "merge.yaml", "--low-disk", trap=trap).code == -9
    made.hub.store.delete_repo(made.target)
    made.ok("run", "merge.yaml", "--low-disk")
    assert tree(made) == expected


def test_by_itself_on_a_small_disk(made: Kitchen) -> None:
    plan = json.loads(made.ok("plan", "merge.yaml", "--json").out)["cost"]
    needed, least = plan["disk"]["normal"]["disk_bytes"], plan["disk"]["low_disk"]["disk_bytes"]
    shutil.rmtree(made.home, ignore_errors=True)
    with disk(made.home, SPARE + (needed + least) // 2 // 4096 * 4096):
        text = made.ok("plan", "merge.yaml").out
        assert "low-disk, because normally" in text.replace("\n              ", " ")
        made.ok("run", "merge.yaml")
        nothing_left(made)
        again = json.loads(made.ok("plan", "merge.yaml", "--json").out)
        assert (again["action"], again["cost"]["disk"]["mode"]) == ("nothing", "low-disk")
        assert "| Mode | low-disk, because normally" in made.ok("plan", "merge.yaml", "--format", "md").out
    made.home.rmdir()
    with disk(made.home, SPARE + 300_000):
        assert "of disk are needed" in made.fails(8, "run", "merge.yaml", "--force")


def test_the_disk_fills_up(made: Kitchen) -> None:
    held = Fault("delay", path=WEIGHTS, seconds=0.1, times=None)
    with disk(made.home, SPARE + (16 << 20)):
        for leave in (0, 700_000):
            made.ok("lock", "merge.yaml")
            made.hub.faults.add(held)
            child = made.start("run", "merge.yaml", "--low-disk")
            wait_for(lambda child=child: "merge model" in child.err.read_text())
            fill(made.home, leave)
            done = child.wait()
            made.hub.faults.clear()
            assert done.code == 8, done.err
            assert_two_lines(done)
            assert "no space left" in done.err
            assert made.commits() == []
            files = [path for path in (made.home / "ramekin").rglob("*") if path.is_file()]
            assert all(path.name.startswith(("blob-", "digests.json")) for path in files), files
            (made.home / "filler").unlink()
        made.ok("run", "merge.yaml", "--low-disk")
        nothing_left(made)


def test_a_hub_that_goes_away_and_comes_back(made: Kitchen) -> None:
    made.ok("run", "merge.yaml")
    expected = tree(made)
    for path, code in ((WEIGHTS, 4), ("^/_upload", 7)):
        afresh(made)
        made.ok("lock", "merge.yaml")
        made.hub.faults.add(Fault("delay", path=WEIGHTS, seconds=0.03, times=None))
        child = made.start("run", "merge.yaml", "--low-disk")
        wait_for(lambda child=child: "merge model-00001" in child.err.read_text())
        made.hub.faults.add(Fault("status", path=path, status=503, times=None))
        done = child.wait()
        assert done.code == code, done.err
        assert_two_lines(done)
        made.hub.faults.clear()
        made.ok("run", "merge.yaml", "--low-disk")
        assert tree(made) == expected
        assert len(made.commits()) == 1
        nothing_left(made)


def test_as_a_pull_request(either: tuple[Hub, Server], tmp_path: Path) -> None:
    with kitchen(*either, tmp_path / "kitchen") as made:
        order(made)
        made.ok("run", "merge.yaml")
        expected = tree(made)
        afresh(made)
        made.ok("run", "merge.yaml", "--low-disk", "--pr")
        assert made.commits() == []
        assert tree(made, "refs/pr/1") == expected
        again = made.ok("run", "merge.yaml", "--low-disk", "--pr")
        assert "discussions/1" in again.out
        nothing_left(made)


def test_into_a_directory(made: Kitchen) -> None:
    made.ok("merge", "merge.yaml", "--out", "normal")
    shutil.rmtree(made.home)
    said = made.ok("run", "merge.yaml", "--out", "low", "--low-disk", "--dry-run", "--json").out
    disk = json.loads(said)["plan"]["cost"]["disk"]
    there = allocated(made.work)
    with watched(made.work, made.home) as seen:
        made.ok("merge", "merge.yaml", "--out", "low", "--low-disk")
    assert disk["mode"] == "low-disk"
    taken, least = max(seen) - there, disk["low_disk"]["disk_bytes"]
    assert taken <= least + (64 << 10) < disk["normal"]["disk_bytes"], "that much more are card, report and plots"
    nothing_left(made)
    normal, low = made.work / "normal", made.work / "low"
    names = {str(path.relative_to(normal)) for path in normal.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(low)) for path in low.rglob("*") if path.is_file()}
    assert all((normal / name).read_bytes() == (low / name).read_bytes() for name in names - {"ramekin/report.json"})
    made.ok("verify", "low")
    made.ok("run", "merge.yaml", "--out", "low", "--low-disk")
    assert len(made.commits()) == 1
    made.ok("verify", made.target)


def test_what_was_there_before_stays(made: Kitchen) -> None:
    local = made.work / "tool"
    for name, content in in_files(family()["tool"], 2).items():
        local.mkdir(exist_ok=True)
        (local / name).write_bytes(content)
    order(made, base="demo/base", tool="./tool")
    made.ok("stats", "merge.yaml")  # downloads everything
    order(made, tool="./tool")
    before = {path: path.stat().st_mtime_ns for path in [*local.iterdir(), *(made.home / "ramekin/blobs").iterdir()]}
    made.hub.log.clear()
    made.ok("run", "merge.yaml", "--low-disk", "--allow-private-sources")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {one.target.split("/")[2] for one in made.hub.log.requests("GET", WEIGHTS) if not one.range} == {
        "sharded-base"
    }


def test_weights_that_are_others_than_the_lock_says(made: Kitchen) -> None:
    made.ok("lock", "merge.yaml")
    made.hub.faults.add(Fault("flip", path=WEIGHTS.replace("[a-z]+", "memory"), at=200_000, times=None))
    said = made.fails(6, "run", "merge.yaml", "--low-disk")
    assert "not what the lock says" in said
    assert made.commits() == []
    assert not list((made.home / "ramekin/runs").rglob("*.safetensors*")) + list(
        (made.home / "ramekin").rglob("sha256*")
    )

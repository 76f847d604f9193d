"""Commands that are interrupted, two at once, and machines without room."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import Fault, Hub
from tests.integration.conftest import Done
from tests.integration.kitchen import WEIGHTS, Kitchen, Server, assert_two_lines, kitchen, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def open_kitchen() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        yield made


@pytest.fixture
def made(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> Iterator[Kitchen]:
    with kitchen(*open_kitchen, tmp_path / "kitchen") as one:
        yield one


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def struck(made: Kitchen, fault: Fault) -> bool:
    """Whether a fault has struck at least once."""
    return any(one.fault is fault and one.struck for one in made.hub.faults._planned)


# Interruptions

STALLED = {
    "asking": Fault("delay", path=r"^/api/models/demo/coder", seconds=20),
    "reading headers": Fault("delay", path=r"^/demo/coder/resolve/\w+/model", seconds=20),
    "downloading": Fault("delay", path=WEIGHTS, seconds=20, times=None),
    "uploading": Fault("delay", method="PUT", path="^/_upload/", seconds=20, times=None),
    "committing": Fault("delay", path="/commit/main", seconds=20),
}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("stage", STALLED)
def test_interrupted_while_the_hub_does_not_answer(made: Kitchen, stage: str, number: int, code: int) -> None:
    if stage == "downloading":  # headers are read from the same files: stall what comes after the first pieces
        short = (
            Fault("delay", path=WEIGHTS, seconds=0.5, times=None),
            Fault("truncate", path=WEIGHTS, at=300_000, times=4),
        )
        made.hub.faults.add(*short)
        child = made.start("run", "merge.yaml")
        wait_for(lambda: "fetching" in child.err.read_text())
        made.hub.faults.add(STALLED[stage])
        wait_for(lambda: struck(made, STALLED[stage]))
    else:
        made.hub.faults.add(STALLED[stage])
        child = made.start("run", "merge.yaml")
        wait_for(lambda: struck(made, STALLED[stage]))
    time.sleep(0.05)
    started = time.monotonic()
    os.kill(child.pid, number)
    done = child.wait()
    assert time.monotonic() - started < 3
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert "interrupted; the same command goes on from here" in done.err
    assert made.commits() == []
    made.hub.faults.clear()
    made.ok("run", "merge.yaml")
    assert len(made.commits()) == 1
    made.assert_clean()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_merging(made: Kitchen, number: int, code: int) -> None:
    trap = {"label": "pwrite", "at": 12, "number": number}
    started = time.monotonic()
    done = made.ramekin("run", "merge.yaml", trap=trap)
    assert time.monotonic() - started < 20
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    made.hub.log.clear()
    made.ok("run", "merge.yaml")
    assert made.weights_asked_for() == []
    made.assert_clean()


def test_two_runs_at_once(made: Kitchen) -> None:
    for _ in range(2):
        children = [made.start("run", "merge.yaml"), made.start("run", "merge.yaml")]
        done = [child.wait() for child in children]
        assert 0 in {one.code for one in done}, done
        for one in done:
            assert one.code in {0, 7}, one.err
            if one.code:
                assert_two_lines(one)
        assert len(made.commits()) == 1
        made.ok("run", "merge.yaml")
        made.assert_clean()
        made.hub.store.delete_repo(made.target)
        shutil.rmtree(made.home)


def test_two_runs_at_once_with_one_directory(made: Kitchen) -> None:
    children = [made.start("run", "merge.yaml", "--out", "out") for _ in range(2)]
    done = [child.wait() for child in children]
    assert 0 in {one.code for one in done}, done
    assert all(one.code in {0, 2, 7} for one in done), done
    assert len(made.commits()) == 1
    made.ok("run", "merge.yaml", "--out", "out")
    made.assert_clean("out")


def test_two_merges_at_once(made: Kitchen) -> None:
    children = [made.start("merge", "merge.yaml", "--out", "out") for _ in range(2)]
    done = [child.wait() for child in children]
    assert 0 in {one.code for one in done}, done
    assert all(one.code in {0, 2} for one in done), done
    made.ok("verify", "out")
    made.assert_clean("out")


# Room

MEGABYTE = 1 << 20


@contextlib.contextmanager
def disk(where: Path, size: int) -> Iterator[Path]:
    """A real, small disk."""
    where.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.decode(errors='replace').strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(place: Path, leave: int) -> None:
    """Leave no more than so many bytes free."""
    with (place / "filler").open("wb") as file:
        size = 0
        while (free := shutil.disk_usage(place).free) > leave:
            with contextlib.suppress(OSError):  # somebody else was faster
                os.posix_fallocate(file.fileno(), 0, size + free - leave)
                size += free - leave


def fill_at(made: Kitchen, place: Path, leave: int, path: str = WEIGHTS) -> Any:
    """Fill a disk in the middle of a run, after it has looked for room: while the first download is held up."""
    made.ok("lock", "merge.yaml")
    held = Fault("delay", path=path, seconds=0.7, times=None)
    made.hub.faults.add(held)
    child = made.start("run", "merge.yaml", *(("--out", str(place / "out")) if place != made.home else ()))
    wait_for(lambda: "fetching" in child.err.read_text())
    fill(place, leave)
    return child.wait()


def test_no_room_for_the_downloads_before_the_start(made: Kitchen) -> None:
    with disk(made.home, 16 * MEGABYTE):
        said = made.fails(8, "run", "merge.yaml")
        assert "of disk are needed" in said
        assert made.weights_asked_for() == []
        assert not [path for path in made.home.rglob("*") if path.is_file()]


def test_no_room_for_the_output_before_the_start(made: Kitchen) -> None:
    with disk(made.work / "small", 16 * MEGABYTE) as small:
        assert "of disk are needed" in made.fails(8, "run", "merge.yaml", "--out", "small/out")
        assert made.weights_asked_for() == []
        assert list(small.iterdir()) == []


@pytest.mark.parametrize("leave", [0, 4096, 300_000, 2_000_000])
def test_the_disk_fills_up_while_downloading(made: Kitchen, leave: int) -> None:
    with disk(made.home, 128 * MEGABYTE):
        done = fill_at(made, made.home, leave)
        assert done.code == 8, done.err
        assert_two_lines(done)
        assert "no space left" in done.err
        left = [path for path in (made.home / "ramekin").rglob("*") if path.is_file()]
        assert all(path.name.startswith(("sha256-", "blob-", "digests.json")) for path in left), left
        assert not [path for path in left if path.suffix in {".incomplete", ".part"}]
        (made.home / "filler").unlink()
        made.hub.faults.clear()
        made.ok("run", "merge.yaml")
        (made.home / "filler").unlink(missing_ok=True)
        made.assert_clean()


def test_the_disk_fills_up_while_writing(made: Kitchen, tmp_path: Path) -> None:
    """However much room there is: a file of weights, a config, the report, a plot or the card is the one too many."""
    with disk(tmp_path / "empty", 128 * MEGABYTE) as small:
        made.ok("merge", "merge.yaml", "--out", str(small / "out"))
        pages = sum(-(-path.stat().st_size // 4096) for path in (small / "out").rglob("*") if path.is_file())
        shutil.rmtree(small / "out")
        codes = []
        for leave in [0, 700_000, *((pages + more) * 4096 for more in (-18, -12, -8, -5, -2, 16))]:
            shutil.rmtree(made.home)
            done = fill_at(made, small, leave)
            made.hub.faults.clear()
            codes.append(done.code)
            if done.code:
                assert done.code == 8, done.err
                assert_two_lines(done)
                assert "no space left" in done.err
                assert [path.name for path in small.iterdir()] == ["filler"]
                assert made.commits() == []
            else:
                assert {path.name for path in small.iterdir()} == {"filler", "out"}
                made.hub.store.delete_repo(made.target)
                shutil.rmtree(small / "out")
            (small / "filler").unlink()
        assert codes[0] == 8
        assert codes[-1] == 0
        assert codes.count(8) > 3


@pytest.mark.parametrize("memory", [96, 160, 224, 320])
def test_too_little_memory(made: Kitchen, memory: int) -> None:
    said = made.fails(8, "run", "merge.yaml", memory=memory * MEGABYTE)
    assert "memory are needed" in said or "there is not enough memory" in said
    assert made.weights_asked_for() == []
    assert made.commits() == []


@pytest.mark.parametrize("kibibytes", [400_000, 550_000, 700_000])
def test_too_little_memory_in_a_fresh_process(made: Kitchen, kibibytes: int) -> None:
    command = ["bash", "-c", f'ulimit -v {kibibytes} && exec "$0" -m ramekin run merge.yaml']
    done = subprocess.run(
        [*command, sys.executable],
        cwd=made.work,
        env=made.environment(OPENBLAS_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 8, done.stderr
    assert_two_lines(Done(done.returncode, done.stdout, done.stderr))
    assert made.commits() == []

"""Several processes: `accelerate launch` and what goes wrong with one of them."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import serve
from ramekin.hub.records import DEFAULT_BRANCH
from tests.integration.conftest import EXPERTS, Done, push
from tests.integration.kitchen import family
from tests.integration.scenes import assert_two_lines_each
from tests.integration.served import Started, server

METHODS = ("ram+", "ties", "model-stock")
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


class Shop:
    """Local checkpoints, and for each method a manifest and what one process makes of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, files in family().items():
            for path, content in files.items():
                target = directory / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        for method in METHODS:
            self.manifest(f"{method}.yaml", method, {name: f"./{name}" for name in ("base", *EXPERTS)})

    def manifest(self, name: str, method: str, sources: Mapping[str, str], repo: str = "demo/agent") -> None:
        experts = "".join(f"  {expert}: {sources[expert]}\n" for expert in EXPERTS)
        (self.directory / name).write_text(
            f"version: 1\nbase: {sources['base']}\nexperts:\n{experts}method:\n  name: {method}\n"
            f"output:\n  repo: {repo}\n  shard_size: 900KB\n"
        )

    def environment(self, **changes: str) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in {"CI", "GITHUB_ACTIONS"}}
        return (
            env
            | {
                "HF_HOME": str(self.directory / "home"),
                "HF_HUB_OFFLINE": "1",
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            }
            | changes
        )

    def alone(self, *arguments: str) -> Done:
        """A command in one process, as usual."""
        return Done(*server().run(arguments, self.directory, self.environment()))

    def launched(self, count: int, *arguments: str) -> Done:
        """A command by way of `accelerate launch`."""
        options = "--multi_gpu --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
        command = [sys.executable, "-m", "accelerate.commands.launch", *options.split()]
        done = subprocess.run(
            [*command, "--num_processes", str(count), "-m", "ramekin", *arguments],
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ranks(self, count: int, *arguments: str, traps: Mapping[int, str] | None = None, **changes: str) -> "Ranks":
        """A command in as many processes as a launcher would start, without the launcher."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = []
        for rank in range(count):
            place = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
            place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
            environment = self.environment(**{name: str(value) for name, value in place.items()}, **changes)
            trap = (traps or {}).get(rank, "")
            started.append(server("--models").start(arguments, self.directory, environment, before=trap))
        return Ranks(started)

    def contents(self, out: str) -> dict[str, object]:
        """All files of a merged directory; of the report all but the cost."""
        place = self.directory / out
        found: dict[str, object] = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        report = json.loads((place / "ramekin/report.json").read_text())
        return found | {"ramekin/report.json": report | {"cost": report["cost"]["bytes_read"]}}

    def left(self, out: str) -> list[str]:
        """What is beside an output directory that should not be."""
        return [path.name for path in self.directory.iterdir() if path.name.startswith((out, f".{out}"))]


class Ranks:
    """Processes that belong together."""

    def __init__(self, processes: Sequence[Started]) -> None:
        self.processes = processes

    def wait(self, timeout: float = 60) -> list[Done]:
        """How each of them ended; one is killed if that takes too long."""
        return [Done(*process.wait(timeout)) for process in self.processes]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(tmp_path_factory.mktemp("shop"))
    for method in METHODS:
        done = made.alone("merge", f"{method}.yaml", "--out", f"one-{method}")
        assert done.code == 0, done.err
    return made


def assert_as_one(shop: Shop, method: str, out: str, done: Done) -> None:
    """Several processes have made what one makes, and told of it once."""
    assert done.code == 0, done.err
    assert shop.contents(out) == shop.contents(f"one-{method}")
    assert done.data == json.loads((shop.directory / out / "ramekin/report.json").read_text())
    assert done.err.count("checking ./base") == 1
    assert shop.left(out) == [out]


def test_accelerate_launch_gives_what_one_process_gives(shop: Shop) -> None:
    done = shop.launched(2, "merge", "ram+.yaml", "--out", "launched", "--json")
    assert_as_one(shop, "ram+", "launched", done)


def test_three_processes_give_what_one_gives(shop: Shop) -> None:
    first, *others = shop.ranks(3, "merge", "ties.yaml", "--out", "three", "--json").wait()
    assert_as_one(shop, "ties", "three", first)
    assert others == [Done(0, "", "")] * 2


def test_the_launcher_is_of_no_importance(shop: Shop) -> None:
    first, other = shop.ranks(2, "merge", "model-stock.yaml", "--out", "ranks", "-q").wait()
    assert (first.code, first.err, other) == (0, "", Done(0, "", ""))
    assert shop.contents("ranks") == shop.contents("one-model-stock")


def test_the_same_statistics(shop: Shop) -> None:
    report = json.loads((shop.directory / "one-ram+/ramekin/report.json").read_text())
    first, other = shop.ranks(2, "stats", "ram+.yaml", "--json").wait()
    assert (first.code, first.data, other) == (0, report["overlap"], Done(0, "", ""))


def test_a_damaged_source_is_told_once_and_ends_all(shop: Shop) -> None:
    content = bytearray((shop.directory / "tool/model.safetensors").read_bytes())
    content[-2:] = b"\xc0\x7f"
    shutil.copytree(shop.directory / "tool", shop.directory / "damaged")
    (shop.directory / "damaged/model.safetensors").write_bytes(content)
    shop.manifest("bad.yaml", "ram+", {name: f"./{name}" for name in ("base", *EXPERTS)} | {"tool": "./damaged"})
    done = shop.launched(2, "merge", "bad.yaml", "--out", "bad")
    assert done.code != 0
    assert [line.split(":")[0] for line in done.err.splitlines() if line.startswith(("error", " hint"))] == [
        "error", " hint",
    ]  # fmt: skip
    assert "NaN or infinite" in done.err
    assert done.err.count("exitcode  : 6") == 2
    assert sorted(shop.left("bad")) == ["bad.lock", "bad.yaml"]


TRAP = """
import os, signal, time
from ramekin.merge import orders
real, left = orders._go_over, [{after}]
def trapped(*arguments, **options):
    if not left[0]:
        {action}
    left[0] -= 1
    real(*arguments, **options)
orders._go_over = trapped
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(("victim", "after"), [(1, 0), (0, 3)])
def test_a_process_that_is_killed(shop: Shop, victim: int, after: int) -> None:
    out = f"killed-{victim}-{after}"
    traps = {victim: TRAP.format(after=after, action=KILL)}
    ended = shop.ranks(2, "merge", "ram+.yaml", "--out", out, traps=traps).wait()
    assert ended[victim].code == -signal.SIGKILL
    other = ended[1 - victim]
    assert other.code == 8
    if victim:
        assert_two_lines_each(other)
        assert "one of the 2 processes has ended" in other.err
    else:
        assert (other.out, other.err) == ("", "")
    assert shop.left(out) == [f".{out}.partial"]
    finished = [path.name for path in (shop.directory / f".{out}.partial").glob("*.safetensors")]
    assert finished == ["model-00001-of-00002.safetensors"] * (after > 2)
    done = shop.alone("merge", "ram+.yaml", "--out", out)
    assert done.code == 0, done.err
    assert ("merge model-00001" in done.err) == (after < 3)
    assert shop.contents(out) == shop.contents("one-ram+")
    assert shop.left(out) == [out]


def test_an_interruption_ends_all_at_once(shop: Shop) -> None:
    out = "interrupted"
    marker = shop.directory / f"{out}.reached"
    trap = TRAP.format(after=1, action=f"open({str(marker)!r}, 'w').close(); time.sleep(50)")
    ranks = shop.ranks(2, "merge", "ram+.yaml", "--out", out, traps={1: trap})
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = time.monotonic()
    for _ in range(2):  # the terminal's, and the launcher's
        for process in ranks.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
    first, other = ranks.wait()
    assert time.monotonic() - started < 10
    assert (first.code, other.code) == (130, 130)
    assert first.err.splitlines()[-1] == "interrupted; the same command goes on from here"
    assert (other.out, other.err) == ("", "")
    marker.unlink()
    assert shop.left(out) == [f".{out}.partial"]


def test_processes_that_do_not_come(shop: Shop) -> None:
    soon = "from ramekin.merge import distributed as d\nd._ARRIVAL /= 300"
    ranks = shop.ranks(2, "merge", "ram+.yaml", "--out", "waiting", traps={0: soon, 1: "raise SystemExit(0)"})
    first, _ = ranks.wait()
    assert first.code == 2
    assert_two_lines_each(first)
    assert "do not find each other" in first.err


def test_other_commands_are_the_first_ones_alone(shop: Shop) -> None:
    first, other = shop.ranks(2, "methods").wait()
    assert (first.code, other) == (0, Done(0, "", ""))
    assert "ram+" in first.out


@pytest.fixture
def published(shop: Shop, tmp_path: Path) -> Iterator[Any]:
    with serve(tmp_path / "hub") as hub:
        for name, files in family().items():
            push(hub, name, files)
        shop.manifest("hub.yaml", "ram+", {name: f"demo/{name}" for name in ("base", *EXPERTS)})
        yield hub


def test_only_the_first_publishes(shop: Shop, published: Any, tmp_path: Path) -> None:
    env = {"HF_HUB_OFFLINE": "0", **published.env(tmp_path / "home")}
    first, other = shop.ranks(2, "run", "hub.yaml", "--low-disk", **env).wait()
    assert first.code == 0, first.err
    assert other == Done(0, "", "")
    found = published.store.get("demo/agent")
    head = found.read_commit(found.refs()[DEFAULT_BRANCH])
    assert len([commit for commit in found.history(head) if commit.title != "initial commit"]) == 1
    expected = json.loads((shop.directory / "one-ram+/ramekin/report.json").read_text())["output"]["files"]
    weights = {path: entry.sha256 for path, entry in found.tree(head).items() if path.startswith("model")}
    assert weights == {path: record["sha256"] for path, record in expected.items() if path.startswith("model")}

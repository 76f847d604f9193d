"""What a command loads before it answers. How long that takes is measured by `benchmarks/startup.py`."""

import collections
import json
import os
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramekin.hub import serve
from ramekin.merge.loops.on_processor import count_patterns
from tests.integration.bad_sources import sharded
from tests.integration.conftest import EXPERTS, World, family_files, push

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "numba", "transformers", "safetensors")
NOT_FOR_HELP = (*HEAVY, "huggingface_hub", "pydantic", "jinja2", "ruamel", "rich", "httpx", "asyncio")
WITNESS = """
import json, sys
from ramekin.cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(sorted(sys.modules), file)
sys.exit(code)
"""


def loaded(directory: Path, arguments: tuple[str, ...], environment: dict[str, str] | None = None) -> set[str]:
    """The packages that a command has loaded when it is done."""
    return {name.partition(".")[0] for name in modules(directory, arguments, environment)}


def modules(directory: Path, arguments: tuple[str, ...], environment: dict[str, str] | None = None) -> set[str]:
    """The modules, likewise."""
    seen = directory / "loaded.json"
    subprocess.run(
        [sys.executable, "-c", WITNESS, str(seen), *arguments],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
    )
    return set(json.loads(seen.read_text()))


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("plan", "--help"), ("run", "--help")], ids=" ".join
)
def test_help_loads_nothing_that_it_does_not_need(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not loaded(tmp_path, arguments) & set(NOT_FOR_HELP)


def test_a_plan_loads_nothing_that_reads_weights(world: World) -> None:
    packages = loaded(world.directory, ("plan", "merge.yaml"), world.environment)
    assert not packages & set(HEAVY)
    assert "huggingface_hub" in packages


def test_statistics_wait_for_no_plan_and_no_report(world: World) -> None:
    count_patterns.load()  # else the command would have to compile it, by numba
    found = modules(world.directory, ("stats", "merge.yaml"), world.environment)
    assert "ramekin.merge.engine" in found
    assert not found & {
        "ramekin.plan.making",
        "ramekin.report",
        "ramekin.licences.inheritance",
        "ramekin.stock",
        "numba",
    }


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with a lock and a published merge, for commands that leave it as it is."""
    directory = tmp_path_factory.mktemp("light")
    with serve(directory / "hub") as hub:
        for name in ("base", *EXPERTS):
            push(hub, name, family_files(name))
        (directory / "work").mkdir()
        made = World(hub, directory / "work")
        made.manifest(repo="demo/merged")
        made.ok("run", "merge.yaml")
        yield made


@pytest.mark.parametrize(
    "arguments",
    [
        ("lock", "--upgrade"),
        ("check",),
        ("verify", "demo/merged"),
        ("diff", "demo/merged", "merge.lock"),
        ("methods",),
        ("schema",),
        ("init", "new"),
    ],
    ids=" ".join,
)
def test_other_light_commands(light: World, arguments: tuple[str, ...]) -> None:
    assert not loaded(light.directory, arguments, light.environment) & set(HEAVY)


def test_a_plan_asks_little_of_the_hub(world: World) -> None:
    """A repository in shards costs one request each for state, list, access, card, index, config, and every header."""
    world.hub.store.commit("demo/coder", sharded())
    world.hub.log.clear()
    world.ok("plan", "merge.yaml")
    asked = world.hub.log.requests("GET", "/demo/coder[/?]")
    assert len(asked) <= 6 + 2 + 1, [one.target for one in asked]
    assert max(collections.Counter((one.target, one.range) for one in asked).values()) == 1
    world.hub.log.clear()
    world.ok("plan", "merge.yaml")
    again = world.hub.log.requests("GET", "/demo/coder[/?]")
    assert len(again) <= 2 + 2 + 1, [one.target for one in again]
    assert sum(one.sent for one in again) < 150_000


def test_answers_soon(tmp_path: Path) -> None:
    """Far from what it takes on an idle machine, so that it only fails when something heavy is back."""
    best = 60.0
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ramekin", "--help"], check=True, capture_output=True)
        best = min(best, time.perf_counter() - started)
    assert best < 1.5


def without_index(output: str) -> bool:
    """Whether pip failed because no package index is to be reached."""
    signs = ("No matching distribution", "NewConnectionError", "Failed to establish", "Name or service not known")
    return any(sign in output for sign in signs)


def installing(command: list[str], directory: Path) -> None:
    """Run a command that may need a package index."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode and without_index(done.stdout + done.stderr):
        pytest.skip("no package index is to be reached")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_wheel_alone_can_plan(world: World, tmp_path: Path) -> None:
    """The built wheel, with the light dependencies alone and far from the checkout, holds its templates and plans."""
    installing([sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)], tmp_path)
    wheel = next((tmp_path / "dist").glob("ramekin-*.whl"))
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"ramekin/{path.relative_to(ROOT)}" for path in (ROOT / "templates").rglob("*") if path.is_file()}
    assert wanted <= packed
    assert not [name for name in packed if name.startswith(("tests/", "bot/"))]
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    installing([*pip, "install", "--quiet", "--no-compile", str(wheel)], tmp_path)
    listed = subprocess.run([*pip, "list"], capture_output=True, text=True, check=True).stdout
    assert not set(HEAVY) & {line.split()[0].lower() for line in listed.splitlines() if line.strip()}
    done = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "ramekin"), "plan", "merge.yaml", "--format", "md"],
        cwd=world.directory,
        env={name: value for name, value in world.environment.items() if name != "PYTHONPATH"} | {"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "demo/memory" in done.stdout

"""Neurons watched otherwise than in the paper, through the command line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from ramekin.hub import Hub, serve
from tests.integration.agents import WatchingWorld, contents, stock, write_manifest
from tests.integration.conftest import Done, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WATCHED = re.compile(r"^watching .* tokens\)$", re.MULTILINE)

ROLE = {"role: assistant": 'role: {regex: "number (?P<span>[0-9]+)"}'}
"""Narrower than all that the assistant says, which cannot be contrasted with itself."""

OTHERWISE = "  repair: all\n  saliency: contrast\n  shift: -1\n"
TOLD = (
    "neurons are told by the magnitude of a neuron in the role less that in all that the assistant says, at the token "
    "before each of the role's"
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(tmp_path_factory.mktemp("hub")) as made:
        stock(made)
        yield made


@pytest.fixture(scope="module")
def world(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The paper's way stands in `out`, the other in `otherwise`, merged one after the other."""
    (directory := tmp_path_factory.mktemp("measures") / "work").mkdir()
    made = WatchingWorld(hub, directory, {"OMP_NUM_THREADS": "1"})
    write_manifest(made, **ROLE)
    made.ok("merge", "merge.yaml", "--out", "out")
    return made


@pytest.fixture(scope="module")
def done(world: World) -> Done:
    write_manifest(world, method=OTHERWISE, **ROLE)
    return world.ok("merge", "merge.yaml", "--out", "otherwise")


def report_of(directory: Path) -> Any:
    return json.loads((directory / "ramekin/report.json").read_text())


def test_what_is_merged(world: World, done: Done) -> None:
    plain, other = (report_of(world.directory / where) for where in ("out", "otherwise"))
    assert len(WATCHED.findall(done.err)) == 6, "what was measured in the paper's way is another measurement"
    assert TOLD in done.err
    assert {"saliency": "contrast", "shift": -1}.items() <= other["comparison"].items()
    assert {"saliency": "contrast", "shift": -1}.items() <= other["method"].items()
    assert not {"saliency", "shift"} & {*plain["comparison"], *plain["method"]}
    assert plain["key"] != other["key"]
    chosen = [load_file(world.directory / where / "ramekin/neurons.safetensors") for where in ("out", "otherwise")]
    assert any((chosen[0][name] != chosen[1][name]).any() for name in chosen[0].keys() & chosen[1].keys())
    card = (world.directory / "otherwise/README.md").read_text()
    assert f"What a neuron does is told here {TOLD.removeprefix('neurons are told ')}" in card
    assert "What a neuron does is told here" not in (world.directory / "out/README.md").read_text()
    assert world.ok("verify", "otherwise", "--remerge", "--json", env=home(world)).data["ok"]


def home(world: World) -> dict[str, str]:
    return {"HF_HOME": str(world.directory / "home")}


def test_again_from_what_is_known(world: World, done: Done) -> None:
    write_manifest(world, method=OTHERWISE, **ROLE)
    again = world.ok("merge", "merge.yaml", "--out", "again")
    assert "watching " not in again.err
    assert contents(world.directory / "again") == contents(world.directory / "otherwise")


def test_sweep_and_compare(world: World, done: Done) -> None:
    write_manifest(world, method=OTHERWISE, **ROLE)
    activation = report_of(world.directory / "otherwise")["activation"]
    swept = world.ok("sweep-k", "merge.yaml", "--k", "0.2,1", "--json")
    assert "watching " not in swept.err
    assert swept.data["sweep"][0]["mean_aos"] == activation["mean_aos"]
    assert [(each["saliency"], each["shift"]) for each in swept.data["sweep"]] == [("contrast", -1)] * 2
    assert world.ok("sweep-k", "merge.yaml", "--k", "0.2").out.endswith(f"\n{TOLD}\n")
    assert TOLD in world.ok("compare", "merge.yaml").out
    compared = world.ok("compare", "merge.yaml", "--json").data
    assert (compared["saliency"], compared["shift"]) == ("contrast", -1)
    write_manifest(world, **ROLE)
    assert "neurons are told" not in world.ok("sweep-k", "merge.yaml", "--k", "0.2").out
    plain = world.ok("sweep-k", "merge.yaml", "--k", "0.2", "--json").data["sweep"][0]
    assert not {"saliency", "shift"} & {*plain, *world.ok("compare", "merge.yaml", "--json").data}


def test_a_role_that_cannot_be_contrasted_is_told_before_anything_is_loaded(hub: Hub, tmp_path: Path) -> None:
    world = WatchingWorld(hub, tmp_path, {"OMP_NUM_THREADS": "1"})
    write_manifest(world, method=OTHERWISE)
    text = json.dumps({"id": "a", "text": "run ls", "spans": [[4, 6]]})
    (world.directory / "code.jsonl").write_text(text)
    for command in (("merge", "--out", "never"), ("compare",), ("sweep-k",)):
        found = world.ramekin(command[0], "merge.yaml", *command[1:])
        assert found.code == 6
        assert [line[:5] for line in found.error_lines] == ["error", " hint"] * 2
        assert "in `benchmarks.code.calibration` nobody knows all that the assistant says" in found.err
        assert "in `benchmarks.notes.calibration` the role is all that the assistant says" in found.err
        assert "watching " not in found.err
    assert not (world.directory / "never").exists()
    # Everything that only looks at the role itself goes on.
    world.ok("roles", "merge.yaml")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  saliency: contrasts\n", "`method.saliency` is the text `contrasts`"),
        ("  shift: 1\n", "`method.shift` is the number 1"),
    ],
)
def test_wrong_values_are_told_with_their_line(world: World, line: str, told: str) -> None:
    text = write_manifest(world, method=line, **ROLE).read_text()
    found = world.ramekin("plan", "merge.yaml")
    assert found.code == 2
    number = text.splitlines().index(line.rstrip()) + 1
    assert f"merge.yaml:{number}: {told}" in found.err
    assert [each[:5] for each in found.error_lines] == ["error", " hint"]

"""What ARM refuses before it fetches, and what it tells of what it saw and did."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from ramekin.hub import Hub, serve
from tests.integration.agents import WatchingWorld, checkpoint, stock, write_manifest
from tests.integration.conftest import World, push

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve(tmp_path_factory.mktemp("hub")) as hub:
        stock(hub)
        (directory := tmp_path_factory.mktemp("told") / "work").mkdir()
        yield WatchingWorld(hub, directory, dict(ONE_THREAD))


def report_of(directory: Path) -> Any:
    return json.loads((directory / "ramekin/report.json").read_text())


def other(hub: Hub, name: str, files: dict[str, bytes]) -> str:
    """An expert that is the coder but for some files."""
    push(hub, name, checkpoint("coder") | files)
    return f"demo/{name}"


def padded(hub: Hub) -> str:
    """With eight rows more for tokens that there are not."""
    files = checkpoint("coder")
    weights = load(files["model.safetensors"])
    rows = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = torch.cat([rows, torch.zeros_like(rows[:8])])
    config = json.loads(files["config.json"]) | {"vocab_size": len(rows) + 8}
    changed = {"model.safetensors": save(weights, {"format": "pt"}), "config.json": json.dumps(config).encode()}
    return other(hub, "padded", changed)


def speaking(hub: Hub) -> str:
    """With a token more."""
    found = json.loads(checkpoint("coder")["tokenizer.json"])
    more = dict(found["added_tokens"][-1]) | {"id": 270, "content": "<tool_call>"}
    found["added_tokens"].append(more)
    return other(hub, "speaking", {"tokenizer.json": json.dumps(found).encode()})


def by_ram(world: World, expert: str) -> str:
    """The manifest with a method that watches nothing."""
    text = write_manifest(world, **{"demo/coder": expert}).read_text()
    start, end = text.index("method:"), text.index("benchmarks:")
    (world.directory / "ram.yaml").write_text(f"{text[:start]}method:\n  name: ram+\n{text[end:]}")
    return "ram.yaml"


@pytest.mark.parametrize(("make", "word"), [(padded, "model.embed_tokens.weight"), (speaking, "270 (`<tool_call>`)")])
def test_experts_that_cannot_be_watched_are_refused_before_they_are_fetched(make: Any, word: str, world: World) -> None:
    expert = make(world.hub)
    manifest = by_ram(world, expert)
    for command in (("plan", "merge.yaml"), ("merge", "merge.yaml", "--out", "refused"), ("compare", manifest)):
        done = world.ramekin(*command)
        assert done.code == 5, done.err
        assert word in done.out + done.err
        assert "coder" in done.out + done.err
        assert "watching" not in done.err
        assert "fetching" not in done.err
    found = world.ok("plan", manifest, "--json").data
    assert {finding["severity"] for finding in found["findings"]} == {"note"}

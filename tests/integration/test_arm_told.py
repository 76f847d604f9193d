"""What ARM refuses before it fetches, and what it tells of what it saw and did."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from ramekin.hub import Hub, serve
from tests.integration.agents import WatchingWorld, checkpoint, stock, write_manifest
from tests.integration.conftest import Done, World, push

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


@pytest.fixture(scope="module")
def merged(world: World) -> tuple[Any, Done, str]:
    """A merge with two chat templates, and one of the experts in float32: report, what was told, and card."""
    files = checkpoint("coder")
    wide = {name: tensor.float() for name, tensor in load(files["model.safetensors"]).items()}
    expert = other(world.hub, "wide", {"model.safetensors": save(wide, {"format": "pt"})})
    template = json.loads(files["tokenizer_config.json"]).get("chat_template") or files["chat_template.jinja"].decode()
    (world.directory / "own.jinja").write_text(f"{template}{{# another #}}")
    calibration = "calibration: ./code.jsonl"
    more = {"demo/coder": expert, calibration: f"{calibration}\n    chat_template: ./own.jinja"}
    write_manifest(world, **more)
    done = world.ok("merge", "merge.yaml", "--out", "out")
    return report_of(world.directory / "out"), done, (world.directory / "out/README.md").read_text()


def test_the_report_says_what_models_read_and_on_what(merged: tuple[Any, Done, str]) -> None:
    report, _, card = merged
    comparison = report["comparison"]
    assert comparison["template"] is None, "there are two"
    runs = comparison["calibration"]
    assert runs["calls"]["template"] == runs["notes"]["template"] != runs["code"]["template"]
    assert len({each["data_sha256"] for each in runs.values()}) == 3
    for each in runs.values():
        assert f"`sha256:{each['template']}`" in card
        assert f"`sha256:{each['data_sha256']}`" in card
        assert each["dev_sha256"] is None
        assert 0 < each["split_half"] <= 1
    assert comparison["device"] == "cpu"
    assert (comparison["torch"], comparison["transformers"]) == (torch.__version__, version("transformers"))
    assert f"on cpu, torch {torch.__version__}, transformers" in card.replace("\\", "")
    few = [name for name, each in runs.items() if each["split_half"] < 0.95]
    assert few, "or the next line says nothing"
    assert f"{len(few)} of 3 benchmarks have less, so more runs are worth it there" in card


def test_the_log_says_what_was_decided_and_why(merged: tuple[Any, Done, str]) -> None:
    report, done, _ = merged
    comparison, activation = report["comparison"], report["activation"]
    assert f"\nbackbone: {comparison['selected']}, by aos, " in done.err
    assert "\nrepaired: all of them, as `repair` says\n" in done.err
    for name, found in activation["transplanted"].items():
        assert f"\nrepaired: {name} gets {found['neurons']} of 96 neurons ({found['fraction']:.2%}) of" in done.err
    for name, runs in comparison["calibration"].items():
        line = f"\n{name}: two halves of its 7 runs agree on {runs['split_half']:.3f} of {runs['expert']}'s neurons"
        assert (line in done.err) == (runs["split_half"] < 0.95)
    # Samples of the public datasets alone, three each, on a line each.
    assert done.err.count("\ncalls, run calls-") == done.err.count("\nnotes, run notes-") == 3
    assert "\ncode, run" not in done.err
    assert "⟦<tool_call>\\n" in done.err
    assert "/srv/" not in done.err


def test_rounded_neurons_are_told(merged: tuple[Any, Done, str], world: World) -> None:
    report, done, card = merged
    assert "warning: neurons of `coder` are float32, and are rounded to bfloat16\n" in done.err
    note = "coder: neurons: what it gives is float32, and is rounded to the merge's bfloat16"
    assert note in report["notes"]
    assert note in card.replace("\\", "")
    assert "rounded to the merge's bfloat16" in " ".join(world.ok("plan", "merge.yaml").out.split())


def test_the_other_commands_know_the_halves(merged: tuple[Any, Done, str], world: World) -> None:
    report, _, _ = merged
    expected = {name: each["split_half"] for name, each in report["comparison"]["calibration"].items()}
    done = world.ok("sweep-k", "merge.yaml", "--json", "--k", "0.2,1")
    assert "watching" not in done.err, "what halves say is kept with the rest"
    assert done.data["sweep"][0]["split_half"] == expected
    assert {*done.data["sweep"][1]["split_half"].values()} == {1.0}
    assert f"{min(expected.values()):.3f}" in world.ok("sweep-k", "merge.yaml", "--k", "0.2").out


def test_it_is_derived_again(merged: tuple[Any, Done, str], world: World) -> None:
    """With whatever versions and device it was chosen."""
    path = world.directory / "out/ramekin/report.json"
    before = path.read_text()
    report = json.loads(before)
    report["comparison"] |= {"device": "another", "torch": "0.1", "transformers": None}
    path.write_text(json.dumps(report))
    done = world.ok("verify", "out", "--remerge", "--json")
    path.write_text(before)
    assert done.data["ok"]
    assert done.data["remerged"] >= 2, "weights and neurons"
    assert "watching" not in done.err


def test_compare_shows_all_in_one_table(merged: tuple[Any, Done, str], world: World, tmp_path: Path) -> None:
    """Likelihood, too, though this method decides nothing by it; and what would be chosen is what was."""
    report, _, _ = merged
    expected = report["comparison"]
    found = world.ok("compare", "merge.yaml", "--json").data
    for name, each in found["candidates"].items():
        assert each["aos"] == expected["candidates"][name]["aos"]
        assert each["likelihood"].keys() == found["calibration"].keys()
        assert each["changed"] == expected["candidates"][name]["changed"]
    assert (found["selected"], found["decided_by"]) == (expected["selected"], "aos")
    for name, runs in found["calibration"].items():
        assert (runs["dev_watched"], runs["held_out"]) == (True, False)
        assert runs["dev_trajectories"] in {2, 3}, "two of six tasks, one of which has two runs"
        assert runs["split_half"] == expected["calibration"][name]["split_half"]
        assert found["experts"][name]["likelihood"].keys() == {name}

    done = world.ok("compare", "merge.yaml", "--plots", str(tmp_path / "plots"))
    assert "watching" not in done.err, "all of it is known"
    head, *rows = done.out.splitlines()[:5]
    assert head.split() == ["mean", "of", "3,", "top_k", "0.2", "AOS", "nats", "a", "token", "weights", "changed"]
    assert [row[0] == "*" for row in rows[:3]] == [name == found["selected"] for name in found["candidates"]]
    for row, (name, each) in zip(rows, found["candidates"].items(), strict=False):
        likelihood = sum(each["likelihood"].values()) / 3
        assert row[2:].startswith(name)
        assert row.split("  █")[0].split()[-3:] == [
            f"{each['mean_aos']:.3f}",
            f"{likelihood:.4f}",
            f"{each['changed']:,}",
        ]
    assert "each expert on its own" in rows[3]
    assert "likelihood on a part of the runs that neurons were watched in: code, calls, notes" in done.out
    assert "two halves of its 7 runs agree on" in done.out
    assert {"aos.svg", "candidates.svg"} <= {path.name for path in (tmp_path / "plots").iterdir()}


def test_compare_shows_answers_where_there_are_any(merged: tuple[Any, Done, str], world: World) -> None:
    text = (world.directory / "merge.yaml").read_text()
    asked = text.replace("role: assistant\n", "role: assistant\n    evaluate: exact\n    max_new_tokens: 4\n")
    (world.directory / "asked.yaml").write_text(asked)
    found = world.ok("compare", "asked.yaml", "--json").data
    assert {*found["candidates"]["ties"]["scores"]} == {"notes"}
    assert all(each["likelihood"].keys() == found["calibration"].keys() for each in found["candidates"].values())

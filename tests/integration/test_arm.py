"""ARM through the command line: what models do is watched, what is merged is the same every time."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file

from ramekin.hub import Hub, serve
from ramekin.hub.records import DEFAULT_BRANCH
from tests.integration.agents import DATA, SECRET, WatchingWorld, checkpoint, contents, runs, stock, write_manifest
from tests.integration.conftest import Done, World, push
from tests.integration.served import server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BENCHMARKS = {"code": "coder", "calls": "tool", "notes": "memory"}
POOL = ["average", "task-arithmetic (weight 0.7)", "ties"]
WATCHED = re.compile(r"^watching (.*) \([\d,]+ tokens\)$", re.MULTILINE)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(tmp_path_factory.mktemp("hub")) as made:
        stock(made)
        yield made


def place(hub: Hub, directory: Path) -> World:
    directory.mkdir(parents=True)
    world = WatchingWorld(hub, directory, dict(ONE_THREAD))
    write_manifest(world)
    return world


@pytest.fixture
def world(hub: Hub, tmp_path: Path) -> World:
    return place(hub, tmp_path / "work")


@pytest.fixture(scope="module")
def merged(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Done]:
    """A merge that was not disturbed."""
    world = place(hub, tmp_path_factory.mktemp("merged") / "work")
    return world, world.ok("merge", "merge.yaml", "--out", "out")


def watched(done: Done) -> list[str]:
    """The models that were looked at."""
    return WATCHED.findall(done.err)


def report_of(directory: Path) -> Any:
    return json.loads((directory / "ramekin/report.json").read_text())


def fails(done: Done, code: int, *words: str) -> None:
    """It ended with an exit code and two lines."""
    assert done.code == code, done.err
    assert [line[:5] for line in done.error_lines] == ["error", " hint"], done.err
    for word in words:
        assert word in done.err


def test_the_plan_tells_what_will_be_looked_at(world: World) -> None:
    shown = world.ok("plan", "merge.yaml").out
    data = world.ok("plan", "merge.yaml", "--json").data
    sources = {source["role"]: source for source in data["sources"]}
    assert {f"data:{name}:calibration" for name in BENCHMARKS} < sources.keys()
    assert sources["data:calls:calibration"]["kind"] == "hub"
    assert sources["data:calls:calibration"]["license"] == "cc-by-4.0"
    assert "arm" in shown
    assert data["cost"]["memory_bytes"] > 1 << 30, "torch and the model are reckoned with"


def test_roles(world: World) -> None:
    done = world.ok("roles", "merge.yaml", "--json")
    text = world.ok("roles", "merge.yaml").out
    assert {*BENCHMARKS} <= {*re.findall(r"[a-z]+", text)}
    assert "ls -la /srv/0" in text
    assert '"name": "find"' in text
    found = json.dumps(done.data)
    for name in BENCHMARKS:
        assert name in found
    assert not (world.directory / "merge.lock").exists(), "looking leaves nothing"
    calls = done.data["benchmarks"]["calls"]["calibration"]
    assert (calls["turns"], calls["violating_turns"], calls["turn_violation_rate"]) == (14, 0, 0)
    assert "violations    0 in 0 of 7 trajectories (0.0%) and 0 of 14 turns (0.0%)" in text
    assert "error" not in done.data


def test_roles_are_shown_where_they_are_needed_most(world: World) -> None:
    """One benchmark has another role than its runs, of another many runs cannot be used, and the third is as it was."""
    write_manifest(world, **{"role: assistant": "role: webshop"})
    lines = (world.directory / "code.jsonl").read_text().splitlines()
    lines[-1] = lines[-1].replace("OK", r"<|im_end|>\n OK")
    (world.directory / "code.jsonl").write_text("\n".join(lines))
    done = world.ramekin("roles", "merge.yaml")
    assert done.code == 6
    assert [line[:5] for line in done.error_lines] == ["error", " hint"] * 2
    assert "error: 1 of 7 trajectories of `benchmarks.code.calibration` cannot be used: `code-6`" in done.err
    assert "error: ARM_EMPTY_ROLE: in `benchmarks.notes.calibration`" in done.err
    assert "1 not to be used" in done.out
    assert "not used      code-6: " in done.out
    assert "⟦ls -la /srv/0⟧" in done.out
    assert "⟦<tool_call>" in done.out
    assert "0, 7 without the role" in done.out
    assert "notes-0: what the assistant says, in which there is no role" in done.out
    assert f"| It is {SECRET}, and number 0." in done.out
    found = world.ramekin("roles", "merge.yaml", "--json")
    assert found.code == 6
    assert (found.data["error"]["reason"], found.data["error"]["exit_code"]) == ("damaged", 6)
    assert len(found.data["error"]["problems"]) == 2
    assert found.data["benchmarks"]["notes"]["calibration"]["without"] == 7
    assert found.data["benchmarks"]["notes"]["samples"][0]["pieces"][0][1] is False
    write_manifest(world, **{"role: assistant": "role: none"})
    assert "notes-0: what the assistant says" in world.ok("roles", "merge.yaml").out
    fails(world.ramekin("merge", "merge.yaml", "--out", "out"), 6, "ARM_EMPTY_ROLE", "benchmarks.notes")


def test_what_is_merged(merged: tuple[World, Done]) -> None:
    """The chosen candidate with the experts' rows and columns in it, by hand."""
    world, done = merged
    assert watched(done) == [*dict.fromkeys(BENCHMARKS.values()), *POOL]
    report = report_of(world.directory / "out")
    activation, comparison = report["activation"], report["comparison"]
    assert list(comparison["candidates"]) == POOL
    best = max(POOL, key=lambda name: (activation["mean_aos"][name], -POOL.index(name)))
    assert comparison["selected"] == activation["selected"] == best
    assert activation["weak"] == [*BENCHMARKS]
    assert activation["neurons"] == 2 * 48

    method = {"task-arithmetic (weight 0.7)": "task-arithmetic\n  weight: 0.7"}.get(best, best)
    write_manifest(world)
    text = (world.directory / "merge.yaml").read_text()
    start, end = text.index("method:"), text.index("output:")
    (world.directory / "plain.yaml").write_text(f"{text[:start]}method:\n  name: {method}\n{text[end:]}")
    world.ok("merge", "plain.yaml", "--out", "plain")
    plain, found = (load_file(world.directory / where / "model.safetensors") for where in ("plain", "out"))
    rows = load_numpy(world.directory / "out/ramekin/neurons.safetensors")
    expected = {name: value.clone() for name, value in plain.items()}
    count = 0
    for name, expert in BENCHMARKS.items():
        (world.directory / expert).mkdir(exist_ok=True)
        (world.directory / expert / "model.safetensors").write_bytes(checkpoint(expert)["model.safetensors"])
        theirs = load_file(world.directory / expert / "model.safetensors")
        for layer in range(2):
            chosen = np.flatnonzero(rows[f"{name}.{layer:04}"]).tolist()
            mlp = f"model.layers.{layer}.mlp"
            for tensor in (f"{mlp}.gate_proj.weight", f"{mlp}.up_proj.weight"):
                expected[tensor][chosen] = theirs[tensor][chosen]
            expected[f"{mlp}.down_proj.weight"][:, chosen] = theirs[f"{mlp}.down_proj.weight"][:, chosen]
            count += len(chosen)
    assert count == sum(each["applied"] for each in activation["transplanted"].values()) > 0
    assert activation["weights_replaced"] == count * 3 * 32
    assert found.keys() == expected.keys()
    assert all(found[name].equal(value) for name, value in expected.items())
    assert any(not found[name].equal(value) for name, value in plain.items())


def test_again_into_another_directory(merged: tuple[World, Done]) -> None:
    world, _ = merged
    write_manifest(world)
    done = world.ok("merge", "merge.yaml", "--out", "again")
    assert watched(done) == [], "what was measured is known"
    assert contents(world.directory / "again") == contents(world.directory / "out")


def test_without_the_network(merged: tuple[World, Done]) -> None:
    world, _ = merged
    write_manifest(world)
    world.ok(
        "merge",
        "merge.yaml",
        "--out",
        "offline",
        "--locked",
        env={"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"},
    )
    assert contents(world.directory / "offline") == contents(world.directory / "out") | {
        "README.md": contents(world.directory / "offline")["README.md"]  # its links lead to the other address
    }


def test_verifying_does_not_watch(merged: tuple[World, Done]) -> None:
    world, _ = merged
    write_manifest(world)
    done = world.ok("verify", "out", "--remerge", "--json", env={"HF_HOME": str(world.directory / "home")})
    assert done.data["ok"]
    assert done.data["remerged"] >= 2, "weights and neurons"
    assert watched(done) == []


def test_a_neuron_that_is_another_is_found(merged: tuple[World, Done], tmp_path: Path) -> None:
    world, _ = merged
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(world.directory / "out"), str(copy)], check=True)
    path = copy / "ramekin/neurons.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = world.ramekin("verify", str(copy), "--remerge")
    assert done.code == 6
    assert "neurons.safetensors" in done.err
    assert "Traceback" not in done.err


TRAP = """
import os, signal
from ramekin.arm import observing
real, left = observing.Observer.measure, [{after}]
def trapped(*arguments, **options):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return real(*arguments, **options)
observing.Observer.measure = trapped
"""


@pytest.mark.parametrize("after", [0, 4])
def test_killed_while_watching(after: int, world: World, merged: tuple[World, Done]) -> None:
    command = ("merge", "merge.yaml", "--out", "out")
    code, _, err = server("--models").run(command, world.directory, world.environment, before=TRAP.format(after=after))
    assert code == -signal.SIGKILL, err
    assert not (world.directory / "out").exists()
    done = world.ok("merge", "merge.yaml", "--out", "out")
    assert watched(done) == [*BENCHMARKS.values(), *POOL][after:], "what was measured before is not measured again"
    assert contents(world.directory / "out") == contents(merged[0].directory / "out")
    assert not [path for path in world.directory.iterdir() if path.name.startswith(".out")]


POOL_TEXT = "[average, {name: task-arithmetic, weight: 0.7}, ties]"
THREE = "[{name: ram+, epsilon: 0.001}, {name: ram+, epsilon: 0.002}, {name: ram+s, epsilon: 0.004}]"
PASSES = re.compile(r"^(statistics|candidates|merge \S+) \(", re.MULTILINE)


@pytest.mark.parametrize("pool", ["[ram+]", THREE], ids=["one", "three"])
def test_what_was_counted_for_candidates_is_not_counted_again(pool: str, world: World) -> None:
    """One pass for all statistics, whatever the thresholds; and the same as when the winner is merged alone."""
    write_manifest(world, "  repair: none\n", **{POOL_TEXT: pool})
    done = world.ok("merge", "merge.yaml", "--out", "out")
    assert PASSES.findall(done.err) == ["statistics", "candidates", "merge model.safetensors"]
    report = report_of(world.directory / "out")
    method = report["comparison"]["candidates"][report["comparison"]["selected"]]["method"]
    text = (world.directory / "merge.yaml").read_text()
    start, end = text.index("method:"), text.index("output:")
    (world.directory / "plain.yaml").write_text(f"{text[:start]}method: {json.dumps(method)}\n{text[end:]}")
    world.ok("merge", "plain.yaml", "--out", "plain")
    alone = report_of(world.directory / "plain")
    assert alone["overlap"] == report["overlap"]
    assert alone["output"]["files"]["model.safetensors"] == report["output"]["files"]["model.safetensors"]
    assert alone["cost"]["bytes_read"] == report["cost"]["bytes_read"], "one pass to count, and one to merge"


def in_two(world: World) -> list[tuple[int, str, str]]:
    """A merge by two processes: what each ends with."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(2):
        where = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
        where |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = world.environment | {name: str(value) for name, value in where.items()}
        started.append(server("--models").start(("merge", "merge.yaml", "--out", "out"), world.directory, environment))
    return [process.wait(200) for process in started]


def test_several_processes(world: World, merged: tuple[World, Done]) -> None:
    first, other = in_two(world)
    assert first[0] == 0, first
    assert other == (0, "", "")
    assert contents(world.directory / "out") == contents(merged[0].directory / "out")


def test_several_processes_count_together(world: World) -> None:
    write_manifest(world, "  repair: none\n", **{POOL_TEXT: THREE})
    first, other = in_two(world)
    assert first[0] == 0, first
    assert other == (0, "", "")
    assert PASSES.findall(first[2]) == ["statistics", "candidates", "merge model.safetensors"]
    shutil.rmtree(world.directory / "home")
    world.ok("merge", "merge.yaml", "--out", "alone")
    assert contents(world.directory / "out") == contents(world.directory / "alone")
    several, one = (report_of(world.directory / out)["cost"]["bytes_read"] for out in ("out", "alone"))
    assert several == one


def test_published(world: World, hub: Hub) -> None:
    write_manifest(world, method="  repair: [calls]\n", repo="demo/published")
    done = world.ok("run", "merge.yaml", "--json")
    found = hub.store.get("demo/published")
    tree = found.tree(found.read_commit(found.refs()[DEFAULT_BRANCH]))
    assert {"ramekin/neurons.safetensors", "ramekin/report.json", "README.md", "model.safetensors"} < tree.keys()
    assert len(world.commits("demo/published")) == 1
    state = world.directory / "home" / "ramekin"
    assert {path.name for path in state.iterdir()} <= {"blobs", "digests.json", "measured", "runs"}
    verified = world.ok("verify", "demo/published", "--remerge", "--json")
    assert verified.data["ok"]
    assert verified.data["remerged"] >= 2
    again = world.ok("run", "merge.yaml")
    assert len(world.commits("demo/published")) == 1
    assert watched(again) == []
    assert done.code == 0


def test_compare_and_sweep(merged: tuple[World, Done]) -> None:
    world, _ = merged
    write_manifest(world)
    before = {path.name for path in world.directory.iterdir()}
    report = report_of(world.directory / "out")
    found = world.ok("compare", "merge.yaml", "--json").data
    assert list(found["candidates"]) == POOL
    for name in POOL:
        assert found["candidates"][name]["aos"] == report["comparison"]["candidates"][name]["aos"]
        assert found["candidates"][name]["changed"] == report["comparison"]["candidates"][name]["changed"]
    done = world.ok("sweep-k", "merge.yaml", "--json", "--k", "0.2,1,0.05")
    assert watched(done) == [], "all of that is known"
    sweep = done.data["sweep"]
    assert [each["top_k"] for each in sweep] == [0.05, 0.2, 1.0]
    assert sweep[1]["mean_aos"] == report["activation"]["mean_aos"]
    assert sweep[1]["selected"] == report["activation"]["selected"]
    assert {*sweep[2]["mean_aos"].values()} == {1.0}
    assert {*sweep[2]["transplanted"].values()} == {0.0}
    assert {path.name for path in world.directory.iterdir()} == before


def test_best_of(merged: tuple[World, Done]) -> None:
    world, _ = merged
    text = write_manifest(world).read_text()
    start, end = text.index("method:"), text.index("benchmarks:")
    method = "method:\n  name: best-of\n  pool: [average, ties]\n  trace_dtype: float32\n"
    (world.directory / "best.yaml").write_text(text[:start] + method + text[end:])
    done = world.ok("merge", "best.yaml", "--out", "best")
    report = report_of(world.directory / "best")
    likelihood = {
        name: sum(each["likelihood"].values()) / 3 for name, each in report["comparison"]["candidates"].items()
    }
    best = min(likelihood, key=lambda name: likelihood[name])
    assert (report["comparison"]["selected"], report["comparison"]["decided_by"]) == (best, "likelihood")
    assert report["activation"] is None if "activation" in report else True
    assert all(each["held_out"] for each in report["comparison"]["calibration"].values())
    assert {each["dev"] for each in report["comparison"]["calibration"].values()} == {None}
    assert not (world.directory / "best/ramekin/neurons.safetensors").exists()
    assert "coder" in watched(done)
    write_manifest(world)


def test_tuned(merged: tuple[World, Done]) -> None:
    """The search begins from the best of the pool, which is RAM's; what it finds can be merged by name."""
    world, _ = merged
    text = write_manifest(world).read_text()
    start, end = text.index("method:"), text.index("benchmarks:")

    def merge(method: str, name: str) -> Any:
        (world.directory / f"{name}.yaml").write_text(text[:start] + method + text[end:])
        world.ok("merge", f"{name}.yaml", "--out", name)
        return report_of(world.directory / name)

    report = merge("method:\n  name: tuned\n  pool: [ram, ram+s]\n  budget: 4\n  trace_dtype: float32\n", "tuned")
    comparison, tuned = report["comparison"], report["comparison"]["tuned"]
    assert tuned["start"] in {"ram", "ram+s"}
    assert 1 <= len(tuned["tried"]) <= 4
    assert [*comparison["candidates"]] == ["ram", "ram+s", *tuned["tried"]]
    means = {name: sum(each["likelihood"].values()) / 3 for name, each in comparison["candidates"].items()}
    assert comparison["selected"] == min(means, key=lambda name: means[name])
    assert tuned["kept"].keys() == tuned["before"].keys() == tuned["after"].keys() == BENCHMARKS.keys()
    assert all(tuned["kept"].values())
    assert "tuning" in (world.directory / "tuned/README.md").read_text().lower()

    found = comparison["candidates"][comparison["selected"]]["method"]
    by_name = "method:\n" + "".join(f"  {key}: {value}\n" for key, value in found.items())
    plain = merge(by_name, "found-by-tuning")
    weights = "model.safetensors"
    assert report["output"]["files"][weights] == plain["output"]["files"][weights]
    world.ok("verify", "tuned", "--remerge")
    write_manifest(world)


def test_repair_by_likelihood(merged: tuple[World, Done]) -> None:
    world, _ = merged
    write_manifest(world, method="")
    world.ok("merge", "merge.yaml", "--out", "auto")
    report = report_of(world.directory / "auto")
    activation, comparison = report["activation"], report["comparison"]
    assert activation["rule"] == "likelihood"
    of_backbone = comparison["candidates"][activation["selected"]]["likelihood"]
    for name, gap in activation["gaps"].items():
        own = comparison["experts"][name]["likelihood"][name]
        assert gap == pytest.approx(of_backbone[name] - own)
        assert (gap > 0.02) == (name in activation["weak"])
    write_manifest(world)


def test_refusals(world: World, hub: Hub) -> None:
    fails(world.ramekin("merge", "merge.yaml", "--out", "out", "--low-disk"), 2, "low-disk")
    fails(world.ramekin("run", "merge.yaml", "--low-disk"), 2, "low-disk")
    assert not (world.directory / "out").exists()
    text = (world.directory / "merge.yaml").read_text()

    (world.directory / "merge.yaml").write_text(text.replace("hf://datasets/demo/runs/", "hf://datasets/demo/absent/"))
    fails(world.ramekin("plan", "merge.yaml"), 4, "demo/absent")

    files = checkpoint("base")
    config = json.loads(files["config.json"]) | {"num_local_experts": 4}
    if hub.store.find("demo/mixture") is None:
        push(hub, "mixture", files | {"config.json": json.dumps(config).encode()})
    (world.directory / "merge.yaml").write_text(text.replace("base: demo/base", "base: demo/mixture"))
    done = world.ramekin("plan", "merge.yaml")
    assert done.code == 5
    assert "ARM_UNSUPPORTED_MOE" in done.out + done.err
    assert "Traceback" not in done.err
    assert not (world.directory / "merge.lock").exists()


def test_what_is_wrong_with_runs_is_told_before_anything_is_loaded(world: World) -> None:
    write_manifest(world, method="")
    lines = runs("code").decode().splitlines()
    (world.directory / "code.jsonl").write_text("\n".join([*lines[:2], "{", lines[3]]))
    done = world.ramekin("merge", "merge.yaml", "--out", "out")
    fails(done, 6, "code.jsonl", "3")
    assert watched(done) == []
    assert not (world.directory / "out").exists()


def test_what_is_longer_than_learned_positions_is_refused_before_weights_are_loaded(world: World) -> None:
    """Development data, and prompts with their answers: models with 256 positions, and a token for each byte."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    files = {name: text for name, text in checkpoint("coder").items() if "token" in name or "template" in name}
    sizes = {"vocab_size": 272, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256}
    for name in ("base", "coder", "tool"):
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)).save_pretrained(world.directory / name)
        for file, text in files.items():
            (world.directory / name / file).write_bytes(text)

    def write(use: str, first: int, length: int) -> None:
        lines = []
        for number in range(first, first + 4):
            asked = {"role": "user", "content": "x" * length + str(number)}
            messages = [asked, {"role": "assistant", "content": f"run ls {number}"}]
            lines.append(json.dumps({"id": f"r{number}", "task_id": f"t{number}", "messages": messages}))
        (world.directory / f"{use}.jsonl").write_text("\n".join(lines))

    text = (
        "version: 1\nbase: ./base\nexperts: {coder: ./coder, tool: ./tool}\nmethod: {name: arm, pool: [average]}\n"
        "benchmarks:\n  code: {expert: coder, role: assistant, calibration: ./calibration.jsonl, dev: ./dev.jsonl}\n"
        "output: {repo: demo/g}\ncard: {license: mit}\n"
    )
    write("calibration", 0, 20)
    write("dev", 10, 300)
    world.manifest(text)
    done = world.ramekin("merge", "merge.yaml", "--out", "out")
    fails(done, 5, "`benchmarks.code.dev`: `r10` takes 3", "and the models have 256 positions", "max_tokens: 256")
    assert watched(done) == []
    (world.directory / "merge.lock").unlink()
    write("dev", 10, 100)
    world.manifest(text.replace("./dev.jsonl", "./dev.jsonl, evaluate: exact"))
    done = world.ramekin("merge", "merge.yaml", "--out", "out")
    fails(done, 5, "a prompt with an answer of 256 tokens takes 3", "set a lower `max_new_tokens`")
    assert watched(done) == []
    world.manifest(text.replace("./dev.jsonl", "./dev.jsonl, evaluate: exact, max_new_tokens: 4"))
    assert watched(world.ok("merge", "merge.yaml", "--out", "out"))


@pytest.mark.parametrize("samples", [None, True, False])
def test_texts_of_a_private_dataset_stay_private(samples: bool | None, merged: tuple[World, Done], hub: Hub) -> None:
    """The public dataset's are shown unless that is turned off, the local file's and the private one's on demand."""
    world, _ = merged
    if hub.store.find("demo/closed", "dataset") is None:
        hub.store.create_repo("demo/closed", repo_type="dataset", private=True)
        hub.store.commit("demo/closed", {"notes.jsonl": runs("notes")}, message="runs", repo_type="dataset")
    text = write_manifest(world).read_text().replace("demo/runs/notes.jsonl", "demo/closed/notes.jsonl")
    card = "" if samples is None else f"card:\n  samples: {str(samples).lower()}\n"
    path = world.directory / f"closed-{samples}.yaml"
    path.write_text(text + card)
    world.ok("merge", path.name, "--out", f"closed-{samples}")
    written = b"".join(p.read_bytes() for p in (world.directory / f"closed-{samples}").rglob("*") if p.is_file())
    assert (SECRET.encode() in written) == (samples is True)
    assert (b"ls -la /srv" in written) == (samples is True)
    assert (b"Please do number" in written) == (samples is not False)


def test_names_of_the_data_are_in_the_card(merged: tuple[World, Done]) -> None:
    card = (merged[0].directory / "out/README.md").read_text()
    assert DATA in card
    assert "2601.07309" in card
    assert os.fspath(merged[0].directory) not in card


SCORING = """echo "$RAMEKIN_MODEL_NAME" >> asked
case "$RAMEKIN_MODEL_NAME" in
  backbone) cp "$1/model.safetensors" backbone.safetensors; code=0.5; calls=0.761;;
  *) code=0.8; calls=0.8;;
esac
echo "{\\"a\\": $code, \\"b\\": $calls, \\"c\\": 0.4}"
"""
TASKS = """evaluate:
  command: [sh, score.sh]
  tasks: [{name: c, benchmark: notes}, {name: a, benchmark: code}, {name: b, benchmark: calls}]
"""


def test_tasks_tell_which_benchmarks_the_backbone_is_weak_in(merged: tuple[World, Done]) -> None:
    world, _ = merged  # what was watched is known there
    (world.directory / "score.sh").write_text(SCORING)
    write_manifest(world, method="  repair: auto\n", more=TASKS)
    (world.directory / "merge.yaml").rename(world.directory / "tasks.yaml")
    done = world.ok("merge", "tasks.yaml", "--out", "by-tasks")
    asked = (world.directory / "asked").read_text().split()
    assert asked == ["base", *(f"expert:{name}" for name in ("coder", "tool", "memory")), "backbone", "merge"]

    report = report_of(world.directory / "by-tasks")
    activation = report["activation"]
    assert activation["rule"] == "scores"
    assert activation["gaps"] == pytest.approx({"code": 0.375, "calls": 0.04875, "notes": 0.0})
    assert activation["weak"] == ["code"], "what loses no more than a twentieth is not"
    assert report["evaluation"]["models"]["backbone"]["a"]["value"] == 0.5
    assert {name: each["expert"] for name, each in report["evaluation"]["tasks"].items()} == {
        "c": "memory", "a": "coder", "b": "tool",
    }  # fmt: skip
    backbone = load_file(world.directory / "backbone.safetensors")
    found = load_file(world.directory / "by-tasks/model.safetensors")
    changed = {name for name, value in found.items() if not value.equal(backbone[name])}
    assert changed
    assert all(".mlp." in name for name in changed), "the backbone is what neurons were put into"
    assert not [*world.directory.glob(".*partial")]

    before = (world.directory / "by-tasks/model.safetensors").read_bytes()
    again = world.ok("merge", "tasks.yaml", "--out", "by-tasks-again")
    assert "evaluating backbone: its scores are known" in again.err
    assert (world.directory / "by-tasks-again/model.safetensors").read_bytes() == before
    verified = world.ok("verify", "by-tasks", "--remerge")
    assert "evaluating" not in verified.err
    fails(world.ramekin("merge", "tasks.yaml", "--out", "x", "--no-evaluate"), 2, "which benchmarks are weak")
    assert "by the tasks of `evaluate`" in world.ok("sweep-k", "tasks.yaml", "--k", "0.1").err
    assert done.err.count("merge model.safetensors") == 2, "the backbone, and the merge"

"""What differs from the plainest merge and is right all the same; and the same bits however they are made."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ramekin.demo.family import trained_weights
from tests.integration.bad_sources import EMBED, INDEX, WEIGHTS, Q, sharded
from tests.integration.conftest import EXPERTS, World
from tests.integration.scenes import Scene, Stage, Weights, config, family, stage, weights_file

Tensors = dict[str, tuple[str, list[int], bytes]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("variants")) as made:
        yield made


@pytest.fixture
def scene(shared: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    work = tmp_path / "work"
    work.mkdir()
    name = "".join(char if char.isalnum() else "-" for char in request.node.name)
    return Scene(shared, work, name.strip("-").replace("--", "-"))


def merged(scene: Scene, out: str = "out") -> Any:
    """Merge the manifest; returns the report."""
    done = scene.ramekin("merge", "merge.yaml", "--out", out)
    assert done.code == 0, done.err
    return json.loads((scene.directory / out / "ramekin/report.json").read_text())


def tensors_of(directory: Path) -> Tensors:
    """All tensors of a merged directory, whatever its files are."""
    tensors: Tensors = {}
    for path in sorted(directory.glob("*.safetensors")):
        content = path.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        tensors |= Weights(json.loads(content[8:end]), content[end:]).tensors
    return tensors


def usual(scene: Scene) -> Tensors:
    """The tensors of the usual merge."""
    return tensors_of(scene.stage.merged)


def to_float32(dtype: str, data: bytes) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, "<f2" if dtype == "F16" else "<f4").astype("<f4")


def converted(dtype: str, role: str) -> bytes:
    """The weights of a member stored in another type."""
    kind = {"F16": "<f2", "F32": "<f4"}[dtype]
    stored = {
        name: (dtype, shape, to_float32(old, data).astype(kind).tobytes())
        for name, (old, shape, data) in Weights.of(role).tensors.items()
    }
    return weights_file(stored)


def whole_family(scene: Scene, changes: Mapping[str, Mapping[str, bytes | None]], more: str = "") -> None:
    """The manifest of a family all of whose members have other files."""
    scene.manifest(more, **{role: scene.variant(files, role, role) for role, files in changes.items()})


def test_sharded_sources_give_the_tensors_of_single_files(scene: Scene) -> None:
    whole_family(scene, {role: sharded(role) for role in family()})
    report = merged(scene)
    assert tensors_of(scene.directory / "out") == usual(scene)
    # The output follows the base's sharding.
    assert {INDEX, "model-00001-of-00002.safetensors"} <= report["output"]["files"].keys()
    index = json.loads((scene.directory / "out" / INDEX).read_text())
    assert index["weight_map"].keys() == usual(scene).keys()
    assert index["metadata"]["total_size"] == sum(len(data) for _, _, data in usual(scene).values())


def test_one_sharded_expert_changes_nothing(scene: Scene) -> None:
    scene.manifest(tool=scene.variant(sharded("tool"), "tool"))
    merged(scene)
    usual_bytes = (scene.stage.merged / WEIGHTS).read_bytes()
    assert (scene.directory / "out" / WEIGHTS).read_bytes() == usual_bytes


def test_a_shard_size_changes_the_files_alone(scene: Scene) -> None:
    scene.manifest("  shard_size: 20kB\n")
    merged(scene)
    assert len(list((scene.directory / "out").glob("model-*.safetensors"))) > 2
    assert tensors_of(scene.directory / "out") == usual(scene)


@pytest.mark.parametrize(("dtype", "name"), [("F16", "float16"), ("F32", "float32")])
def test_other_types_of_weights(scene: Scene, dtype: str, name: str) -> None:
    roles = {role: {WEIGHTS: converted(dtype, role), "config.json": config(role, dtype=name)} for role in family()}
    whole_family(scene, roles)
    merged(scene)
    made = tensors_of(scene.directory / "out")
    assert {kind for kind, _, _ in made.values()} == {dtype}
    for tensor, (kind, shape, data) in usual(scene).items():
        assert made[tensor][1] == shape
        np.testing.assert_allclose(to_float32(dtype, made[tensor][2]), to_float32(kind, data), rtol=2**-7, atol=2**-24)


def test_float32_from_a_bfloat16_base_is_what_is_rounded(scene: Scene) -> None:
    scene.manifest("  dtype: float32\n")
    merged(scene)
    for name, (dtype, _, data) in tensors_of(scene.directory / "out").items():
        assert dtype == "F32"
        bits = np.frombuffer(data, "<u4").astype(np.uint64)
        rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
        assert rounded == usual(scene)[name][2], name


def test_a_tied_head_that_one_expert_stores_is_left_out(scene: Scene) -> None:
    tensors = Weights.of("coder").tensors
    tensors["lm_head.weight"] = tensors[EMBED]
    scene.expert({WEIGHTS: weights_file(tensors)})
    report = merged(scene)
    assert tensors_of(scene.directory / "out") == usual(scene)
    assert any("lm_head.weight" in note for note in report["notes"])
    elements = sum(len(data) // 2 for _, _, data in usual(scene).values())
    assert report["overlap"]["elements"] == elements


def test_an_expert_that_unties_what_is_one_all_the_same(scene: Scene) -> None:
    tensors = Weights.of("coder").tensors
    tensors["lm_head.weight"] = tensors[EMBED]
    scene.expert({WEIGHTS: weights_file(tensors), "config.json": config(tie_word_embeddings=False)})
    report = merged(scene)
    assert tensors_of(scene.directory / "out") == usual(scene)
    assert any("the base is followed" in note for note in report["notes"])


def test_an_expert_with_an_output_layer_of_its_own(scene: Scene) -> None:
    """No header tells that, so it is told before anything is merged, but not by the plan."""
    tensors = Weights.of("coder").tensors
    dtype, shape, content = tensors[EMBED]
    tensors["lm_head.weight"] = (dtype, shape, content[:-2] + b"\x11\x11")
    scene.expert({WEIGHTS: weights_file(tensors), "config.json": config(tie_word_embeddings=False)})
    assert scene.ramekin("plan", "merge.yaml").code == 0
    done = scene.ramekin("merge", "merge.yaml", "--out", "out")
    assert done.code == 5, done.err
    assert "`lm_head.weight` is not the embedding" in done.err
    assert not (scene.directory / "out").exists()


def test_an_expert_with_a_padded_vocabulary(scene: Scene) -> None:
    tensors = Weights.of("coder").tensors
    dtype, (rows, width), data = tensors[EMBED]
    tensors[EMBED] = (dtype, [rows + 16, width], data + b"\x11\x11" * 16 * width)
    scene.expert({WEIGHTS: weights_file(tensors), "config.json": config(vocab_size=rows + 16)})
    report = merged(scene)
    assert tensors_of(scene.directory / "out") == usual(scene)
    assert any(EMBED in note for note in report["notes"])


def test_a_base_with_additional_chat_templates(scene: Scene) -> None:
    more = {
        "additional_chat_templates/rag.jinja": b"{{ documents }}",
        "additional_chat_templates/tool_use.jinja": b"{{ tools }}",
    }
    scene.base(more)
    report = merged(scene)
    for name, content in more.items():
        assert (scene.directory / "out" / name).read_bytes() == content
        assert name in report["output"]["files"]
    done = scene.ramekin("publish", "out")
    assert done.code == 0, done.err
    assert scene.ramekin("verify", f"demo/{scene.name}-merged").code == 0


def experts(scene: Scene, names: list[str]) -> None:
    """A manifest of these experts, each trained its own way."""
    base = {
        name: np.frombuffer(data, "<u2").reshape(shape) for name, (_, shape, data) in Weights.of("base").tensors.items()
    }
    lines = ""
    for number, name in enumerate(names):
        moved = trained_weights(base, 0.3, 100 + number)
        content = weights_file({n: ("BF16", list(bits.shape), bits.tobytes()) for n, bits in moved.items()})
        lines += f"  {name}: {scene.variant({WEIGHTS: content}, name=name)}\n"
    rest = f"method:\n  name: ram+\noutput:\n  repo: demo/{scene.name}-merged\n"
    scene.write("merge.yaml", f"version: 1\nbase: demo/base\nexperts:\n{lines}{rest}")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_numbers_of_experts(scene: Scene, count: int) -> None:
    experts(scene, [f"e{number}" for number in range(count)])
    report = merged(scene)
    assert len(report["overlap"]["patterns"]) == 2**count
    assert sum(report["overlap"]["patterns"].values()) == report["overlap"]["elements"]
    assert scene.ramekin("verify", "out", "--remerge").code == 0


def test_one_expert_is_given_back_where_it_changed_enough(scene: Scene) -> None:
    """With one expert and plain RAM, the merge is the expert, and the base where a change is too small to count."""
    rest = f"method:\n  name: ram\noutput:\n  repo: demo/{scene.name}-merged\n"
    scene.write("merge.yaml", f"version: 1\nbase: demo/base\nexperts:\n  tool: demo/tool\n{rest}")
    merged(scene)
    base, tool = Weights.of("base").tensors, Weights.of("tool").tensors
    for name, (dtype, _, data) in tensors_of(scene.directory / "out").items():
        old, new = to_float32(dtype, base[name][2]), to_float32(dtype, tool[name][2])
        changed = np.abs(new - old) > np.float32(1e-5)
        np.testing.assert_array_equal(to_float32(dtype, data), np.where(changed, new, old))


def test_revisions_as_tag_branch_and_commit(scene: Scene) -> None:
    keys = set()
    repo = scene.variant({})
    repository = scene.hub.store.get(repo)
    commit = repository.resolve("main").id
    repository.set_ref("refs/tags/v1.0", commit)
    repository.set_ref("refs/heads/feature/better-tools", commit)
    scene.hub.store.commit(repo, {WEIGHTS: family()["tool"][WEIGHTS]})
    for revision in ("v1.0", "feature/better-tools", commit):
        scene.manifest(coder=f"{repo}@{revision}")
        done = scene.ramekin("lock", "merge.yaml", "--json")
        assert done.code == 0, done.err
        pinned = done.data["experts"]["coder"]
        assert (pinned["requested"], pinned["commit"]) == (revision, commit)
        files = {role: source["files"] for role, source in done.data["experts"].items()}
        keys.add(json.dumps(files, sort_keys=True))
        (scene.directory / "merge.lock").unlink()
    assert len(keys) == 1
    scene.manifest(coder=f"{repo}@feature/better-tools")
    merged(scene)
    assert (scene.directory / "out" / WEIGHTS).read_bytes() == (scene.stage.merged / WEIGHTS).read_bytes()


def test_a_renamed_repository_is_recorded_by_the_name_it_has(scene: Scene) -> None:
    old, new = scene.variant({}), f"demo/{scene.name}-new"
    scene.hub.store.move_repo(old, new)
    scene.manifest(coder=old)
    report = merged(scene)
    assert report["experts"][0]["source"] == new
    lock = json.loads((scene.directory / "merge.lock").read_text())["experts"]["coder"]
    assert (lock["source"], lock["named"]) == (new, old)
    assert scene.ramekin("lock", "merge.yaml", "--check").code == 0
    assert (scene.directory / "out" / WEIGHTS).read_bytes() == (scene.stage.merged / WEIGHTS).read_bytes()


CHUNKS = """
import os
from ramekin.merge import devices
from ramekin.merge.resources import Resources
devices.resources_for = lambda *_: Resources(chunk_bytes={chunk}, threads={threads})
if {alone}:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ram+", "ram"])
def test_the_same_lock_gives_the_same_bits(scene: Scene, method: str) -> None:
    """Whatever the chunks and threads, on one core or two, from one file or shards, now or again from the lock."""
    scene.manifest(method=method)
    found = {merged(scene, "plain")["key"]: digest(scene.directory / "plain")}
    environment = scene.stage.environment()
    ways = [(64, 1, True), (1000, 3, False), (1 << 22, 2, False), (4096, 7, True)]
    for number, (chunk, threads, alone) in enumerate(ways):
        command = ("merge", "merge.yaml", "--out", f"out{number}")
        before = CHUNKS.format(chunk=chunk, threads=threads, alone=alone)
        code, _, err = scene.stage.server.run(command, scene.directory, environment, before=before)
        assert code == 0, err
        report = json.loads((scene.directory / f"out{number}/ramekin/report.json").read_text())
        assert found[report["key"]] == digest(scene.directory / f"out{number}"), (chunk, threads)


def digest(directory: Path) -> str:
    """Of everything a merge writes but the cost, which may differ."""
    found = hashlib.sha256()
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if path.name == "report.json":
            content = json.dumps(json.loads(content) | {"cost": None}).encode()
        found.update(f"{path.relative_to(directory)} {len(content)}\n".encode() + content)
    return found.hexdigest()


LOAD = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for place in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(place)
    model = AutoModelForCausalLM.from_pretrained(place)
    assert model.dtype == torch.bfloat16
    turns = [{"role": "user", "content": "hi"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(text, return_tensors="pt")
    made = model.generate(**tokens, max_new_tokens=4, do_sample=False, pad_token_id=0)
    print(made.tolist(), model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr())
"""


@pytest.mark.slow
def test_transformers_loads_the_merge_from_the_hub_and_from_disk(world: World) -> None:
    world.ok("run", "merge.yaml", "--out", "merged")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, str(world.directory / "merged"), "demo/agent"],
        cwd=world.directory,
        env=world.environment | {"TRANSFORMERS_VERBOSITY": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    local, remote = done.stdout.strip().splitlines()[-2:]
    assert local == remote
    assert local.endswith(" True")
    assert len(json.loads(local.rpartition(" ")[0])[0]) > 4


def test_the_family_is_as_the_tests_take_it() -> None:
    assert [*family()] == ["base", *EXPERTS]
    assert Weights.of("base").tensors[Q] != Weights.of("tool").tensors[Q]

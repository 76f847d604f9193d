"""A LoRA adapter as an expert, through the command line: pinned, planned, merged, and seen to move or not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from ramekin.demo.family import base_weights, trained_weights
from tests.integration.conftest import CARD, EXPERTS, TINY, World, family_files, push

RANK, ALPHA = 4, 6.0
SCALING = ALPHA / RANK
EPSILON = np.float32(1e-5)


def adapter_files(seed: int = 5, readme: str = "adapter") -> dict[str, bytes]:
    """An adapter on two projections of every layer, and a norm that was saved whole."""
    random = np.random.default_rng(seed)
    base = base_weights(TINY, seed=0)
    tensors: dict[str, Any] = {}
    for name, weight in base.items():
        if name.endswith(("q_proj.weight", "down_proj.weight")):
            out, inner = weight.shape
            prefix = f"base_model.model.{name.removesuffix('.weight')}.lora_"
            tensors[f"{prefix}A.weight"] = random.normal(size=(RANK, inner)).astype(np.float32)
            tensors[f"{prefix}B.weight"] = (random.normal(size=(out, RANK)) * 0.01).astype(np.float32)
        elif name == "model.norm.weight":
            tensors[f"base_model.model.{name}"] = (np.ones(weight.shape) * 1.5).astype(np.float32)
    config = {
        "peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["q_proj", "down_proj"],
        "modules_to_save": ["norm"], "base_model_name_or_path": "demo/base", "bias": "none",
    }  # fmt: skip
    return {
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": save(tensors),
        "README.md": CARD.format(name=readme, more="base_model: demo/base\n").encode(),
    }


def local(world: World, name: str, files: dict[str, bytes]) -> None:
    directory = world.directory / name
    directory.mkdir(exist_ok=True)
    for file, content in files.items():
        (directory / file).write_bytes(content)


@pytest.fixture
def lora(empty_world: World) -> World:
    """A base, a full expert and an adapter in local directories."""
    local(empty_world, "base", family_files("base"))
    local(empty_world, "coder", family_files("coder"))
    local(empty_world, "style", adapter_files())
    empty_world.manifest(
        "version: 1\nbase: ./base\nexperts:\n  coder: ./coder\n  style: ./style\nmethod:\n  name: ram+\n"
        "output:\n  repo: demo/agent\n  dtype: float32\n"
    )
    return empty_world


def upcast(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The float32 values of weights whose bits are the upper half of them."""
    return {name: (bits.astype(np.uint32) << 16).view(np.float32) for name, bits in weights.items()}


def change_of(name: str, base: Any, adapter: dict[str, Any]) -> Any:
    """The change of a tensor by an adapter, in float32: products summed over the rank in order, scaled last."""
    prefix = f"base_model.model.{name.removesuffix('.weight')}"
    if f"{prefix}.lora_A.weight" in adapter:
        a, b = adapter[f"{prefix}.lora_A.weight"], adapter[f"{prefix}.lora_B.weight"]
        total = np.zeros(base.shape, np.float32)
        for r in range(RANK):
            total = (total + (b[:, r, None] * a[None, r, :]).astype(np.float32)).astype(np.float32)
        return (np.float32(SCALING) * total).astype(np.float32)
    whole = adapter.get(f"base_model.model.{name}")
    return np.zeros(base.shape, np.float32) if whole is None else (whole - base).astype(np.float32)


def merged_by_hand(world: World) -> dict[str, Any]:
    """RAM+ of the two experts, tensor by tensor."""
    bits = base_weights(TINY, seed=0)
    base, coder = upcast(bits), upcast(trained_weights(bits, EXPERTS["coder"], 1))
    adapter = load_file(world.directory / "style" / "adapter_model.safetensors")
    changes = {
        name: ((coder[name] - theta).astype(np.float32), change_of(name, theta, adapter))
        for name, theta in base.items()
    }
    counts = np.zeros(4, np.int64)
    for first, second in changes.values():
        pattern = (np.abs(first) > EPSILON) + 2 * (np.abs(second) > EPSILON)
        counts += np.bincount(pattern.reshape(-1).astype(int), minlength=4)
    factors = [np.float32(1 + 0.1 * min(counts[3] / unique, 2.0)) for unique in (counts[1], counts[2])]
    merged = {}
    for name, (first, second) in changes.items():
        one, two = np.abs(first) > EPSILON, np.abs(second) > EPSILON
        both = ((first + second).astype(np.float32) * np.float32(0.5)).astype(np.float32)
        single = np.where(one, factors[0] * first, np.where(two, factors[1] * second, np.float32(0)))
        merged[name] = (base[name] + np.where(one & two, both, single)).astype(np.float32)
    return merged


def test_the_plan_knows_an_adapter(lora: World) -> None:
    shown = lora.ok("plan", "merge.yaml").out
    assert "LoRA adapter, rank 4, 9 tensors" in shown
    plan = json.loads(lora.ok("plan", "merge.yaml", "--format", "json").out)
    assert [source["adapter"] for source in plan["sources"]] == [None, None, "LoRA adapter, rank 4, 9 tensors"]
    assert not [finding for finding in plan["findings"] if finding["severity"] == "error"]
    assert plan["cost"]["read_bytes"] > 0
    lock = json.loads((lora.directory / "merge.lock").read_text())
    assert set(lock["experts"]["style"]["files"]) == {"adapter_config.json", "adapter_model.safetensors"}


def test_a_readme_is_no_drift_and_factors_are(world: World) -> None:
    push(world.hub, "style", adapter_files())
    world.manifest(
        "version: 1\nbase: demo/base\nexperts:\n  coder: demo/coder\n  style: demo/style\nmethod:\n  name: ram+\n"
        "output:\n  repo: demo/agent\n"
    )
    world.ok("lock", "merge.yaml")
    push(world.hub, "style", {"README.md": adapter_files(readme="described better")["README.md"]})
    edited = world.ok("check", "merge.yaml", "--exit-code", "--json").data["manifests"][0]
    assert (edited["drift"], edited["sources"][2]["moved"]) == (False, True)
    push(world.hub, "style", adapter_files(seed=6))
    moved = world.ramekin("check", "merge.yaml", "--exit-code", "--json")
    assert moved.code == 1
    assert moved.data["manifests"][0]["sources"][2]["changed"] == ["adapter_model.safetensors"]


def test_what_is_no_plain_adapter_is_refused(lora: World) -> None:
    config = lora.directory / "style" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_dora": True}))
    done = lora.ramekin("merge", "merge.yaml", "--out", "out")
    assert done.code == 5
    assert "use_dora" in done.err
    assert not (lora.directory / "out").exists()


def test_an_adapter_is_merged_as_its_product_is(lora: World) -> None:
    lora.ok("merge", "merge.yaml", "--out", "out")
    found = load_file(Path(lora.directory, "out", "model.safetensors"))
    wanted = merged_by_hand(lora)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)

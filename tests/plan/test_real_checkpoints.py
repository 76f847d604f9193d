"""Checkpoints as transformers writes them, from files to a layout."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ramekin.checkpoint.facts import CheckpointFacts, read_checkpoint
from ramekin.checkpoint.selection import files_to_read
from ramekin.plan.compatibility import compare_checkpoints
from ramekin.plan.laying import lay_out

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@dataclass(frozen=True)
class File:
    size: int
    digest: str


def saved(directory: Path, shard_size: str = "1GB", **changes: Any) -> Path:
    config = transformers.LlamaConfig(**{
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 64, "tie_word_embeddings": True,
    } | changes)  # fmt: skip
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(directory, max_shard_size=shard_size)
    return directory


def facts(directory: Path, role: str) -> CheckpointFacts:
    contents = {path.name: path.read_bytes() for path in directory.iterdir()}
    names = files_to_read(contents, "base" if role == "base" else "expert", source=directory.name)
    files = {name: File(len(contents[name]), f"sha256:{hashlib.sha256(contents[name]).hexdigest()}") for name in names}
    return read_checkpoint(lambda f, a, b: contents[f][a:b], files, role=role, source=directory.name)


def test_sharded_base_and_whole_expert(tmp_path: Path) -> None:
    base = facts(saved(tmp_path / "base", "5KB"), "base")
    expert = facts(saved(tmp_path / "expert"), "expert:x")
    assert len(base.inventory.files) > 2
    assert len(expert.inventory.files) == 1
    assert {f.subject for f in compare_checkpoints(base, {"x": expert})} == {"tokenizer"}
    layout = lay_out(base, {"x": expert})
    assert [shard.file for shard in layout.shards] == list(base.inventory.files)
    model = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "base")
    assert layout.merged_elements == sum(p.numel() for p in model.parameters())


def test_another_size_is_told_of_in_config_and_tensors(tmp_path: Path) -> None:
    base = facts(saved(tmp_path / "base"), "base")
    expert = facts(saved(tmp_path / "expert", hidden_size=32, num_hidden_layers=2), "expert:x")
    errors = [f for f in compare_checkpoints(base, {"x": expert}) if f.severity == "error"]
    subjects = {f.subject for f in errors}
    assert {"hidden_size", "num_hidden_layers", "model.layers.2.*", "model.norm.weight"} <= subjects
    assert "model.layers.{0-1}.self_attn.q_proj.weight" in subjects
    assert [f.subject for f in errors[:3]] == ["head_dim", "hidden_size", "num_hidden_layers"]

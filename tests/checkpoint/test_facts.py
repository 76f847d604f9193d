"""Facts of a checkpoint: few requests, small files on demand, folded names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_source import MemoryFile, MemorySource, weights

from ramekin.checkpoint.facts import read_checkpoint
from ramekin.checkpoint.findings import fold_names
from ramekin.errors import DamagedError, IncompatibleError

FILES = {"model.safetensors": weights(a=(2, 3)), "config.json": {"model_type": "llama"}, "tokenizer.json": {}}


def test_facts_take_one_request_per_shard_and_one_for_the_config() -> None:
    source = MemorySource(FILES)
    facts = source.facts("expert:coder")
    assert facts.place == "coder"
    assert facts.config == {"model_type": "llama"}
    assert list(facts.inventory.tensors) == ["a"]
    assert sorted(source.asked) == ["config.json", "model.safetensors"]


def test_a_small_file_is_read_once() -> None:
    source = MemorySource(FILES)
    facts = source.facts()
    assert facts.files.content("tokenizer.json") == facts.files.content("tokenizer.json") == b"{}"
    assert source.asked.count("tokenizer.json") == 1


def test_a_base_needs_a_config_and_an_expert_does_not() -> None:
    source = MemorySource({"model.safetensors": FILES["model.safetensors"]})
    assert source.facts("expert:x").config == {}
    with pytest.raises(IncompatibleError, match=r"org/name has no `config\.json`"):
        source.facts()


def test_a_small_file_that_is_shorter_than_pinned_is_damaged() -> None:
    source = MemorySource(FILES)
    pinned = {
        name: MemoryFile(len(content) + (name == "config.json"), "sha256:0") for name, content in source.files.items()
    }
    with pytest.raises(DamagedError, match="ends after"):
        read_checkpoint(source.read, pinned, role="base", source="org/name")


def test_a_small_file_that_is_huge_is_not_asked_for() -> None:
    source = MemorySource(FILES)
    pinned = {
        name: MemoryFile(2**40 if name == "config.json" else len(c), "sha256:0") for name, c in source.files.items()
    }
    with pytest.raises(DamagedError, match="more than"):
        read_checkpoint(source.read, pinned, role="base", source="org/name")
    assert "config.json" not in source.asked


def folded(*names: str) -> list[tuple[str, int]]:
    return [(name.pattern, name.count) for name in fold_names(names)]


def test_names_fold_by_layer_and_expert() -> None:
    assert folded() == []
    assert folded("a.b") == [("a.b", 1)]
    assert folded("l.0.w", "l.1.w", "l.2.w", "l.5.w", "x") == [("l.{0-2,5}.w", 4), ("x", 1)]
    assert folded("l.7.w") == [("l.7.w", 1)]
    moe = [f"l.{layer}.experts.{expert}.w" for layer in range(3) for expert in range(4)]
    assert folded(*moe) == [("l.{0-2}.experts.{0-3}.w", 12)]
    assert folded(*moe[:-1]) == [("l.{0-1}.experts.{0-3}.w", 8), ("l.2.experts.{0-2}.w", 3)]


def test_whole_layers_fold_into_one() -> None:
    every = [f"l.{layer}.{part}.w" for layer in range(6) for part in "abc"] + ["x.0.w"]
    lost = [name for name in every if name[2] in "145"] + ["l.0.a.w", "x.0.w"]
    assert [(f.pattern, f.count) for f in fold_names(lost, every)] == [("l.{1,4-5}.*", 9), ("l.0.a.w", 1), ("x.0.w", 1)]
    moe = [f"l.{layer}.experts.{expert}.{part}" for layer in range(2) for expert in range(3) for part in "ab"]
    assert [f.pattern for f in fold_names([n for n in moe if "experts.2" in n], moe)] == ["l.{0-1}.experts.2.*"]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "0", "1", "7", "07", "x1"]), min_size=1, max_size=4), max_size=20))
def test_folding_loses_no_name(parts: list[list[str]]) -> None:
    names = {".".join(part) for part in parts}
    assert sum(name.count for name in fold_names(names)) == len(names)

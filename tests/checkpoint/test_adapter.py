"""An adapter's config and tensors, by the names and meanings that PEFT gives them."""

import json
import math
import time
from typing import Any

import pytest
from memory_source import MemorySource, weights

from ramekin.checkpoint.adapter import AdapterConfig, check_adapter, read_adapter_config
from ramekin.checkpoint.adapter_tensors import sort_adapter
from ramekin.checkpoint.selection import files_to_read
from ramekin.checkpoint.tensors import Tensor
from ramekin.errors import DamagedError, IncompatibleError

# As PEFT 0.21 writes it, with every key.
WRITTEN: dict[str, Any] = {
    "alora_invocation_tokens": None, "alpha_pattern": {}, "arrow_config": None, "auto_mapping": None,
    "base_model_name_or_path": "org/base", "bias": "none", "corda_config": None, "ensure_weight_tying": False,
    "eva_config": None, "exclude_modules": None, "fan_in_fan_out": False, "inference_mode": True,
    "init_lora_weights": True, "kasa_config": None, "layer_replication": None, "layers_pattern": None,
    "layers_to_transform": None, "loftq_config": {}, "lora_alpha": 32, "lora_bias": False, "lora_dropout": 0.05,
    "lora_ga_config": None, "megatron_config": None, "megatron_core": "megatron.core", "modules_to_save": None,
    "monteclora_config": None, "peft_type": "LORA", "peft_version": "0.21.2", "qalora_group_size": 16, "r": 16,
    "rank_pattern": {}, "revision": None, "target_modules": ["q_proj", "v_proj"], "target_parameters": None,
    "task_type": "CAUSAL_LM", "trainable_token_indices": None, "use_bdlora": None, "use_dora": False,
    "use_qalora": False, "use_rslora": False, "velora_config": None,
}  # fmt: skip


def config(**changes: Any) -> AdapterConfig:
    return read_adapter_config(json.dumps(WRITTEN | changes).encode(), "org/x: adapter_config.json")


def tensor(name: str, *shape: int, dtype: str = "BF16") -> dict[str, Tensor]:
    full = f"base_model.model.{name}"
    return {full: Tensor(full, dtype, shape, "adapter_model.safetensors", 0)}


Q = "model.layers.0.self_attn.q_proj"


class TestConfig:
    def test_as_peft_writes_it(self) -> None:
        made = config()
        assert made.refused == ()
        assert made.scaling_of(Q) == 2.0
        assert made.rank_of(Q) == 16
        assert made.adapts(Q)
        assert not made.adapts("model.layers.0.self_attn.k_proj")
        assert check_adapter(made, "org/base", "expert:x") == ()

    def test_defaults_are_those_of_peft(self) -> None:
        made = read_adapter_config(b'{"peft_type": "LORA"}', "x")
        assert (made.rank, made.alpha, made.scaling_of(Q), made.targets) == (8, 8, 1.0, None)

    def test_rank_stabilised_scaling(self) -> None:
        assert config(use_rslora=True).scaling_of(Q) == 32 / math.sqrt(16)
        assert config(use_rslora=True, r=7, lora_alpha=1.5).scaling_of(Q) == 1.5 / math.sqrt(7)

    @pytest.mark.parametrize(
        ("pattern", "module", "matches"),
        [
            ("q_proj", Q, True),
            (Q, Q, True),
            (f"^{Q}", Q, True),
            ("^self_attn.q_proj", Q, False),
            ("proj", Q, False),
            (r".*q_proj", Q, True),
            (r"layers\.\d+\.self_attn\.(q|k)_proj", Q, True),
            (r"layers\.(?:1|2)\..*", Q, False),
            (r"layers\.[0-3]\.self_attn\.[qk]_proj", Q, True),
            ("model.layers.0.self_attn.q_proj", "model.layers_0.self_attn.q_proj", True),  # a dot is any character
        ],
    )
    def test_patterns_match_the_end_of_a_name(self, pattern: str, module: str, matches: bool) -> None:
        made = config(rank_pattern={pattern: 4}, alpha_pattern={pattern: 1})
        assert made.refused == ()
        assert made.rank_of(module) == (4 if matches else 16)
        assert made.scaling_of(module) == (0.25 if matches else 2.0)

    def test_the_first_pattern_counts(self) -> None:
        assert config(rank_pattern={"q_proj": 4, Q: 2}).rank_of(Q) == 4
        assert config(rank_pattern={Q: 2, "q_proj": 4}).rank_of(Q) == 2

    @pytest.mark.parametrize("pattern", ["(a+)+b", "(.*)*x", "(?=a)q_proj", r"(q)\1", "a{1,9}", "x" * 201])
    def test_a_pattern_that_could_take_forever_is_refused_unmatched(self, pattern: str) -> None:
        made = config(rank_pattern={pattern: 4})
        ((key, why),) = made.refused
        assert key == "rank_pattern"
        assert "not understood" in why
        assert made.rank_of("a" * 400) == 16

    def test_patterns_that_repeat_are_bounded(self) -> None:
        assert config(rank_pattern={".*.*.*.*x": 4}).ranks.takes_too_long(1)
        many = {f"model.layers.{n}.self_attn.q_proj": 4 for n in range(500)}
        assert not config(rank_pattern=many).ranks.takes_too_long(500)
        assert not config(rank_pattern={r".*layers\.\d+\.mlp": 4}).ranks.takes_too_long(500)
        started = time.monotonic()
        config(rank_pattern={r".*a.*b": 4}).rank_of("a" * 200)
        assert time.monotonic() - started < 1

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("peft_type", "IA3", "only LoRA"),
            ("peft_type", "ADALORA\n", "only LoRA"),
            ("use_dora", True, "DoRA"),
            ("lora_bias", True, "biases"),
            ("trainable_token_indices", [1, 2], "rows"),
            ("target_parameters", ["mlp.experts.gate_up_proj"], "fused experts"),
            ("layer_replication", [[0, 4], [2, 5]], "repeats"),
            ("alora_invocation_tokens", [5], "some tokens"),
            ("use_qalora", True, "QALoRA"),
            ("kasa_config", {"beta": 1}, "KaSA"),
            ("loftq_config", {"loftq_bits": 4}, "LoftQ"),
            ("init_lora_weights", "pissa_niter_16", "its start changed"),
            ("init_lora_weights", "olora", "its start changed"),
            ("use_of_a_later_release", True, "not known here"),
        ],
    )
    def test_what_is_no_plain_product_is_refused(self, key: str, value: object, words: str) -> None:
        (finding,) = check_adapter(config(**{key: value}), "org/base", "expert:x")
        assert (finding.severity, finding.subject) == ("error", f"adapter_config.json: {key}")
        assert words in finding.what
        assert "\n" not in finding.what
        assert "merge_and_unload" in finding.hint

    @pytest.mark.parametrize(
        "changes",
        [
            {"init_lora_weights": "gaussian"},
            {"init_lora_weights": "orthogonal"},
            {"bias": "all"},
            {"key_of_a_later_release": None},
            {"another": False},
            {"layers_to_transform": [1]},
        ],
    )
    def test_what_does_not_change_the_product_is_not(self, changes: dict[str, object]) -> None:
        assert config(**changes).refused == ()

    @pytest.mark.parametrize(
        "changes",
        [
            {"peft_type": None},
            {"r": 0},
            {"r": 1.5},
            {"r": True},
            {"lora_alpha": "16"},
            {"lora_alpha": None},
            {"lora_alpha": 1e300},
            {"use_rslora": 1},
            {"rank_pattern": [1]},
            {"rank_pattern": {"q_proj": -1}},
            {"alpha_pattern": {"q_proj": "x"}},
            {"rank_pattern": {"[z-a]": 4}},
            {"modules_to_save": [1]},
            {"target_modules": [None]},
        ],
    )
    def test_unusable_values_are_damaged_data(self, changes: dict[str, object]) -> None:
        with pytest.raises(DamagedError, match="adapter_config"):
            config(**changes)

    @pytest.mark.parametrize("data", [b"", b"[]", b'{"peft_type": "LORA", "lora_alpha": NaN}', b'{"r": 8}', b"\xff"])
    def test_what_is_no_config(self, data: bytes) -> None:
        with pytest.raises(DamagedError):
            read_adapter_config(data, "x")

    @pytest.mark.parametrize("base", ["org/base", "other/Base", "./models/base", "/data/base/"])
    def test_the_base_is_known_by_its_last_name(self, base: str) -> None:
        assert check_adapter(config(), base, "expert:x") == ()

    def test_another_base_is_a_note(self) -> None:
        (finding,) = check_adapter(config(base_model_name_or_path="unsloth/base-bnb-4bit"), "org/base", "expert:x")
        assert finding.severity == "note"
        assert "unsloth/base-bnb-4bit" in finding.what


class TestTensors:
    def test_pairs_in_every_spelling(self) -> None:
        found = sort_adapter(
            tensor(f"{Q}.lora_A.weight", 4, 16) | tensor(f"{Q}.lora_B.weight", 16, 4)
            | tensor("model.wte.lora_embedding_A", 4, 64) | tensor("model.wte.lora_embedding_B", 16, 4)
        )  # fmt: skip
        assert found.wrong == {}
        assert [(m.name, m.embedding) for m in found.modules] == [(Q, False), ("model.wte", True)]
        assert found.modules[0].a.shape == (4, 16)
        old = sort_adapter(
            tensor(f"{Q}.lora_A.default.weight", 4, 16) | tensor(f"{Q}.lora_B.default.weight", 16, 4)
            | tensor("wte.lora_embedding_A.default", 4, 64) | tensor("wte.lora_embedding_B.default", 16, 4)
        )  # fmt: skip
        assert old.wrong == {}
        assert [m.name for m in old.modules] == [Q, "wte"]

    def test_modules_that_were_saved_whole(self) -> None:
        found = sort_adapter(
            tensor("model.norm.weight", 16)
            | tensor("lm_head.modules_to_save.default.weight", 64, 16)
            | tensor("score.modules_to_save.weight", 2, 16)
        )
        assert found.wrong == {}
        assert list(found.saved) == ["model.norm.weight", "lm_head.weight", "score.weight"]

    def test_a_frozen_copy_of_an_adapted_embedding(self) -> None:
        pair = tensor("wte.lora_embedding_A", 4, 64) | tensor("wte.lora_embedding_B", 16, 4)
        found = sort_adapter(pair | tensor("wte.base_layer.weight", 64, 16))
        assert (list(found.frozen), found.saved, found.wrong) == (["wte.weight"], {}, {})
        alone = sort_adapter(tensor("wte.base_layer.weight", 64, 16))
        assert list(alone.wrong.values()) == ["is a weight of the base that no factors change"]

    @pytest.mark.parametrize(
        ("tensors", "words"),
        [
            (tensor(f"{Q}.lora_A.weight", 4, 16), "no `lora_B`"),
            (tensor(f"{Q}.lora_B.weight", 16, 4), "no `lora_A`"),
            (tensor(f"{Q}.lora_magnitude_vector", 16), "DoRA"),
            (tensor(f"{Q}.lora_magnitude_vector.weight", 16), "DoRA"),
            (tensor(f"{Q}.lora_B.bias", 16), "bias"),
            (tensor("model.embed_tokens.token_adapter.trainable_tokens_delta", 2, 16), "rows"),
            (tensor(f"{Q}.lora_E", 16), "no known kind"),
            (tensor(f"{Q}.ia3_l", 16), "no known kind"),
            (tensor(f"{Q}.lora_A.weight", 4, 3, 3) | tensor(f"{Q}.lora_B.weight", 16, 4, 1, 1), "more than two"),
            (tensor(f"{Q}.lora_A.weight", 0) | tensor(f"{Q}.lora_B.weight", 16, 4), "no matrix"),
            (tensor(f"{Q}.lora_A.weight", 4, 16) | tensor(f"{Q}.lora_B.weight", 16, 0), "no matrix"),
            (tensor(f"{Q}.lora_A.weight", 4, 16, dtype="F8_E4M3"), "stored as F8_E4M3"),
            (tensor(f"{Q}.lora_A.weight", 4, 16, dtype="I8"), "stored as I8"),
            (tensor(f"{Q}.lora_A.one.weight", 4, 16) | tensor(f"{Q}.lora_B.two.weight", 16, 4), "another adapter"),
            (
                tensor(f"{Q}.lora_A.weight", 4, 16) | tensor(f"{Q}.lora_B.weight", 16, 4) | tensor(f"{Q}.weight", 9),
                "beside factors",
            ),
            ({"x.lora_A.weight": Tensor("x.lora_A.weight", "F32", (4, 4), "f", 0)}, "not named as"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_merged_is_named(self, tensors: dict[str, Tensor], words: str) -> None:
        found = sort_adapter(tensors)
        assert any(words in why for why in found.wrong.values()), found.wrong
        assert found.wrong.keys() <= tensors.keys()

    def test_biases_that_were_trained(self) -> None:
        bias = tensor("h.0.attn.c_attn.bias", 48)
        assert "was trained" in next(iter(sort_adapter(bias, biases=True).wrong.values()))
        assert sort_adapter(bias).wrong == {}


class TestFiles:
    BOTH = ("adapter_config.json", "adapter_model.safetensors")

    def test_of_an_adapter_config_weights_and_tokenizer_are_read(self) -> None:
        names = [*self.BOTH, "README.md", "config.json", "tokenizer.json", "tokenizer_config.json", "optimizer.pt"]
        assert files_to_read(names, "expert") == (*self.BOTH, "tokenizer.json", "tokenizer_config.json")

    def test_full_weights_go_first_and_the_config_tells_of_it(self) -> None:
        for full in (["model.safetensors"], ["model-00001-of-00001.safetensors", "model.safetensors.index.json"]):
            read = files_to_read([*self.BOTH, *full, "config.json"], "expert")
            assert set(read) == {*full, "config.json", "adapter_config.json"}

    def test_pickles_of_full_weights_do_not(self) -> None:
        assert files_to_read([*self.BOTH, "pytorch_model.bin"], "expert") == self.BOTH

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (["adapter_config.json", "adapter_model.bin"], "pickle"),
            (["adapter_config.json"], "without `adapter_model.safetensors`"),
            (["adapter_model.safetensors"], "without `adapter_config.json`"),
        ],
    )
    def test_half_an_adapter(self, names: list[str], words: str) -> None:
        with pytest.raises(IncompatibleError, match=words) as caught:
            files_to_read(names, "expert", source="org/x")
        assert caught.value.problems[0].hint

    def test_a_base_is_no_adapter(self) -> None:
        with pytest.raises(IncompatibleError, match="a base must be a whole model"):
            files_to_read(self.BOTH, "base", source="org/x")

    def test_facts(self) -> None:
        name = f"base_model.model.{Q}.lora_"
        source = MemorySource({
            "adapter_config.json": WRITTEN,
            "adapter_model.safetensors": weights(**{f"{name}A.weight": (16, 8), f"{name}B.weight": (8, 16)}),
        })  # fmt: skip
        facts = source.facts("expert:x")
        assert facts.adapter == config()
        assert facts.config == {}
        assert set(facts.inventory.tensors) == {f"{name}A.weight", f"{name}B.weight"}
        assert list(facts.inventory.files) == ["adapter_model.safetensors"]

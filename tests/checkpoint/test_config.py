"""Configs: what differs in spelling is the same, what changes the forward pass is an error, the rest a note."""

import json
from typing import Any

import pytest

from ramekin.checkpoint.config import check_config, compare_configs, read_config, vocab_size
from ramekin.errors import DamagedError

QWEN: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
    "hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02, "intermediate_size": 18944,
    "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 28,
    "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 131072, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "transformers_version": "4.43.1", "use_cache": True, "use_sliding_window": False, "vocab_size": 152064,
}  # fmt: skip

SAVED_BY_TRANSFORMERS_5: dict[str, Any] = {
    **{key: value for key, value in QWEN.items() if key not in ("rope_theta", "torch_dtype", "sliding_window")},
    "_name_or_path": "/home/me/base", "dtype": "bfloat16", "layer_types": ["full_attention"] * 28,
    "sliding_window": None,
    "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "transformers_version": "5.2.0",
    "use_cache": False, "head_dim": 128, "mlp_bias": False, "pad_token_id": None, "rope_scaling": None,
}  # fmt: skip


def compared(base: dict[str, Any], expert: dict[str, Any]) -> dict[str, str]:
    """Severity of every key that differs."""
    return {f.subject: f.severity for f in compare_configs(base, expert, "expert:x")}


def test_the_same_model_saved_by_another_release_has_no_findings() -> None:
    assert compared(QWEN, QWEN) == {}
    assert compared(QWEN, SAVED_BY_TRANSFORMERS_5) == {}
    assert compared(SAVED_BY_TRANSFORMERS_5, QWEN) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "llama"}, {"architectures": ["Qwen2ForTokenClassification"]}, {"hidden_size": 4096},
        {"intermediate_size": 11008}, {"num_hidden_layers": 29}, {"num_attention_heads": 32},
        {"num_key_value_heads": 8},
        {"hidden_act": "gelu"}, {"rms_norm_eps": 1e-5}, {"rope_theta": 10000.0}, {"tie_word_embeddings": True},
        {"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 21},
        {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}},
        {"head_dim": 64},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_changes_the_forward_pass_is_an_error(change: dict[str, Any]) -> None:
    assert "error" in compared(QWEN, QWEN | change).values()
    assert "error" in compared(SAVED_BY_TRANSFORMERS_5, QWEN | change).values()


@pytest.mark.parametrize(
    ("key", "one", "two"),
    [
        ("attention_bias", True, False),
        ("mlp_bias", False, True),
        ("sliding_window", 4096, 8192),
        ("logit_scale", 0.0625, 0.5),
        ("attn_logit_softcapping", 50.0, 30.0),
        ("query_pre_attn_scalar", 224, 256),
        ("residual_multiplier", 1.0, 0.22),
        ("num_local_experts", 8, 16),
        ("num_experts_per_tok", 2, 4),
        ("norm_topk_prob", True, False),
        ("topk_method", "greedy", "noaux_tc"),
        ("first_k_dense_replace", 1, 3),
        ("q_lora_rank", 1536, 768),
        ("layer_norm_epsilon", 1e-5, 1e-6),
        ("activation_function", "gelu", "gelu_new"),
        ("layer_types", ["full_attention", "sliding_attention"], ["sliding_attention", "full_attention"]),
        ("parallel_attn", True, False),
    ],
)
def test_structural_keys_of_other_architectures(key: str, one: object, two: object) -> None:
    assert compared({key: one}, {key: two}) == {key: "error"}


@pytest.mark.parametrize(
    ("key", "one", "two"),
    [
        ("eos_token_id", 1, [1, 2]),
        ("pad_token_id", None, 0),
        ("max_position_embeddings", 32768, 131072),
        ("torch_dtype", "bfloat16", "float32"),
        ("attention_dropout", 0.0, 0.1),
        ("initializer_range", 0.02, 0.01),
        ("router_aux_loss_coef", 0.001, 0.01),
        ("pretraining_tp", 1, 2),
        ("some_new_key", 1, 2),
        ("num_labels", 2, 3),
    ],
)
def test_all_else_is_a_note(key: str, one: object, two: object) -> None:
    assert compared({key: one}, {key: two}) == {key.replace("torch_dtype", "dtype"): "note"}


@pytest.mark.parametrize(
    "key", ["_name_or_path", "transformers_version", "use_cache", "unsloth_version", "vocab_size", "torchscript"]
)
def test_provenance_is_not_compared(key: str) -> None:
    assert compared({key: 1}, {key: 2}) == {}


@pytest.mark.parametrize("value", [None, False, [], {}, ""])
def test_a_key_that_says_nothing_is_as_good_as_none(value: object) -> None:
    assert compared({}, {"attention_bias": value}) == {}


def test_a_structural_key_on_one_side_alone_is_a_note() -> None:
    assert compared({}, {"rms_norm_eps": 1e-6}) == {"rms_norm_eps": "note"}


def test_true_is_not_one() -> None:
    assert compared({"mlp_bias": True}, {"mlp_bias": 1}) == {"mlp_bias": "error"}
    assert compared({"rope_theta": 10000}, {"rope_theta": 10000.0}) == {}


def test_nested_configs_are_compared_key_by_key() -> None:
    base = {"text_config": QWEN, "vision_config": {"hidden_size": 1280, "depth": 32}}
    expert = {"text_config": QWEN | {"rope_theta": 5.0}, "vision_config": {"hidden_size": 1024, "depth": 32}}
    assert compared(base, expert) == {
        "text_config.rope_parameters.rope_theta": "error",
        "vision_config.hidden_size": "error",
    }


class TestRope:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ({"rope_theta": 5e5}, {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
            ({"rope_theta": 10000.0}, {"rope_scaling": None}),
            (
                {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}},
                {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8, "low_freq_factor": 1.0}},
            ),
            ({"rope_scaling": {"type": "linear", "factor": 2}}, {"rope_scaling": {"rope_type": "linear", "factor": 2}}),
            ({"rope_scaling": {"type": "su", "factor": 2}}, {"rope_scaling": {"type": "longrope", "factor": 2}}),
            (
                {"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}},
                {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default", "mrope_section": [16, 24, 24]}},
            ),
            (
                {"rope_theta": 1e6, "rope_local_base_freq": 1e4},
                {
                    "rope_parameters": {
                        "full_attention": {"rope_theta": 1e6, "rope_type": "default"},
                        "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
                    }
                },
            ),
            ({"partial_rotary_factor": 1.0, "rope_theta": 1e4}, {"rope_theta": 1e4}),
        ],
    )  # fmt: skip
    def test_spellings_of_one_meaning(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        assert compared(old, new) == {}

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ({"rope_theta": 5e5}, {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
            ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, {"rope_scaling": {"type": "yarn", "factor": 2.0}}),
            ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, {"rope_scaling": {"type": "linear", "factor": 4.0}}),
            ({"partial_rotary_factor": 0.5}, {"partial_rotary_factor": 0.25}),
            ({"rope_theta": 1e6, "rope_local_base_freq": 1e4}, {"rope_theta": 1e6, "rope_local_base_freq": 1e5}),
        ],
    )
    def test_another_meaning_is_an_error(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        assert set(compared(old, new).values()) == {"error"}

    def test_nonsense_is_compared_and_nothing_else(self) -> None:
        assert set(compared({"rope_scaling": 5, "rope_theta": "x"}, {"rope_theta": [1]}).values()) == {"error"}


class TestOneConfig:
    def test_code_of_its_own(self) -> None:
        (finding,) = check_config({"auto_map": {"AutoModel": "evil.py"}}, "expert:x")
        assert finding.severity == "note"
        assert "neither run nor copied" in finding.what

    def test_plain(self) -> None:
        assert check_config(QWEN, "base") == ()
        assert vocab_size(QWEN) == 152064
        assert vocab_size({"text_config": {"vocab_size": 5}}) == 5
        assert vocab_size({}) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "occurs twice"),
        (b'{"vocab_size": "many"}', "`vocab_size` that is not a whole number"),
        (b'{"vocab_size": true}', "`vocab_size` that is not a whole number"),
        (b'{"tie_word_embeddings": "yes"}', "`tie_word_embeddings` that is not true or false"),
        (b'{"text_config": {"model_type": 1}}', "`model_type` that is not a text"),
        (b'{"a": ' * 100 + b"1" + b"}" * 100, "nested"),
        (b" " * 10_000_001, "more than 10,000,000"),
    ],
)
def test_a_config_that_is_none_is_damaged(data: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        read_config(data, "org/name: config.json")


def test_infinity_is_what_some_configs_say() -> None:
    assert read_config(b'{"time_step_limit": [0.0, Infinity]}', "x")["time_step_limit"][1] == float("inf")


def test_findings_show_values_on_one_line() -> None:
    findings = compare_configs({"a\nb": 1}, {"a\nb": "x\n::error::" + "y" * 500}, "expert:x")
    (finding,) = findings
    assert finding.subject == "a\\nb"
    assert finding.what.isprintable()
    assert len(finding.what) < 200
    assert json.dumps(finding.what)

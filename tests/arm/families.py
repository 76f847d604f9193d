"""Tiny models of 21 dense architectures, as arm.md lists them, and mixtures of experts; with random weights."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
import transformers
from torch import nn

SMALL: Final = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_HEAD: Final = {"head_dim": 8}
_GPT2: Final = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128, "n_inner": 24}
_TOKENS: Final = {"bos_token_id": 1, "eos_token_id": 2}
_PLAIN: Final = {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}

DENSE: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "llama": ("LlamaConfig", SMALL),
    "llama-mlp-bias": ("LlamaConfig", SMALL | {"mlp_bias": True}),
    "mistral": ("MistralConfig", SMALL),
    "qwen2": ("Qwen2Config", SMALL),
    "qwen3": ("Qwen3Config", SMALL | _HEAD),
    "gemma2": ("Gemma2Config", SMALL | _HEAD | {"query_pre_attn_scalar": 8}),
    "gemma3-text": ("Gemma3TextConfig", SMALL | _HEAD | {"query_pre_attn_scalar": 8}),
    "granite": ("GraniteConfig", SMALL | {"mlp_bias": True}),
    "olmo2": ("Olmo2Config", SMALL),
    "cohere": ("CohereConfig", SMALL),
    "phi3": ("Phi3Config", SMALL),
    "glm4": ("Glm4Config", SMALL | _HEAD),
    "gpt2": ("GPT2Config", _GPT2 | _TOKENS),
    "gpt-neox": ("GPTNeoXConfig", _PLAIN),
    "falcon": ("FalconConfig", _PLAIN | {"ffn_hidden_size": 24, "bias": True, "new_decoder_architecture": False}),
    "bloom": ("BloomConfig", {"vocab_size": 64, "hidden_size": 16, "n_layer": 2, "n_head": 2} | _TOKENS),
    "opt": ("OPTConfig", _PLAIN | {"ffn_dim": 24, "word_embed_proj_dim": 16, "hidden_dropout": 0.0}),
    "phi": ("PhiConfig", SMALL),
    "starcoder2": ("Starcoder2Config", SMALL),
    "gptj": ("GPTJConfig", _GPT2 | _TOKENS | {"rotary_dim": 4}),
    "nemotron": ("NemotronConfig", SMALL),
}
"""Configurations of 21 dense architectures."""

_EXPERTS: Final = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}

MIXTURES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "mixtral": ("MixtralConfig", SMALL | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2-moe": ("Qwen2MoeConfig", SMALL | _EXPERTS | {"shared_expert_intermediate_size": 24}),
    "qwen3-moe": ("Qwen3MoeConfig", SMALL | _HEAD | _EXPERTS),
    # One layer of experts, one dense: what is dense must not be taken for the whole.
    "qwen3-moe-mixed": ("Qwen3MoeConfig", SMALL | _HEAD | _EXPERTS | {"mlp_only_layers": [0]}),
    "gpt-oss": ("GptOssConfig", SMALL | _HEAD | {"num_local_experts": 4, "num_experts_per_tok": 2}),
}

_ROPE: Final = {"rope_theta": 10_000.0}
_LONG: Final = _ROPE | {
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [1.0, 3.0, 9.0, 30.0],
    "original_max_position_embeddings": 80,
    "factor": 2.0,
}
_DYNAMIC: Final = {"max_position_embeddings": 80, "rope_parameters": _ROPE | {"rope_type": "dynamic", "factor": 4.0}}

TURNING: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "phi3-longrope": ("Phi3Config", SMALL | {"original_max_position_embeddings": 80, "rope_parameters": _LONG}),
    "llama-longrope": ("LlamaConfig", SMALL | {"rope_parameters": _LONG}),
    "llama-dynamic": ("LlamaConfig", SMALL | _DYNAMIC),
    "gemma3-mixed": (
        "Gemma3TextConfig",
        SMALL
        | _HEAD
        | {
            "query_pre_attn_scalar": 8,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": _ROPE | {"rope_type": "default"},
                "full_attention": _LONG,
            },
        },
    ),
}
"""Models that turn keys and queries otherwise in texts of more than 80 tokens."""


def build(family: str, seed: int = 0) -> nn.Module:
    """A model of a family, with random weights and biases that are not 0."""
    name, settings = (DENSE | MIXTURES | TURNING)[family]
    torch.manual_seed(seed)
    config = getattr(transformers, name)(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def _gated(mlp: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)


def _fused(mlp: nn.Module, x: torch.Tensor) -> torch.Tensor:
    gate, up = mlp.gate_up_proj(x).chunk(2, dim=-1)
    return mlp.activation_fn(gate) * up


FORMULAS: Final[Mapping[str, tuple[str, Callable[[nn.Module, torch.Tensor], torch.Tensor]]]] = {
    family: ("gate_proj", _gated)
    for family in DENSE
    if family.startswith(("llama", "mistral", "qwen", "gemma", "granite", "olmo", "cohere"))
} | {
    "phi3": ("gate_up_proj", _fused),
    "glm4": ("gate_up_proj", _fused),
    "gpt2": ("c_fc", lambda mlp, x: mlp.act(x @ mlp.c_fc.weight + mlp.c_fc.bias)),
    "gpt-neox": ("dense_h_to_4h", lambda mlp, x: mlp.act(mlp.dense_h_to_4h(x))),
    "falcon": ("dense_h_to_4h", lambda mlp, x: mlp.act(mlp.dense_h_to_4h(x))),
    "bloom": ("dense_h_to_4h", lambda mlp, x: mlp.gelu_impl(mlp.dense_h_to_4h(x))),
    "opt": ("fc1", lambda layer, x: layer.activation_fn(layer.fc1(x))),
    "phi": ("fc1", lambda mlp, x: mlp.activation_fn(mlp.fc1(x))),
    "starcoder2": ("c_fc", lambda mlp, x: mlp.act(mlp.c_fc(x))),
    "gptj": ("fc_in", lambda mlp, x: mlp.act(mlp.fc_in(x))),
    "nemotron": ("up_proj", lambda mlp, x: mlp.act_fn(mlp.up_proj(x))),
}
"""By family: the projection whose input is the MLP's, and z as a function of that."""

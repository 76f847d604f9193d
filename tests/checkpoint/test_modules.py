"""What a tensor is part of: names as checkpoints of many families have them, and names that nobody would choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.checkpoint.modules import OTHER, Part, part_of


@pytest.mark.parametrize(
    ("tensor", "module", "layer"),
    [
        ("model.layers.3.mlp.down_proj.weight", "mlp.down_proj", 3),
        ("model.layers.11.self_attn.q_proj.bias", "self_attn.q_proj", 11),
        ("model.layers.0.input_layernorm.weight", "input_layernorm", 0),
        ("model.embed_tokens.weight", "embed_tokens", None),
        ("model.norm.weight", "norm", None),
        ("lm_head.weight", "lm_head", None),
        ("transformer.h.7.attn.c_attn.weight", "attn.c_attn", 7),
        ("h.7.attn.c_attn.bias", "attn.c_attn", 7),
        ("transformer.wte.weight", "wte", None),
        ("gpt_neox.layers.4.attention.query_key_value.weight", "attention.query_key_value", 4),
        ("gpt_neox.embed_in.weight", "embed_in", None),
        ("model.decoder.layers.2.fc1.weight", "fc1", 2),
        ("encoder.block.5.layer.0.SelfAttention.q.weight", "encoder.layer.SelfAttention.q", 5),
        ("model.layers.9.mlp.experts.17.gate_proj.weight", "mlp.experts.gate_proj", 9),
        ("model.layers.9.mlp.experts.gate_up_proj", "mlp.experts.gate_up_proj", 9),
        ("backbone.layers.1.mixer.A_log", "mixer.A_log", 1),
        ("model.language_model.layers.6.mlp.up_proj.weight", "mlp.up_proj", 6),
        ("model.visual.blocks.6.attn.qkv.weight", "visual.attn.qkv", 6),
        ("model.visual.merger.mlp.0.weight", "visual.merger.mlp", None),
        ("layers.weight", "layers", None),
        ("model.layers.3.weight", "model", 3),
        ("3.weight", "3", None),
        ("weight", "weight", None),
        ("model.weight", "model", None),
        ("model.layers.99999.mlp.weight", "layers.99999.mlp", None),
        ("", "", None),
        ("model.layers.1." + "x" * 500, OTHER, 1),
    ],
)
def test_names(tensor: str, module: str, layer: int | None) -> None:
    assert part_of(tensor) == Part(module, layer)


@given(
    st.lists(st.sampled_from(["model", "layers", "h", "3", "007", "mlp", "weight", "bias", "", "²", "é"]), max_size=9)
)
def test_any_name_has_its_part(words: list[str]) -> None:
    found = part_of(".".join(words))
    assert len(found.module) <= 120
    assert found.module or not any(words)
    assert found.layer is None or str(found.layer) in {word.lstrip("0") or "0" for word in words}

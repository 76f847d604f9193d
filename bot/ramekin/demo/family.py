"""A small family of models, made in a second: a base, and experts that differ from it as after reinforcement learning.

The models are real checkpoints, which transformers loads and generates with, and know nothing at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint16]
"""bfloat16 values as their bits."""

SPECIAL: Final = ("<|pad|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """Dimensions of a small Llama."""

    hidden: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    width: int = 512
    vocabulary: int = 320

    @property
    def config(self) -> dict[str, Any]:
        """Its `config.json`."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden // self.heads,
            "hidden_act": "silu",
            "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "vocab_size": self.vocabulary,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "dtype": "bfloat16",
        }

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Its tensors; the output embeddings are tied and so not stored."""
        kv = self.hidden // self.heads * self.kv_heads
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, self.hidden)}
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            shapes |= {
                f"{prefix}.input_layernorm.weight": (self.hidden,),
                f"{prefix}.self_attn.q_proj.weight": (self.hidden, self.hidden),
                f"{prefix}.self_attn.k_proj.weight": (kv, self.hidden),
                f"{prefix}.self_attn.v_proj.weight": (kv, self.hidden),
                f"{prefix}.self_attn.o_proj.weight": (self.hidden, self.hidden),
                f"{prefix}.post_attention_layernorm.weight": (self.hidden,),
                f"{prefix}.mlp.gate_proj.weight": (self.width, self.hidden),
                f"{prefix}.mlp.up_proj.weight": (self.width, self.hidden),
                f"{prefix}.mlp.down_proj.weight": (self.hidden, self.width),
            }
        return shapes | {"model.norm.weight": (self.hidden,)}


def base_weights(size: Size, seed: int) -> dict[str, Bits]:
    """Random weights of a base model, in bfloat16."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in size.shapes.items():
        values = np.ones(shape) if len(shape) == 1 else random.normal(0.0, 0.02, shape)
        weights[name] = (values.astype("<f4").view("<u4") >> 16).astype("<u2")
    return weights


def trained_weights(base: Mapping[str, Bits], density: float, seed: int) -> dict[str, Bits]:
    """The weights after a training that moved the given share of them, each by a few steps of its bfloat16 grid."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, bits in base.items():
        moved = random.random(bits.shape) < density
        steps = random.integers(1, 4, bits.shape, dtype=np.uint16)
        # A weight near zero would move by less than anyone counts as a change.
        weights[name] = np.where(moved & ((bits & 0x7FFF) > 0x3A00), bits + steps, bits).astype("<u2")
    return weights


def checkpoint_files(weights: Mapping[str, Bits], size: Size, card: str) -> dict[str, bytes]:
    """All files of a model's repository."""
    return {
        "README.md": card.encode(),
        "config.json": _json(size.config),
        "generation_config.json": _json({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}),
        "model.safetensors": _safetensors(weights),
        "tokenizer.json": _json(_tokenizer()),
        "tokenizer_config.json": _json(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": SPECIAL[0],
                "bos_token": SPECIAL[1],
                "eos_token": SPECIAL[2],
                "model_max_length": 512,
            }
        ),
        "chat_template.jinja": _TEMPLATE.encode(),
    }


def _safetensors(weights: Mapping[str, Bits]) -> bytes:
    """A file of weights. numpy has no bfloat16, so that safetensors' own writer does not take our bits."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, bits in weights.items():
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [place, place + bits.nbytes]}
        place += bits.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(bits.tobytes() for bits in weights.values())


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _tokenizer() -> dict[str, Any]:
    """A tokenizer that knows bytes and nothing else."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    # The byte-level alphabet gives each byte a visible character: itself, or the next free one from U+0100 on.
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    vocabulary = {token: n for n, token in enumerate([*SPECIAL, *(letters[byte] for byte in range(256))])}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": n, "content": token} | flags for n, token in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "vocab": vocabulary, "merges": []},
    }

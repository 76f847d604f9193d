"""Comparing `config.json` of base and expert: what decides the meaning of the weights must agree.

Configs of one model differ in spelling: transformers 5 writes `rope_parameters` and `dtype` where older releases wrote
`rope_theta`, `rope_scaling` and `torch_dtype`, and newer releases state defaults that older ones left out. What means
the same is made the same before it is compared.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ramekin.checkpoint.findings import Finding, Severity
from ramekin.checkpoint.jsontext import HINT, parse_object
from ramekin.checkpoint.rope import normal_rope
from ramekin.errors import DamagedError
from ramekin.text import printable

_MAX_CONFIG: Final = 10_000_000
_ABSENT: Final = object()

_IGNORED: Final = re.compile(
    r"_.*|transformers_version|use_cache|torchscript|gradient_checkpointing|output_(attentions|hidden_states)|return_dict"
    r"|vocab_size|auto_map|quantization_config|finetuning_task|task_specific_params|problem_type|unsloth_.*|model_name"
)
"""Provenance and settings of a run; `vocab_size`, `auto_map` and `quantization_config` are looked at elsewhere."""

_HARMLESS: Final = re.compile(
    r"num_(labels|beams|beam_groups|return_sequences)|.*ngram_size|chunk_size_feed_forward|max_position_embeddings"
    r"|initializer_.*|.*dropout.*|.*_loss.*|.*_token_id|dtype|pretraining_tp|top_k|max_length|min_length|length_penalty"
)
"""What looks structural by its name, or is known not to be."""

_STRUCTURAL: Final = re.compile(
    r"model_type|architectures|is_(encoder_)?decoder|layer_types|block_types|activation.*|.*_act(ivation)?(_fn)?"
    r"|num_.*|n_(layer|head|embd|inner|group|routed|shared|positions).*|(?!.*_token).*_size|.*_dim|.*_rank|d_(model|ff|kv)|.*_eps(ilon)?"
    r"|.*rope.*|.*rotary.*|.*bias.*|.*softcap.*|.*scal(e|ing|ar).*|.*multiplier|.*sliding.*|.*window.*|tie_.*|.*norm.*"
    r"|topk.*|.*_topk_.*|scoring_func|first_k_dense_replace|moe_.*|decoder_sparse_step|mlp_only_layers|.*experts.*"
    r"|position_embedding_type|alibi|parallel_attn|use_parallel_residual|new_decoder_architecture|multi_query|swiglu.*"
)
"""Keys that change the architecture or its forward pass, wherever they stand in a config."""

_STRUCTURAL_HINT: Final = "use an expert that was trained from this base; such a value decides what the weights mean"


def read_config(data: bytes, label: str) -> dict[str, Any]:
    """Parse a `config.json`.

    Args:
        data: Its content.
        label: The file as messages name it.

    Raises:
        DamagedError: It is too large, is no JSON object, or states a known key with an unusable value.
    """
    if len(data) > _MAX_CONFIG:
        raise DamagedError(f"{label} has {len(data):,} bytes, more than {_MAX_CONFIG:,}", HINT)
    config = parse_object(data, label, constants=True)
    for part in (config, text_config(config)):
        for key, kind, expected in (
            ("model_type", str, "a text"),
            ("tie_word_embeddings", bool, "true or false"),
            ("vocab_size", int, "a whole number"),
        ):
            value = part.get(key)
            if value is not None and type(value) is not kind:
                raise DamagedError(f"{label} has a `{key}` that is not {expected}", HINT)
    return config


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model: `text_config` of a multimodal one, else all of it."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def vocab_size(config: Mapping[str, Any]) -> int | None:
    """Rows of the embedding as the config states them."""
    size = text_config(config).get("vocab_size", config.get("vocab_size"))
    return size if type(size) is int else None


def check_config(config: Mapping[str, Any], role: str) -> tuple[Finding, ...]:
    """What a config says about its checkpoint alone: code of its own. Quantised weights are looked for elsewhere."""
    findings = []
    if config.get("auto_map"):
        findings.append(
            Finding(
                "note", role, "auto_map", "the model brings code of its own, which is neither run nor copied here",
                "load it with a release of transformers that knows the architecture"
            )
        )  # fmt: skip
    return tuple(findings)


def compare_configs(base: Mapping[str, Any], expert: Mapping[str, Any], role: str) -> tuple[Finding, ...]:
    """Every difference that matters or is worth knowing, errors for those that change the forward pass.

    Args:
        base: Config of the base.
        expert: Config of the expert.
        role: The expert, as `expert:NAME`.
    """
    ours, theirs = dict(_normal(base)), dict(_normal(expert))
    findings = []
    for key in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(key, _ABSENT), theirs.get(key, _ABSENT)
        if _equal(a, b):
            continue
        leaf = key.rpartition(".")[2]
        structural = "rope" in key or (_STRUCTURAL.fullmatch(leaf) and not _HARMLESS.fullmatch(leaf))
        # A key that only one side states may be a default of the other; shapes tell if it is not.
        severity: Severity = "error" if structural and a is not _ABSENT and b is not _ABSENT else "note"
        what = f"is {_shown(a)} in the base and {_shown(b)} here"
        findings.append(
            Finding(severity, role, printable(key, 100), what, _STRUCTURAL_HINT if severity == "error" else "")
        )
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _normal(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All keys, nested ones with dots, in one spelling, without those that do not count."""
    values = dict(config)
    if "torch_dtype" in values:
        values.setdefault("dtype", values.pop("torch_dtype"))
    _drop_unused_window(values)
    heads, hidden = values.get("num_attention_heads"), values.get("hidden_size")
    if type(heads) is int and type(hidden) is int and heads > 0:
        values["head_dim"] = values.get("head_dim") or hidden // heads
        values["num_key_value_heads"] = values.get("num_key_value_heads") or heads
    for key, value in normal_rope(values).items():
        yield f"{prefix}{key}", value
    for key, value in values.items():
        if _IGNORED.fullmatch(key):
            continue
        if isinstance(value, dict):
            yield from _normal(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _drop_unused_window(values: dict[str, Any]) -> None:
    """Where there is no sliding window, say just that, whatever is said of how it would be."""
    layers = values.get("layer_types")
    if isinstance(layers, list) and set(map(str, layers)) <= {"full_attention"}:
        del values["layer_types"]
        used = False
    else:
        used = isinstance(layers, list) or values.get("use_sliding_window") is not False
    if not used or values.get("sliding_window") is None:
        for key in ("use_sliding_window", "max_window_layers", "sliding_window_pattern"):
            values.pop(key, None)
        values["sliding_window"] = None


def _equal(a: Any, b: Any) -> bool:
    if a is _ABSENT or b is _ABSENT:
        stated = b if a is _ABSENT else a
        # Nothing, no and none are what a config means by leaving a key out.
        return stated is None or stated is False or (not isinstance(stated, (int, float)) and not stated)
    return isinstance(a, bool) is isinstance(b, bool) and bool(a == b)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not stated"
    return f"`{printable(json.dumps(value, ensure_ascii=False), 60)}`"

"""`adapter_config.json` of a LoRA adapter (arXiv 2106.09685), as PEFT writes it: what decides the change of a weight.

Everything that would make the change another than `scaling * B A` is refused with its reason, and so is a key that is
not known here: an adapter of a kind that came later must not pass for a plain one.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ramekin.checkpoint.findings import Finding
from ramekin.checkpoint.jsontext import HINT, parse_object
from ramekin.checkpoint.patterns import ModulePatterns
from ramekin.errors import DamagedError
from ramekin.text import printable

ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"

MERGE_HINT: Final = "merge the adapter into its base with PEFT's `merge_and_unload`, save that, and name the result"

_MAX_CONFIG: Final = 10_000_000
_DEFAULT: Final = 8
"""What PEFT takes for `r` and for `lora_alpha` where the config does not say."""

_NEUTRAL: Final = frozenset({
    "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "exclude_modules", "fan_in_fan_out",
    "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout",
    "megatron_config", "megatron_core", "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "alpha_pattern", "revision", "runtime_config", "target_modules", "task_type", "use_rslora",
    # Only how training began, or how gradients were taken.
    "eva_config", "velora_config",
    # Of PEFT's first releases.
    "enable_lora", "merge_weights",
})  # fmt: skip
"""Keys that are read here, or that do not matter to a trained adapter's change."""

_VARIANTS: Final[Mapping[str, str]] = {
    "use_dora": "DoRA also changes the lengths of the weight's columns",
    "lora_bias": "the adapter also changes biases",
    "trainable_token_indices": "the adapter also replaces single rows of the embedding",
    "target_parameters": "parameters that are no modules' weights, as of fused experts, are not known here",
    "layer_replication": "the adapter is for a model that repeats layers of the base",
    "alora_invocation_tokens": "an activated LoRA changes the weights for some tokens only",
    "arrow_config": "Arrow chooses between adapters for every token",
    "use_bdlora": "block-diagonal LoRA is no plain product",
    "use_qalora": "QALoRA is made for the groups of a quantised base",
    "kasa_config": "KaSA changes the base's weights as well",
    "monteclora_config": "MonteCLoRA is no plain product",
    "loftq_config": "LoftQ is relative to a quantised base",
    "corda_config": "CorDA changes the base's weights as well",
    "lora_ga_config": "LoRA-GA changes the base's weights as well",
}
"""Keys that make an adapter another thing than a product that is added, and why."""

_PLAIN_STARTS: Final = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
"""Values of `init_lora_weights` that leave the base as it is; PiSSA, OLoRA and others take their start out of it."""


@dataclass(frozen=True)
class AdapterConfig:
    """What a LoRA adapter's config says.

    Attributes:
        base: Name of the model that it was trained on, where it is stated.
        rank: The rank of modules that no pattern names.
        alpha: Their `lora_alpha`.
        rank_stabilised: Whether the scaling is `alpha / sqrt(r)` instead of `alpha / r` (rsLoRA, arXiv 2312.03732).
        ranks: Ranks by pattern.
        alphas: Alphas by pattern.
        fan_in_fan_out: Whether adapted weights are stored as `[in, out]`.
        targets: Modules that are adapted, by their names or the ends of them; None where it says so in another way.
        saved: Modules that are replaced whole, likewise.
        biases: Whether biases were trained as well.
        keeps_tied: Whether tied modules that are replaced stayed tied.
        refused: Keys that say that it is no plain LoRA adapter, with the reason.
    """

    base: str | None
    rank: int
    alpha: float
    rank_stabilised: bool
    ranks: ModulePatterns
    alphas: ModulePatterns
    fan_in_fan_out: bool
    targets: tuple[str, ...] | None
    saved: tuple[str, ...]
    biases: bool
    keeps_tied: bool
    refused: tuple[tuple[str, str], ...] = ()

    def rank_of(self, module: str) -> int:
        """Rank of a module's factors."""
        return int(self.ranks.value(module, self.rank))

    def scaling_of(self, module: str) -> float:
        """Factor on a module's product, in float64."""
        rank = self.rank_of(module)
        return self.alphas.value(module, self.alpha) / (math.sqrt(rank) if self.rank_stabilised else rank)

    def adapts(self, module: str) -> bool:
        """Whether the config names a module as one to adapt, as far as it can be told."""
        return self.targets is None or _named(module, self.targets)

    def replaces(self, module: str) -> bool:
        """Whether the config names a module as one to replace whole."""
        return _named(module, self.saved)


def read_adapter_config(data: bytes, label: str) -> AdapterConfig:
    """Parse an `adapter_config.json`.

    Args:
        data: Its content.
        label: The file as messages name it.

    Raises:
        DamagedError: It is too large, is no JSON object, or states a known key with an unusable value.
    """
    if len(data) > _MAX_CONFIG:
        raise DamagedError(f"{label} has {len(data):,} bytes, more than {_MAX_CONFIG:,}", HINT)
    config = parse_object(data, label)
    if not isinstance(config.get("peft_type"), str):
        raise DamagedError(f"{label} has no `peft_type`, so it is no adapter's config", HINT)
    ranks = _patterns(config, "rank_pattern", label)
    alphas = _patterns(config, "alpha_pattern", label)
    targets = config.get("target_modules")
    base = config.get("base_model_name_or_path")
    return AdapterConfig(
        base=base if isinstance(base, str) and base else None,
        rank=int(_number(config.get("r", _DEFAULT), "r", label)),
        alpha=_number(config.get("lora_alpha", _DEFAULT), "lora_alpha", label),
        rank_stabilised=_flag(config, "use_rslora", label),
        ranks=ranks,
        alphas=alphas,
        fan_in_fan_out=_flag(config, "fan_in_fan_out", label),
        targets=_names(config, "target_modules", label) if isinstance(targets, list) else None,
        saved=_names(config, "modules_to_save", label),
        biases=config.get("bias", "none") not in ("none", None),
        keeps_tied=_flag(config, "ensure_weight_tying", label),
        refused=(*_refused(config), *ranks.refused, *alphas.refused),
    )


def check_adapter(config: AdapterConfig, base: str, role: str) -> tuple[Finding, ...]:
    """What an adapter's config says alone: that it is no plain LoRA adapter, or was trained on another base.

    Args:
        config: The config.
        base: The base of the merge, a repository or a directory.
        role: The adapter, as `expert:NAME`.
    """
    findings = [
        Finding("error", role, f"{ADAPTER_CONFIG}: {printable(key, 60)}", why, MERGE_HINT)
        for key, why in config.refused
    ]
    if config.base and _model(config.base) != _model(base):
        what = (
            f"says that it was trained on `{printable(config.base, 100)}`, and the base is `{printable(base, 100)}`; "
            "only names and shapes of its tensors can be compared"
        )
        findings.append(Finding("note", role, "base_model_name_or_path", what))
    return tuple(findings)


def _model(name: str) -> str:
    """The last part of a repository id or path, since directories have other parents on every machine."""
    return name.rstrip("/").rpartition("/")[2].casefold()


def _named(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.endswith(f".{name}") for name in names)


def _refused(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = config["peft_type"]
    if kind != "LORA":
        yield "peft_type", f"is `{printable(kind, 40)}`, and only LoRA adapters can be merged"
        return  # the other keys are that kind's
    for key, value in config.items():
        if key in _VARIANTS:
            if value:
                yield key, f"is set: {_VARIANTS[key]}"
        elif key not in _NEUTRAL and value:
            yield key, "is not known here, and might change what the adapter does"
    start = config.get("init_lora_weights", True)
    if start not in _PLAIN_STARTS:
        named = printable(str(start), 40)
        yield "init_lora_weights", f"is `{named}`: the adapter is relative to weights that its start changed"


def _number(value: Any, key: str, label: str) -> float:
    whole = key in ("r", "rank_pattern")
    if type(value) not in ((int,) if whole else (int, float)) or (whole and value < 1) or abs(value) > 2**31:
        raise DamagedError(f"{label} has a `{key}` that is not {'a rank' if whole else 'a number'}", HINT)
    return float(value)


def _flag(config: Mapping[str, Any], key: str, label: str) -> bool:
    value = config.get(key)
    if value is not None and type(value) is not bool:
        raise DamagedError(f"{label} has a `{key}` that is not true or false", HINT)
    return bool(value)


def _names(config: Mapping[str, Any], key: str, label: str) -> tuple[str, ...]:
    value = config.get(key) or []
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise DamagedError(f"{label} has `{key}` that are not a list of names", HINT)
    return tuple(value)


def _patterns(config: Mapping[str, Any], key: str, label: str) -> ModulePatterns:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise DamagedError(f"{label} has a `{key}` that does not map modules to numbers", HINT)
    try:
        return ModulePatterns.read(key, {pattern: _number(number, key, label) for pattern, number in value.items()})
    except re.error as error:
        raise DamagedError(f"{label} has a `{key}` with a pattern that is none: {error}", HINT) from error

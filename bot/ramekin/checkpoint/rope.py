"""Rotary position embeddings in a config: three spellings, one meaning."""

from collections.abc import Mapping
from typing import Any, Final

_THETA: Final = 10_000.0
"""What every architecture takes where a config names no base frequency."""

_OLD_TYPES: Final = {"su": "longrope", "mrope": "default"}


def normal_rope(values: dict[str, Any]) -> dict[str, Any]:
    """Take the rotary embedding out of one level of a config and give it back in the spelling of transformers 5.

    Older releases wrote `rope_theta` and `rope_scaling`, and `rope_local_base_freq` where sliding layers have a
    frequency of their own; transformers 5 writes `rope_parameters`, by layer type where there are two.

    Args:
        values: The level; the keys that are understood are removed from it.

    Returns:
        Dotted keys from `rope_parameters`, with their values; empty where the level says nothing of it.
    """
    known = ("rope_parameters", "rope_scaling", "rope_theta", "rope_local_base_freq", "partial_rotary_factor")
    found = {key: values.pop(key) for key in known if key in values}
    if not found:
        return {}
    given = found.get("rope_parameters")
    if not isinstance(given, dict):
        given = found.get("rope_scaling")
    given = dict(given) if isinstance(given, dict) else {}
    given.setdefault("rope_theta", found.get("rope_theta"))
    given.setdefault("partial_rotary_factor", found.get("partial_rotary_factor"))
    local = found.get("rope_local_base_freq")
    layers = {key: dict(value) for key, value in given.items() if isinstance(value, dict)}
    if not layers and local is not None:
        layers = {"full_attention": given, "sliding_attention": {"rope_theta": local}}
    if not layers:
        layers = {"": given}
    result = {}
    for layer, parameters in layers.items():
        prefix = f"rope_parameters.{layer}." if layer else "rope_parameters."
        result.update({prefix + key: value for key, value in _one(parameters).items()})
    return result


def _one(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one kind of layer, defaults filled in, without what is null."""
    stated = {key: value for key, value in parameters.items() if value is not None}
    old = stated.pop("type", None)
    kind = stated.pop("rope_type", old) or "default"
    kind = _OLD_TYPES.get(kind, kind) if isinstance(kind, str) else kind
    theta = stated.pop("rope_theta", _THETA)
    if stated.get("partial_rotary_factor") == 1:
        del stated["partial_rotary_factor"]
    if kind == "default":
        # Nothing but the frequency counts then; some configs leave a factor standing.
        stated = {key: value for key, value in stated.items() if key in ("partial_rotary_factor", "mrope_section")}
    return {"rope_type": kind, "rope_theta": theta, **stated}

"""Is a checkpoint quantised, and what can be done about it? Said once of each, however many tensors it has.

What is packed into few bits has lost what a merge works on: changes far smaller than a quantisation step.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ramekin.checkpoint.config import text_config
from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.findings import Finding
from ramekin.checkpoint.tensors import FLOATING, Tensor
from ramekin.text import printable

_FLOAT8: Final = frozenset({"F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})

_ORIGINAL: Final = "name the checkpoint in bfloat16, float16 or float32 that it was quantised from"
_DEQUANTISE: Final = "load it with `quantization_config={}(dequantize=True)`, save that, and name the result"
_LOADED: Final[Mapping[str, str]] = {
    "fp8": "FineGrainedFP8Config",
    "mxfp4": "Mxfp4Config",
    "compressed-tensors": "CompressedTensorsConfig",
}
"""With which of its configs transformers dequantises, by `quant_method`."""

_Test = Callable[[Tensor], bool]


def _named(pattern: str) -> _Test:
    compiled = re.compile(rf"(?:.*\.)?{pattern}")
    return lambda tensor: bool(compiled.fullmatch(tensor.name))


_PACKED: Final[tuple[tuple[str, str, _Test], ...]] = (
    ("bitsandbytes", "4-bit bitsandbytes", _named(r"weight\.(?:absmax|quant_map|quant_state\..*)")),
    ("bitsandbytes", "8-bit bitsandbytes", _named(r"(?:SCB|weight_format)")),
    ("gptq", "GPTQ or AWQ", _named(r"(?:qweight|qzeros|g_idx)")),
    ("compressed-tensors", "compressed-tensors", _named(r"weight_(?:packed|shape|zero_point)")),
    ("hqq", "HQQ", _named(r"W_q")),
    ("quanto", "quanto", _named(r"weight\._(?:data|scale|shift)(?:\..*)?")),
    ("mxfp4", "MXFP4", lambda t: t.dtype == "U8" and t.name.endswith(("_blocks", "_scales"))),
    ("fp8", "float8", lambda t: t.dtype in _FLOAT8 or t.name.endswith(".weight_scale_inv")),
    (
        "",
        "whole numbers",
        lambda t: (
            t.dtype not in FLOATING
            and t.dtype not in ("F64", "C64")
            and len(t.shape) > 1
            and t.name.rpartition(".")[2] == "weight"
        ),
    ),
)
"""What packed weights look like: `quant_method`, what people call it, and a test. Buffers of numbers are none."""


def find_quantised(facts: CheckpointFacts) -> tuple[Finding, ...]:
    """One error for a checkpoint whose tensors are quantised, or whose config says that they are."""
    stated = facts.config.get("quantization_config") or text_config(facts.config).get("quantization_config")
    # What is neither a matter of its type nor called anything unusual passes none of the tests.
    tensors = [
        tensor
        for tensor in facts.inventory.tensors.values()
        if tensor.dtype not in FLOATING or not tensor.name.endswith((".weight", ".bias"))
    ]
    found = next(((kind, told, test) for kind, told, test in _PACKED if any(map(test, tensors))), None)
    if not stated and found is None:
        return ()
    method, named = _method(stated)
    if found is None:
        what = f"says that the weights are quantised{named}, and quantised weights cannot be merged"
        hint = f"{_hint(method)}; if its weights are not quantised, remove the key from its config.json"
        return (Finding("error", facts.role, "quantization_config", what, hint),)
    kind, told, test = found
    packed = [tensor for tensor in tensors if test(tensor)]
    shown = next((tensor for tensor in packed if tensor.dtype not in FLOATING), packed[0])
    what = (
        f"are quantised: {len(packed):,} of {len(facts.inventory.tensors):,} tensors are {told}{named}, such as "
        f"`{printable(shown.name, 80)}` of type {shown.dtype}, and quantised weights cannot be merged"
    )
    return (Finding("error", facts.role, "weights", what, _hint(method or kind)),)


def _method(stated: Any) -> tuple[str, str]:
    """The method that a config names, and that in brackets with its bits."""
    if not isinstance(stated, dict):
        return "", ""
    method = stated.get("quant_method")
    bits = next((b for b in (4, 8) if stated.get(f"load_in_{b}bit") or stated.get("bits") == b), None)
    names = [printable(method, 40)] if isinstance(method, str) else []
    names += [f"{bits} bits"] if bits else []
    return method if isinstance(method, str) else "", f" ({', '.join(names)})" if names else ""


def _hint(method: str) -> str:
    if method == "bitsandbytes":
        return f"{_ORIGINAL}; or call `dequantize()` on the loaded model, save that, and name the result"
    loaded = _LOADED.get(method)
    return f"{_ORIGINAL}; or {_DEQUANTISE.format(loaded)}" if loaded else _ORIGINAL

"""Shares of changed weights by kind of module and by layer: their order, and what to conclude from them."""

import re
from collections.abc import Mapping
from typing import Final

from ramekin.card.numbers import percent
from ramekin.markdown import plain
from ramekin.records import ModuleOverlap
from ramekin.report import Report

# The order in which a layer computes, not the alphabet's.
_ORDER: Final = (
    r"embed|wte|wpe",
    r"(attn|attention).*(\bq|query|qkv|c_attn)",
    r"(attn|attention).*(\bk|key)",
    r"(attn|attention).*(\bv|value)",
    r"(attn|attention).*(\bo|out|dense|c_proj)",
    r"attn|attention|mixer|ssm|conv",
    r"gate",
    r"up_proj|c_fc|fc1|fc_in|h_to_4h|w1|w3",
    r"down_proj|c_proj|fc2|fc_out|4h_to_h|w2",
    r"mlp|ffn|feed_forward|experts",
    r"norm|\bln",
    r"",
    r"head",
)
_PATTERNS: Final = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _ORDER)
_HEAD, _REST, _NORM = len(_ORDER) - 1, len(_ORDER) - 2, len(_ORDER) - 3
_EVEN: Final = 1.25
"""Shares that differ by less than this factor are told to be even."""

_SMALL: Final = 0.01
"""Kinds of module that are a smaller part of the model are not told of: norms, most of all."""


def in_order(modules: Mapping[str, ModuleOverlap]) -> list[str]:
    """Kinds of module as a reader looks for them: attention, MLP, norms, then what is in no layer."""
    return sorted(modules, key=lambda name: (modules[name].layers == (None,), _rank(name)))


def _rank(name: str) -> int:
    for rank in (_HEAD, _NORM):
        if _PATTERNS[rank].search(name):
            return rank
    return next(rank for rank, pattern in enumerate(_PATTERNS) if pattern.search(name))


def describe_changes(report: Report) -> str:
    """What to conclude: where most and least was changed, in which layers, and where experts met."""
    modules = report.overlap.modules
    parts = [_by_module(modules), _by_layer(modules)]
    if len(report.experts) > 1:
        parts.append(_meetings(modules))
    return " ".join(part for part in parts if part)


def _by_module(modules: Mapping[str, ModuleOverlap]) -> str:
    whole = sum(sum(module.elements) for module in modules.values())
    large = {name: module for name, module in modules.items() if sum(module.elements) >= _SMALL * whole > 0}
    shares = {name: _share(sum(module.anyone), sum(module.elements)) for name, module in large.items()}
    if len(shares) < 2 or not any(shares.values()):
        return ""
    aside = ", small ones aside" if len(large) < len(modules) else ""
    most, least = max(shares, key=lambda n: shares[n]), min(shares, key=lambda n: shares[n])
    if shares[most] < _EVEN * shares[least]:
        return f"All kinds of module were changed alike, {percent(shares[least])} to {percent(shares[most])}{aside}."
    return (
        f"Most was changed in {plain(most, 64)}, {percent(shares[most])} of its weights, "
        f"least in {plain(least, 64)}, {percent(shares[least])}{aside}."
    )


def _by_layer(modules: Mapping[str, ModuleOverlap]) -> str:
    sums: dict[int, list[int]] = {}
    for module in modules.values():
        for layer, elements, anyone in zip(module.layers, module.elements, module.anyone, strict=True):
            if layer is not None:
                found = sums.setdefault(layer, [0, 0])
                found[0] += anyone
                found[1] += elements
    shares = {layer: _share(*found) for layer, found in sums.items() if found[1]}
    if len(shares) < 2 or not any(shares.values()):
        return ""
    most, least = max(shares, key=lambda n: shares[n]), min(shares, key=lambda n: shares[n])
    if shares[most] < _EVEN * shares[least]:
        return f"Depth plays no part: {percent(shares[least])} to {percent(shares[most])} in every layer."
    return f"By depth, from {percent(shares[least])} in layer {least} to {percent(shares[most])} in layer {most}."


def _meetings(modules: Mapping[str, ModuleOverlap]) -> str:
    changed: int = sum(sum(module.anyone) for module in modules.values())
    # What next to nothing was changed of says nothing by its share.
    shares = {
        name: _share(sum(module.several), sum(module.anyone))
        for name, module in modules.items()
        if sum(module.anyone) >= _SMALL * changed > 0
    }
    if not shares or not any(shares.values()):
        return "Nowhere did experts change the same weight." if changed else ""
    most, least = max(shares, key=lambda n: shares[n]), min(shares, key=lambda n: shares[n])
    if shares[most] < _EVEN * shares[least]:
        return (
            f"Experts met everywhere alike, in {percent(shares[least])} to {percent(shares[most])} of what was changed."
        )
    return (
        f"Experts met most in {plain(most, 64)}, where {percent(shares[most])} of the changed weights are of several."
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

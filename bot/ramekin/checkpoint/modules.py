"""What part of a model a tensor belongs to, by its name: the layer, and the kind of module that all layers have."""

import re
from dataclasses import dataclass
from typing import Final

_LISTS: Final = frozenset({"layers", "layer", "h", "blocks", "block"})
_WRAPPERS: Final = frozenset(
    {"base_model", "model", "language_model", "text_model", "transformer", "gpt_neox", "backbone", "decoder"}
)
_KINDS: Final = frozenset({"weight", "bias"})
# A model of a thousand layers is none that anybody has trained; what is numbered higher is no layer.
_NUMBER: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_LONGEST: Final = 120

OTHER: Final = "other"
"""What stands for modules whose names nobody reads."""


@dataclass(frozen=True)
class Part:
    """Part of a model.

    Attributes:
        module: Kind of module, such as `mlp.down_proj`; without the number of the layer, or of an expert in it.
        layer: The layer's number; None for what is in no layer, such as the embedding.
    """

    module: str
    layer: int | None


def part_of(tensor: str) -> Part:
    """Where a tensor belongs.

    Weight and bias are one module, and so are the many experts of a layer. Names that are not made as usual become what
    is left of them without numbers.

    Args:
        tensor: Its name in the checkpoint, such as `model.layers.3.mlp.down_proj.weight`.
    """
    words = tensor.split(".")
    if len(words) > 1 and words[-1] in _KINDS:
        words.pop()
    numbers = [place for place, word in enumerate(words) if _NUMBER.fullmatch(word)]
    first = next((place for place in numbers if place and words[place - 1] in _LISTS), None)
    head, tail = (words, []) if first is None else (words[: first - 1], words[first + 1 :])
    while head and head[0] in _WRAPPERS and len(head) + len(tail) > 1:
        head = head[1:]
    kept = [word for word in (*head, *tail) if not _NUMBER.fullmatch(word)]
    module = ".".join(kept) or ".".join(words) or tensor
    return Part(module if len(module) <= _LONGEST else OTHER, None if first is None else int(words[first]))

"""Tensors that a source has twice, or has of another: once the files are here, they are held against each other."""

from collections.abc import Iterator
from typing import Final

from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.header import Reader
from ramekin.checkpoint.tensors import ITEM_SIZES, Tensor
from ramekin.errors import Problem
from ramekin.plan.adapters import OTHER_BASE, fit_adapter
from ramekin.plan.vocabulary_tensors import tied_embeddings, tied_names, ties_embeddings
from ramekin.text import printable

_ELEMENTS: Final = 1 << 22
"""Elements of a copy that are compared at a time."""

_UNTIED: Final = "use a base whose output layer is stored apart from its embedding, or leave this expert out"


def foreign_copies(
    base: CheckpointFacts, expert: CheckpointFacts, read_base: Reader, read_expert: Reader
) -> Iterator[Problem]:
    """Hold the copies of weights that an adapter's file has, and that were not trained, against the base's weights.

    Args:
        base: The base.
        expert: An expert, adapter or not.
        read_base: Gives ranges of the base's files.
        read_expert: Gives ranges of the expert's files.
    """
    frozen = fit_adapter(base, expert, expert.adapter).frozen if expert.adapter else ()
    for copy, original in frozen:
        if not _same(copy, original, read_expert, read_base):
            what = f"{printable(expert.source, 120)}: {copy.file}: `{copy.name}` is not the base's `{original.name}`"
            yield Problem(f"{what}, but the weight that the adapter was trained on", OTHER_BASE)


def untied_heads(base: CheckpointFacts, expert: CheckpointFacts, read_expert: Reader) -> Iterator[Problem]:
    """Hold the output layer of an expert that does not tie it against its embedding, where the base ties the two.

    If they are one all the same, nothing is lost by following the base; if not, the merge could not hold both.

    Args:
        base: The base.
        expert: An expert, adapter or not.
        read_expert: Gives ranges of the expert's files.
    """
    if expert.adapter or ties_embeddings(expert):
        return
    tensors = expert.inventory.tensors
    embeddings = [tensors[name] for name in tied_embeddings(base) if name in tensors]
    for name in sorted(tied_names(base, tensors)):
        head = tensors[name]
        if not any(head.shape == each.shape and _same(head, each, read_expert, read_expert) for each in embeddings):
            what = f"{printable(expert.source, 120)}: {head.file}: `{name}` is not the embedding"
            yield Problem(f"{what}, to which the base ties it, and the merged model has one tensor for both", _UNTIED)


def _same(copy: Tensor, original: Tensor, read_copy: Reader, read_original: Reader) -> bool:
    """Whether two tensors have the same values; bfloat16 is the upper half of float32, other types are not compared."""
    types = {copy.dtype, original.dtype}
    if len(types) > 1 and types != {"BF16", "F32"}:
        return False
    for first in range(0, copy.numel, _ELEMENTS):
        halves = []
        for tensor, read in ((copy, read_copy), (original, read_original)):
            size, last = ITEM_SIZES[tensor.dtype], min(first + _ELEMENTS, tensor.numel)
            data = read(tensor.file, tensor.start + first * size, tensor.start + last * size)
            if len(types) == 1:
                halves.append((data, b""))
            elif tensor.dtype == "BF16":
                halves.append((data[::2], data[1::2]))
            elif any(data[::4]) or any(data[1::4]):
                return False
            else:
                halves.append((data[2::4], data[3::4]))
        if halves[0] != halves[1]:
            return False
    return True

"""Laying out the merged checkpoint: which tensor goes into which file, in which order and type."""

from collections.abc import Iterable, Mapping
from typing import Final

from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.tensors import FLOATING, ITEM_SIZES
from ramekin.plan.adapters import fit_adapter
from ramekin.plan.layout import Layout, Part, Shard, TensorTask
from ramekin.plan.vocabulary_tensors import tied_names

_BY_NAME: Final = {name: dtype for dtype, name in FLOATING.items()}


def lay_out(
    base: CheckpointFacts,
    experts: Mapping[str, CheckpointFacts],
    *,
    dtype: str | None = None,
    shard_size: int | None = None,
) -> Layout:
    """Lay out the merge of checkpoints that fit together.

    Tensors keep the order that the base has them in, file by file; within a file those of larger elements come first,
    as in every safetensors file, so that all are aligned. Names of files count the files that there are.

    Args:
        base: The base; it decides names, shapes and order.
        experts: The experts in manifest order.
        dtype: Element type of merged tensors as a manifest names it; the base's of each tensor if None.
        shard_size: Most bytes of tensors in a file, unless one tensor alone is larger; the base's files if None.
    """
    tied = tied_names(base, base.inventory.tensors)
    parts = [_parts(base, expert) for expert in experts.values()]
    tasks = []
    for name, tensor in base.inventory.tensors.items():
        if name in tied:
            continue
        merged = tensor.dtype in FLOATING
        tasks.append(
            TensorTask(
                name=name,
                dtype=_BY_NAME[dtype] if merged and dtype is not None else tensor.dtype,
                shape=tensor.shape,
                operation="merge" if merged else "copy",
                base=tensor,
                experts=tuple(held.get(name) for held in parts),
            )
        )
    groups = _base_files(tasks) if shard_size is None else _by_size(tasks, shard_size)
    names = shard_names(len(groups))
    shards = [
        Shard(file, tuple(sorted(group, key=lambda task: -ITEM_SIZES[task.dtype])))
        for file, group in zip(names, groups, strict=True)
    ]
    return Layout(tuple(shards), tuple(expert.place for expert in experts.values()))


def _parts(base: CheckpointFacts, expert: CheckpointFacts) -> Mapping[str, Part]:
    """What an expert has, by the base's names."""
    return fit_adapter(base, expert, expert.adapter).parts if expert.adapter else expert.inventory.tensors


def shard_names(count: int) -> tuple[str, ...]:
    """Names of that many weight files, as transformers has them."""
    if count == 1:
        return ("model.safetensors",)
    return tuple(f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1))


def _base_files(tasks: Iterable[TensorTask]) -> list[list[TensorTask]]:
    """The base's own files, without those that hold nothing of the output."""
    groups: dict[str, list[TensorTask]] = {}
    for task in tasks:
        groups.setdefault(task.base.file, []).append(task)
    return list(groups.values())


def _by_size(tasks: Iterable[TensorTask], shard_size: int) -> list[list[TensorTask]]:
    groups: list[list[TensorTask]] = []
    size = 0
    for task in tasks:
        if not groups or size + task.nbytes > shard_size:
            groups.append([])
            size = 0
        groups[-1].append(task)
        size += task.nbytes
    return groups

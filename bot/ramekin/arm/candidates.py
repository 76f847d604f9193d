"""Merged models, one after the other, in the weights of one model that stays in memory.

Nothing is written to disk. As many candidates as memory holds are made in one read of the sources: the first of them
right in the model's weights, the others beside it until it is their turn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from torch import nn

from ramekin.errors import IncompatibleError
from ramekin.merge.arrays import Bytes
from ramekin.merge.chunks import Chunk
from ramekin.merge.engine import Means, merge_candidates
from ramekin.merge.files import Supply
from ramekin.methods.base import Method
from ramekin.plan.layout import Layout

_TYPES: Final = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class Resident:
    """A model whose weights are exchanged.

    Args:
        model: A causal language model of the transformers library, on its device or on several.
        names: The tensors that its checkpoints have.

    Attributes:
        checkpoint_names: Names of the model's tensors in its checkpoints, by those that they have in the model.

    Raises:
        IncompatibleError: The checkpoints do not have all of its weights.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model = model
        state = weights_of(model)
        self.checkpoint_names = checkpoint_names(model, names)
        self._targets = {name: state[inside] for inside, name in self.checkpoint_names.items()}
        covered = {target.data_ptr() for target in self._targets.values()}  # tied weights are one
        missing = sorted(name for name, _ in model.named_parameters() if state[name].data_ptr() not in covered)
        if missing:
            raise IncompatibleError(
                f"the checkpoints lack {len(missing)} tensors of {type(model).__name__}, such as `{missing[0]}`",
                "see that `architectures` in config.json is the class that wrote them",
            )

    def write(self, name: str, first: int, values: torch.Tensor) -> None:
        """Set some elements of a tensor, from `first` on; what the model does not have is passed over."""
        target = self._targets.get(name)
        if target is not None:
            with torch.no_grad():
                target.view(-1)[first : first + values.numel()].copy_(values.reshape(-1))

    def load(self, files: Mapping[str, Path]) -> nn.Module:
        """Have the weights of a whole checkpoint, by the names of its files.

        Raises:
            IncompatibleError: It lacks weights that the model has, or has them in another shape.
        """
        found = set()
        for path in files.values():
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - it is no mapping
                    target = self._targets.get(name)
                    if target is None:
                        continue
                    values = file.get_tensor(name)
                    if values.shape != target.shape:
                        raise IncompatibleError(
                            f"`{name}` has the shape {[*values.shape]} in an expert and {[*target.shape]} in the base",
                            "ARM needs experts of the base's shapes: same layers, same vocabulary",
                        )
                    self.write(name, 0, values)
                    found.add(target.data_ptr())
        missing = sorted(name for name, target in self._targets.items() if target.data_ptr() not in found)
        if missing:
            raise IncompatibleError(
                f"an expert lacks {len(missing)} tensors, such as `{missing[0]}`", "use whole checkpoints as experts"
            )
        return self.model


def build_candidates(
    layout: Layout,
    supply: Supply,
    methods: Mapping[str, Method],
    resident: Resident,
    *,
    memory: int = 0,
    means: Means | None = None,
    changed: Callable[[str, int], None] = lambda name, count: None,
) -> Iterator[str]:
    """Have each candidate in the model, in the order given; its weights are valid until the next is asked for.

    Args:
        layout: The tensors of a merge.
        supply: Where the sources' files come from.
        methods: The candidates by name.
        resident: The model.
        memory: Bytes for candidates that wait; with less than one needs, the sources are read for each anew.
        means: What to work with.
        changed: Is told how many elements of a candidate are not the base's, before it is in the model.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
    """
    waiting = list(methods)
    together = 1 + memory // max(1, layout.total_size)
    while waiting:
        group, waiting = waiting[:together], waiting[together:]
        beside = {name: _Aside(layout) for name in group[1:]}
        differing = dict.fromkeys(group, 0)

        def take(
            name: str,
            chunk: Chunk,
            out: Bytes,
            base: Bytes,
            beside: Mapping[str, _Aside] = beside,
            differing: dict[str, int] = differing,
        ) -> None:
            if chunk.task.dtype in _TYPES:
                values = _tensor(out, chunk.task.dtype)
                if chunk.task.operation == "merge":
                    differing[name] += int((values != _tensor(base, chunk.task.base.dtype).to(values)).sum())
                beside.get(name, resident).write(chunk.task.name, chunk.first, values)

        chosen = {name: methods[name] for name in group}
        merge_candidates(layout, supply, chosen, take, means)
        for name in group:
            changed(name, differing[name])
            if name in beside:
                beside.pop(name).move_to(resident)
            yield name


class _Aside:
    """The weights of a candidate that waits."""

    def __init__(self, layout: Layout) -> None:
        tasks = [task for shard in layout.shards for task in shard.tensors if task.dtype in _TYPES]
        self._tensors = {task.name: torch.empty(task.numel, dtype=_TYPES[task.dtype]) for task in tasks}

    def write(self, name: str, first: int, values: torch.Tensor) -> None:
        self._tensors[name][first : first + len(values)] = values

    def move_to(self, resident: Resident) -> None:
        while self._tensors:
            name, values = self._tensors.popitem()
            resident.write(name, 0, values)


def checkpoint_names(model: nn.Module, names: Sequence[str]) -> dict[str, str]:
    """Names of a model's tensors in its checkpoints, by those that they have in the model.

    Checkpoints of the bare decoder (GPT-2's) lack what its names begin with in the whole model, and transformers calls
    some tensors otherwise than their checkpoints do (GPT-NeoX's `embed_out`).
    """
    inside = {name for name, _ in model.named_parameters(remove_duplicate=False)} | {
        n for n, _ in model.named_buffers()
    }
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    found: dict[str, str] = {}
    rename = _renaming(model)
    for name in names:
        other = rename(name)
        place = next((each for each in (prefix + name, name, prefix + other, other) if each in inside), None)
        if place is not None:
            found[place] = name
    return found


def _renaming(model: nn.Module) -> Callable[[str], str]:
    """What transformers calls a checkpoint's tensors in a model."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightRenaming, rename_source_key
    except ImportError:  # they have moved: names that differ are then refused as missing
        return lambda name: name
    every = get_model_conversion_mapping(model)  # type: ignore[arg-type]
    changes = [each for each in every if isinstance(each, WeightRenaming)]
    return lambda name: rename_source_key(name, changes, [])[0]


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters and buffers by name; those that accelerate keeps elsewhere, where it keeps them."""
    state: dict[str, torch.Tensor] = {}
    for prefix, module in model.named_modules():
        kept = getattr(getattr(module, "_hf_hook", None), "weights_map", None)
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            full = f"{prefix}.{name}" if prefix else name
            state[full] = kept[name] if tensor.is_meta and kept is not None else tensor.data
    return state


def _tensor(raw: Bytes, dtype: str) -> torch.Tensor:
    """Bytes as what they are, without a copy."""
    if not len(raw):
        return torch.empty(0, dtype=_TYPES[dtype])
    return torch.from_numpy(raw).view(_TYPES[dtype])

"""Whether neuron j of an expert stands where neuron j of the base stood: only then is a transplant one.

Neurons of models that were trained apart are in another order, though every tensor has the same shape. Fine-tuning
moves a neuron's weights little, so that its rows point where the base's do.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open

from ramekin.arm.architecture import Layer
from ramekin.checkpoint.tensors import Tensor
from ramekin.merge.files import SourceFiles
from ramekin.plan.layout import Layout

LEAST: Final = 0.9
"""A median cosine below that is no fine-tuning of the base."""


def alignment(
    layout: Layout, files: SourceFiles, layers: Sequence[Layer], names: Mapping[str, str]
) -> dict[str, float]:
    """By expert the median cosine of its neurons' rows with the base's, in the first, the middle and the last layer.

    Adapters, which are changes of the base, are left out.

    Args:
        layout: The tensors of a merge.
        files: Local path of every source's files.
        layers: Where neurons are.
        names: The tensors' names in checkpoints, by those in the model.
    """
    chosen = sorted({0, len(layers) // 2, len(layers) - 1})
    wanted = {
        names[place.tensor]: place.axis
        for number in chosen
        for place in layers[number].places[1:]  # the first is the output projection, the others lead into the MLP
    }
    tasks = {task.name: task for shard in layout.shards for task in shard.tensors if task.name in wanted}
    cosines: dict[str, list[torch.Tensor]] = {expert: [] for expert in layout.experts}
    for name, task in tasks.items():
        parts = zip(layout.experts, task.experts, strict=True)
        whole = [(expert, part) for expert, part in parts if isinstance(part, Tensor)]
        if whole and len(task.shape) == 2:
            base = _read(files["base"], task.base)
            for expert, part in whole:
                cosines[expert].append(_cosines(base, _read(files[f"expert:{expert}"], part), wanted[name]))
    return {expert: float(torch.cat(found).median()) for expert, found in cosines.items() if found}


def _read(files: Mapping[str, Path], tensor: Tensor) -> torch.Tensor:
    with safe_open(files[tensor.file], framework="pt") as file:
        found: torch.Tensor = file.get_tensor(tensor.name)
    return found.float()


def _cosines(base: torch.Tensor, expert: torch.Tensor, axis: int) -> torch.Tensor:
    """Of each neuron."""
    return torch.nn.functional.cosine_similarity(base, expert, dim=1 - axis)

"""How much a neuron moves the model's state for what it does: the length of its column in the output projection.

What a neuron adds to the state is z times that column, so that |z| times the column's length is the length of what it
adds. The column is that of the model which is watched, an expert's or a candidate's.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from ramekin.arm.architecture import Layer
from ramekin.arm.candidates import weights_of
from ramekin.arm.saliency import Doubles

_AT_ONCE: Final = 1_024
"""Neurons; more would only take memory."""


def column_lengths(model: nn.Module, layers: Sequence[Layer]) -> list[Doubles]:
    """Of each layer `[f]`, the Euclidean length of every neuron's column of the output projection, in float64.

    It is added up by numpy, row by row, whose order is the same with any number of threads and on any device.

    Args:
        model: Whose weights they are, wherever accelerate keeps them.
        layers: Its MLPs.
    """
    weights, found = weights_of(model), []
    for layer in layers:
        place = next(each for each in layer.places if each.tensor == f"{layer.projection}.weight")
        columns = weights[place.tensor] if place.axis == 1 else weights[place.tensor].T
        parts = [_lengths(columns[:, first : first + _AT_ONCE]) for first in range(0, layer.width, _AT_ONCE)]
        found.append(np.concatenate(parts))
    return found


def _lengths(columns: torch.Tensor) -> Doubles:
    """`[n]`, of `[d, n]`."""
    values = np.ascontiguousarray(columns.double().numpy(force=True))
    found: Doubles = np.sqrt(np.square(values).sum(axis=0))
    return found

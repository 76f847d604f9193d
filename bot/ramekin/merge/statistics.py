"""What one pass over all inputs tells: how the experts' changes overlap."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from ramekin.checkpoint.modules import OTHER, part_of
from ramekin.merge.arrays import Counts
from ramekin.methods.ram import Overlap
from ramekin.plan.layout import Layout
from ramekin.records import ModuleOverlap

_MOST_MODULES: Final = 40
"""More kinds of module than these are no longer told apart: a report is read by people too."""


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class TensorOverlap(_Part):
    """How the experts' changes overlap in one tensor.

    Attributes:
        elements: Elements of the tensor.
        anyone: Elements that at least one expert changed.
        changed: Elements that each expert changed, in manifest order.
        unique: Elements that each expert alone changed.
    """

    elements: int
    anyone: int
    changed: tuple[int, ...]
    unique: tuple[int, ...]

    @property
    def several(self) -> int:
        """Elements that at least two experts changed."""
        return self.anyone - sum(self.unique)

    @property
    def shared(self) -> tuple[int, ...]:
        """Elements that each expert changed and at least one other too."""
        return tuple(c - u for c, u in zip(self.changed, self.unique, strict=True))

    @classmethod
    def of(cls, counts: Counts) -> "TensorOverlap":
        """Summarise the counts by pattern, shape `[2**N]`, of one tensor."""
        experts, elements = range(len(counts).bit_length() - 1), int(counts.sum())
        return cls(
            elements=elements,
            anyone=elements - int(counts[0]),
            # Bit t of a pattern is set in every second run of 2**t patterns.
            changed=tuple(int(counts.reshape(-1, 2, 1 << t)[:, 1].sum()) for t in experts),
            unique=tuple(int(counts[1 << t]) for t in experts),
        )


class Probe(_Part):
    """The overlap statistics of a model, or of one file of it. As JSON it is small, whatever the model's size.

    Attributes:
        overlap: Counts by pattern.
        by_tensor: The same in short for every merged tensor.
        bytes_read: Bytes of tensor data that were read for it, and for what was counted by other thresholds with it.
    """

    overlap: Overlap
    by_tensor: dict[str, TensorOverlap]
    bytes_read: int


def joined(probes: Sequence[Probe], layout: Layout) -> Probe:
    """The statistics of several parts as those of the whole. Counts are integers, so the order plays no part."""
    counts = [0] * (1 << len(layout.experts))
    found: dict[str, TensorOverlap] = {}
    for probe in probes:
        counts = [a + b for a, b in zip(counts, probe.overlap.counts, strict=True)]
        found |= probe.by_tensor
    names = (task.name for shard in layout.shards for task in shard.tensors)
    return Probe(
        overlap=Overlap(tuple(counts)),
        by_tensor={name: found[name] for name in names if name in found},
        bytes_read=sum(probe.bytes_read for probe in probes),
    )


def by_module(by_tensor: Mapping[str, TensorOverlap], experts: Sequence[str]) -> dict[str, ModuleOverlap]:
    """The statistics of tensors as those of kinds of module, layer by layer, in the order in which they come.

    Args:
        by_tensor: By tensor.
        experts: Their names in manifest order.
    """
    sums: dict[str, dict[int | None, Counts]] = {}
    for name, found in by_tensor.items():
        part, counts = part_of(name), np.array([found.elements, found.anyone, found.several, *found.changed], np.int64)
        _add(sums.setdefault(part.module, {}), part.layer, counts)
    sizes = {module: sum(int(counts[0]) for counts in layers.values()) for module, layers in sums.items()}
    ranked = sorted((module for module in sums if module != OTHER), key=lambda module: -sizes[module])
    for module in ranked[_MOST_MODULES:]:
        for layer, counts in sums.pop(module).items():
            _add(sums.setdefault(OTHER, {}), layer, counts)
    return {module: _module(layers, experts) for module, layers in sums.items()}


def _add(layers: dict[int | None, Counts], layer: int | None, counts: Counts) -> None:
    layers[layer] = layers[layer] + counts if layer in layers else counts


def _module(layers: Mapping[int | None, Counts], experts: Sequence[str]) -> ModuleOverlap:
    order = sorted(layers, key=lambda layer: -1 if layer is None else layer)
    elements, anyone, several, *changed = zip(*(layers[layer].tolist() for layer in order), strict=True)
    return ModuleOverlap(
        layers=tuple(order),
        elements=elements,
        anyone=anyone,
        several=several,
        experts=dict(zip(experts, changed, strict=True)),
    )

"""What one pass over all inputs tells: how the experts' changes overlap."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from ramekin.merge.loops.compiling import Counts
from ramekin.methods.ram import Overlap
from ramekin.plan.layout import Layout


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TensorOverlap(_Part):
    """How the experts' changes overlap in one tensor.

    Attributes:
        elements: Elements of the tensor.
        changed: Elements that each expert changed, in manifest order.
        unique: Elements that each expert alone changed.
    """

    elements: int
    changed: tuple[int, ...]
    unique: tuple[int, ...]

    @property
    def shared(self) -> tuple[int, ...]:
        """Elements that each expert changed and at least one other too."""
        return tuple(c - u for c, u in zip(self.changed, self.unique, strict=True))

    @classmethod
    def of(cls, counts: Counts) -> "TensorOverlap":
        """Summarise the counts by pattern, shape `[2**N]`, of one tensor."""
        experts = range(len(counts).bit_length() - 1)
        patterns = np.arange(len(counts))
        return cls(
            elements=int(counts.sum()),
            changed=tuple(int(counts[patterns >> t & 1 == 1].sum()) for t in experts),
            unique=tuple(int(counts[1 << t]) for t in experts),
        )


class Probe(_Part):
    """The overlap statistics of a model, or of one file of it. As JSON it is small, whatever the model's size.

    Attributes:
        overlap: Counts by pattern.
        by_tensor: The same in short for every merged tensor.
        bytes_read: Bytes of tensor data that were read for it.
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

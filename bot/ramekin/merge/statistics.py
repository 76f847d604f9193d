"""What one pass over all inputs tells: how the experts' changes overlap."""

from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict

from ramekin.merge.kernels import Counts
from ramekin.methods.ram import Overlap


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


def joined(probes: Iterable[Probe], experts: int) -> Probe:
    """The statistics of several files as those of one model. Counts are integers, so the order plays no part."""
    counts = [0] * (1 << experts)
    by_tensor: dict[str, TensorOverlap] = {}
    bytes_read = 0
    for probe in probes:
        counts = [a + b for a, b in zip(counts, probe.overlap.counts, strict=True)]
        by_tensor |= probe.by_tensor
        bytes_read += probe.bytes_read
    return Probe(overlap=Overlap(tuple(counts)), by_tensor=by_tensor, bytes_read=bytes_read)

"""The merged checkpoint, laid out before a byte of it exists: which tensors go where, made from what."""

import math
from dataclasses import dataclass
from typing import Literal

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor

__all__ = ["Layout", "LowRank", "Part", "Shard", "TensorTask"]

Part = Tensor | LowRank | None
"""What an expert has of a tensor: all of it, its change as a product of low rank, or nothing, which is the base's."""


@dataclass(frozen=True, slots=True)
class TensorTask:
    """One tensor of the output and what it is made from.

    Attributes:
        name: Its name, the same everywhere.
        dtype: Element type of the output, as safetensors spells it.
        shape: The base's dimensions.
        operation: `merge`, or `copy` for what is not floating point: equal in all, and copied from the base.
        base: The base's tensor.
        experts: What each expert has of it, in manifest order. Where an expert's vocabulary is padded differently its
            first dimension differs; elements that it lacks count as unchanged, elements that the base lacks are left
            out. A product has the base's dimensions.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    operation: Literal["merge", "copy"]
    base: Tensor
    experts: tuple[Part, ...]

    @property
    def numel(self) -> int:
        """Number of elements of the output."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the output."""
        return self.numel * ITEM_SIZES[self.dtype]

    @property
    def input_bytes(self) -> int:
        """Bytes of tensor data that one pass over its inputs reads."""
        return self.base.nbytes + sum(part.nbytes for part in self.experts if part is not None)


@dataclass(frozen=True)
class Shard:
    """One file of the output: its tensors in the order of their data."""

    file: str
    tensors: tuple[TensorTask, ...]


@dataclass(frozen=True)
class Layout:
    """All files of weights that a merge writes."""

    shards: tuple[Shard, ...]
    experts: tuple[str, ...]

    @property
    def total_size(self) -> int:
        """Bytes of all tensors of the output, without headers."""
        return sum(task.nbytes for shard in self.shards for task in shard.tensors)

    @property
    def merged_elements(self) -> int:
        """Elements that take part in the merge: floating point, tied tensors once."""
        return sum(t.numel for shard in self.shards for t in shard.tensors if t.operation == "merge")

    @property
    def input_bytes(self) -> int:
        """Bytes of tensor data that one pass over all inputs reads."""
        return sum(task.input_bytes for shard in self.shards for task in shard.tensors)

    @property
    def factor_bytes(self) -> int:
        """Bytes, in float32, of the adapters' factors of the tensor that has the largest; 0 without adapters."""
        products = (
            4 * sum(part.a.numel + part.b.numel for part in task.experts if isinstance(part, LowRank))
            for shard in self.shards
            for task in shard.tensors
        )
        return max(products, default=0)

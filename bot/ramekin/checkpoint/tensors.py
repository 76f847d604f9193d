"""What a checkpoint holds, known from its headers alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ITEM_SIZES: Final[Mapping[str, int]] = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Bytes per element of the safetensors element types."""

FLOATING: Final[Mapping[str, str]] = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""Element types that are merged, with the names that a manifest uses."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a checkpoint.

    Attributes:
        name: Its name in the checkpoint.
        dtype: Element type as safetensors spells it, such as `BF16`.
        shape: Its dimensions; empty for a scalar.
        file: The file that holds it.
        start: Offset of its first byte in that file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    start: int

    @property
    def numel(self) -> int:
        """Number of elements, 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.numel * ITEM_SIZES[self.dtype]


@dataclass(frozen=True, slots=True)
class LowRank:
    """The change of one tensor as a product of low rank (LoRA, arXiv 2106.09685): `scaling * (B A)`.

    Attributes:
        a: `[r, in]`.
        b: `[out, r]`.
        scaling: Factor on the product.
        transposed: Whether the tensor that changes is stored as `[in, out]`, so that the product's transpose is added.
    """

    a: Tensor
    b: Tensor
    scaling: float
    transposed: bool = False

    @property
    def rank(self) -> int:
        """The rank, `r`."""
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Dimensions of the tensor that changes."""
        rows, columns = self.b.shape[0], self.a.shape[1]
        return (columns, rows) if self.transposed else (rows, columns)

    @property
    def nbytes(self) -> int:
        """Bytes of data of both factors."""
        return self.a.nbytes + self.b.nbytes


@dataclass(frozen=True)
class Inventory:
    """All tensors of a checkpoint, in file order and, within a file, in the order of their data.

    Attributes:
        tensors: By name.
        files: Size in bytes of every weight file, in order.
    """

    tensors: Mapping[str, Tensor]
    files: Mapping[str, int]

"""How many elements of two checkpoints differ, part by part. Both are streamed: memory stays the same for any model.

Tensors of one element type are compared bit by bit; others by their values in float32, which holds every bfloat16 and
float16. Where one has more rows than the other, as after a vocabulary has grown, the rows that only it has all differ.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ramekin.checkpoint.inventory import read_inventory
from ramekin.checkpoint.modules import Part, part_of
from ramekin.checkpoint.tensors import FLOATING, ITEM_SIZES, Inventory, Tensor
from ramekin.progress import Progress
from ramekin.records import FileRecord

_CHUNK: Final = 1 << 22
"""Elements that are compared at a time."""
_BITS: Final = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

Any1D = NDArray[Any]


@dataclass(frozen=True)
class PartDifference:
    """One kind of module in one layer.

    Attributes:
        part: Which.
        elements: Elements of it; of both sides together where they have other shapes.
        differing: Those that differ.
    """

    part: Part
    elements: int
    differing: int


@dataclass(frozen=True)
class WeightDifference:
    """Two checkpoints, compared.

    Attributes:
        parts: In the order of the model.
        only_a: Tensors that only the first has.
        only_b: Tensors that only the second has.
        unlike: Tensors that cannot be compared element by element.
        same_type: Whether all that was compared is of one element type, and so equal bit for bit where it is equal.
    """

    parts: tuple[PartDifference, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    same_type: bool = True

    @property
    def elements(self) -> int:
        """Elements that were compared."""
        return sum(part.elements for part in self.parts)

    @property
    def differing(self) -> int:
        """Those of them that differ."""
        return sum(part.differing for part in self.parts)

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.differing or self.only_a or self.only_b or self.unlike)

    def by_layer(self) -> dict[int | None, tuple[int, int]]:
        """Elements, and those that differ, by layer; what is in none comes first."""
        return self._summed(lambda part: part.layer)

    def by_module(self) -> dict[str, tuple[int, int]]:
        """Elements, and those that differ, by kind of module."""
        return self._summed(lambda part: part.module)

    def _summed(self, of: Callable[[Part], Any]) -> dict[Any, tuple[int, int]]:
        sums: dict[Any, tuple[int, int]] = {}
        for each in self.parts:
            elements, differing = sums.get(of(each.part), (0, 0))
            sums[of(each.part)] = (elements + each.elements, differing + each.differing)
        return sums

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "elements": self.elements,
            "differing": self.differing,
            "same_type": self.same_type,
            "parts": [
                {
                    "layer": each.part.layer,
                    "module": each.part.module,
                    "elements": each.elements,
                    "differing": each.differing,
                }
                for each in self.parts
            ],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "unlike": list(self.unlike),
        }


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one side.

    Attributes:
        name: What it is called, for messages.
        files: Local path of every file of weights, the index among them.
        records: Size and digest of these files, as the report has them.
    """

    name: str
    files: Mapping[str, Path]
    records: Mapping[str, FileRecord]

    def inventory(self) -> Inventory:
        """What they hold.

        Raises:
            DamagedError: They are no safetensors files.
        """

        def read(file: str, start: int, stop: int) -> bytes:
            with self.files[file].open("rb") as stream:
                stream.seek(start)
                return stream.read(max(0, stop - start))

        return read_inventory(read, {file: path.stat().st_size for file, path in self.files.items()}, source=self.name)

    def elements(self, tensor: Tensor, first: int, count: int) -> Any1D:
        """Elements of a tensor as their bits, row-major."""
        size = ITEM_SIZES[tensor.dtype]
        return np.fromfile(self.files[tensor.file], _BITS[size], count, offset=tensor.start + first * size)


def count_differing(a: Checkpoint, b: Checkpoint, progress: Progress) -> WeightDifference:
    """Compare two checkpoints, tensor by tensor.

    Tensors of two files that the reports give one digest are not read: they are the same.

    Raises:
        DamagedError: One is not what its format says.
    """
    old, new = a.inventory().tensors, b.inventory().tensors
    counts: dict[Part, tuple[int, int]] = {}
    unlike = [name for name in old if name in new and not _comparable(old[name], new[name])]
    pairs = [(tensor, new[name]) for name, tensor in old.items() if name in new and name not in set(unlike)]
    read = [(x, y) for x, y in pairs if not _same_file(a, b, x, y)]
    with progress.bar("comparing weights", sum(x.nbytes + y.nbytes for x, y in read)) as bar:
        differing = {x.name: _differing(a, b, x, y, bar.advance) for x, y in read}
    for x, y in pairs:
        part = part_of(x.name)
        before, found = counts.get(part, (0, 0))
        counts[part] = (before + max(x.numel, y.numel), found + differing.get(x.name, 0))
    return WeightDifference(
        tuple(PartDifference(part, *numbers) for part, numbers in sorted(counts.items(), key=_in_order)),
        only_a=tuple(name for name in old if name not in new),
        only_b=tuple(name for name in new if name not in old),
        unlike=tuple(unlike),
        same_type=all(x.dtype == y.dtype for x, y in pairs),
    )


def _in_order(item: tuple[Part, object]) -> tuple[int, str]:
    layer = item[0].layer
    return (-1 if layer is None else layer, item[0].module)


def _comparable(a: Tensor, b: Tensor) -> bool:
    types = a.dtype == b.dtype or {a.dtype, b.dtype} <= FLOATING.keys()
    return types and (a.shape == b.shape or (a.shape[1:] == b.shape[1:] and bool(a.shape and b.shape)))


def _same_file(a: Checkpoint, b: Checkpoint, x: Tensor, y: Tensor) -> bool:
    record = a.records.get(x.file)
    return record is not None and record == b.records.get(y.file)


def _differing(a: Checkpoint, b: Checkpoint, x: Tensor, y: Tensor, advance: Callable[[int], None]) -> int:
    """How many elements of a tensor differ; those that only one has all do."""
    both = min(x.numel, y.numel)
    found = abs(x.numel - y.numel)
    for first in range(0, both, _CHUNK):
        count = min(_CHUNK, both - first)
        old, new = a.elements(x, first, count), b.elements(y, first, count)
        if x.dtype != y.dtype:
            old, new = _values(old, x.dtype), _values(new, y.dtype)
        found += int(np.count_nonzero(old != new))
        advance(count * (ITEM_SIZES[x.dtype] + ITEM_SIZES[y.dtype]))
    return found


def _values(bits: Any1D, dtype: str) -> NDArray[np.float32]:
    """The numbers that some bits mean."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.view(np.float16 if dtype == "F16" else np.float32).astype(np.float32, copy=False)

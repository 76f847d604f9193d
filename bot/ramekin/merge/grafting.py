"""Neurons of experts in the place of the merge's, put in while the merge is written, and looked at afterwards.

Rows and columns of tensors are replaced, each by what one expert has there, rounded to the output's type. All else is
what the method made (arXiv 2601.07309, Eq. 6).
"""

import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ramekin.checkpoint.tensors import ITEM_SIZES, Tensor
from ramekin.errors import DamagedError
from ramekin.merge.arrays import Bytes, Counts
from ramekin.merge.chunks import Chunk, Window
from ramekin.merge.files import SourceFiles
from ramekin.merge.loops.on_processor import take_over
from ramekin.merge.operators.base import Operator, Sampler, TensorWork
from ramekin.plan.layout import Shard, TensorTask

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Graft:
    """What one expert gives of a tensor.

    Attributes:
        expert: Its number in manifest order.
        axis: The axis along which neurons stand.
        indices: Where on it, in order.
    """

    expert: int
    axis: int
    indices: Indices

    def positions(self, shape: Sequence[int], first: int, count: int) -> Counts:
        """Which of some consecutive elements that is, in order, counted from the first of them.

        Args:
            shape: The tensor's, of one or two dimensions.
            first: The first element, row-major.
            count: How many.
        """
        columns = shape[1] if len(shape) > 1 else 1
        begin, end = first // columns, (first + count + columns - 1) // columns
        if self.axis == 0:
            rows = self.indices[(self.indices >= begin) & (self.indices < end)]
            found = (rows[:, None] * columns + np.arange(columns)).reshape(-1)
        else:
            found = (np.arange(begin, end)[:, None] * columns + self.indices).reshape(-1)
        found = found[(found >= first) & (found < first + count)] - first
        return found.astype(np.int64)


Grafts = Mapping[str, tuple[Graft, ...]]
"""By tensor; no element is given twice."""


@dataclass
class Kept:
    """What was to stay as the method made it: a checksum for every chunk, by tensor and first element."""

    sums: dict[tuple[str, int, int], int] = field(default_factory=dict)


class Grafting(Operator):
    """Another operator's results, with elements of experts in them.

    Args:
        inner: The other.
        grafts: What is put in.
        kept: Takes note of what is to stay.
    """

    def __init__(self, inner: Operator, grafts: Grafts, kept: Kept) -> None:
        self.counts, self.needs = inner.counts, inner.needs
        self._inner = inner
        self._grafts = grafts
        self._kept = kept
        self._noting = threading.Lock()

    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Begin with a tensor."""
        work = self._inner.on(task, sample)
        grafts = self._grafts.get(task.name)
        return _Grafted(work, grafts, self) if grafts else work

    def note(self, chunk: Chunk, value: int) -> None:
        """Remember the checksum of what a chunk keeps."""
        with self._noting:
            self._kept.sums[chunk.task.name, chunk.first, chunk.count] = value


class _Grafted(TensorWork):
    def __init__(self, inner: TensorWork, grafts: Sequence[Graft], owner: Grafting) -> None:
        self.row, self.most = inner.row, inner.most
        self._inner = inner
        self._grafts = grafts
        self._owner = owner

    @property
    def whole(self) -> bool:
        return self._inner.whole

    @property
    def looking(self) -> bool:
        return self._inner.looking

    def look(self, chunk: Chunk, window: Window) -> object:
        return self._inner.look(chunk, window)

    def take(self, chunk: Chunk, seen: object) -> None:
        self._inner.take(chunk, seen)

    def settle(self) -> None:
        self._inner.settle()

    def abandon(self) -> None:
        self._inner.abandon()

    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        self._inner.merge(chunk, window, out)
        task = chunk.task
        given = [(graft.expert, graft.positions(task.shape, chunk.first, chunk.count)) for graft in self._grafts]
        self._owner.note(chunk, checksum(out[: chunk.out_bytes], task.dtype, [positions for _, positions in given]))
        for expert, positions in given:
            take_over(*window.sources, expert, positions, out, chunk.out_kind, window.bad)


def checksum(data: Bytes, dtype: str, without: Sequence[Counts]) -> int:
    """Of a chunk's bytes, with some elements as zeros."""
    blanked = data.copy()
    for positions in without:
        blanked.reshape(-1, ITEM_SIZES[dtype])[positions] = 0
    return zlib.crc32(blanked.data)


_HINT: Final = "run the same command again; if it stays so, report it, please"


def verify_grafts(path: Path, shard: Shard, grafts: Grafts, kept: Kept, files: SourceFiles) -> None:
    """Read what was written, and see that every element that was to be replaced is its expert's, and no other changed.

    The experts' values are read and rounded by another way than they came in.

    Args:
        path: The file.
        shard: What it holds.
        grafts: What was put in.
        kept: Checksums of all else, before.
        files: The sources' files. Of what an adapter changes, which no file has, only what was kept is checked.

    Raises:
        DamagedError: Something is not so.
    """
    from safetensors import safe_open

    wanted = {task.name: task for task in shard.tensors if task.name in grafts}
    if not wanted:
        return
    with safe_open(path, framework="pt") as file:
        for name, task in wanted.items():
            found = file.get_tensor(name)
            _see_what_is_kept(found, task, grafts[name], kept)
            for graft, given in _given(task, grafts[name], files):
                mine = found.index_select(graft.axis, _tensor(graft.indices))
                if not _same(mine, given.index_select(graft.axis, _tensor(graft.indices)).to(found.dtype)):
                    raise DamagedError(f"{path.name}: neurons in `{name}` are not those of their expert", _HINT)


def _see_what_is_kept(found: Any, task: TensorTask, grafts: Sequence[Graft], kept: Kept) -> None:
    import torch

    raw: Bytes = found.contiguous().view(torch.uint8).numpy().reshape(-1)
    size, seen = ITEM_SIZES[task.dtype], 0
    for (name, first, count), value in kept.sums.items():
        if name == task.name:
            seen += count
            positions = [graft.positions(task.shape, first, count) for graft in grafts]
            if checksum(raw[first * size : (first + count) * size], task.dtype, positions) != value:
                raise DamagedError(f"`{name}` has changed where no neuron was transplanted", _HINT)
    if seen != task.numel:
        raise DamagedError(f"`{task.name}` was looked at in {seen:,} of {task.numel:,} elements", _HINT)


def _given(task: TensorTask, grafts: Sequence[Graft], files: SourceFiles) -> Iterator[tuple[Graft, Any]]:
    """What each expert has of a tensor, as torch reads it: the base's where an adapter does not change it."""
    from safetensors import safe_open

    experts = [role for role in files if role != "base"]
    for graft in grafts:
        part = task.experts[graft.expert]
        role, held = ("base", task.base) if part is None else (experts[graft.expert], part)
        if isinstance(held, Tensor):
            with safe_open(files[role][held.file], framework="pt") as file:
                yield graft, file.get_tensor(task.name)


def _tensor(indices: Indices) -> Any:
    import torch

    return torch.from_numpy(indices)


def _same(one: Any, other: Any) -> bool:
    import torch

    return torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))

"""One thread's memory on a GPU, and the chunk that is in it."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ramekin.merge.arrays import ADDRESS, BF16, CHANGE, F16, F32, Bytes, Counts, Floats, Words
from ramekin.merge.loops.on_gpu.launching import BLOCK, start
from ramekin.merge.resources import GPU_CHUNK

_SIZES: Final = {BF16: 2, F16: 2, F32: 4, CHANGE: 4}


class Lane:
    """A stream, memory on the device for the sources, and pinned memory beside it that copies pass through.

    Args:
        device: The device.
        stream: Its stream, on a GPU.
    """

    def __init__(self, device: torch.device, stream: torch.cuda.Stream | None) -> None:
        self.device = device
        self._stream = stream
        self._there = torch.empty((0, 0), dtype=torch.uint8, device=device)
        self._here = self._out = torch.empty((0, 0), dtype=torch.uint8)
        self._filled = False  # whether the chunk at work is on the device

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Whatever is begun meanwhile runs in this lane's stream, and is done in the end."""
        with torch.inference_mode():
            if self._stream is None:
                yield
                return
            with torch.cuda.device(self.device), torch.cuda.stream(self._stream):
                try:
                    yield
                finally:
                    self._stream.synchronize()

    def forget(self) -> None:
        """A new chunk begins."""
        self._filled = False

    def rows(self, places: Counts, kinds: Bytes, limits: Counts, count: int) -> "Rows":
        """A chunk's sources on the device, where they stay for the other loops over it.

        Args:
            places: `[N + 1, COLUMNS]`, where the sources are, all in memory.
            kinds: `[N + 1]`, their element types.
            limits: `[N]`, elements that each expert has.
            count: Elements of the chunk.
        """
        if not self._filled:
            lengths = [count, *(max(0, min(int(limit), count)) for limit in limits)]
            sizes = [length * _SIZES[int(kind)] for length, kind in zip(lengths, kinds, strict=True)]
            self._make_room(len(places), max(sizes))
            self._upload(places[:, ADDRESS], sizes)
            self._filled = True
        return Rows(self, self._there, kinds, limits, count)

    def download(self, result: Tensor, out: Bytes) -> None:
        """Copy bytes of the device to `out`, and wait until they are there."""
        if self._stream is None:
            out[:] = result.numpy()
            return
        if self._out.numel() < len(out):
            self._out = self._host(1, len(out))
        landing = self._out.view(-1)[: len(out)]
        landing.copy_(result, non_blocking=True)
        self._stream.synchronize()
        out[:] = landing.numpy()

    def _upload(self, addresses: Counts, sizes: Sequence[int]) -> None:
        """By way of pinned memory: the device's copies of what is not pinned are slow, and other threads wait."""
        for row, (place, size) in enumerate(zip(addresses, sizes, strict=True)):
            if size:
                ctypes.memmove(self._here[row].data_ptr(), int(place), size)
                self._there[row, :size].copy_(self._here[row, :size], non_blocking=True)

    def _make_room(self, rows: int, width: int) -> None:
        if self._there.shape[0] < rows or self._there.shape[1] < width:
            width = _rounded(width)
            self._there = torch.empty((rows, width), dtype=torch.uint8, device=self.device)
            self._here = self._host(rows, width)

    def _host(self, rows: int, width: int) -> Tensor:
        return torch.empty((rows, _rounded(width)), dtype=torch.uint8, pin_memory=self._stream is not None)


def _rounded(width: int) -> int:
    """Room enough for most chunks at once, and a multiple of every element size."""
    return max(GPU_CHUNK, (width + 63) // 64 * 64)


@dataclass(frozen=True)
class Result:
    """Where the result of a merge goes.

    Attributes:
        out: The output's bytes.
        kind: Its element type.
        bad: `[N + 2]`, added to: what is NaN or infinite in each source and, last, in the output.
    """

    out: Bytes
    kind: int
    bad: Counts


class Rows:
    """A chunk's sources on the device.

    Args:
        lane: Whose memory they are in.
        there: `[N + 1, width]`, their bytes; the base first.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements of the chunk.
    """

    def __init__(self, lane: Lane, there: Tensor, kinds: Bytes, limits: Counts, count: int) -> None:
        self.count = count
        self.experts = len(limits)
        self._lane = lane
        limited = bool(np.any(limits < count))
        self._handed = there, there.stride(0), self.put(limits) if limited else there, count
        code = sum(int(kind) << (2 * row) for row, kind in enumerate(kinds))
        self._constants = {"kinds": code, "experts": self.experts, "limited": limited}

    @property
    def programs(self) -> int:
        """How many programs it takes to have each element once."""
        block: int = BLOCK.value
        return -(-self.count // block)

    def start(
        self, kernel: Callable[..., None], *arguments: object, programs: int | None = None, **constants: int
    ) -> None:
        """Start a kernel on the sources, with what else it takes."""
        programs = self.programs if programs is None else programs
        start(kernel, programs, *self._handed, *arguments, **constants, **self._constants)

    def merge(self, kernel: Callable[..., None], result: Result, *arguments: object, **constants: int) -> None:
        """Start a kernel that merges, and hand its result over; after `arguments` it takes output and faults."""
        size = self.count * _SIZES[result.kind]
        merged, faults = torch.empty(size, dtype=torch.uint8, device=self._lane.device), self.zeros(len(result.bad))
        self.start(kernel, *arguments, merged, faults, kind=result.kind, **constants)
        self._lane.download(merged, result.out[:size])
        self.add(faults, result.bad)

    def zeros(self, size: int, dtype: torch.dtype = torch.int64) -> Tensor:
        """Zeros on the device."""
        return torch.zeros(size, dtype=dtype, device=self._lane.device)

    def put(self, array: Floats | Counts | Words) -> Tensor:
        """A small array on the device; words as int32, since torch knows few unsigned ones: kernels take their bits."""
        signed = array.view(np.int32) if array.dtype == np.uint32 else array
        return torch.from_numpy(np.ascontiguousarray(signed)).to(self._lane.device)

    def add(self, found: Tensor, counts: Counts) -> None:
        """Add counts of the device to those here."""
        if len(counts):
            counts += found.cpu().numpy()

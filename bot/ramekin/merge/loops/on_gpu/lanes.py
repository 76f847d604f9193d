"""One thread's memory on a GPU, and the chunk that is in it."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ramekin.merge.loops.compiling import Bytes, Counts, Floats
from ramekin.merge.loops.conversion import BF16, CHANGE, F16, F32
from ramekin.merge.resources import GPU_CHUNK

_TYPES: Final = {BF16: torch.bfloat16, F16: torch.float16, F32: torch.float32, CHANGE: torch.float32}


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
            places: `[N + 1]`, addresses of the sources.
            kinds: `[N + 1]`, their element types.
            limits: `[N]`, elements that each expert has.
            count: Elements of the chunk.
        """
        lengths = [count, *(max(0, min(int(limit), count)) for limit in limits)]
        types = [_TYPES[int(kind)] for kind in kinds]
        sizes = [length * type_.itemsize for length, type_ in zip(lengths, types, strict=True)]
        if not self._filled:
            self._make_room(len(places), count * max(type_.itemsize for type_ in types))
            self._upload(places, sizes)
            self._filled = True
        typed = [
            self._there[row, :size].view(type_) for row, (size, type_) in enumerate(zip(sizes, types, strict=True))
        ]
        return Rows(self, typed, [int(kind) == CHANGE for kind in kinds], count)

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

    def _upload(self, places: Counts, sizes: Sequence[int]) -> None:
        """By way of pinned memory: the device's copies of what is not pinned are slow, and other threads wait."""
        for row, (place, size) in enumerate(zip(places, sizes, strict=True)):
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


class Rows:
    """A chunk's sources on the device.

    Args:
        lane: Whose memory they are in.
        typed: The elements that each source has, in its own type; the base first.
        changes: Whether a source holds changes instead of weights.
        count: Elements of the chunk.
    """

    def __init__(self, lane: Lane, typed: Sequence[Tensor], changes: Sequence[bool], count: int) -> None:
        self.count = count
        self.experts = len(typed) - 1
        self._lane = lane
        self._typed = typed
        self._changes = changes

    def base(self) -> Tensor:
        """The base's weights, `[count]`, float32."""
        return self._typed[0].to(torch.float32, copy=True)

    def change(self, t: int, base: Tensor) -> Tensor:
        """`tau_t`, `[count]`, float32: 0 where the expert has no element."""
        typed, change = self._typed[t + 1], self.empty()
        n = len(typed)
        if self._changes[t + 1]:
            change[:n].copy_(typed)
        else:
            torch.sub(typed, base[:n], out=change[:n])
        change[n:].zero_()
        return change

    def weights(self, t: int, base: Tensor) -> Tensor:
        """`theta_t`, `[count]`, float32: the base's where the expert has no element."""
        typed, weights = self._typed[t + 1], base.clone()
        n = len(typed)
        if self._changes[t + 1]:
            weights[:n].add_(typed)
        else:
            weights[:n].copy_(typed)
        return weights

    def empty(self) -> Tensor:
        """Memory for a float32 of every element."""
        return torch.empty(self.count, dtype=torch.float32, device=self._lane.device)

    def zeros(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """A 0 for every element."""
        return torch.zeros(self.count, dtype=dtype, device=self._lane.device)

    def put(self, array: Floats | Counts) -> Tensor:
        """A small array on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._lane.device)

    def store(self, values: Tensor, out: Bytes, out_kind: int, bad: Counts) -> None:
        """Round to the output's type, once and to nearest even, hand over, and count what is NaN or infinite."""
        result = values.to(_TYPES[out_kind])
        faults = self._faults([*self._typed, result])
        self._lane.download(result.view(torch.uint8), out[: len(result) * result.itemsize])
        bad += faults

    def check(self, bad: Counts) -> None:
        """Count what is NaN or infinite in the sources."""
        bad[:-1] += self._faults(self._typed)

    @staticmethod
    def _faults(arrays: Sequence[Tensor]) -> Counts:
        # What is finite is 0 when taken from itself, the others are NaN.
        found: Counts = torch.stack([(array - array).count_nonzero() for array in arrays]).cpu().numpy()
        return found

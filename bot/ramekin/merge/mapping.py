"""Files in memory: mapped where that is safe, so that nothing is copied, and read where it is not.

The system keeps large files in large pages; mapping such a page costs one entry of a table, where reading copies every
byte. A part of a mapping that the file no longer has, or that the disk cannot give, would end the process when it is
touched. So each piece is first brought to memory by a call that reports this instead (MADV_POPULATE_READ, Linux 5.14),
and where that fails the piece is read: whoever reads can say what is wrong.

A mapping is for more than one piece. Ending one makes every processor that runs this process forget it, which takes
long where processors are virtual and one of them is just not running. Very long ones pay less than they keep in memory.
"""

import ctypes
import mmap
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ramekin.merge.arrays import Bytes

_POPULATE_READ: Final = 22
_PAGE: Final = mmap.PAGESIZE
_ALIGNED: Final = 4  # bytes, of the largest element: what is not aligned is copied
_FAILED: Final = ctypes.c_void_p(-1).value


def _system() -> ctypes.CDLL | None:
    """The system's calls, where they are those of Linux with 64-bit offsets. They let other threads run meanwhile."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) < 8:
        return None
    library = ctypes.CDLL(None)
    address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    library.mmap.argtypes, library.mmap.restype = (address, size, number, number, number, ctypes.c_int64), address
    library.madvise.argtypes, library.madvise.restype = (address, size, number), number
    library.munmap.argtypes, library.munmap.restype = (address, size), number
    return library


_SYSTEM: Final = _system()


@dataclass
class _Extent:
    """A mapping, of the part of a file that pieces begin in, and of what the longest of them may have beyond it."""

    first: int
    address: int
    length: int
    users: int = 0


class Piece:
    """Some bytes at an address, mapped or in a buffer, until it is dropped."""

    @classmethod
    def of(cls, buffer: Bytes) -> "Piece":
        """What is in a buffer, which is held until then."""
        return cls(buffer.ctypes.data, held=buffer)

    def __init__(self, address: int, *, drop: Callable[[], None] = lambda: None, held: Bytes | None = None) -> None:
        self.address = address
        self._drop = drop
        self._held = held

    def drop(self) -> None:
        """Give the memory back; the address means nothing any more."""
        self._drop()
        self._held = None


class Extents:
    """What is mapped of one source's files; for several threads that go through them one piece after the other.

    Args:
        size: Bytes of a file in which the pieces of one mapping begin, in whole large pages.
        longest: Bytes of the longest piece.
    """

    def __init__(self, size: int, longest: int) -> None:
        self._size = size
        self._longest = longest
        self._mapped: dict[tuple[int, int], _Extent] = {}
        self._newest = (0, 0)
        self._lock = threading.Lock()

    def piece(self, descriptor: int, start: int, size: int, read: Callable[[memoryview], None]) -> Piece:
        """Bring a piece of a file to memory.

        Args:
            descriptor: The file.
            start: First byte.
            size: Number of bytes, at least 1.
            read: Fills a buffer with them, where they cannot be mapped; raises what is wrong with the file.
        """
        key = descriptor, start // self._size
        extent = None if _SYSTEM is None or start % _ALIGNED or size > self._longest else self._take(key)
        if _SYSTEM and extent:
            address = extent.address + start - extent.first
            page = address // _PAGE * _PAGE
            if not _SYSTEM.madvise(page, address + size - page, _POPULATE_READ):
                return Piece(address, drop=lambda: self._give_back(key))
            self._give_back(key)
        buffer: Bytes = np.empty(size, np.uint8)
        read(buffer.data)
        return Piece.of(buffer)

    def close(self) -> None:
        """Unmap everything, once all pieces were dropped."""
        with self._lock:
            extents, self._mapped = list(self._mapped.values()), {}
        _unmap(extents)

    def _take(self, key: tuple[int, int]) -> _Extent | None:
        """Use an extent, mapped if it is not yet; those that are of no use any more are unmapped."""
        with self._lock:
            extent = self._mapped.get(key) or self._map(key)
            if extent is None:
                return None
            extent.users += 1
            self._newest = key
            idle = [other for other, found in self._mapped.items() if not found.users]
            extents = [self._mapped.pop(other) for other in idle]
        _unmap(extents)
        return extent

    def _give_back(self, key: tuple[int, int]) -> None:
        with self._lock:
            extent = self._mapped[key]
            extent.users -= 1
            done = [self._mapped.pop(key)] if not extent.users and key != self._newest else []
        _unmap(done)

    def _map(self, key: tuple[int, int]) -> _Extent | None:
        descriptor, number = key
        first, length = number * self._size, self._size + self._longest
        if _SYSTEM is None:
            return None
        found = _SYSTEM.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, first)
        if found == _FAILED or not found:
            return None
        extent = self._mapped[key] = _Extent(first, int(found), length)
        return extent


def _unmap(extents: list[_Extent]) -> None:
    for extent in extents:
        if _SYSTEM:
            _SYSTEM.munmap(extent.address, extent.length)

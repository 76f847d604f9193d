"""What the loops over elements and those who call them agree on; neither compiles anything by knowing it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ramekin.merge.sizes import BLOCK

Bytes = npt.NDArray[np.uint8]
Halves = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BF16: Final = 0
F16: Final = 1
F32: Final = 2
CHANGE: Final = 3
"""Kind of a row that holds float32 changes instead of weights: what an adapter adds to the base."""

KINDS: Final[Mapping[str, int]] = {"BF16": BF16, "F16": F16, "F32": F32}
"""Element types by the numbers that the loops know them by."""

# Columns of `places`: where a loop finds the elements of a source.
ADDRESS: Final = 0
"""Of the first element in memory."""
FILE: Final = 1
"""Descriptor of the file that a loop reads them from, a window at a time; -1 where all are in memory."""
START: Final = 2
"""The byte of the file at which element 0 begins."""
ELEMENTS: Final = 3
"""How many there are in the file."""
ROOM: Final = 4
"""Bytes of the window."""
FIRST: Final = 5
"""The first element in the window."""
HELD: Final = 6
"""How many are in it."""
LOST: Final = 7
"""1 once the file could not be read; what is missing is taken for 0."""
COLUMNS: Final = 8

SPARE: Final = 4
"""Bins for magnitudes that have none, taken in turn: adding to one place again and again waits for itself."""

TOO_LARGE: Final = np.uint32(0x7F7F8000)
"""Least magnitude, as bits, that bfloat16 rounds to infinity; above it a NaN can wrap around while it is rounded."""


def in_memory(addresses: Sequence[int]) -> Counts:
    """`places` of sources that are in memory."""
    places: Counts = np.zeros((len(addresses), COLUMNS), np.int64)
    places[:, ADDRESS], places[:, FILE] = addresses, -1
    return places


def blocks_of(count: int, row: int, first: int) -> int:
    """How many blocks inner products are summed by, in a chunk of filters.

    Args:
        count: Elements of the chunk.
        row: Elements of a filter; each has blocks of its own.
        first: Index of the chunk's first element.
    """
    begun = min(count, -first % row)
    whole, rest = divmod(count - begun, row)
    return _blocks(begun) + whole * _blocks(row) + _blocks(rest)


def _blocks(count: int) -> int:
    return -(-count // BLOCK)

"""Compiling loops with numba, and the types that they work on."""

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

_P = ParamSpec("_P")
_R = TypeVar("_R")

Bytes = npt.NDArray[np.uint8]
Halves = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BLOCK: Final = 1024
"""Elements that a loop works on at a time: the buffers of a block fit the first-level cache."""


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile without the interpreter lock, keeping the machine code between runs where any directory allows it.

    The code is kept in `NUMBA_CACHE_DIR`, beside this file, or in the user's cache, the first that can be written.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no such directory: compile in every process
        return numba.njit(nogil=True)(function)


def _as_float(_context: Any, _bits: Any) -> Any:
    return types.float32(types.uint32), lambda _c, builder, _s, arguments: builder.bitcast(arguments[0], ir.FloatType())


def _as_bits(_context: Any, _value: Any) -> Any:
    return types.uint32(types.float32), lambda _c, builder, _s, arguments: builder.bitcast(arguments[0], ir.IntType(32))


as_float: Final[Callable[[np.uint32], np.float32]] = intrinsic(_as_float)  # type: ignore[assignment]
"""The float32 with these bits; in compiled code only."""

as_bits: Final[Callable[[np.float32], np.uint32]] = intrinsic(_as_bits)  # type: ignore[assignment]
"""The bits of a float32; in compiled code only."""


def _as_pointer(_context: Any, _address: Any) -> Any:
    signature = types.voidptr(types.int64)
    return signature, lambda _c, builder, _s, arguments: builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())


_pointer: Final[Callable[[int], Any]] = intrinsic(_as_pointer)  # type: ignore[assignment]


@compiled
def halves_at(address: int, n: int) -> Halves:
    """`n` elements of 16 bits in memory, as they are; in compiled code only."""
    return carray(_pointer(address), (n,), np.uint16)


@compiled
def floats_at(address: int, n: int) -> Floats:
    """`n` float32 in memory, as they are; in compiled code only."""
    return carray(_pointer(address), (n,), np.float32)

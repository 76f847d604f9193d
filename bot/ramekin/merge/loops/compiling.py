"""Compiling loops with numba into machine code that stands on its own: it allocates nothing and raises nothing."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import numpy as np

from ramekin.merge.arrays import Bytes, Floats, Halves, Words
from ramekin.merge.sizes import BLOCK, MAX_EXPERTS

# numba obeys a `.numba_config.yaml` of the working directory, which may be that of a stranger's pull request: it names
# libraries to load, and a place of compiled code to unpickle. It is looked for at the import, and at each compilation.
with contextlib.chdir(Path(__file__).parent):
    from numba.core import config

    config.reload_config()  # type: ignore[no-untyped-call]  # somebody may have imported it before
config.reload_config = lambda: None

import numba  # noqa: E402
from llvmlite import ir  # type: ignore[import-untyped]  # noqa: E402
from numba import carray, types  # type: ignore[attr-defined]  # noqa: E402
from numba.extending import intrinsic  # noqa: E402

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LINE: Final = 64
"""Bytes of a cache line, which buffers begin with."""


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile a loop, or a part of one, when it is first used.

    What it becomes has to do without numba's runtime, so it can make no array: `room_for_rows` and others are for that.
    """
    found: Callable[_P, _R] = numba.njit(nogil=True, error_model="numpy")(function)
    return found


def machine_code(loop: Callable[..., object], signature: Sequence[str]) -> tuple[str, str]:
    """Compile a loop as a C function that can be called by whoever has its address.

    Args:
        loop: What was `compiled`.
        signature: Types of its arguments, such as `int64` or `float32[:,:]`. An array becomes its address and its
            shape, as int64.

    Returns:
        The function's name, and the module with it in LLVM's language, optimised for this processor.
    """
    parameters, given, kinds = [], [], []
    for place, name in enumerate(signature):
        element, _, dimensions = name.partition("[")
        shape = [f"n{place}_{axis}" for axis in range(dimensions.count(":"))]
        parameters += [f"a{place}", *shape]
        given.append(f"carray(a{place}, ({', '.join(shape)},), {element})" if shape else f"a{place}")
        kinds += [types.voidptr, *[types.int64] * len(shape)] if shape else [getattr(types, element)]
    # numba has no parameters of which there may be any number, so the function is written for each signature.
    source = f"def entry({', '.join(parameters)}):\n    loop({', '.join(given)})\n"
    elements = {name: getattr(np, name) for name in ("uint8", "uint16", "uint32", "int64", "float32", "float64")}
    names: dict[str, Any] = {"loop": loop, "carray": carray, **elements}
    exec(source, names)  # noqa: S102 - nothing of it comes from outside
    entry = numba.cfunc(types.void(*kinds), error_model="numpy")(names["entry"])
    return entry.native_name, entry.inspect_llvm()


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


pointer: Final[Callable[[int], Any]] = intrinsic(_as_pointer)  # type: ignore[assignment]
"""An address as numba takes it; in compiled code only."""


@compiled
def bytes_at(address: int, n: int) -> Bytes:
    """`n` bytes in memory; in compiled code only."""
    return carray(pointer(address), (n,), np.uint8)


@compiled
def halves_at(address: int, n: int) -> Halves:
    """`n` elements of 16 bits in memory, as they are; in compiled code only."""
    return carray(pointer(address), (n,), np.uint16)


@compiled
def words_at(address: int, n: int) -> Words:
    """`n` words of 32 bits in memory, as they are; in compiled code only."""
    return carray(pointer(address), (n,), np.uint32)


@compiled
def floats_at(address: int, n: int) -> Floats:
    """`n` float32 in memory, as they are; in compiled code only."""
    return carray(pointer(address), (n,), np.float32)


def room(size: int) -> Callable[[], Any]:
    """Some bytes of the stack of whoever calls what is returned, until that function ends; in compiled code only.

    What is there at first is anything.
    """

    def made(_context: Any) -> Any:
        def here(_c: Any, builder: Any, _s: Any, _arguments: Any) -> Any:
            with builder.goto_entry_block():
                place = builder.alloca(ir.ArrayType(ir.IntType(8), size))
            place.align = _LINE
            return builder.bitcast(place, ir.IntType(8).as_pointer())

        return types.voidptr(), here

    found: Any = intrinsic(made)
    return cast("Callable[[], Any]", found)


room_for_rows: Final = room(4 * BLOCK * (MAX_EXPERTS + 1))
"""For a block of the base and of every expert, of four bytes an element: `carray(..., (N + 1, BLOCK), np.float32)`."""

room_for_block: Final = room(8 * BLOCK)
"""For a block of elements of at most eight bytes."""

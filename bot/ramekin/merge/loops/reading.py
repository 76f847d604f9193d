"""Elements of a source, wherever they are: in memory, or in a file, from which they are read a window at a time.

So a loop reads what it works on, with no step of Python between: what was just copied out of the page cache is still in
the processor's second cache when it is needed.
"""

from typing import Any, Final

import numpy as np
from numba import types

from ramekin.merge.arrays import ADDRESS, ELEMENTS, F32, FILE, FIRST, HELD, LOST, ROOM, START, Counts
from ramekin.merge.loops.compiling import bytes_at, compiled, pointer

_TRIES: Final = 5
_SIGNATURE: Final[Any] = types.int64(types.int32, types.voidptr, types.uint64, types.int64)
_pread: Final[Any] = types.ExternalFunction("pread", _SIGNATURE)


@compiled
def element_size(kind: int) -> int:
    """Bytes of an element."""
    return 2 if kind < F32 else 4


@compiled
def reach(places: Counts, source: int, kind: int, start: int, n: int) -> int:
    """The address of `n` elements of a source, from element `start` on. They are there until others are asked for.

    Of a file at most `STRIDE` halves, or a block of any element, can be asked for at once.
    """
    size = element_size(kind)
    if places[source, FILE] < 0:
        return int(places[source, ADDRESS] + start * size)
    first = places[source, FIRST]
    if start < first or start + n > first + places[source, HELD]:
        _fetch(places, source, size, start)
        first = start
    return int(places[source, ADDRESS] + (start - first) * size)


@compiled
def _fetch(places: Counts, source: int, size: int, start: int) -> None:
    """Fill the window with what there is from element `start` on."""
    held = min(places[source, ROOM] // size, max(0, places[source, ELEMENTS] - start))
    address, wanted, done, tries = places[source, ADDRESS], held * size, 0, _TRIES
    while done < wanted:
        place = places[source, START] + start * size + done
        got = _pread(np.int32(places[source, FILE]), pointer(address + done), np.uint64(wanted - done), place)
        if got > 0:
            done += got
            continue
        tries -= 1  # it may have been interrupted; whoever called can find out what it was
        if not got or not tries:
            places[source, LOST] = 1
            bytes_at(address + done, wanted - done)[:] = np.uint8(0)
            break
    places[source, FIRST], places[source, HELD] = start, held

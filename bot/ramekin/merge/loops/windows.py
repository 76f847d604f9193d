"""Sources read by the loops themselves, window by window, into buffers that stay in the second-level cache.

A chunk is large, so that handing it to a thread costs nothing; what is read of it at a time is small, so that it is
still in the cache when it is used. Both together are what makes a merge as fast as reading. Mapped memory was measured
slower for such windows, and a file that shrinks meanwhile would end the process instead of giving an error.
"""

from typing import Final

import numpy as np

from ramekin.merge.loops.compiling import Bytes, Counts, compiled, copy_memory, read_at

IN_MEMORY: Final = -1
"""Instead of a file's descriptor: the place is an address."""

FIRST: Final = 0
END: Final = 1
FAILED: Final = 2
COUNT: Final = 3
"""What `held` says: the first element in the buffers, the one after the last, 1 + the row that could not be read, and
how many elements the chunk has."""

_TWO_BYTES: Final = 2  # kinds below this have two bytes per element, the others four


@compiled
def fill(raw: Bytes, kinds: Bytes, limits: Counts, where: Counts, held: Counts, start: int) -> None:
    """Read as many elements of all sources as their rows hold, from `start` on.

    Args:
        raw: `[N + 1, bytes]`, written.
        kinds: `[N + 1]`, the sources' element types.
        limits: `[N]`, elements of the chunk that each expert has.
        where: `[N + 1, 2]`, descriptor and place of the chunk's first byte, or `IN_MEMORY` and its address.
        held: `[4]`, what the rows hold, see above; written.
        start: First element.
    """
    size = 2
    for row in range(len(raw)):
        if kinds[row] >= _TWO_BYTES:
            size = 4
    stop = min(start + raw.shape[1] // size, held[COUNT])
    for row in range(len(raw)):
        limit = held[COUNT] if row == 0 else limits[row - 1]
        size = 2 if kinds[row] < _TWO_BYTES else 4
        wanted = max(0, min(stop, limit) - start) * size
        address, place = raw[row].ctypes.data, where[row, 1] + start * size
        if where[row, 0] == IN_MEMORY:
            if wanted:
                copy_memory(address, place, wanted)
            continue
        done = 0
        while done < wanted:
            got = read_at(np.int32(where[row, 0]), address + done, wanted - done, place + done)  # type: ignore[arg-type]
            if got <= 0:
                held[FAILED] = row + 1
                break
            done += got
    held[FIRST] = start
    held[END] = stop


@compiled
def reach(raw: Bytes, kinds: Bytes, limits: Counts, where: Counts, held: Counts, start: int, n: int) -> int:
    """See that elements `start` to `start + n - 1` are in the rows; return where they begin there.

    `n` must not exceed what a row holds; see `fill` for the rest.
    """
    if start < held[FIRST] or start + n > held[END]:
        fill(raw, kinds, limits, where, held, start)
    return int(start - held[FIRST])

"""Single elements of experts, put in the place of the merge's."""

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import CHANGE, Bytes, Counts
from ramekin.merge.loops.compiling import compiled, room_for_block
from ramekin.merge.loops.conversion import load, store
from ramekin.merge.loops.reading import reach


@compiled
def take_over(
    places: Counts, kinds: Bytes, limits: Counts, expert: int, positions: Counts, out: Bytes, out_kind: int, bad: Counts
) -> None:
    """Write some elements of an expert, rounded once, into the output.

    What an adapter has is the base's element with its change added, in float32; what an expert does not have, or an
    adapter does not change, is the base's.

    Args:
        places: `[N + 1, COLUMNS]`, where the sources are.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        expert: Which one.
        positions: `[n]`, which elements, in order.
        out: The output's bytes.
        out_kind: Its element type.
        bad: `[N + 2]`, added to where an element of the output is not finite.
    """
    row = expert + 1
    own = carray(room_for_block(), (1,), np.float32)
    base = carray(room_for_block(), (1,), np.float32)
    for position in positions:
        load(reach(places, 0, kinds[0], position, 1), kinds[0], 1, base)
        if position >= limits[expert]:
            own[0] = base[0]
        else:
            load(reach(places, row, kinds[row], position, 1), kinds[row], 1, own)
            if kinds[row] == CHANGE:
                own[0] += base[0]
        bad[-1] += store(own, out_kind, position, 1, out)

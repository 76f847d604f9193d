"""Random masks from the same generator; see `loops.masking`."""

import triton.language as tl

from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel


@kernel
def words(keys: tl.tensor, t: tl.constexpr, place: tl.tensor) -> tl.tensor:
    """The random word of each element, uint32, by its place in the tensor, int64.

    Each element runs the generator for itself, four times what is needed: it takes less time than the element takes
    to come over the bus, and any chunk can begin anywhere.
    """
    counter = place >> 2
    none = tl.zeros([BLOCK], tl.uint32)
    low = tl.load(keys + 2 * t).to(tl.uint32, bitcast=True)
    high = tl.load(keys + 2 * t + 1).to(tl.uint32, bitcast=True)
    a, b, c, d = tl.philox_impl(counter.to(tl.uint32), (counter >> 32).to(tl.uint32), none, none, low, high)
    return tl.where(place & 2 == 0, tl.where(place & 1 == 0, a, b), tl.where(place & 1 == 0, c, d))


@kernel
def dropped(change: tl.tensor, keys: tl.tensor, t: tl.constexpr, place: tl.tensor, threshold: tl.tensor) -> tl.tensor:
    """The changes, 0 where the random word is below the threshold; see `loops.masking.drop`."""
    return tl.where(words(keys, t, place).to(tl.int64) < threshold, 0.0, change)

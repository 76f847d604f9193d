"""Random masks that depend on nothing but a key and an element's index.

The generator is Philox 4x32 with 10 rounds (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011): the
counter is the element's index divided by 4, the remainder chooses one of the four words.
"""

from typing import Final

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ramekin.merge.arrays import Floats, Words
from ramekin.merge.loops.compiling import as_bits, as_float, compiled, room

KEPT: Final = np.uint32(0xFFFFFFFF)
"""The mask of a change that stays; 0 is that of another."""

_M0: Final = np.uint64(0xD2511F53)
_M1: Final = np.uint64(0xCD9E8D57)
_W0: Final = np.uint32(0x9E3779B9)
_W1: Final = np.uint32(0xBB67AE85)
_LOW: Final = np.uint64(0xFFFFFFFF)
_LANES: Final = 256  # counters at a time: each array of words stays in the first-level cache
_room_for_words: Final = room(4 * 4 * _LANES)


@compiled
def philox(key0: np.uint32, key1: np.uint32, first: int, words: Words) -> None:
    """Fill `words[4, n]` with the words of counters `first` to `first + n - 1`, whose upper half is 0."""
    x0, x1, x2, x3 = words[0], words[1], words[2], words[3]
    for i in range(words.shape[1]):
        counter = np.uint64(first + i)
        x0[i] = np.uint32(counter & _LOW)
        x1[i] = np.uint32(counter >> np.uint64(32))
        x2[i] = np.uint32(0)
        x3[i] = np.uint32(0)
    k0, k1 = key0, key1
    for _ in range(10):
        for i in range(words.shape[1]):
            a = np.uint64(_M0 * np.uint64(x0[i]))
            b = np.uint64(_M1 * np.uint64(x2[i]))
            x0[i] = np.uint32(np.uint32(b >> np.uint64(32)) ^ x1[i] ^ k0)
            x2[i] = np.uint32(np.uint32(a >> np.uint64(32)) ^ x3[i] ^ k1)
            x1[i] = np.uint32(b & _LOW)
            x3[i] = np.uint32(a & _LOW)
        k0, k1 = np.uint32(k0 + _W0), np.uint32(k1 + _W1)


@compiled
def keep(change: Floats, n: int, stays: Words) -> None:
    """Set to 0 those of `n` changes whose mask is not `KEPT` but 0.

    Masks are stored and read again, because what a compiler makes of a store that depends on a comparison takes some
    processors ten times as long.
    """
    for i in range(n):
        change[i] = as_float(np.uint32(as_bits(change[i]) & stays[i]))


@compiled
def drop(change: Floats, n: int, key0: np.uint32, key1: np.uint32, first: int, threshold: np.uint64) -> None:
    """Set to 0 those of `n` changes whose random word is below `threshold`: each with probability threshold / 2**32.

    Args:
        change: `[block]`, changed in place.
        n: Elements of it.
        key0: Lower half of the key.
        key1: Upper half.
        first: Index, in its tensor, of the first element.
        threshold: From 0, which drops nothing, to 2**32, which drops all.
    """
    if threshold == np.uint64(0):
        return
    last = np.uint32(threshold - np.uint64(1))
    words = carray(_room_for_words(), (4, _LANES), np.uint32)
    stays = carray(_room_for_words(), (4 * _LANES,), np.uint32)
    done = 0
    while done < n:
        counter, lane = divmod(first + done, 4)
        philox(key0, key1, counter, words)
        for i in range(_LANES):
            for word in range(4):
                stays[4 * i + word] = KEPT if words[word, i] > last else np.uint32(0)
        size = min(n - done, 4 * _LANES - lane)
        keep(change[done:], size, stays[lane:])
        done += size

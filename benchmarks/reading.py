"""Positional reads against mapped memory: which brings the bytes of a file from the page cache to the processor sooner.

    python benchmarks/reading.py FILE

All touch every byte: a read copies it into a buffer, which a loop adds up, eight bytes at a time; of mapped memory, one
chunk after the other is mapped, added up and let go, or, as a merge does it, mapped by the extent, some chunks long.
GB/s, the best of the rounds.
"""

import argparse
import ctypes
import itertools
import mmap
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numba
import numpy as np

from ramekin.merge.mapping import Extents
from ramekin.merge.resources import Resources

EXTENT: Final = Resources().extent_bytes(experts=3)
CHUNKS: Final = tuple(1 << n for n in (16, 18, 19, 20, 22, 24))


@numba.njit(nogil=True)
def total(words: np.ndarray) -> np.uint64:
    """The sum of all words: int64 `[count]`."""
    found = np.uint64(0)
    for word in words:
        found += word
    return found


def by_reads(file: int, starts: list[int], chunk: int) -> None:
    """Positional reads into one buffer."""
    buffer = np.empty(chunk // 8, np.uint64)
    for start in starts:
        total(buffer[: os.preadv(file, [buffer], start) // 8])


def by_mapping(file: int, starts: list[int], chunk: int) -> None:
    """A window mapped for each chunk, with its pages filled in at once."""
    for start in starts:
        with mmap.mmap(file, chunk, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ, offset=start) as window:
            words = np.frombuffer(window, np.uint64)
            total(words)
            del words  # else the window could not be closed


def by_extents(file: int, starts: list[int], chunk: int) -> None:
    """As a merge does it."""
    extents = Extents(EXTENT, chunk)
    for start in starts:
        piece = extents.piece(file, start, chunk, lambda into, start=start: unexpected(start, into))  # type: ignore[misc]
        total(np.frombuffer((ctypes.c_uint64 * (chunk // 8)).from_address(piece.address), np.uint64))
        piece.drop()
    extents.close()


def unexpected(start: int, _: memoryview) -> None:
    raise OSError(f"the file cannot be mapped at {start}")


def speed(way: Callable[[int, list[int], int], None], path: Path, chunk: int, threads: int) -> float:
    """GB/s over the whole chunks of a file."""
    starts = list(range(0, path.stat().st_size - chunk + 1, chunk))
    file = os.open(path, os.O_RDONLY)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(int, range(threads)))  # starts the threads
            started = time.perf_counter()
            list(pool.map(lambda n: way(file, starts[n::threads], chunk), range(threads)))
            return len(starts) * chunk / (time.perf_counter() - started) / 1e9
    finally:
        os.close(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a file of some GB that the page cache can hold")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    speed(by_reads, chosen.file, CHUNKS[-1], 1)  # compiles the loop, and fills the page cache
    print(f"| KiB | {' | '.join(f'{way}, {n} thread(s)' for n in (1, 2) for way in ('read', 'mapped', 'extents'))} |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for chunk in CHUNKS:
        ways = itertools.product((1, 2), (by_reads, by_mapping, by_extents))
        found = [max(speed(way, chosen.file, chunk, n) for _ in range(chosen.rounds)) for n, way in ways]
        print(f"| {chunk >> 10} | {' | '.join(f'{one:.1f}' for one in found)} |")


if __name__ == "__main__":
    main()

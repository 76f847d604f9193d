"""Positional reads against mapped memory: which brings the bytes of a file from the page cache to the processor sooner.

    python benchmarks/reading.py FILE

Both touch every byte: a read copies it into a buffer, which is added up, eight bytes at a time; of mapped memory, one
chunk after the other is mapped, brought to memory, added up and let go. Small buffers stay in the processor's caches.
GB/s, the best of the rounds.
"""

import argparse
import itertools
import mmap
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

CHUNKS: Final = tuple(1 << n for n in (16, 17, 18, 19, 20, 22, 24))


def by_reads(file: int, starts: list[int], chunk: int) -> None:
    """Positional reads into one buffer."""
    buffer = np.empty(chunk // 8, np.uint64)
    for start in starts:
        buffer[: os.preadv(file, [buffer], start) // 8].sum()


def by_mapping(file: int, starts: list[int], chunk: int) -> None:
    """A window mapped for each chunk, with its pages filled in at once."""
    for start in starts:
        with mmap.mmap(file, chunk, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ, offset=start) as window:
            words = np.frombuffer(window, np.uint64)
            words.sum()
            del words  # else the window could not be closed


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
    speed(by_reads, chosen.file, CHUNKS[-1], 1)  # fills the page cache
    print(f"| KiB | {' | '.join(f'{way}, {n} thread(s)' for n in (1, 2) for way in ('read', 'mapped'))} |")
    print("|--:|--:|--:|--:|--:|")
    for chunk in CHUNKS:
        ways = itertools.product((1, 2), (by_reads, by_mapping))
        found = [max(speed(way, chosen.file, chunk, n) for _ in range(chosen.rounds)) for n, way in ways]
        print(f"| {chunk >> 10} | {' | '.join(f'{one:.1f}' for one in found)} |")


if __name__ == "__main__":
    main()

"""What a merge may use, and what that makes it need."""

import os
from dataclasses import dataclass, field
from typing import Final, Literal

MAX_EXPERTS: Final = 16
"""Most experts of one merge: a pattern of who changed an element has one bit for each."""

_MOST_THREADS: Final = 16  # beyond that, copying out of the page cache and hashing the output are what one waits for
_LEAST_ROW: Final = 8 << 10  # a block of the loops
_CUT_BINS: Final = 3 * 4 << 18  # bytes, per thread and expert, of the histograms in which TIES finds its cuts
_FIXED: Final = 384 << 20  # the interpreter, numpy, and the compiler when it must run


def _usable_threads() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


@dataclass(frozen=True)
class Resources:
    """What a merge may use. No result depends on it.

    Attributes:
        chunk_bytes: Bytes that are read of one source at a time. The default keeps what one thread works on in the
            second-level cache.
        threads: Threads that read, compute and write; one more takes digests.
        device: Where the arithmetic runs.
    """

    chunk_bytes: int = 1 << 19
    threads: int = field(default_factory=_usable_threads)
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1 or self.threads < 1:
            raise ValueError("chunk_bytes and threads must be at least 1")

    @property
    def row_bytes(self) -> int:
        """Bytes of buffer for one source's chunk: room for any one element, in whole cache lines.

        One line more keeps the rows of a buffer from competing for the same places of the cache.
        """
        return (max(self.chunk_bytes, _LEAST_ROW) + 63) // 64 * 64 + 64

    @property
    def slots(self) -> int:
        """Chunks in flight: one per thread at work, and as many that are read ahead or wait for their digest."""
        return 2 * self.threads


def memory_needed(experts: int, resources: Resources, factors: int = 0) -> int:
    """Upper bound on the bytes that a merge holds at once; the size of the model plays no part.

    Each chunk in flight has a buffer for the base, one for each expert and one for the output, and counts by pattern;
    three more such counts belong to the model, to the file and to the tensor at work.

    Args:
        experts: N, the number of experts.
        resources: What the merge may use.
        factors: Bytes, in float32, of the adapters' factors of the tensor that has the largest.
    """
    patterns = 8 << experts
    cuts = resources.threads * experts * _CUT_BINS
    return _FIXED + resources.slots * ((experts + 2) * resources.row_bytes + patterns) + 3 * patterns + cuts + factors

"""What a merge may use, and what that makes it need."""

import os
from dataclasses import dataclass, field
from typing import Final, Literal

from ramekin.merge.sizes import BINS, LEAST_ROOM, STRIDE

_MOST_THREADS: Final = 16  # beyond that, copying out of the page cache and hashing the output are what one waits for
_CUT_BINS: Final = 3 * 4 * BINS  # bytes, per thread and expert, of the histograms in which TIES finds its cuts
_CUT_TOTALS: Final = 8 * BINS  # bytes, per expert, of the same for all threads, where a tensor has billions of elements
_FIXED: Final = 384 << 20  # the interpreter, numpy, and the compiler when it must run
_TORCH: Final = 256 << 20
_GPU_SMALL: Final = 4 << 20  # bytes, per thread, of factors, counts and ranks on a GPU
_GPU_FIXED: Final = 3 << 30  # torch and the driver as well; an estimate

GPU_CHUNK: Final = 8 << 20
"""Bytes of one source that are on a GPU at a time, for each thread: its copies take longer than starting kernels."""

GPU_THREADS: Final = 4
"""Threads that feed a GPU at most: more do not make its bus faster."""


def usable_threads(processes: int = 1) -> int:
    """Threads for each of so many processes on this machine, which share its processors."""
    return max(1, min(len(os.sched_getaffinity(0)) // processes, _MOST_THREADS))


@dataclass(frozen=True)
class Resources:
    """What a merge may use. No result depends on it.

    Attributes:
        chunk_bytes: Bytes of one source that a thread works on at a time: enough that handing them over costs nothing.
        window_bytes: Bytes of all sources that a thread has in memory at a time, within a chunk: what it has just read,
            its loops shall find in the caches.
        threads: Threads that read, compute and write; one more takes digests.
        device: Where the arithmetic runs.
        local_rank: This process among those of this machine, which decides the GPU.
    """

    chunk_bytes: int = 4 << 20
    threads: int = field(default_factory=usable_threads)
    device: Literal["cpu", "cuda"] = "cpu"
    local_rank: int = 0
    window_bytes: int = 2 << 20

    def __post_init__(self) -> None:
        if min(self.chunk_bytes, self.threads, self.window_bytes) < 1:
            raise ValueError("chunk_bytes, threads and window_bytes must be at least 1")

    @property
    def out_bytes(self) -> int:
        """Bytes of buffer for one chunk of one result: room for a block of any element."""
        return max(self.chunk_bytes, LEAST_ROOM)

    @property
    def counting_bytes(self) -> int:
        """Bytes of one source in a chunk of which nothing is written: it takes no memory, and saves handing over."""
        return 4 * self.chunk_bytes

    def piece_bytes(self, experts: int) -> int:
        """Bytes of one source that a thread has in memory at a time; on a GPU, a chunk at once."""
        if self.device == "cuda":
            return self.chunk_bytes
        most = max(1, min(self.chunk_bytes, self.window_bytes // (experts + 1)))
        return most // (4 * STRIDE) * (4 * STRIDE) or most  # so that pairs stay pairs in the next piece

    def row_bytes(self, experts: int) -> int:
        """Bytes of buffer for a piece of one source: room for a block of any element."""
        return max(self.piece_bytes(experts), LEAST_ROOM)

    @property
    def slots(self) -> int:
        """Chunks in flight: one per thread at work, and twice as many that wait for a thread or for their digest.

        With as many only, threads have waited for work.
        """
        return 3 * self.threads


def memory_needed(experts: int, resources: Resources, factors: int = 0, thresholds: int = 1) -> int:
    """Upper bound on the bytes that a merge holds at once; the size of the model plays no part.

    Each chunk in flight has its result, and counts by pattern; three more such counts belong to the model, to the file
    and to the tensor at work. Each thread has a piece of every source, or what an adapter adds to it, and counts.

    Args:
        experts: N, the number of experts.
        resources: What the merge may use.
        factors: Bytes, in float32, of the adapters' factors of the tensor that has the largest; 0 without adapters.
        thresholds: By how many thresholds patterns are counted at once.
    """
    patterns = thresholds * (8 << experts)
    slot = resources.out_bytes + patterns
    # What is only copied is compared with the base's: two chunks, and a byte for each byte that may differ.
    window = max((experts + 1) * resources.row_bytes(experts), 3 * resources.chunk_bytes) + patterns
    cuts = experts * (resources.threads * _CUT_BINS + _CUT_TOTALS)
    gpu = _beside_a_gpu(experts, resources) if resources.device == "cuda" else 0
    return _FIXED + resources.threads * window + resources.slots * slot + 3 * patterns + cuts + factors + gpu


def memory_of_all(processes: int, needed: int) -> int:
    """What so many processes on one machine need, each what one alone does; to find each other they load torch."""
    return needed if processes == 1 else processes * (needed + _TORCH)


def _beside_a_gpu(experts: int, resources: Resources) -> int:
    """Bytes of this machine's memory that a GPU needs; torch rounds what is pinned up to powers of two."""
    chunk = max(GPU_CHUNK, resources.out_bytes)
    pinned = sum(1 << (size - 1).bit_length() for size in ((experts + 1) * chunk, chunk))
    return _GPU_FIXED + resources.threads * pinned


def gpu_memory_needed(experts: int, resources: Resources) -> int:
    """Upper bound on the bytes that tensors take on a GPU at once.

    Each thread has a chunk of the base, of each expert and of the result there, the histograms of TIES, and the inner
    products of every 1,024 elements, two bytes each. Everything else lives in registers.
    """
    chunk = max(GPU_CHUNK, resources.out_bytes)
    products = 8 * experts**2 * ((chunk >> 11) + 1)
    return resources.threads * ((experts + 2) * chunk + experts * _CUT_BINS + products + (16 << experts) + _GPU_SMALL)

"""What a merge may use, and what that makes it need."""

import os
from dataclasses import dataclass, field
from typing import Final, Literal

_MOST_THREADS: Final = 16  # beyond that, copying out of the page cache and hashing the output are what one waits for
_LEAST_ROW: Final = 8 << 10  # a block of the loops
_EXTENT: Final = 8 << 20  # bytes of a file that are mapped at a time: twice as many took longer, and varied the peak
_MAPPED: Final = 128 << 20  # bytes of all sources' two extents, where there are many sources
_READING: Final = 128 << 20  # bytes of all threads' pieces, where there are many threads
_CUT_BINS: Final = 3 * 4 << 18  # bytes, per thread and expert, of the histograms in which TIES finds its cuts
_CUT_TOTALS: Final = 8 << 18  # bytes, per expert, of the same for all threads, where a tensor has billions of elements
_FIXED: Final = 384 << 20  # the interpreter, numpy, and the compiler when it must run
_TORCH: Final = 256 << 20
_GPU_SMALL: Final = 4 << 20  # bytes, per thread, of factors, counts and ranks on a GPU
_GPU_FIXED: Final = 3 << 30  # torch and the driver as well; an estimate

LARGE_PAGE: Final = 2 << 20
"""Size of the pages that the system keeps large files in, on most machines: a mapping begins at a multiple of it."""

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
        threads: Threads that read, compute and write; one more takes digests.
        device: Where the arithmetic runs.
        local_rank: This process among those of this machine, which decides the GPU.
    """

    chunk_bytes: int = 4 << 20
    threads: int = field(default_factory=usable_threads)
    device: Literal["cpu", "cuda"] = "cpu"
    local_rank: int = 0

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1 or self.threads < 1:
            raise ValueError("chunk_bytes and threads must be at least 1")

    @property
    def out_bytes(self) -> int:
        """Bytes of buffer for one chunk of one result: room for a block of any element."""
        return max(self.chunk_bytes, _LEAST_ROW)

    def reading_bytes(self, experts: int) -> int:
        """Bytes of one source that a thread works on where nothing is written, and so nothing has to wait its turn.

        More than otherwise, which saves time between chunks, as far as all threads' sources together
        stay within 128 MiB; or as much as otherwise.
        """
        return max(self.chunk_bytes, min(2 * self.chunk_bytes, _READING // (self.threads * (experts + 1))))

    def extent_bytes(self, experts: int) -> int:
        """Bytes of a source's file that are mapped at a time, in whole large pages."""
        return max(1, min(_EXTENT, _MAPPED // (2 * (experts + 1))) // LARGE_PAGE) * LARGE_PAGE

    @property
    def slots(self) -> int:
        """Chunks in flight: one per thread at work, and twice as many that wait for a thread or for their digest.

        With as many only, threads have waited for work.
        """
        return 3 * self.threads


def memory_needed(experts: int, resources: Resources, factors: int = 0, thresholds: int = 1) -> int:
    """Upper bound on the bytes that a merge holds at once; the size of the model plays no part.

    Each chunk in flight has its result, what adapters add to it, and counts by pattern; three more such counts belong
    to the model, to the file and to the tensor at work. Of every source two extents are mapped, the one at work and the
    one before.

    Args:
        experts: N, the number of experts.
        resources: What the merge may use.
        factors: Bytes, in float32, of the adapters' factors of the tensor that has the largest; 0 without adapters.
        thresholds: By how many thresholds patterns are counted at once.
    """
    patterns = thresholds * (8 << experts)
    formed = experts * resources.out_bytes if factors else 0
    slot = resources.out_bytes + formed + patterns
    mapped = 2 * (experts + 1) * (resources.extent_bytes(experts) + resources.reading_bytes(experts))
    cuts = experts * (resources.threads * _CUT_BINS + _CUT_TOTALS)
    gpu = _beside_a_gpu(experts, resources) if resources.device == "cuda" else 0
    return _FIXED + mapped + resources.slots * slot + 3 * patterns + cuts + factors + gpu


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

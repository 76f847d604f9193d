"""Which sizes this machine can measure, and at which mergekit can be timed."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

EXPERTS: Final = ("coder", "tool", "memory")
PARAMETERS: Final = {"warm": 7.5e4, "0.5": 4.95e8, "1": 9.81e8, "1.5": 1.544e9, "3": 3.086e9}
"""Of each size, rounded up; the first one is for trying this program out. `checkpoints.py` has the exact ones, and
imports too much: no peak can be measured that is less than that of this process."""
SIZES: Final = tuple(PARAMETERS)[1:]
DISK: Final = 2 * (1 + len(EXPERTS)) + 4  # bytes for each parameter: inputs, and an output or a copy of as many bytes
PER_PARAMETER: Final = 17.5  # bytes of mergekit's memory, for the parameters of one of four checkpoints: 8.6 GB at 0.5B
DEFAULT: Final = ("0.5", "1.5", "3")


def available_memory() -> int:
    """Bytes that the kernel would give to processes or to the page cache."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def fits_cache(inputs: float) -> bool:
    """Whether the page cache can hold so many bytes of inputs, and a quarter as many that are written."""
    return 1.25 * inputs + 2e9 < available_memory()


def room_for(size: str, directory: Path) -> str:
    """Why a size is not measured unless it was asked for; empty if it can be."""
    inputs, needed = 2 * (1 + len(EXPERTS)) * PARAMETERS[size], DISK * PARAMETERS[size]
    free = shutil.disk_usage(directory).free
    if needed > free:
        return f"{needed / 1e9:.0f} GB of disk are needed, {free / 1e9:.0f} GB are free in {directory.name}"
    if not fits_cache(inputs):
        return f"its inputs, {inputs / 1e9:.0f} GB, are more than the page cache can hold"
    return ""


def too_large_for_mergekit(size: str) -> str:
    """Why mergekit is not timed at a size; empty if it can be."""
    needed, available = PER_PARAMETER * PARAMETERS[size], available_memory()
    if needed < available:
        return ""
    return f"it needs some {needed / 1e9:.0f} GB of memory, {available / 1e9:.0f} GB are there"


def sizes_of(asked: str | None, directory: Path, notes: list[str]) -> list[str]:
    """The sizes that are measured, small to large; what is left out is noted."""
    if asked:
        return sorted(asked.split(","), key=list(PARAMETERS).index)
    reasons = {size: room_for(size, directory) for size in DEFAULT}
    notes += (
        f"{size}B is left out: {why}; `--sizes {','.join(DEFAULT)}` measures it all the same."
        for size, why in reasons.items()
        if why
    )
    return [size for size, why in reasons.items() if not why]


def mergekit_at(size: str, methods: Sequence[str], asked: str | None, notes: list[str]) -> Sequence[str]:
    """The methods that mergekit is timed with at a size."""
    if not methods or (asked and size not in asked.split(",")):
        return ()
    why = "" if asked else too_large_for_mergekit(size)
    if why:
        notes.append(f"mergekit is left out at {size}B: {why}; `--mergekit-sizes {size}` tries it all the same.")
        return ()
    return methods

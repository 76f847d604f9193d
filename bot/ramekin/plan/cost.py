"""What a merge will take: bytes to download, read and write, disk, memory, and an estimate of the time."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from ramekin.lock.model import PinnedFile
from ramekin.merge.resources import Resources, memory_needed
from ramekin.plan.disk import PlannedDisk
from ramekin.plan.layout import Layout
from ramekin.plan.resident import running

DOWNLOAD_RATE: Final = 100e6
UPLOAD_RATE: Final = 50e6
READ_RATE: Final = 1e9
WRITE_RATE: Final = 5e8

ASSUMPTIONS: Final = (
    f"downloads at {DOWNLOAD_RATE / 1e6:.0f} MB/s, reading at {READ_RATE / 1e9:.0f} GB/s, "
    f"writing at {WRITE_RATE / 1e6:.0f} MB/s, uploads at {UPLOAD_RATE / 1e6:.0f} MB/s"
)


class PlannedCost(BaseModel):
    """What a merge will take on this machine. No part of the plan's hash, since another machine has other files.

    Attributes:
        download_bytes: Bytes of files that are not at hand yet.
        download_files: Number of those files.
        at_hand_bytes: Bytes of files that need no download.
        read_bytes: Bytes of tensors that are read, as often as the method reads them.
        write_bytes: Bytes that the output has.
        disk_bytes: Free disk that is needed: downloads and output.
        memory_bytes: Memory that is needed, whatever the size of the model; for a method that watches models at work
            the model as well.
        seconds: Estimated time of everything, publishing included.
        assumptions: What the estimate takes for granted.
        disk: In which of two modes a run would go about it, and why; the bytes above are of that mode.
    """

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    download_bytes: int
    download_files: int
    at_hand_bytes: int
    read_bytes: int
    write_bytes: int
    disk_bytes: int
    memory_bytes: int
    seconds: int
    assumptions: str = ASSUMPTIONS
    disk: PlannedDisk | None = None


def estimate_cost(  # noqa: PLR0913
    pinned: Iterable[Mapping[str, PinnedFile]],
    at_hand: Iterable[str],
    layout: Layout,
    reads: int,
    copied: int = 0,
    *,
    thresholds: int = 1,
    resident: int = 0,
    disk: PlannedDisk | None = None,
) -> PlannedCost:
    """Estimate what a merge will take.

    Args:
        pinned: The files that are read, by path, of each source.
        at_hand: Digests (`PinnedFile.digest`) of the files that need no download.
        layout: The merged checkpoint.
        reads: How often the method reads each tensor, all passes and looks together.
        copied: Bytes of the base's files that the output takes over.
        thresholds: By how many thresholds the overlap is counted at once.
        resident: Bytes of a model that stays in memory while candidates take their turn in its weights.
        disk: The mode; the normal one if None.
    """
    present = frozenset(at_hand)
    # A file that two sources share, such as a tokenizer, is downloaded once.
    files = {file.digest: file.size for source in pinned for file in source.values()}
    missing = [size for digest, size in files.items() if digest not in present]
    at_hand_bytes = sum(files.values()) - sum(missing)
    download = disk.chosen.download_bytes if disk else sum(missing)
    read = reads * layout.input_bytes
    write = layout.total_size + copied
    seconds = download / DOWNLOAD_RATE + read / READ_RATE + write / WRITE_RATE + write / UPLOAD_RATE
    return PlannedCost(
        download_bytes=download,
        download_files=len(missing),
        at_hand_bytes=at_hand_bytes,
        read_bytes=read,
        write_bytes=write,
        disk_bytes=disk.chosen.disk_bytes if disk else download + write,
        memory_bytes=memory_needed(len(layout.experts), Resources(), layout.factor_bytes, thresholds)
        + running(resident),
        seconds=math.ceil(seconds),
        assumptions=f"{ASSUMPTIONS}; running the models comes on top" if resident else ASSUMPTIONS,
        disk=disk,
    )

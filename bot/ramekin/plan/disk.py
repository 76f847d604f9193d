"""How much disk a merge takes, and so in which of two ways it goes about it.

The normal mode downloads all sources, merges, and uploads. Low-disk mode fetches, merges, uploads and deletes as it
goes; it takes less disk and may download more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from ramekin.checkpoint.adapter import ADAPTER_WEIGHTS
from ramekin.plan.layout import Layout
from ramekin.plan.quantities import size
from ramekin.plan.schedule import Schedule, Terms, make_schedule
from ramekin.plan.steps import Pinned, cut_into_steps
from ramekin.room import SPARE, Shortage, allocated, existing, free_disk, shortages

WEIGHTS: Final = ".safetensors"
"""What names of weight files end in."""

Mode = Literal["normal", "low-disk"]


@dataclass(frozen=True)
class Room:
    """Where a merge writes.

    Attributes:
        state: Where downloads are kept.
        out: The merged directory.
        staging: Where it is written until it is complete.
        output_stays: Whether it stays there, or is only published.
        low_disk: Whether low-disk mode was asked for.
    """

    state: Path
    out: Path
    staging: Path
    output_stays: bool
    low_disk: bool = False

    def shortages(self, cost: "ModeCost") -> list[Shortage]:
        """The disks that are too small for what a mode takes; what an interrupted run has written counts as free."""
        needs = ((self.state, cost.home_bytes), (self.out.parent, cost.disk_bytes - cost.home_bytes))
        return shortages(needs, reusable=allocated(self.staging))

    def budget(self, leftover: Path | None = None) -> int:
        """Bytes of disk that low-disk mode may take.

        Args:
            leftover: A directory of an interrupted run, whose bytes count as free; the staging directory if None.
        """
        return free_disk(self.out.parent) + allocated(leftover or self.staging) - SPARE


class ModeCost(BaseModel):
    """What one mode takes.

    Attributes:
        disk_bytes: Most bytes of disk at any time.
        home_bytes: How many of them below `HF_HOME`; the others are where the output is written.
        download_bytes: Bytes to download.
        repeated_bytes: How many of them are downloaded a second time.
    """

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    disk_bytes: int
    home_bytes: int
    download_bytes: int
    repeated_bytes: int = 0


class PlannedDisk(BaseModel):
    """The mode that a run would use, and why.

    Attributes:
        mode: The mode.
        reason: Why, in one sentence without a final full stop.
        free_bytes: What is free where the output is written.
        normal: What the normal mode takes.
        low_disk: What low-disk mode takes, with that much free.
    """

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    mode: Mode
    reason: str
    free_bytes: int
    normal: ModeCost
    low_disk: ModeCost

    @property
    def chosen(self) -> ModeCost:
        """What the mode takes."""
        return self.normal if self.mode == "normal" else self.low_disk


def choose_mode(
    room: Room,
    layout: Layout,
    pinned: Pinned,
    missing: Mapping[str, int],
    *,
    passes: int,
    copied: int,
    beside: int = 0,
) -> PlannedDisk:
    """Choose the mode: normal where there is room for it, unless the other one was asked for.

    Args:
        room: Where the merge writes.
        layout: The merged checkpoint.
        pinned: The files that are read.
        missing: Bytes still to be downloaded, by digest of the file.
        passes: How often the method streams all inputs.
        copied: Bytes of the base's files that the output takes over.
        beside: Bytes that the normal mode writes beside the output for a while.
    """
    weights = missing_weights(pinned, missing)
    others = sum(missing.values()) - sum(weights.values())
    download, write = sum(missing.values()), layout.total_size + copied
    schedule = plan_schedule(room, layout, pinned, weights, passes=passes, beside=others + copied)
    normal = ModeCost(disk_bytes=download + write + beside, home_bytes=download, download_bytes=download)
    low_disk = ModeCost(
        disk_bytes=others + schedule.peak + copied,
        home_bytes=others,
        download_bytes=others + schedule.downloaded,
        repeated_bytes=schedule.repeated,
    )
    short = room.shortages(normal)
    if room.low_disk:
        mode, reason = "low-disk", "it was asked for"
    elif not short:
        mode, reason = "normal", "there is room for everything"
    elif low_disk.disk_bytes < normal.disk_bytes:
        mode, reason = "low-disk", f"normally {size(short[0].needed)} are needed where {size(short[0].free)} are free"
    else:
        mode, reason = "normal", "low-disk mode would need as much"
    return PlannedDisk(
        mode="normal" if mode == "normal" else "low-disk",
        reason=reason,
        free_bytes=free_disk(room.out.parent),
        normal=normal,
        low_disk=low_disk,
    )


def comes_in_parts(name: str) -> bool:
    """Whether low-disk mode fetches a file in parts, by its name.

    An adapter is small, and what it has copies of is compared with the base before the merge begins.
    """
    return name.endswith(WEIGHTS) and name != ADAPTER_WEIGHTS


def missing_weights(pinned: Pinned, missing: Mapping[str, int]) -> dict[str, int]:
    """Of what is to be downloaded, the files of weights."""
    return {
        file.digest: file.size
        for files in pinned.values()
        for name, file in files.items()
        if comes_in_parts(name) and file.digest in missing
    }


def plan_schedule(
    room: Room, layout: Layout, pinned: Pinned, weights: Mapping[str, int], *, passes: int, beside: int
) -> Schedule:
    """What low-disk mode does, from the beginning.

    Where it was asked for, it takes no more than what spares downloading the same twice within a pass; where it is the
    only way, it takes what there is.
    """
    budget = room.budget() - (beside if _same_disk(room.state, room.out.parent) else 0)
    terms = Terms(
        sizes=weights, passes=passes, budget=budget, between=not room.low_disk, output_stays=room.output_stays
    )
    return make_schedule(cut_into_steps(layout, pinned), terms)


def _same_disk(one: Path, other: Path) -> bool:
    return existing(one).stat().st_dev == existing(other).stat().st_dev

"""The figures of a benchmark, as tables in Markdown."""

import itertools
import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from processes import Measured

COUNTERPARTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "ram": ("ram", {"epsilon": 1e-5}),
    "average": ("linear", {"weight": 1.0}),
    "task-arithmetic": ("task_arithmetic", {"weight": 0.4}),
    "ties": ("ties", {"weight": 1.0, "density": 0.2}),
    "model-stock": ("model_stock", {}),
    "dare": ("dare_linear", {"weight": 1 / 3, "density": 0.5}),
    "dare-ties": ("dare_ties", {"weight": 1.0, "density": 0.5}),
}
"""Our methods that mergekit 0.1.5 has too: its name, and its parameters."""


@dataclass
class Row:
    """One command at one size: a process a round, and `cat` and `cp` right before it. No rounds: it failed."""

    size: str
    name: str
    against: str
    rounds: list[Measured] = field(default_factory=list)
    cats: list[float] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)

    @property
    def wall(self) -> float:
        return statistics.median(one.wall for one in self.rounds)

    @property
    def processor(self) -> float:
        return statistics.median(one.processor for one in self.rounds)

    @property
    def peak(self) -> int:
        return max(one.peak for one in self.rounds)

    @property
    def bytes_moved(self) -> list[float]:
        """Seconds that its bytes take, by round: `cat`, and `cp` where it writes."""
        return [a + b if "cp" in self.against else a for a, b in zip(self.cats, self.copies, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(one.wall / b for one, b in zip(self.rounds, self.bytes_moved, strict=True))


@dataclass(frozen=True)
class Figures:
    """All rows of one size; `cached` tells whether the page cache could hold its inputs."""

    size: str
    bytes_in: int
    cached: bool
    rows: list[Row]


def size_table(figures: Figures) -> Iterator[str]:
    """The Markdown lines of one size."""
    rows = figures.rows
    yield f"### {figures.size}B: {figures.bytes_in / 1e9:.1f} GB read, {figures.bytes_in / 4e9:.1f} GB written"
    yield ""
    where = "Inputs in the page cache." if figures.cached else "More than the page cache holds: this times the disk."
    yield f"{where} {spread('cat', [s for row in rows for s in row.cats])}; "
    yield f"{spread('cp', [s for row in rows for s in row.copies])}."
    yield ""
    yield "| process | wall s | processor s | peak MiB | against | ratio | mergekit takes |"
    yield "|---|--:|--:|--:|---|--:|--:|"
    walls = {row.name: row.wall for row in rows if row.rounds}
    for row in rows:
        if not row.rounds:
            yield f"| {row.name} | failed | | | {row.against} | | |"
            continue
        counterpart = f"mergekit {COUNTERPARTS.get(row.name.removeprefix('ramekin '), ('', {}))[0]}"
        times = f"{walls[counterpart] / row.wall:.1f} times" if counterpart in walls else ""
        measures = f"{row.wall:.2f} | {row.processor:.2f} | {row.peak / 2**20:.0f}"
        yield f"| {row.name} | {measures} | {row.against} | {row.ratio:.2f} | {times} |"
    yield ""


def spread(name: str, seconds: Sequence[float]) -> str:
    """Median, least and greatest of one command's seconds."""
    return f"`{name}` {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def marginal_table(smaller: Sequence[Row], larger: Sequence[Row]) -> Iterator[str]:
    """What the step from one size to the next costs, against what its bytes cost."""
    yield f"### From {smaller[0].size}B to {larger[0].size}B"
    yield ""
    yield "| process | more wall s | more s of its bytes | ratio | peak, larger to smaller |"
    yield "|---|--:|--:|--:|--:|"
    before = {row.name: row for row in smaller if row.rounds}
    for row in larger:
        if row.rounds and (old := before.get(row.name)):
            more, moved = steps(old, row)
            yield f"| {row.name} | {more:.2f} | {moved:.2f} | {more / moved:.2f} | {row.peak / old.peak:.2f} |"
    yield ""


def steps(smaller: Row, larger: Row) -> tuple[float, float]:
    """How many seconds more a process takes at the larger size, and its bytes."""
    moved = statistics.median(larger.bytes_moved) - statistics.median(smaller.bytes_moved)
    return larger.wall - smaller.wall, moved


def marginal(smaller: Row, larger: Row) -> float:
    """The first of these in proportion to the second."""
    more, moved = steps(smaller, larger)
    return more / moved


def machine() -> str:
    """Where and when."""
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = os.getloadavg()[1]
    return (
        f"{time.strftime('%Y-%m-%d')}, {cores} cores ({platform.machine()}), {memory / 2**30:.0f} GiB of memory, "
        f"CPython {platform.python_version()}, load over five minutes {load:.1f}"
    )


def report(found: Sequence[Figures], rounds: int, notes: Sequence[str] = ()) -> str:
    """All tables, after what is to be known of the run."""
    lines = [
        f"{machine()}; {rounds} rounds, medians, the largest peak; `lock`, which takes all digests, and mergekit once.",
        "",
        *(f"- {note}" for note in notes),
        *([""] if notes else []),
    ]
    for figures in found:
        lines += size_table(figures)
    for smaller, larger in itertools.pairwise(figures.rows for figures in found):
        lines += marginal_table(smaller, larger)
    return "\n".join(lines)

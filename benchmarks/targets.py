"""What was asked of merging, and whether the run that was measured has it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tables import COUNTERPARTS, Figures, Row, marginal

MIDDLE: Final = "1.5"
LARGE: Final = "3"
EVERY: Final = ("0.5", "1.5", "3")
PEAK: Final = 1.5 * 2**30
"""Bytes that a process may have resident."""


@dataclass(frozen=True)
class Target:
    """One thing that was asked for.

    Attributes:
        asked: In words.
        limit: The least or greatest number that meets it.
        least: Whether it is the least.
        unit: Of the numbers.
        measured: The number; None where the run does not have it.
        of: What it was measured of, or what is missing.
    """

    asked: str
    limit: float
    measured: float | None
    of: str
    least: bool = False
    unit: str = ""

    @property
    def line(self) -> str:
        """A row of the table."""
        sign = "at least" if self.least else "at most"
        start = f"| {self.asked} | {sign} {self.limit:g}{self.unit} |"
        if self.measured is None:
            return f"{start} not measured | {self.of} | |"
        met = self.measured >= self.limit if self.least else self.measured <= self.limit
        return f"{start} {self.measured:.2f}{self.unit} | {self.of} | {'yes' if met else '**no**'} |"


def targets(found: Sequence[Figures], *, mergekit: str = "") -> Iterator[Target]:
    """Everything that was asked for, of one run; `mergekit` tells what of it there is not."""
    rows = {figures.size: {row.name: row for row in figures.rows if row.rounds} for figures in found}
    for method in ("ram", "ram+"):
        row = rows.get(MIDDLE, {}).get(f"ramekin {method}")
        of = f"{MIDDLE}B" if row else f"no {MIDDLE}B"
        yield Target(f"`{method}`: of the time of `cat` and `cp`", 2.0, row.ratio if row else None, of)
    for method in ("ram", "ram+"):
        steps = [rows.get(size, {}).get(f"ramekin {method}") for size in (MIDDLE, LARGE)]
        smaller, larger = steps
        value = marginal(smaller, larger) if smaller and larger else None
        of = f"{MIDDLE}B to {LARGE}B" if value is not None else f"no {_lacking(rows, (MIDDLE, LARGE))}"
        yield Target(f"`{method}`: marginal time, of that of the bytes", 1.5, value, of)
    for method, times in (("ram", 15.0), ("ties", 10.0)):
        yield _against_mergekit(rows, method, times, mergekit)
    yield _stats(rows)
    yield from _memory(rows)


def asked_table(found: Sequence[Figures], *, mergekit: str = "") -> Iterator[str]:
    """The Markdown lines."""
    yield "### Asked and measured"
    yield ""
    yield "| asked | limit | measured | of | met |"
    yield "|---|--:|--:|---|---|"
    for target in targets(found, mergekit=mergekit):
        yield target.line
    yield ""


_Rows = Mapping[str, Mapping[str, Row]]


def _against_mergekit(rows: _Rows, method: str, times: float, why_not: str) -> Target:
    """At the largest size that both have merged."""
    asked = f"`{method}`: times as fast as mergekit's"
    other = f"mergekit {COUNTERPARTS[method][0]}"
    for size, by_name in sorted(rows.items(), key=lambda item: -_number(item[0])):
        if other in by_name and (own := by_name.get(f"ramekin {method}")):
            return Target(asked, times, by_name[other].wall / own.wall, f"{size}B", least=True)
    return Target(asked, times, None, why_not or "mergekit has not merged it", least=True)


def _stats(rows: _Rows) -> Target:
    row = rows.get(MIDDLE, {}).get("ramekin stats")
    asked = "`ramekin stats`: of the time of `cat`"
    return Target(asked, 1.3, row.ratio if row else None, f"{MIDDLE}B" if row else f"no {MIDDLE}B")


def _memory(rows: _Rows) -> Iterator[Target]:
    """The largest peak of all, and how far those of one method at all sizes are apart."""
    own = [
        (row.peak, name, size) for size, by_name in rows.items() for name, row in by_name.items() if "ramekin" in name
    ]
    peak, name, size = max(own, default=(0, "", ""))
    of = f"{name}, {size}B" if own else "nothing"
    yield Target("peak of every process", PEAK / 2**20, peak / 2**20 if own else None, of, unit=" MiB")
    asked = "spread of a process's peak over the sizes"
    if lacking := _lacking(rows, EVERY):
        yield Target(asked, 10.0, None, f"no {lacking}", unit=" %")
        return
    common = set.intersection(*({*rows[size]} for size in EVERY))
    spreads = []
    for each in sorted(one for one in common if "ramekin" in one):
        peaks = [rows[size][each].peak for size in EVERY]
        spreads.append((100.0 * (max(peaks) / min(peaks) - 1.0), each))
    most, worst = max(spreads, default=(math.nan, ""))
    yield Target(asked, 10.0, most, worst, unit=" %")


def _lacking(rows: _Rows, sizes: Sequence[str]) -> str:
    return " and no ".join(f"{size}B" for size in sizes if size not in rows)


def _number(size: str) -> float:
    return float(size) if size[:1].isdigit() else 0.0

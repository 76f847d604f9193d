"""Columns of text: as wide as they need, cut where they would be too wide, lined up on one side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ramekin.text import printable

WIDTH: Final = 100
_BAR: Final = 20
_GAP: Final = "  "


@dataclass(frozen=True)
class Column:
    """How one column is set.

    Attributes:
        right: Numbers stand on the right.
        most: Characters that a cell has at most.
    """

    right: bool = False
    most: int = WIDTH


def columns(rows: Sequence[Sequence[str]], settings: Sequence[Column]) -> Iterator[str]:
    """Lines of a table without lines; together with a mark of two characters they fit the width, if the columns do."""
    cut = [[printable(cell, column.most) for cell, column in zip(row, settings, strict=True)] for row in rows]
    widths = [max((len(row[number]) for row in cut), default=0) for number in range(len(settings))]
    for row in cut:
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, settings, strict=True)
        )
        yield _GAP.join(cells).rstrip()


def mark(a: object, b: object, *, differs: bool) -> str:
    """What stands before a line."""
    if not differs:
        return " "
    return "+" if a is None else "-" if b is None else "~"


def bar(part: float, most: float) -> str:
    """A bar that is full for the most there is; what is not nothing has at least a little of one."""
    eighths = round(8 * _BAR * part / most) if most else 0
    if part and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")

"""Numbers as people read them: sizes in decimal units, counts, durations."""

from typing import Final

_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS: Final = ("", " k", " M", " B", " T")


def size(count: int) -> str:
    """Bytes in decimal units, three digits: `15.2 GB`."""
    return _scaled(count, _SIZES, " ")


def count(number: int) -> str:
    """A number of elements, three digits: `7.62 B` for billions."""
    return _scaled(number, _COUNTS, "")


def duration(seconds: int) -> str:
    """A time to its larger unit and the next: `45 s`, `17 min`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = (seconds + 30) // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def plural(number: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _scaled(number: int, units: tuple[str, ...], gap: str) -> str:
    value, unit = float(number), 0
    # 999.5 would round to four digits.
    while value >= 999.5 and unit < len(units) - 1:
        value /= 1000
        unit += 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{gap}{units[unit]}"

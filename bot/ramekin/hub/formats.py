"""Numbers and dates as people read them."""

from datetime import UTC, datetime
from typing import Final

_BYTES: Final = ("bytes", "kB", "MB", "GB", "TB")
_COUNTS: Final = ("", "K", "M", "B", "T")


def file_size(size: int) -> str:
    """`15.2 GB`, in powers of a thousand, as the Hub does."""
    number, unit = _scaled(size, _BYTES)
    return f"{number} {unit}"


def parameter_count(count: int) -> str:
    """`7.62B`."""
    return "".join(_scaled(count, _COUNTS))


def _scaled(value: int, units: tuple[str, ...]) -> tuple[str, str]:
    scaled = float(value)
    for unit in units:
        if scaled < 999.5 or unit == units[-1]:
            digits = 0 if unit == units[0] or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            return f"{scaled:.{digits}f}", unit
        scaled /= 1000
    return str(value), units[0]  # not reached: the last unit takes everything


def day(stamp: str) -> str:
    """`12 Nov 2026`, of a date as the Hub writes it."""
    moment = _moment(stamp)
    return f"{moment.day} {moment:%b %Y}"


def minute(stamp: str) -> str:
    """`12 Nov 2026, 14:05 UTC`."""
    moment = _moment(stamp)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)

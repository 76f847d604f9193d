"""Numbers as a card shows them."""

from types import SimpleNamespace
from typing import Final

_WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_FRACTIONS: Final = {2: "half", 3: "a third", 4: "a quarter"}
_UNITS: Final = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def grouped(count: int) -> str:
    """All digits, in groups of three: `1,234,567`."""
    return f"{count:,}"


def short(count: int) -> str:
    """Three digits and a unit: `12.3 M`."""
    for size, unit in _UNITS:
        # What would round up to a thousand of the unit below is one of this.
        if count >= size * 0.9995:
            value = count / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return str(count)


def percent(share: float) -> str:
    """A share in percent with three digits, or that it is smaller than shows: `12.3 %`, `0.0123 %`, `< 0.0001 %`."""
    if share in {0, 1}:
        return f"{share:.0%}".replace("%", " %")
    if share < 1e-6:
        return "< 0.0001 %"
    value = 100 * share
    digits = next((places for places, least in ((1, 9.995), (2, 0.9995), (3, 0.09995)) if value >= least), 4)
    # Only what is all may read as all.
    return "> 99.9 %" if share < 1 and value >= 99.95 else f"{value:.{digits}f} %"


def rough_percent(share: float) -> str:
    """A share in percent with two digits, for narrow places: `12%`, `1.2%`, `<0.1%`."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1%"
    return f"{value:.0f}%" if value >= 9.95 or not value else f"{value:.1f}%"


def ratio(value: float | None) -> str:
    """A ratio with six digits; infinity where it is None."""
    return "∞" if value is None else f"{value:.6g}"


def decimal(value: float, digits: int = 4) -> str:
    """A number with so many digits after the point, never a negative zero: `0.4312`."""
    return f"{value:.{digits}f}".replace("-", "") if abs(value) < 0.5 * 10**-digits else f"{value:.{digits}f}"


def factor(value: float) -> str:
    """A factor with four digits: `1.2`, `1.007`."""
    return f"{value:.4g}"


def times(value: float) -> str:
    """A factor with the sign that says that it is one."""
    return f"\N{MULTIPLICATION SIGN}{factor(value)}"


def score(value: float) -> str:
    """A score, of whatever scale: `0.590`, `59.0`, `1,590`."""
    return f"{value:,.{3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0}f}"


def spelled(count: int) -> str:
    """A small number as a word: `three`."""
    return _WORDS[count] if count < len(_WORDS) else str(count)


def fraction(parts: int) -> str:
    """One of so many parts, as a sentence has it: `a third`."""
    return _FRACTIONS.get(parts, f"1/{parts}")


NUMBERS: Final = SimpleNamespace(
    grouped=grouped,
    short=short,
    percent=percent,
    ratio=ratio,
    decimal=decimal,
    factor=factor,
    score=score,
    spelled=spelled,
    fraction=fraction,
)
"""What templates write numbers with."""

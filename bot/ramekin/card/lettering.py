"""Words that fit: names cut to the room that a plot has for them."""

from collections.abc import Sequence
from typing import Final

from ramekin.markdown import plain

_NARROW: Final = "ijltfr-."
_BROAD: Final = "mwMW"
_IDEOGRAPHS: Final = 0x2E80


def fitted(name: str, width: float, most: int = 64) -> str:
    """A name, cut to a width in user units and to a number of characters; an ellipsis stands for the rest.

    Args:
        name: Anything; of it one printable line is taken.
        width: Room, at the size that plots write in.
        most: Characters at most.
    """
    kept = plain(name, most)
    while len(kept) > 1 and sum(map(_width, kept)) > width:
        kept = kept[:-1].rstrip("…") + "…" if not kept.endswith("…") else kept[:-2] + "…"
    return kept


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def shortened(names: Sequence[str], most: int) -> str:
    """The first of some names as a sentence lists them, and how many more there are."""
    shown = [plain(name, 64) for name in names[:most]]
    return listed([*shown, f"{len(names) - most} more"] if len(names) > most else shown)


def _width(character: str) -> int:
    """Of one character in a common sans-serif."""
    if ord(character) >= _IDEOGRAPHS:
        return 13
    return 5 if character in _NARROW else 12 if character in _BROAD else 8

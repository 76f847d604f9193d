"""Regular expressions that a stranger wrote, on names of modules: what adapters use of them, in bounded time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.text import printable

_PIECE: Final = r"(?:\\[.dw_\-]|\[\^?[\w.]+(?:-[\w.]+)*\]|[\w.\-])"
_PART: Final = rf"(?:{_PIECE}[*+?]?|\|)"
_PATTERN: Final = re.compile(rf"\^?(?:{_PART}|\((?:\?:)?{_PART}*\))*\$?", re.ASCII)
"""Letters, digits, classes and dots, some of them repeated, and groups, which are not."""

_QUANTIFIER: Final = re.compile(r"(?<!\()[*+?]")
_GROUP: Final = re.compile(r"\([^)]*\)")
_LONGEST: Final = 200
_MOST_WORK: Final = 200_000_000
"""Steps that all patterns together may take for all modules together, as estimated: a few seconds."""


@dataclass(frozen=True)
class ModulePatterns:
    """Numbers for modules, by pattern; as in PEFT, the first pattern that matches the end of a module's name counts.

    Attributes:
        numbers: By pattern, in order.
        compiled: The patterns that can be matched, in order.
        work: Most steps that matching one name may take.
        refused: The config's key, and why a pattern is not matched.
    """

    numbers: Mapping[str, float]
    compiled: tuple[tuple[str, re.Pattern[str]], ...] = ()
    work: int = 0
    refused: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, key: str, numbers: Mapping[str, float]) -> "ModulePatterns":
        """Compile patterns.

        Raises:
            re.error: One is no regular expression.
        """
        plain = {pattern: None for pattern in numbers if len(pattern) <= _LONGEST and _PATTERN.fullmatch(pattern)}
        refused = [pattern for pattern in numbers if pattern not in plain]
        return cls(
            numbers,
            tuple((pattern, re.compile(rf"(?:.*\.)?(?:{pattern})$")) for pattern in plain),
            sum(map(_work, plain)),
            tuple(
                (key, f"has a pattern that is not understood here: `{printable(pattern, 60)}`") for pattern in refused
            ),
        )

    def value(self, module: str, default: float) -> float:
        """The number for a module."""
        for pattern, compiled in self.compiled:
            if compiled.match(module):
                return self.numbers[pattern]
        return self.numbers.get(module, default)

    def takes_too_long(self, modules: int) -> bool:
        """Whether matching that many names could take longer than one would wait."""
        return self.work * modules > _MOST_WORK


def _work(pattern: str) -> int:
    """An upper bound, roughly, on the steps that a pattern takes on a name: what it tries at every place."""
    alternatives = 1 + _GROUP.sub("", pattern).count("|")
    for group in _GROUP.findall(pattern):
        alternatives *= 1 + group.count("|")
    return int(20 + alternatives * _LONGEST ** len(_QUANTIFIER.findall(pattern)))

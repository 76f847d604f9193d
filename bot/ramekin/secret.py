"""Values that must not show."""

import re
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Secret:
    """A value that never shows: not in a repr, a log, a traceback or an f-string."""

    _value: str = field(repr=False)

    def __str__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """The value itself, for the one call that needs it."""
        return self._value


def can_be_sent(token: str) -> bool:
    """Whether it has only characters that a token may have: others end a header, or begin another."""
    return bool(_TOKEN.fullmatch(token))

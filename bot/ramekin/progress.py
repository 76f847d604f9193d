"""How long work reports that it goes on: a protocol for the stages, and the silent one."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

Unit = Literal["bytes", "tokens"]
"""What a bar counts."""


class Bar(Protocol):
    """One running piece of work."""

    def advance(self, amount: int) -> None:
        """Report `amount` more done. May be called from any thread."""


class Progress(Protocol):
    """Where stages show what they are doing."""

    def bar(self, label: str, total: int, unit: Unit = "bytes") -> AbstractContextManager[Bar]:
        """Show a bar of `total` bytes, or tokens, for as long as the context is open."""

    def note(self, text: str) -> None:
        """Tell one line."""


class Silence:
    """Shows nothing."""

    def bar(self, label: str, total: int, unit: Unit = "bytes") -> AbstractContextManager[Bar]:
        """A bar that nobody sees."""
        return nullcontext(self)

    def advance(self, amount: int) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        """Nothing to tell."""

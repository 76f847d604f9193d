"""What a source is to the rest of the program: something that can be pinned, and read where it is pinned."""

from collections.abc import Callable
from typing import Literal, Protocol

from ramekin.lock.model import PinnedSource

Role = Literal["base", "expert"]

ReadRange = Callable[[str, int, int], bytes]
"""`read(file, start, stop)`: the bytes of a file in that range, fewer only where the file ends."""


class Source(Protocol):
    """A repository or a directory with a checkpoint that a manifest names."""

    def pin(self, role: Role) -> PinnedSource:
        """Look at the source now and pin what it holds.

        Raises:
            SourceError: It is absent, gated, not to be reached.
            IncompatibleError: It holds no weights that can be merged.
        """

    def reader(self, pinned: PinnedSource) -> ReadRange:
        """A reader of the source as it was pinned."""

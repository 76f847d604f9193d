"""What a method at work is to the engine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ramekin.merge.arrays import Bytes, Words
from ramekin.merge.chunks import Chunk, Window
from ramekin.plan.layout import TensorTask

Sampler = Callable[[], Words]
"""Reads here and there in a tensor: magnitudes of the changes as float32 bits, `[N, places, elements]`; one place with
all elements if they are few."""


class TensorWork(ABC):
    """A method at work on one tensor.

    Attributes:
        row: Where chunks may end: at every `row`-th element or, within such a row, at multiples of a block. 0 for
            anywhere.
        most: Most elements of a chunk that it looks at, or a row if that has more; 0 for any number.
    """

    row: int = 0
    most: int = 0

    @property
    def looking(self) -> bool:
        """Whether the tensor has to be read (again) before it can be merged."""
        return False

    @property
    def whole(self) -> bool:
        """Whether it has to see all of a chunk at once to merge it."""
        return False

    def look(self, chunk: Chunk, window: Window) -> object:
        """Find out about a chunk, or a piece of one. Called from any thread."""
        raise NotImplementedError

    def take(self, chunk: Chunk, seen: object) -> None:  # noqa: B027 - most look at nothing
        """Take what `look` found. Called in order."""

    def settle(self) -> None:  # noqa: B027 - likewise
        """Conclude, once all chunks were looked at."""

    @abstractmethod
    def merge(self, chunk: Chunk, window: Window, out: Bytes) -> None:
        """Merge a chunk, or a piece of one. Called from any thread; chunks begin in order."""

    def abandon(self) -> None:  # noqa: B027 - most have nobody waiting
        """Let nobody wait any more: a chunk has failed."""


class Operator(ABC):
    """A method at work on a model.

    Attributes:
        counts: Whether it counts the overlap patterns while it merges, with a threshold of its own.
        needs: The loops that it calls.
    """

    counts: bool = False
    needs: Sequence[str] = ()

    @abstractmethod
    def on(self, task: TensorTask, sample: Sampler) -> TensorWork:
        """Begin with a tensor."""

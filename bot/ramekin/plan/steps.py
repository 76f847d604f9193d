"""A merge cut into steps, for a disk that does not hold all of it: which bytes of which files each step reads."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.checkpoint.tensors import ITEM_SIZES, LowRank, Tensor
from ramekin.lock.model import PinnedFile
from ramekin.plan.layout import Layout, Shard, TensorTask

_PAGE: Final = 4096
_MOST_BYTES: Final = 1 << 30
_FEWEST_STEPS: Final = 64
_HEADER_BYTES: Final = 200  # of JSON about one tensor, beside its name and what names may be escaped to

Pinned = Mapping[str, Mapping[str, PinnedFile]]
"""The pinned files, by role (`base` or `expert:NAME`) and name."""


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """Bytes `start` to `stop` of a file."""

    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.start}-{self.stop}"

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    @property
    def pages(self) -> int:
        """Bytes that a disk gives to them where nothing else of the file is on it."""
        return -(-self.stop // _PAGE) * _PAGE - self.start // _PAGE * _PAGE


@dataclass(frozen=True)
class Part:
    """What a step reads of one file.

    Attributes:
        tensors: Where each tensor is, in the order of the file.
        runs: The same with neighbours joined, each to be fetched by one request.
    """

    tensors: tuple[Span, ...]
    runs: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(run.size for run in self.runs)

    @property
    def pages(self) -> int:
        """Bytes of disk."""
        return sum(run.pages for run in self.runs)


@dataclass(frozen=True)
class Step:
    """Some consecutive tensors of one output file.

    Attributes:
        shard: The tensors, under the name of the file that they go to.
        parts: What is read, by digest of the file (`PinnedFile.digest`).
        written: Bytes of disk that the output file has once the step is done.
    """

    shard: Shard
    parts: Mapping[str, Part]
    written: int


def cut_into_steps(layout: Layout, pinned: Pinned) -> tuple[Step, ...]:
    """Cut a merge into steps.

    A step reads at most a sixty-fourth of all inputs, or a GiB if that is less, unless a single tensor is larger.
    """
    limit = min(_MOST_BYTES, layout.input_bytes // _FEWEST_STEPS)
    roles = ("base", *(f"expert:{name}" for name in layout.experts))
    return tuple(step for shard in layout.shards for step in _steps(shard, limit, roles, pinned))


def spans_of(steps: Iterable[Step]) -> dict[str, tuple[Span, ...]]:
    """Where in each file the tensors are that any step reads, in the order of the file."""
    found: dict[str, set[Span]] = {}
    for step in steps:
        for digest, part in step.parts.items():
            found.setdefault(digest, set()).update(part.tensors)
    return {digest: tuple(sorted(spans)) for digest, spans in found.items()}


def reads(task: TensorTask, roles: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that is read for one of the output, with the role of its source."""
    for role, part in zip(roles, (task.base, *task.experts), strict=True):
        if isinstance(part, LowRank):
            yield from ((role, part.a), (role, part.b))
        elif part is not None:
            yield role, part


def _steps(shard: Shard, limit: int, roles: tuple[str, ...], pinned: Pinned) -> Iterator[Step]:
    written = 0
    # In the order of their data: wider elements come first.
    for tasks in _groups(sorted(shard.tensors, key=lambda task: -ITEM_SIZES[task.dtype]), limit):
        spans: dict[str, set[Span]] = {}
        for task in tasks:
            written += task.nbytes
            for role, tensor in reads(task, roles):
                digest = pinned[role][tensor.file].digest
                spans.setdefault(digest, set()).add(Span(tensor.start, tensor.start + tensor.nbytes))
        header = sum(_HEADER_BYTES + 6 * len(task.name) for task in shard.tensors)
        yield Step(
            shard=Shard(shard.file, tasks),
            parts={digest: Part(tuple(sorted(found)), _joined(sorted(found))) for digest, found in spans.items()},
            written=Span(0, header + written).pages,
        )


def _groups(tasks: Iterable[TensorTask], limit: int) -> Iterator[tuple[TensorTask, ...]]:
    group: list[TensorTask] = []
    size = 0
    for task in tasks:
        if group and size + task.input_bytes > limit:
            yield tuple(group)
            group, size = [], 0
        group.append(task)
        size += task.input_bytes
    if group:
        yield tuple(group)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in spans:
        if joined and span.start <= joined[-1].stop:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return tuple(joined)

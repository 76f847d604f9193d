"""The two things that processes do together, to count and to write a file: each an order that all carry out."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ramekin.errors import LostError
from ramekin.merge.arrays import Bytes
from ramekin.merge.devices import resources_for
from ramekin.merge.files import SourceFiles, Supply, open_sources
from ramekin.merge.grafting import Grafting, Grafts, Kept, verify_grafts
from ramekin.merge.loops.choosing import loops_for
from ramekin.merge.operators import operator_for
from ramekin.merge.output import ShardWriter, data_order, not_shared, shard_writer, unfinished
from ramekin.merge.passes import Pass
from ramekin.merge.resources import Resources
from ramekin.merge.statistics import Probe, joined
from ramekin.merge.tally import Found, Tally, check
from ramekin.merge.team import Alone, Crew, Dismissed, Team, agree, part_of, share
from ramekin.methods import Method
from ramekin.methods.ram import Overlap
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.progress import Bar, Progress, Silence
from ramekin.records import FileRecord


class WrittenFile(FileRecord):
    """A finished file of weights. As JSON it is the state that an interrupted run goes on from.

    Attributes:
        statistics: Those of its tensors, where they were counted while it was written.
        bytes_read: Bytes of tensor data that were read for it.
    """

    statistics: Probe | None = None
    bytes_read: int = 0


@dataclass(frozen=True)
class Means:
    """What a merge works with.

    Attributes:
        resources: What it may use.
        progress: Where progress shows.
        team: The processes at work.
        counted: The statistics, by their threshold, that were taken of what is merged: whoever needs others adds them.
    """

    resources: Resources = field(default_factory=Resources)
    progress: Progress = field(default_factory=Silence)
    team: Team = field(default_factory=Alone)
    counted: dict[float, Probe] = field(default_factory=dict)


class Order(Protocol):
    """Work for all processes. Everything that it takes is in it, but for the sources, which come step by step."""

    def carry_out(self, supply: Supply, means: Means) -> object:
        """Do this process's part; what comes back is of use to the leading one."""


@dataclass(frozen=True)
class Counting:
    """Count, in one pass over all inputs, which experts changed which elements.

    Attributes:
        layout: The tensors.
        thresholds: A change must be greater than these, each of which makes statistics of its own.
    """

    layout: Layout
    thresholds: tuple[float, ...]

    def carry_out(self, supply: Supply, means: Means) -> dict[float, Probe]:
        """Look at everything, then tell all that is wrong with it; gives the statistics by threshold.

        Raises:
            DamagedError: A file is truncated, or holds NaN or infinity; every such tensor is named.
            IncompatibleError: A tensor that is to be copied differs; likewise.
        """
        layout, team = self.layout, means.team
        mine = []
        with means.progress.bar("statistics", layout.input_bytes) as bar:
            for step in (step for shard in layout.shards for step in supply.steps(shard)):
                with supply.holding(step) as files, open_sources(files, layout.experts) as sources:
                    tally = Tally(sources, part_of(bar, step, team), len(self.thresholds))
                    _go_over(Pass(sources, means.resources, thresholds=self.thresholds), step.tensors, tally, team)
                mine.append(tally.found())
        found = [one for each in team.gather(mine) for one in each]
        if not team.rank:
            check([fault for one in found for fault in one.faults], layout)
        return {
            threshold: joined([one.statistics[number] for one in found], layout)
            for number, threshold in enumerate(self.thresholds)
        }


def thresholds_of(methods: Iterable[Method], counted: Container[float] = ()) -> tuple[float, ...]:
    """The thresholds of the statistics that methods merge by, but for what is counted already."""
    wanted = dict.fromkeys(method.threshold for method in methods if method.passes > 1)
    return tuple(threshold for threshold in wanted if threshold not in counted)


@dataclass(frozen=True)
class Writing:
    """Merge one file of weights and write it into a directory, complete or not at all.

    Attributes:
        shard: Its tensors.
        experts: Their names in manifest order.
        method: The method's parameters.
        overlap: The overlap of the whole model, where the method's factors depend on it.
        directory: Where the file goes.
        threshold: A change must be greater than this for the overlap statistics; None if they are not counted.
        grafts: Elements that experts give, by tensor.
    """

    shard: Shard
    experts: tuple[str, ...]
    method: Method
    overlap: Overlap | None
    directory: Path
    threshold: float | None
    grafts: Grafts = field(default_factory=dict)

    def carry_out(self, supply: Supply, means: Means) -> WrittenFile:
        """Write this process's tensors; the leading one takes the digest, which is right there alone.

        Raises:
            DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type; or what
                was transplanted is not in the file as it should be.
            IncompatibleError: A tensor that is to be copied differs.
            ResourceError: The disk is full, or another for every process.
        """
        shard, team, kept = self.shard, means.team, Kept()
        with (
            means.progress.bar(f"merge {shard.file}", sum(task.input_bytes for task in shard.tensors)) as bar,
            _shared_writer(shard, self.directory, team) as writer,
        ):
            mine = [self._write(step, supply, means, writer, bar, kept) for step in supply.steps(shard)]
            if team.size > team.neighbours:
                with _together(team):
                    writer.sync()
            found = [one for each in team.gather(mine) for one in each]  # all has been written
            if team.size > 1 and not team.rank:
                writer.digest_written()
            if self.grafts:
                self._verify(supply, team, kept)
        statistics = joined([one.statistics[0] for one in found], Layout((shard,), self.experts))
        return WrittenFile(
            **writer.record.model_dump(),
            statistics=None if self.threshold is None else statistics,
            bytes_read=statistics.bytes_read,
        )

    def _verify(self, supply: Supply, team: Team, kept: Kept) -> None:
        """Look at what was transplanted, in the file itself."""
        for each in team.gather(kept):
            kept.sums.update(each.sums)
        with supply.holding(self.shard) as files, _together(team):
            if not team.rank:
                verify_grafts(unfinished(self.directory / self.shard.file), self.shard, self.grafts, kept, files)

    def _write(self, step: Shard, supply: Supply, means: Means, writer: ShardWriter, bar: Bar, kept: Kept) -> Found:
        team, counting = means.team, self.threshold is not None
        loops = loops_for(means.resources.device, means.resources.local_rank)
        operator = operator_for(self.method, self.experts, self.overlap, loops, counting=counting)
        if self.grafts:
            operator = Grafting(operator, self.grafts, kept)
        with supply.holding(step) as files, open_sources(files, self.experts) as sources:
            tally = Tally(sources, part_of(bar, step, team))
            thresholds = () if self.threshold is None else (self.threshold,)
            merging = Pass(
                sources, means.resources, (operator,), lambda chunk, _, data: writer.write(chunk, data), thresholds
            )
            digest = writer.digest if team.size == 1 else None
            _go_over(merging, data_order(step), tally, team, digest, stopping=True)
        return tally.found()


@dataclass(frozen=True)
class _Sent:
    order: Order
    resources: Resources


def lead(team: Team, order: Order, resources: Resources) -> None:
    """Let the other processes begin with an order; the leading one carries it out next."""
    if team.size > 1:
        team.gather(_Sent(order, resources))


def follow(team: Crew) -> int:
    """Carry out orders until the leading process ends; returns the exit code that all end with.

    Raises:
        LostError: A process is gone.
    """
    nothing: object = None
    while True:
        try:
            sent = team.gather(nothing)[0]
            if isinstance(sent, _Sent):
                own = resources_for(sent.resources.device, team)
                resources = replace(sent.resources, threads=own.threads, local_rank=own.local_rank)
                means = Means(resources, team=team)
                sent.order.carry_out(Passed(None, team), means)
        except Dismissed as end:
            return end.code
        except LostError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the leading process tells it
            team.fail(error)


@dataclass(frozen=True)
class Passed:
    """A supply that the leading process has, passed on to all.

    Attributes:
        supply: The leading process's; None on the others.
        team: The processes.
    """

    supply: Supply | None
    team: Team

    def steps(self, shard: Shard) -> Sequence[Shard]:
        """What the leading process makes of it."""
        return self.team.gather(tuple(self.supply.steps(shard)) if self.supply else ())[0]

    @contextmanager
    def holding(self, shard: Shard) -> Iterator[SourceFiles]:
        """Files that the leading process holds; it lets go of them only once all have agreed that they are done.

        Raises:
            ResourceError: Another machine does not see them.
        """
        held: AbstractContextManager[SourceFiles] = self.supply.holding(shard) if self.supply else nullcontext({})
        with held as files:
            whole = {role: {name: path.absolute() for name, path in paths.items()} for role, paths in files.items()}
            found = self.team.gather(whole)[0]
            if not self.supply and self.team.size > self.team.neighbours:
                for path in (path for paths in found.values() for path in paths.values()):
                    if not path.exists():
                        raise not_shared(path)
            yield found


def _go_over(
    step: Pass,
    tasks: Sequence[TensorTask],
    tally: Tally,
    team: Team,
    digest: Callable[[Bytes], None] | None = None,
    *,
    stopping: bool = False,
) -> None:
    """Do this process's part of a pass; `stopping` at the first tensor that is wrong, instead of looking at all."""
    with _together(team), closing(step.over(share(tasks, team))) as chunks:
        for chunk, slot, tensor in chunks:
            tally.add(chunk, slot, tensor.looks)
            if digest:
                digest(slot.outs[0, : chunk.out_bytes])
            if stopping and chunk.last:
                check(tally.faults)


@contextmanager
def _together(team: Team) -> Iterator[None]:
    """What one process meets here, all raise."""
    error = None
    try:
        yield
    except Exception as met:  # noqa: BLE001 - `agree` raises it
        error = met
    agree(team, error)


@contextmanager
def _shared_writer(shard: Shard, directory: Path, team: Team) -> Iterator[ShardWriter]:
    """A file that all processes write: the leading one makes it before the others open it, and names it after them."""
    with ExitStack() as stack:
        writer = None
        for leading in (True, False):
            with _together(team):
                if leading == (not team.rank):
                    writer = stack.enter_context(shard_writer(shard, directory, leading=leading))
        assert writer  # noqa: S101
        yield writer

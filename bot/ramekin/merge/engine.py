"""The engine: all inputs streamed once for the statistics, where they are needed first, and once for the weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ramekin.digests import sha256_of
from ramekin.errors import RamekinError, UsageError
from ramekin.merge.chunks import Chunk
from ramekin.merge.files import Supply, open_sources
from ramekin.merge.loops.choosing import loops_for
from ramekin.merge.loops.compiling import Bytes
from ramekin.merge.operators import Operator, operator_for
from ramekin.merge.output import INDEX_NAME, ShardWriter, data_order, shard_writer, write_index
from ramekin.merge.passes import Pass
from ramekin.merge.resources import MAX_EXPERTS, Resources
from ramekin.merge.statistics import Probe, joined
from ramekin.merge.tally import Tally, check
from ramekin.merge.team import Alone, Team, agree, share
from ramekin.methods import Method
from ramekin.methods.ram import RamFamily
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.progress import Progress, Silence
from ramekin.report import FileRecord

__all__ = ["MergedWeights", "Probe", "WrittenFile", "merge_candidates", "merge_weights", "probe", "write_shard"]


class WrittenFile(FileRecord):
    """A finished file of weights. As JSON it is the state that an interrupted run goes on from.

    Attributes:
        statistics: Those of its tensors, where they were counted while it was written.
        bytes_read: Bytes of tensor data that were read for it.
    """

    statistics: Probe | None = None
    bytes_read: int = 0


@dataclass(frozen=True)
class MergedWeights:
    """A finished merge.

    Attributes:
        files: Every file of weights, and their index where there is more than one.
        probe: The overlap statistics.
        lambdas: Factor on each expert's unique part, in manifest order, in float64; None for methods without one.
        bytes_read: Bytes of tensor data that were read, those of the interrupted runs before included.
    """

    files: dict[str, FileRecord]
    probe: Probe
    lambdas: tuple[float, ...] | None
    bytes_read: int


@dataclass(frozen=True)
class Means:
    """What a merge works with.

    Attributes:
        resources: What it may use.
        progress: Where progress shows.
        team: The processes at work.
    """

    resources: Resources = field(default_factory=Resources)
    progress: Progress = field(default_factory=Silence)
    team: Team = field(default_factory=Alone)


def probe(layout: Layout, supply: Supply, epsilon: float, means: Means | None = None) -> Probe:
    """Count, in one pass over all inputs, which experts changed which elements (Eq. 1-2).

    Raises:
        DamagedError: A file is truncated, or holds NaN or infinity; every such tensor is named.
        IncompatibleError: A tensor that is to be copied differs; likewise.
        UsageError: There are more experts than there is support for.
    """
    means = means or Means()
    _check_experts(layout.experts)
    tallies = []
    with means.progress.bar("statistics", layout.input_bytes) as bar:
        for step in (step for shard in layout.shards for step in supply.steps(shard)):
            with supply.holding(step) as files, open_sources(files, layout.experts) as sources:
                tally = Tally(sources, bar)
                _go_over(Pass(sources, means.resources, threshold=epsilon), step.tensors, tally, means.team)
            tallies.append(tally)
    with _together(means.team):
        check(tallies)
    parts = means.team.gather([tally.statistics() for tally in tallies])
    return joined([part for each in parts for part in each], layout)


def write_shard(
    shard: Shard,
    supply: Supply,
    experts: Sequence[str],
    operator: Operator,
    directory: Path,
    *,
    threshold: float | None = None,
    means: Means | None = None,
) -> WrittenFile:
    """Merge one file of weights and write it into a directory, complete or not at all.

    Args:
        shard: Its tensors.
        supply: Where the sources' files come from.
        experts: Their names in manifest order.
        operator: The method at work.
        directory: Where the file goes.
        threshold: A change must be greater than this for the overlap statistics; None if they are not counted.
        means: What to work with.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
        ResourceError: The disk is full.
        UsageError: There are more experts than there is support for.
    """
    means = means or Means()
    team = means.team
    _check_experts(experts)
    with (
        means.progress.bar(f"merge {shard.file}", sum(task.input_bytes for task in shard.tensors)) as bar,
        _shared_writer(shard, directory, team) as writer,
    ):
        digest = writer.digest if team.size == 1 else None
        tallies = []
        for step in supply.steps(shard):
            with supply.holding(step) as files, open_sources(files, experts) as sources:
                tally = Tally(sources, bar)
                merging = Pass(
                    sources, means.resources, (operator,), lambda chunk, _, data: writer.write(chunk, data), threshold
                )
                _go_over(merging, data_order(step), tally, team, digest, stopping=True)
            tallies.append(tally)
        if team.size > 1:
            team.gather(None)  # all has been written
            if not team.rank:
                writer.digest_written()
    parts = team.gather([tally.statistics() for tally in tallies])
    statistics = joined([part for each in parts for part in each], Layout((shard,), tuple(experts)))
    record = team.gather(writer.record)[0]
    return WrittenFile(
        **record.model_dump(),
        statistics=None if threshold is None else statistics,
        bytes_read=statistics.bytes_read,
    )


def merge_weights(  # noqa: PLR0913
    layout: Layout,
    supply: Supply,
    method: Method,
    directory: Path,
    *,
    done: Mapping[str, WrittenFile] | None = None,
    present: Callable[[Path, WrittenFile], bool] | None = None,
    statistics: Probe | None = None,
    on_probe: Callable[[Probe], None] | None = None,
    on_shard: Callable[[str, WrittenFile], None] | None = None,
    means: Means | None = None,
) -> MergedWeights:
    """Merge all weights into a directory, going on where an interrupted run stopped.

    A method whose factors depend on the overlap of the whole model streams the inputs twice; any other counts while it
    merges. What the callbacks are given is, as JSON, all that the next run needs to give the same result without
    repeating work.

    Args:
        layout: The files to write.
        supply: Where the sources' files come from.
        method: The method's parameters.
        directory: Where the files go.
        done: Files that an earlier run finished, as `on_shard` gave them. One that is not there is made again.
        present: Whether one of them is there; if left out, it must lie in the directory with its size and digest.
        statistics: The statistics, where an earlier run or another command took them.
        on_probe: Is given the statistics once they are taken, before the first file.
        on_shard: Is given each file once it is complete.
        means: What to work with.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
        ResourceError: The disk is full.
        UsageError: There are more experts than there is support for.
    """
    means = means or Means()
    _check_experts(layout.experts)
    threshold = method.threshold if statistics is None and method.passes == 1 else None
    if statistics is None and threshold is None:
        statistics = probe(layout, supply, method.threshold, means)
        if on_probe:
            on_probe(statistics)
    overlap = statistics.overlap if statistics else None
    loops = loops_for(means.resources.device, means.resources.local_rank)
    operator = operator_for(method, layout.experts, overlap, loops, counting=threshold is not None)
    written: dict[str, WrittenFile] = {}
    for shard in layout.shards:
        finished = (done or {}).get(shard.file)
        counted = finished is not None and (finished.statistics is not None or threshold is None)
        if finished is None or not counted or not (present or _is_there)(directory / shard.file, finished):
            finished = write_shard(shard, supply, layout.experts, operator, directory, threshold=threshold, means=means)
            if on_shard:
                on_shard(shard.file, finished)
        written[shard.file] = finished
    return _merged(layout, method, directory, written, statistics, leading=not means.team.rank)


def merge_candidates(
    layout: Layout,
    supply: Supply,
    methods: Mapping[str, Method],
    take: Callable[[str, Chunk, Bytes], None],
    *,
    statistics: Mapping[float, Probe] | None = None,
    means: Means | None = None,
) -> None:
    """Merge with several methods at once: whatever their number, the inputs are read as for the one that looks most.

    Args:
        layout: The tensors.
        supply: Where the sources' files come from.
        methods: The candidates by name.
        take: Is given every candidate's chunks, tensor by tensor and in order; the bytes are valid for the call.
        statistics: The statistics by their threshold, where they are known; those that a candidate needs beyond them
            are taken first.
        means: What to work with.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
        UsageError: There are more experts than there is support for.
    """
    means = means or Means()
    _check_experts(layout.experts)
    known = dict(statistics or {})
    for method in methods.values():
        if method.passes > 1 and method.threshold not in known:
            known[method.threshold] = probe(layout, supply, method.threshold, means)
    loops = loops_for(means.resources.device, means.resources.local_rank)
    operators = [
        operator_for(method, layout.experts, known[method.threshold].overlap if method.passes > 1 else None, loops)
        for method in methods.values()
    ]
    with means.progress.bar("candidates", layout.input_bytes) as bar:
        for step in (step for shard in layout.shards for step in supply.steps(shard)):
            with supply.holding(step) as files, open_sources(files, layout.experts) as sources:
                tally = Tally(sources, bar)
                with closing(Pass(sources, means.resources, operators).over(step.tensors)) as chunks:
                    for chunk, slot, tensor in chunks:
                        tally.add(chunk, slot, tensor.looks)
                        if chunk.last:
                            check([tally])
                        for name, out in zip(methods, slot.outs, strict=True):
                            take(name, chunk, out[: chunk.out_bytes])


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
                check([tally])


@contextmanager
def _together(team: Team) -> Iterator[None]:
    """What one process meets here, all raise."""
    error = None
    try:
        yield
    except RamekinError as met:
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


def _merged(
    layout: Layout,
    method: Method,
    directory: Path,
    written: Mapping[str, WrittenFile],
    statistics: Probe | None,
    *,
    leading: bool,
) -> MergedWeights:
    records = {name: FileRecord(size=file.size, sha256=file.sha256) for name, file in written.items()}
    if len(layout.shards) > 1 and leading:
        records[INDEX_NAME] = write_index(layout, directory)
    read = sum(file.bytes_read for file in written.values())
    if statistics is None:
        statistics = joined([file.statistics for file in written.values() if file.statistics], layout)
    else:
        read += statistics.bytes_read
    lambdas = method.lambdas(statistics.overlap) if isinstance(method, RamFamily) else None
    return MergedWeights(files=records, probe=statistics, lambdas=lambdas, bytes_read=read)


def _is_there(path: Path, file: WrittenFile) -> bool:
    """Whether a file that was finished earlier can be used as it is."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _check_experts(experts: Sequence[str]) -> None:
    if not 1 <= len(experts) <= MAX_EXPERTS:
        raise UsageError(f"{len(experts)} experts cannot be merged at once", f"give between 1 and {MAX_EXPERTS}")

"""The engine: all inputs streamed once for the statistics, and once more, or only once, for the merged weights."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ramekin.errors import UsageError
from ramekin.merge.files import SourceFiles, open_sources
from ramekin.merge.kernels import pattern_coefficients
from ramekin.merge.output import INDEX_NAME, data_order, shard_writer, write_index
from ramekin.merge.passes import Pass, output_of
from ramekin.merge.resources import MAX_EXPERTS, Resources
from ramekin.merge.statistics import Probe, joined
from ramekin.merge.tally import Tally, check
from ramekin.methods.ram import Overlap, RamFamily
from ramekin.plan.layout import Layout, Shard
from ramekin.progress import Progress, Silence
from ramekin.report import FileRecord

__all__ = ["MergedWeights", "Probe", "WrittenFile", "merge_weights", "probe", "write_shard"]


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
        lambdas: Factor on each expert's unique part, in manifest order, in float64.
        bytes_read: Bytes of tensor data that were read, those of the interrupted runs before included.
    """

    files: dict[str, FileRecord]
    probe: Probe
    lambdas: tuple[float, ...]
    bytes_read: int


def probe(
    layout: Layout,
    files: SourceFiles,
    epsilon: float,
    *,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> Probe:
    """Count, in one pass over all inputs, which experts changed which elements (Eq. 1-2).

    Raises:
        DamagedError: A file is truncated, or holds NaN or infinity; every such tensor is named.
        IncompatibleError: A tensor that is to be copied differs; likewise.
        UsageError: More experts, or another device, than there is support for.
    """
    resources = _checked(layout.experts, resources)
    tallies = []
    with (progress or Silence()).bar("statistics", layout.input_bytes) as bar:
        for shard in layout.shards:
            with open_sources(files, layout.experts) as sources:
                tally = Tally(sources, bar)
                with closing(Pass(sources, epsilon).over(shard.tensors, resources)) as chunks:
                    for chunk, slot in chunks:
                        tally.add(chunk, slot)
            tallies.append(tally)
    check(tallies)
    return joined((tally.statistics() for tally in tallies), len(layout.experts))


def write_shard(  # noqa: PLR0913
    shard: Shard,
    files: SourceFiles,
    method: RamFamily,
    lambdas: Mapping[str, float],
    directory: Path,
    *,
    counting: bool = True,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> WrittenFile:
    """Merge one file of weights and write it into a directory, complete or not at all.

    Args:
        shard: Its tensors.
        files: Local paths of all sources.
        method: The method's parameters.
        lambdas: Factor on each expert's unique part, by name, in manifest order.
        directory: Where the file goes.
        counting: Whether the overlap statistics are counted on the way.
        resources: What may be used.
        progress: Where progress shows.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
        ResourceError: The disk is full.
        UsageError: More experts, or another device, than there is support for.
    """
    resources = _checked(tuple(lambdas), resources)
    coefficients = pattern_coefficients(tuple(lambdas.values()))
    total = sum(task.base.nbytes + sum(t.nbytes for t in task.experts) for task in shard.tensors)
    with (
        (progress or Silence()).bar(f"merge {shard.file}", total) as bar,
        open_sources(files, tuple(lambdas)) as sources,
        shard_writer(shard, directory) as writer,
    ):
        tally = Tally(sources, bar)
        step = Pass(sources, method.epsilon, coefficients, writer, counting)
        with closing(step.over(data_order(shard), resources)) as chunks:
            for chunk, slot in chunks:
                tally.add(chunk, slot)
                writer.digest(output_of(chunk, slot))
                if chunk.last:
                    check([tally])
    statistics = tally.statistics() if counting else None
    return WrittenFile(**writer.record.model_dump(), statistics=statistics, bytes_read=tally.bytes_read)


def merge_weights(  # noqa: PLR0913
    layout: Layout,
    files: SourceFiles,
    method: RamFamily,
    directory: Path,
    *,
    done: Mapping[str, WrittenFile] | None = None,
    statistics: Probe | None = None,
    on_probe: Callable[[Probe], None] | None = None,
    on_shard: Callable[[str, WrittenFile], None] | None = None,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> MergedWeights:
    """Merge all weights into a directory, going on where an interrupted run stopped.

    A method whose factors depend on the statistics reads the inputs twice; any other counts while it merges. What the
    callbacks are given is, as JSON, all that the next run needs to give the same result without repeating work.

    Args:
        layout: The files to write.
        files: Local paths of all sources.
        method: The method's parameters.
        directory: Where the files go.
        done: Files that an earlier run finished, as `on_shard` gave them. One that is not there is made again.
        statistics: The statistics, where an earlier run or another command took them.
        on_probe: Is given the statistics once they are taken, before the first file.
        on_shard: Is given each file once it is complete and on the disk.
        resources: What may be used.
        progress: Where progress shows.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
        ResourceError: The disk is full.
        UsageError: More experts, or another device, than there is support for.
    """
    resources = _checked(layout.experts, resources)
    counting = statistics is None and method.passes == 1
    if statistics is None and not counting:
        statistics = probe(layout, files, method.epsilon, resources=resources, progress=progress)
        if on_probe:
            on_probe(statistics)
    overlap = statistics.overlap if statistics else Overlap((0,) * (1 << len(layout.experts)))
    lambdas = method.lambdas(overlap)
    written: dict[str, WrittenFile] = {}
    for shard in layout.shards:
        finished = (done or {}).get(shard.file)
        if finished is None or not _is_there(directory / shard.file, finished, counting=counting):
            finished = write_shard(
                shard,
                files,
                method,
                dict(zip(layout.experts, lambdas, strict=True)),
                directory,
                counting=counting,
                resources=resources,
                progress=progress,
            )
            if on_shard:
                on_shard(shard.file, finished)
        written[shard.file] = finished
    records = {name: FileRecord(size=file.size, sha256=file.sha256) for name, file in written.items()}
    if len(layout.shards) > 1:
        records[INDEX_NAME] = write_index(layout, directory)
    read = sum(file.bytes_read for file in written.values())
    if statistics is None:
        statistics = joined((f.statistics for f in written.values() if f.statistics), len(layout.experts))
    else:
        read += statistics.bytes_read
    return MergedWeights(files=records, probe=statistics, lambdas=lambdas, bytes_read=read)


def _is_there(path: Path, file: WrittenFile, *, counting: bool) -> bool:
    """Whether a file that was finished earlier can be used as it is. It was synced before it got its name."""
    return path.is_file() and path.stat().st_size == file.size and (file.statistics is not None or not counting)


def _checked(experts: tuple[str, ...], resources: Resources | None) -> Resources:
    resources = resources or Resources()
    if not 1 <= len(experts) <= MAX_EXPERTS:
        raise UsageError(f"{len(experts)} experts cannot be merged at once", f"give between 1 and {MAX_EXPERTS}")
    if resources.device != "cpu":
        raise UsageError("merging on a GPU is not supported yet", "use `--device cpu`")
    return resources

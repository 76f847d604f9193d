"""The engine: all inputs streamed once for the statistics, where they are needed first, and once for the weights."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from ramekin.digests import sha256_of
from ramekin.errors import UsageError
from ramekin.merge.arrays import Bytes
from ramekin.merge.chunks import Chunk
from ramekin.merge.files import Supply, open_sources
from ramekin.merge.grafting import Grafts
from ramekin.merge.loops.choosing import loops_for
from ramekin.merge.operators import operator_for
from ramekin.merge.orders import Counting, Means, Passed, Writing, WrittenFile, lead, thresholds_of
from ramekin.merge.output import INDEX_NAME, write_index
from ramekin.merge.passes import Pass
from ramekin.merge.sizes import MAX_EXPERTS
from ramekin.merge.statistics import Probe, joined
from ramekin.merge.tally import Tally, check
from ramekin.methods import Method
from ramekin.methods.ram import RamFamily
from ramekin.plan.layout import Layout
from ramekin.records import FileRecord

__all__ = ["Means", "MergedWeights", "Probe", "WrittenFile", "count_for", "merge_candidates", "merge_weights", "probe"]


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


def probe(layout: Layout, supply: Supply, epsilon: float, means: Means | None = None) -> Probe:
    """Count, in one pass over all inputs, which experts changed which elements (Eq. 1-2).

    Raises:
        DamagedError: A file is truncated, or holds NaN or infinity; every such tensor is named.
        IncompatibleError: A tensor that is to be copied differs; likewise.
        UsageError: There are more experts than there is support for.
    """
    means = means or Means()
    _check_experts(layout.experts)
    return _led(Counting(layout, (epsilon,)), supply, means)[epsilon]


def count_for(layout: Layout, supply: Supply, methods: Iterable[Method], means: Means) -> None:
    """Take the statistics that methods merge by, all that are not known yet in one pass over all inputs.

    Raises:
        RamekinError: As `probe`.
    """
    if wanted := thresholds_of(methods, means.counted):
        means.counted.update(_led(Counting(layout, wanted), supply, means))


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
    grafts: Grafts | None = None,
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
        statistics: The statistics, where an earlier run took them.
        on_probe: Is given the statistics once they are taken, before the first file.
        on_shard: Is given each file once it is complete.
        grafts: Elements that experts give instead of the method, by tensor.
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
        count_for(layout, supply, [method], means)
        statistics = means.counted[method.threshold]
        if on_probe:
            on_probe(statistics)
    overlap = statistics.overlap if statistics else None
    written: dict[str, WrittenFile] = {}
    for shard in layout.shards:
        finished = (done or {}).get(shard.file)
        counted = finished is not None and (finished.statistics is not None or threshold is None)
        if finished is None or not counted or not (present or _is_there)(directory / shard.file, finished):
            own = {task.name: grafts[task.name] for task in shard.tensors if grafts and task.name in grafts}
            order = Writing(shard, layout.experts, method, overlap, directory.absolute(), threshold, own)
            finished = _led(order, supply, means)
            if on_shard:
                on_shard(shard.file, finished)
        written[shard.file] = finished
    return _merged(layout, method, directory, written, statistics)


def merge_candidates(
    layout: Layout,
    supply: Supply,
    methods: Mapping[str, Method],
    take: Callable[[str, Chunk, Bytes, Bytes], None],
    means: Means | None = None,
) -> None:
    """Merge with several methods at once: whatever their number, the inputs are read as for the one that looks most.

    Args:
        layout: The tensors.
        supply: Where the sources' files come from.
        methods: The candidates by name.
        take: Is given every candidate's chunks, tensor by tensor and in order, and the base's bytes of each; they are
            valid for the call.
        means: What to work with. Statistics that candidates need and that are not known yet are taken first.

    Raises:
        DamagedError: A source is truncated or holds NaN or infinity, or a result is too large for its type.
        IncompatibleError: A tensor that is to be copied differs.
        UsageError: There are more experts than there is support for.
    """
    means = means or Means()
    _check_experts(layout.experts)
    count_for(layout, supply, methods.values(), means)
    loops = loops_for(means.resources.device, means.resources.local_rank)
    operators = [
        operator_for(
            method, layout.experts, means.counted[method.threshold].overlap if method.passes > 1 else None, loops
        )
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
                            check(tally.faults)
                        base = sources.whole(chunk)
                        for name, out in zip(methods, slot.outs, strict=True):
                            take(name, chunk, out[: chunk.out_bytes], base)


@overload
def _led(order: Counting, supply: Supply, means: Means) -> dict[float, Probe]: ...
@overload
def _led(order: Writing, supply: Supply, means: Means) -> WrittenFile: ...
def _led(order: Counting | Writing, supply: Supply, means: Means) -> dict[float, Probe] | WrittenFile:
    """Have an order carried out by all processes, this one included."""
    if means.team.size == 1:
        return order.carry_out(supply, means)
    lead(means.team, order, means.resources)
    return order.carry_out(Passed(supply, means.team), means)


def _merged(
    layout: Layout,
    method: Method,
    directory: Path,
    written: Mapping[str, WrittenFile],
    statistics: Probe | None,
) -> MergedWeights:
    records = {name: FileRecord(size=file.size, sha256=file.sha256) for name, file in written.items()}
    if len(layout.shards) > 1:
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

"""The merge stage: from fetched sources to a directory that can be published, complete or not at all."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from ramekin import __version__
from ramekin.atomic import enough_disk, write_atomically
from ramekin.card.template import CardTemplate
from ramekin.card.writing import write_card
from ramekin.checkpoint.selection import files_to_copy
from ramekin.digests import sha256_of
from ramekin.evaluation.evaluator import Evaluator, Written
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.reading import LoadedManifest
from ramekin.merge.chosen import Chosen, Recorded, choose
from ramekin.merge.engine import Means, MergedWeights, Probe, WrittenFile, merge_weights
from ramekin.merge.resources import Resources
from ramekin.merge.statistics import by_module
from ramekin.merge.team import Alone, Team
from ramekin.plan.layout import Layout
from ramekin.progress import Progress
from ramekin.records import FileRecord, report_overlap
from ramekin.report import (
    CARD_TEMPLATE,
    LOCK_COPY,
    MANIFEST_COPY,
    NEURONS,
    REPORT_NAME,
    Cost,
    Report,
    ReportedExpert,
    ReportedOutput,
    ReportedSource,
    Seconds,
)
from ramekin.room import peak_memory
from ramekin.staging import Staging, finished, staged
from ramekin.stock import Stock

if TYPE_CHECKING:
    from ramekin.arm.reading import Material

_Record = TypeVar("_Record", Probe, WrittenFile)


@dataclass(frozen=True)
class MergeJob:
    """All that a merge needs.

    Attributes:
        loaded: The manifest.
        lock: Its lock.
        layout: What to write.
        notes: What the plan found worth telling; the report keeps it.
        endpoint: The Hub that links in the card lead to.
        resources: What the merge may use.
        team: The processes that merge.
        materials: What was read of benchmarks, for a method that looks at them.
        store: Where what was measured of models is kept.
        device: Where models run: `auto`, `cpu` or `cuda`.
        recorded: A choice among candidates that was made before, to be made again as it was.
        template: The manifest's own card template; ours is rendered without one.
        evaluator: Measures the merge once it is written; None where nothing is to be measured.
    """

    loaded: LoadedManifest
    lock: Lock
    layout: Layout
    notes: tuple[str, ...]
    endpoint: str
    resources: Resources = field(default_factory=Resources)
    team: Team = field(default_factory=Alone)
    materials: "Mapping[str, Material]" = field(default_factory=dict)
    store: Path = Path()
    device: str = "auto"
    recorded: Recorded | None = None
    template: CardTemplate | None = None
    evaluator: Evaluator | None = None


def merge_into(
    out: Path, job: MergeJob, stock: Stock, progress: Progress, *, seconds: float = 0.0, replace: bool = False
) -> Report:
    """Merge into a directory, going on where an interrupted run of the same merge stopped.

    Args:
        out: The directory; absent, empty, or holding this very merge already.
        job: What to merge.
        stock: Where the sources come from, and finished files go.
        progress: Where progress shows.
        seconds: How long fetching took, for the report.
        replace: Replace another merge that is there.

    Raises:
        UsageError: Something else is there.
        DamagedError: A source holds NaN or infinity, or is truncated.
        ResourceError: The disk is full.
    """
    if report := finished(out, job.lock.key, replace=replace, elsewhere=stock.has):
        return report
    with staged(out, job.lock.key) as staging:
        if report := finished(out, job.lock.key, replace=replace, elsewhere=stock.has):
            staging.abandon()
            return report
        started = time.monotonic()
        means = Means(job.resources, progress, job.team)
        chosen = choose(job, stock.files, staging.directory, means)
        merged = _merge_weights(job, chosen, stock, staging, means)
        records = merged.files | _copy_the_rest(job, chosen, stock.files["base"], staging.directory)
        cost = Cost(
            seconds=Seconds(fetch=round(seconds, 3), merge=round(time.monotonic() - started, 3)),
            bytes_read=merged.bytes_read,
            bytes_written=sum(record.size for record in records.values()),
            peak_rss_bytes=peak_memory(),
        )
        report = _report(job, chosen, merged, records, cost)
        if job.evaluator:
            backbone = chosen.method if chosen.grafts else None
            report = job.evaluator.evaluate(report, Written(staging.directory, stock.files, backbone, means))
        write_atomically(staging.directory / REPORT_NAME, report.to_json().encode())
        with enough_disk(out.parent):
            write_card(staging.directory, job.endpoint, job.template)
        staging.finish(replace=replace)
    return report


def _merge_weights(job: MergeJob, chosen: Chosen, stock: Stock, staging: Staging, means: Means) -> MergedWeights:
    """The weights, with everything that is finished noted in the journal before it goes where it belongs."""
    if chosen.comparison and staging.journal.get("chosen") != chosen.digest:
        staging.save(chosen=chosen.digest, probe=None, shards={})  # what was finished of another choice is of no use
    probe = _kept(Probe, staging.journal.get("probe"))
    written = {n: f for n, r in staging.journal.get("shards", {}).items() if (f := _kept(WrittenFile, r)) is not None}
    done = {name: file for name, file in written.items() if stock.present(staging.directory / name, file)}

    def on_shard(name: str, file: WrittenFile) -> None:
        staging.save(shards=staging.journal.get("shards", {}) | {name: file.model_dump(mode="json")})
        stock.take(staging.directory / name, file)

    return merge_weights(
        job.layout,
        stock.supply(staging, done, counted=probe is not None),
        chosen.method,
        staging.directory,
        done=done,
        present=lambda path, file: path.name in done,
        statistics=probe,
        on_probe=lambda found: staging.save(probe=found.model_dump(mode="json")),
        on_shard=on_shard,
        grafts=chosen.grafts,
        means=means,
    )


def _kept(kind: type[_Record], record: object) -> _Record | None:
    """A record of the journal; None for one that another version wrote, without what is counted now: it counts anew."""
    try:
        return kind.model_validate(record) if record else None
    except ValidationError:
        return None


def _copy_the_rest(job: MergeJob, chosen: Chosen, base: Mapping[str, Path], directory: Path) -> dict[str, FileRecord]:
    """The base's config, tokenizer and chat template, byte for byte; manifest and lock; and which neurons are whose."""
    copied = files_to_copy(job.lock.base.files)
    with enough_disk(directory):
        for name in copied:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(base[name], directory / name)
    write_atomically(directory / MANIFEST_COPY, job.loaded.text.encode())
    write_atomically(directory / LOCK_COPY, job.lock.to_json().encode())
    names = sorted([*copied, MANIFEST_COPY, LOCK_COPY])
    if neurons := chosen.neuron_file():
        write_atomically(directory / NEURONS, neurons)
        names.append(NEURONS)
    if job.template:
        write_atomically(directory / CARD_TEMPLATE, job.template.content)
        names.append(CARD_TEMPLATE)
    return {n: FileRecord(size=(directory / n).stat().st_size, sha256=sha256_of(directory / n)) for n in names}


def _report(job: MergeJob, chosen: Chosen, merged: MergedWeights, records: dict[str, FileRecord], cost: Cost) -> Report:
    manifest = job.loaded.manifest
    names = tuple(job.lock.experts)
    return Report(
        schema_version=1,
        key=job.lock.key,
        ramekin=__version__,
        method=manifest.method,
        base=ReportedSource(**_source(job.lock.base)),
        experts=tuple(ReportedExpert(name=name, **_source(pinned)) for name, pinned in job.lock.experts.items()),
        overlap=report_overlap(merged.probe.overlap, names, merged.lambdas, by_module(merged.probe.by_tensor, names)),
        comparison=chosen.comparison,
        activation=chosen.activation,
        notes=job.notes,
        texts=manifest.card.digest,
        output=ReportedOutput(repo=manifest.output.repo, files=dict(sorted(records.items()))),
        cost=cost,
    )


def _source(pinned: PinnedSource) -> dict[str, str | None]:
    return {"source": pinned.source, "commit": pinned.commit, "license": pinned.card.license}

"""The merge stage: what a plan needs is fetched, merged and measured, and lies in a directory with card and report."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.benchmarks import read_benchmarks
from ramekin.merge.equipping import equip
from ramekin.plan.layout import Layout
from ramekin.preparing import Prepared
from ramekin.report import Report
from ramekin.room import check_room, enough_to_load
from ramekin.staging import finished
from ramekin.stock import InPlace, Shelf, gather
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.arm.reading import Material
    from ramekin.evaluation.evaluator import Evaluator
    from ramekin.merge.chosen import Recorded


def merge_prepared(
    bench: Workbench,
    prepared: Prepared,
    out: Path,
    *,
    device: str = "auto",
    replace: bool = False,
    shelf: Shelf | None = None,
    recorded: "Recorded | None" = None,
) -> Report:
    """Fetch and merge into a directory, which appears complete or not at all, but for what the shelf takes over.

    A choice among candidates that was `recorded` is made again as it was.
    """
    shelf = shelf or InPlace()
    layout = prepared.made.mergeable()
    if report := finished(out, prepared.lock.key, replace=replace, elsewhere=shelf.has):
        return report
    if (cost := prepared.plan.cost) and cost.disk:
        # Nothing is watched again where a choice is recorded.
        check_room(prepared.made.room.shortages(cost.disk.chosen), 0 if recorded else cost.memory_bytes)
    resources, team = equip(bench, layout, device, prepared.loaded.manifest.method if recorded is None else None)
    with enough_to_load():
        from ramekin.merge.merging import MergeJob, merge_into
    with _evaluating(bench, prepared, layout, device) as evaluator:
        started = time.monotonic()
        materials = _benchmarks(bench, prepared) if recorded is None else {}
        stock = gather(bench, prepared, shelf)
        seconds = time.monotonic() - started
        if evaluator:
            evaluator.begin(stock.files)
        job = MergeJob(
            prepared.loaded,
            prepared.lock,
            layout,
            tuple(f"{note.place}: {note.subject}: {note.what}" for note in prepared.plan.notes),
            bench.environment.endpoint,
            resources,
            team,
            materials=materials,
            store=bench.environment.measured,
            device=device,
            recorded=recorded,
            template=prepared.template,
            evaluator=evaluator,
        )
        return merge_into(out, job, stock, bench.terminal, seconds=seconds, replace=replace)


def _evaluating(
    bench: Workbench, prepared: Prepared, layout: Layout, device: str
) -> "AbstractContextManager[Evaluator | None]":
    """What measures, if anything is to be measured; what keeps it from that is told now, before anything is fetched."""
    if prepared.loaded.manifest.evaluate is None:
        return nullcontext()
    from ramekin.evaluation.making import evaluating

    return evaluating(bench, prepared.loaded, prepared.lock, layout, device)


def _benchmarks(bench: Workbench, prepared: Prepared) -> "dict[str, Material]":
    """The benchmarks' recorded runs, if the method looks at them; what is wrong with them is told now."""
    method = prepared.loaded.manifest.method
    if not method.uses_benchmarks:
        return {}
    return read_benchmarks(bench, prepared.loaded, prepared.lock, prepared.sources, method)

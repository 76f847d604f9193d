"""The road from a manifest to a published merge, top to bottom.

    manifest -> lock -> plan -> fetch -> merge, with card and report -> publish

Each stage is a module of its own; what branches, branches inside it.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.benchmarks import fetch_benchmarks, read_benchmarks
from ramekin.errors import PublishError, UsageError
from ramekin.fetch import Fetched, fetch_sources
from ramekin.lock.making import LockPolicy, settle_lock
from ramekin.lock.model import Lock
from ramekin.manifest.reading import LoadedManifest, read_manifest
from ramekin.merge.resources import memory_needed, memory_of_all
from ramekin.plan.disk import Room
from ramekin.plan.making import MadePlan, make_plan
from ramekin.plan.model import Plan
from ramekin.plan.objections import Permissions
from ramekin.plan.standing import Standing, look_at, unseen
from ramekin.publish.card_only import publish_card
from ramekin.publish.committing import Published, check_tag, merged_files, note_commit, publish, put_tag, uploaded_files
from ramekin.publish.uploads import Uploads
from ramekin.report import REPORT_NAME, Report, read_report
from ramekin.room import check_room, enough_to_load
from ramekin.sources import Sources
from ramekin.staging import clear_workplace, finished, staging_directory, workplace
from ramekin.stock import InPlace, Shelf, gather
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.merge.chosen import Recorded


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        manifest: Path of the manifest.
        lock: How to treat the lock.
        allowed: What is explicitly allowed.
        out: Where the merged directory goes; for `run` a place of ramekin's own if left out.
        pull_request: Publish as a pull request on the Hub.
        force: Merge and publish even if the Hub holds this merge already.
        low_disk: Take as little disk as can be, though more is there.
        device: Where to compute: `auto`, `cpu` or `cuda`.
        root: Directory that local sources are relative to; the manifest's if left out.
    """

    manifest: Path
    lock: LockPolicy = field(default_factory=LockPolicy)
    allowed: Permissions = field(default_factory=Permissions)
    out: Path | None = None
    pull_request: bool = False
    force: bool = False
    low_disk: bool = False
    device: str = "auto"
    root: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A manifest, read, locked and planned: everything that can be known before weights are touched."""

    loaded: LoadedManifest
    sources: Sources
    lock: Lock
    standing: Standing
    made: MadePlan

    @property
    def plan(self) -> Plan:
        """The plan as it is shown."""
        return self.made.plan

    def check(self) -> None:
        """Raise what keeps the plan from being carried out, if anything does."""
        self.made.mergeable()
        if self.made.objections:
            raise PublishError(problems=self.made.objections)


@dataclass(frozen=True)
class Outcome:
    """What a run did: the plan it followed, and what it merged and published, if anything."""

    plan: Plan
    report: Report | None = None
    directory: Path | None = None
    published: Published | None = None


def prepare(bench: Workbench, request: Request, *, ask_target: bool = True) -> Prepared:
    """Manifest, lock and plan. A new lock is written once its sources are known to fit together."""
    loaded = read_manifest(request.manifest)
    if request.low_disk and loaded.manifest.method.uses_benchmarks:
        what = f"`{loaded.manifest.method.name}` watches models at work, which have to be there whole"
        raise UsageError(what, "leave out --low-disk")
    sources = bench.sources(request.root or loaded.directory)
    settled = settle_lock(loaded, sources, request.lock)
    standing = look_at(bench.client, loaded.manifest) if ask_target else unseen(loaded.manifest)
    room = _room(bench, request, loaded.manifest.output.repo)
    made = make_plan(loaded, settled.lock, sources, standing, bench.store, request.allowed, room=room)
    if made.fits:
        settled.write()
    return Prepared(loaded, sources, settled.lock, standing, made)


def run(bench: Workbench, request: Request) -> Outcome:
    """The main job: plan, fetch, merge, card, publish; or nothing, if the Hub holds the result already."""
    prepared = prepare(bench, request)
    prepared.check()
    own = _own_place(bench, prepared.plan.target.repo)
    if prepared.plan.action == "nothing" and not request.force:
        clear_workplace(own)
        return Outcome(prepared.plan, published=_kept(bench, prepared, request.out))
    _check_access(bench, prepared, pull_request=request.pull_request)
    if prepared.plan.action == "card" and not request.force:
        return Outcome(prepared.plan, published=publish_card(bench, prepared.loaded, prepared.standing))
    if request.out:
        return _merge_and_publish(bench, request, prepared, request.out)
    with workplace(own) as out:
        return _merge_and_publish(bench, request, prepared, out)


def _merge_and_publish(bench: Workbench, request: Request, prepared: Prepared, out: Path) -> Outcome:
    shelf = _shelf(bench, request, prepared)
    replace = request.force or request.out is None
    report = merge_prepared(bench, prepared, out, device=request.device, replace=replace, shelf=shelf)
    started = time.monotonic()
    uploaded = uploaded_files(out, report, shelf.has)
    published = publish(
        bench.writer,
        prepared.loaded.manifest,
        prepared.standing,
        merged_files(out, report, uploaded),
        uploaded=uploaded,
        pull_request=request.pull_request,
        tag=prepared.loaded.manifest.output.tag,
    )
    if request.out and published.commit:
        note_commit(out, published.commit, time.monotonic() - started)
    return Outcome(prepared.plan, report, request.out, published)


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
        check_room(prepared.made.room.shortages(cost.disk.chosen), cost.memory_bytes)
    with enough_to_load():
        from ramekin.merge.devices import resources_for
        from ramekin.merge.merging import MergeJob, merge_into
        from ramekin.merge.team import Alone

        team = bench.team or Alone()
        resources = resources_for(device, team)
    if resources.device == "cuda" or team.neighbours > 1:
        needed = memory_needed(len(layout.experts), resources, layout.factor_bytes)
        check_room((), memory_of_all(team.neighbours, needed))
    started = time.monotonic()
    data = _benchmarks(bench, prepared) if recorded is None else {}
    stock = gather(bench, prepared, shelf)
    seconds = time.monotonic() - started
    notes = tuple(f"{note.place}: {note.subject}: {note.what}" for note in prepared.plan.notes)
    job = MergeJob(
        prepared.loaded,
        prepared.lock,
        layout,
        notes,
        bench.environment.endpoint,
        resources,
        team,
        data=data,
        store=bench.environment.measured,
        device=device,
        recorded=recorded,
    )
    return merge_into(out, job, stock, bench.terminal, seconds=seconds, replace=replace)


def fetch(bench: Workbench, prepared: Prepared) -> Fetched:
    """Every pinned file on this machine, checked."""
    return fetch_sources(prepared.lock, prepared.loaded.manifest, prepared.sources, bench.store, lambda: bench.client)


def _benchmarks(bench: Workbench, prepared: Prepared) -> dict[str, Path]:
    """The benchmarks' files on this machine, if the method looks at them; what is wrong with them is told now."""
    if not prepared.loaded.manifest.method.uses_benchmarks:
        return {}
    data = fetch_benchmarks(bench, prepared.loaded, prepared.lock, prepared.sources)
    read_benchmarks(bench, prepared.loaded, prepared.lock, prepared.sources, data)
    return data


def _own_place(bench: Workbench, repo: str) -> Path:
    """Where a merge is made that nobody asked to keep."""
    return bench.environment.state / "runs" / repo.replace("/", "--")


def _room(bench: Workbench, request: Request, repo: str) -> Room:
    out = request.out or _own_place(bench, repo) / "merge"
    stays = request.out is not None
    return Room(bench.environment.state, out, staging_directory(out), output_stays=stays, low_disk=request.low_disk)


def _shelf(bench: Workbench, request: Request, prepared: Prepared) -> Shelf:
    """Where finished files go before they are published together: to the Hub, unless a directory is to have them."""
    if request.out:
        return InPlace()
    private = prepared.loaded.manifest.output.private
    return Uploads(bench.writer, prepared.standing, private=private, pull_request=request.pull_request)


def _check_access(bench: Workbench, prepared: Prepared, *, pull_request: bool) -> None:
    """What would make publishing fail after the work is found out before it."""
    target, output = prepared.plan.target, prepared.loaded.manifest.output
    if pull_request and target.exists:
        bench.writer.check_known(target.repo)
        return
    bench.writer.check_write(target.repo, exists=target.exists, private=output.private)
    check_tag(bench.writer, prepared.standing, output.tag)


def _kept(bench: Workbench, prepared: Prepared, out: Path | None) -> Published:
    """What the Hub holds already; what a run that was killed after its commit could not do any more is done now."""
    target, tag = prepared.plan.target, prepared.loaded.manifest.output.tag
    commit = target.head or ""
    if tag:
        put_tag(bench.writer, target.repo, tag, commit)
    if out and (out / REPORT_NAME).is_file():
        report = read_report(out)
        if report.key == prepared.lock.key and not report.output.commit:
            note_commit(out, commit, 0.0)
    return Published(target.repo, commit, f"{bench.environment.endpoint}/{target.repo}/commit/{commit}", fresh=False)

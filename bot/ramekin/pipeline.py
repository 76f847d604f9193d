"""The road from a manifest to a published merge, top to bottom.

    manifest -> lock -> plan -> fetch -> merge, with card and report -> publish

Each stage is a module of its own; what branches, branches inside it.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from ramekin.errors import PublishError
from ramekin.fetch import Fetched, fetch_sources
from ramekin.lock.making import LockPolicy, settle_lock
from ramekin.lock.model import Lock
from ramekin.manifest.reading import LoadedManifest, read_manifest
from ramekin.plan.making import MadePlan, confirm_layout, make_plan
from ramekin.plan.model import Plan
from ramekin.plan.objections import Permissions
from ramekin.plan.standing import Standing, look_at, unseen
from ramekin.publish.card_only import publish_card
from ramekin.publish.committing import Published, check_tag, merged_files, note_commit, publish, put_tag
from ramekin.report import REPORT_NAME, Report, read_report
from ramekin.room import check_room, enough_to_load
from ramekin.sources import Sources
from ramekin.staging import clear_workplace, finished, workplace
from ramekin.workbench import Workbench


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
        device: Where to compute: `auto`, `cpu` or `cuda`.
        root: Directory that local sources are relative to; the manifest's if left out.
    """

    manifest: Path
    lock: LockPolicy = field(default_factory=LockPolicy)
    allowed: Permissions = field(default_factory=Permissions)
    out: Path | None = None
    pull_request: bool = False
    force: bool = False
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
    sources = bench.sources(request.root or loaded.directory)
    settled = settle_lock(loaded, sources, request.lock)
    standing = look_at(bench.client, loaded.manifest) if ask_target else unseen(loaded.manifest)
    made = make_plan(loaded, settled.lock, sources, standing, bench.store, request.allowed)
    if made.fits:
        settled.write()
    return Prepared(loaded, sources, settled.lock, standing, made)


def run(bench: Workbench, request: Request) -> Outcome:
    """The main job: plan, fetch, merge, card, publish; or nothing, if the Hub holds the result already."""
    prepared = prepare(bench, request)
    prepared.check()
    own = bench.environment.state / "runs" / prepared.plan.target.repo.replace("/", "--")
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
    report = merge_prepared(bench, prepared, out, device=request.device, replace=request.force or request.out is None)
    started = time.monotonic()
    published = publish(
        bench.writer,
        prepared.loaded.manifest,
        prepared.standing,
        merged_files(out, report),
        pull_request=request.pull_request,
        tag=prepared.loaded.manifest.output.tag,
    )
    if request.out and published.commit:
        note_commit(out, published.commit, time.monotonic() - started)
    return Outcome(prepared.plan, report, request.out, published)


def merge_prepared(
    bench: Workbench, prepared: Prepared, out: Path, *, device: str = "auto", replace: bool = False
) -> Report:
    """Fetch and merge into a directory, which appears complete or not at all."""
    layout = prepared.made.mergeable()
    if report := finished(out, prepared.lock.key, replace=replace):
        return report
    if cost := prepared.plan.cost:
        needs = [(bench.environment.state, cost.download_bytes), (out.parent, cost.write_bytes)]
        check_room(needs, cost.memory_bytes)
    with enough_to_load():
        from ramekin.merge.merging import MergeJob, merge_into
    started = time.monotonic()
    fetched = fetch(bench, prepared)
    seconds = time.monotonic() - started
    confirm_layout(layout, prepared.loaded.manifest, prepared.lock, fetched.files)
    notes = tuple(f"{note.place}: {note.subject}: {note.what}" for note in prepared.plan.notes)
    job = MergeJob(prepared.loaded, prepared.lock, layout, notes, bench.environment.endpoint, device)
    return merge_into(out, job, fetched, bench.terminal, seconds=seconds, replace=replace)


def fetch(bench: Workbench, prepared: Prepared) -> Fetched:
    """Every pinned file on this machine, checked."""
    return fetch_sources(prepared.lock, prepared.loaded.manifest, prepared.sources, bench.store, bench.client)


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

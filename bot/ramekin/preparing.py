"""What was asked for, and all that can be known of it before weights are touched: manifest, lock and plan."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.card.template import CardTemplate, check_template, find_template
from ramekin.errors import PublishError, UsageError
from ramekin.lock.making import LockPolicy, settle_lock
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import LoadedManifest, read_manifest
from ramekin.plan.disk import Room
from ramekin.plan.making import MadePlan, make_plan
from ramekin.plan.measuring import decides_by_tasks
from ramekin.plan.model import Plan
from ramekin.plan.objections import Permissions
from ramekin.plan.standing import Standing, look_around, unseen
from ramekin.sources import Sources
from ramekin.staging import staging_directory
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.attestation.signing import Signer


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
        signer: Who vouches for what is merged; nobody if left out.
        approve: Shown the plan before anything is done; what it raises stops the run.
        trusted: Whether what the manifest names may be run: programs that measure, and a template of its own.
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
    signer: "Signer | None" = None
    approve: Callable[[Plan], None] = lambda _: None
    trusted: bool = True


@dataclass(frozen=True)
class Prepared:
    """A manifest, read, locked and planned: everything that can be known before weights are touched.

    Attributes:
        loaded: The manifest.
        sources: Where it has its sources from.
        lock: Its lock.
        standing: What the target holds.
        made: The plan.
        template: The manifest's own card template, which no plan reads: a plan may be of a stranger's pull request.
    """

    loaded: LoadedManifest
    sources: Sources
    lock: Lock
    standing: Standing
    made: MadePlan
    template: CardTemplate | None = None

    @property
    def plan(self) -> Plan:
        """The plan as it is shown."""
        return self.made.plan

    def check(self) -> None:
        """Raise what keeps the plan from being carried out, if anything does."""
        self.made.mergeable()
        if self.made.objections:
            raise PublishError(problems=self.made.objections)


def prepare(
    bench: Workbench, request: Request, *, ask_target: bool = True, publishes: bool = False, watched: bool = False
) -> Prepared:
    """Manifest, lock and plan. A new lock is written once its sources are known to fit together.

    What `publishes` looks at the target with the token that is to write there: by trusted publishing no other sees it
    while it is private, and whether there is such a token is known before anything is done. Where models will be
    `watched` whatever the manifest's method is, the checkpoints have to be such as can be.
    """
    loaded = read_manifest(request.manifest)
    if request.low_disk and (what := _of_whole_models(loaded.manifest)):
        raise UsageError(f"{what}, which have to be there whole", "leave out --low-disk")
    onlooker = bench.publishing_to(loaded.manifest.output.repo) if publishes else None
    sources = bench.sources(request.root or loaded.directory)
    settled = settle_lock(loaded, sources, request.lock)
    standing = look_around(onlooker or bench.client, loaded.manifest) if ask_target else unseen(loaded.manifest)
    room = _room(bench, request, loaded.manifest.output.repo)
    made = make_plan(loaded, settled.lock, sources, standing, bench.store, request.allowed, room=room, watched=watched)
    if made.fits:
        settled.write()
    return Prepared(loaded, sources, settled.lock, standing, made)


def _of_whole_models(manifest: Manifest) -> str | None:
    """What of a manifest cannot be done with models that are fetched, merged and uploaded in parts."""
    if manifest.method.uses_benchmarks:
        return f"`{manifest.method.name}` watches models at work"
    return "`evaluate` runs models" if manifest.evaluate else None


def unmeasured(prepared: Prepared) -> Prepared:
    """The same merge, of which nothing is measured."""
    manifest = prepared.loaded.manifest.model_copy(update={"evaluate": None, "gate": None})
    return replace(prepared, loaded=replace(prepared.loaded, manifest=manifest))


def untrusted(prepared: Prepared) -> Prepared:
    """The same merge, of which nothing is run that the manifest names: somebody may yet want to read it.

    Raises:
        UsageError: The weights would be others.
    """
    manifest = prepared.loaded.manifest
    if decides_by_tasks(manifest):
        what = f"`{manifest.method.name}` tells by the tasks of `evaluate` which benchmarks are weak"
        raise UsageError(what, "merge the pull request: the run after it measures")
    return unmeasured(prepared)


def with_template(prepared: Prepared) -> Prepared:
    """The same with the manifest's card template, if it names one; a change of it alone is a change of the card.

    Raises:
        TemplateError: It cannot be read, or is none.
    """
    template = find_template(prepared.loaded)
    if template is None:
        return prepared
    check_template(template)
    loaded, made, report = prepared.loaded, prepared.made, prepared.standing.report
    card = loaded.manifest.card.holding(template.sha256)
    if prepared.plan.action == "nothing" and report and report.texts != card.digest:
        reason = "the weights are published already, and the card's template has changed"
        made = replace(made, plan=made.plan.model_copy(update={"action": "card", "reason": reason}))
    loaded = replace(loaded, manifest=loaded.manifest.model_copy(update={"card": card}))
    return replace(prepared, loaded=loaded, made=made, template=template)


def own_place(bench: Workbench, repo: str) -> Path:
    """Where a merge is made that nobody asked to keep."""
    return bench.environment.state / "runs" / repo.replace("/", "--")


def _room(bench: Workbench, request: Request, repo: str) -> Room:
    out = request.out or own_place(bench, repo) / "merge"
    stays = request.out is not None
    return Room(bench.environment.state, out, staging_directory(out), output_stays=stays, low_disk=request.low_disk)

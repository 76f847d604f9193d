"""Making a plan: sources as pinned, headers and small files read, the target looked at, and everything compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.selection import files_to_copy
from ramekin.errors import IncompatibleError, Problem
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import LoadedManifest
from ramekin.plan.adapters import describe_adapter
from ramekin.plan.cost import PlannedCost, estimate_cost
from ramekin.plan.difference import changes_between
from ramekin.plan.disk import Room, choose_mode
from ramekin.plan.fitting import laid_out, mismatches, read_facts
from ramekin.plan.layout import Layout
from ramekin.plan.measuring import models_written, plan_evaluation
from ramekin.plan.model import Action, Plan, PlannedLayout, PlannedLicence, PlannedMethod, PlannedSource
from ramekin.plan.objections import Permissions, inherited, objections
from ramekin.plan.resident import watched_bytes
from ramekin.plan.standing import Standing
from ramekin.report import CARD_TEMPLATE, Report
from ramekin.sources import Sources
from ramekin.store import BlobStore


@dataclass(frozen=True)
class MadePlan:
    """A plan, and what carrying it out needs beside it.

    Attributes:
        plan: What is shown and hashed.
        layout: The files to write; None where the checkpoints do not fit.
        objections: Why it may not be published.
        room: Where it would write.
    """

    plan: Plan
    layout: Layout | None
    objections: tuple[Problem, ...]
    room: Room

    @property
    def fits(self) -> bool:
        """Whether the checkpoints and their licences fit together."""
        return self.layout is not None and not self.plan.licence.problems

    def mergeable(self) -> Layout:
        """The layout.

        Raises:
            IncompatibleError: The checkpoints or their licences do not fit together; with every mismatch.
        """
        problems = mismatches(self.plan.findings)
        problems += [Problem(problem, "choose other sources") for problem in self.plan.licence.problems]
        if problems or self.layout is None:
            raise IncompatibleError(problems=problems)
        return self.layout


def make_plan(  # noqa: PLR0913
    loaded: LoadedManifest,
    lock: Lock,
    sources: Sources,
    standing: Standing,
    store: BlobStore,
    allowed: Permissions,
    *,
    room: Room,
    watched: bool = False,
) -> MadePlan:
    """Tell what a run would do, from metadata and headers alone.

    Where models will be `watched` at work whatever the manifest's method is, they have to be such as can be.

    Raises:
        RamekinError: As `read_facts`.
    """
    manifest = loaded.manifest
    facts = read_facts(manifest, lock, sources)
    findings, layout = laid_out(manifest, facts, watched=watched or manifest.method.uses_benchmarks)
    licence = inherited(manifest, lock)
    against = objections(manifest, lock, standing, licence, allowed)
    action, reason = _action(
        manifest, lock, standing, fits=layout is not None and not licence.problems, against=against
    )
    cost = _cost(manifest, lock, layout, store, room) if layout else None
    plan = Plan(
        schema_version=1,
        manifest=str(loaded.path),
        key=lock.key,
        action=action,
        reason=reason,
        target=standing.target,
        method=PlannedMethod(name=manifest.method.name, parameters=manifest.method.parameters()),
        sources=_planned_sources(lock, facts),
        findings=findings,
        licence=PlannedLicence(
            licence=licence.license, notices=licence.notices, problems=tuple(p.what for p in licence.problems)
        ),
        layout=PlannedLayout.of(layout) if layout else None,
        cost=cost,
        changes=changes_between(standing.report, lock, manifest),
        evaluation=plan_evaluation(manifest),
    )
    return MadePlan(plan, layout, against, room)


def _action(
    manifest: Manifest, lock: Lock, standing: Standing, *, fits: bool, against: tuple[Problem, ...]
) -> tuple[Action, str]:
    if not fits:
        return "refuse", "the sources do not fit together"
    if against:
        return "refuse", against[0].what
    if standing.holds(lock.key):
        if standing.report and _other_texts(manifest, standing.report):
            return "card", "the weights are published already, and the card texts have changed"
        seen = "; whether its `card.template` has changed is seen when it is run" if manifest.card.template else ""
        return "nothing", f"the Hub holds this merge already{seen}"
    if standing.target.key == lock.key:
        return "publish", f"{len(standing.altered)} published files are no longer as they were merged"
    return "publish", "the Hub holds another merge" if standing.target.key else "nothing is published yet"


def _other_texts(manifest: Manifest, report: Report) -> bool:
    """Whether the published card is of other texts. Of a template no more is known than that there is one."""
    published, named = report.output.files.get(CARD_TEMPLATE), manifest.card.template is not None
    known = published.sha256 if published and named else None
    return (published is not None) != named or report.texts != manifest.card.holding(known).digest


def _planned_sources(lock: Lock, facts: Mapping[str, CheckpointFacts]) -> tuple[PlannedSource, ...]:
    return tuple(
        PlannedSource(
            role=role,
            source=pinned.source,
            kind=pinned.kind,
            requested=pinned.requested,
            commit=pinned.commit,
            license=pinned.card.license,
            private=pinned.private,
            files=len(pinned.files),
            bytes=sum(file.size for file in pinned.files.values()),
            adapter=describe_adapter(facts["base"], facts[role]) if role in facts else None,
        )
        for role, pinned in (lock.sources | lock.data).items()
    )


def _cost(manifest: Manifest, lock: Lock, layout: Layout, store: BlobStore, room: Room) -> PlannedCost:
    missing = store.missing(lock)
    at_hand = {f.digest for s in (lock.sources | lock.data).values() for f in s.files.values()} - missing.keys()
    copied = sum(lock.base.files[name].size for name in files_to_copy(lock.base.files))
    pinned = {role: source.files for role, source in lock.sources.items()}
    choose = partial(choose_mode, room, layout, pinned, missing, passes=manifest.method.passes, copied=copied)
    written = models_written(manifest, lock)
    disk = choose(beside=layout.total_size if written == "needed" else 0)
    if written == "wanted":
        more = choose(beside=layout.total_size)
        disk = disk if room.shortages(more.normal) else more
    whole = "are watched at work" if manifest.method.uses_benchmarks else "are measured" if manifest.evaluate else None
    if whole and disk.mode == "low-disk":
        disk = disk.model_copy(update={"mode": "normal", "reason": f"models that {whole} have to be there whole"})
    data = [source.files for source in lock.data.values()]
    resident = _resident_bytes(manifest, layout)
    files, method = [*pinned.values(), *data], manifest.method
    return estimate_cost(
        files, at_hand, layout, method.reads, copied, thresholds=method.thresholds, resident=resident, disk=disk
    )


def _resident_bytes(manifest: Manifest, layout: Layout) -> int:
    """Bytes of the model that is run, in the element type that it is run in; 0 where none is."""
    asked = layout.total_size if manifest.evaluate and manifest.evaluate.command is None else 0
    return max(watched_bytes(manifest.method, layout), asked)

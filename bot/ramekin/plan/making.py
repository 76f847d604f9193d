"""Making a plan: sources as pinned, headers and small files read, the target looked at, and everything compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ramekin.checkpoint.facts import CheckpointFacts, read_checkpoint
from ramekin.checkpoint.selection import files_to_copy
from ramekin.errors import DamagedError, IncompatibleError, Problem, RamekinError
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import LoadedManifest
from ramekin.plan.adapters import describe_adapter
from ramekin.plan.compatibility import Finding, compare_checkpoints
from ramekin.plan.copies import foreign_copies, untied_heads
from ramekin.plan.cost import PlannedCost, estimate_cost, watched_bytes
from ramekin.plan.difference import changes_between
from ramekin.plan.disk import Room, choose_mode
from ramekin.plan.laying import lay_out
from ramekin.plan.layout import Layout
from ramekin.plan.measuring import models_written, plan_evaluation
from ramekin.plan.model import Action, Plan, PlannedLayout, PlannedLicence, PlannedMethod, PlannedSource
from ramekin.plan.neurons import donors_of, find_neuronless, find_rounded
from ramekin.plan.objections import Permissions, inherited, objections
from ramekin.plan.standing import Standing
from ramekin.report import CARD_TEMPLATE, Report
from ramekin.sources import ReadRange, Sources
from ramekin.store import BlobStore
from ramekin.threads import at_once


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
        problems = [
            Problem(f"{finding.place}: {finding.subject}: {finding.what}", finding.hint) for finding in self.plan.errors
        ]
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
        SourceError: A source cannot be read.
        DamagedError: A header or config is not what its format says; all sources are looked at first.
        IncompatibleError: A source has no weights that can be merged.
    """
    manifest = loaded.manifest
    facts = _facts(manifest, lock, sources)
    base, experts = facts["base"], {role: fact for role, fact in facts.items() if role != "base"}
    findings, layout = _laid_out(manifest, base, experts, watched=watched or manifest.method.uses_benchmarks)
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


def _laid_out(
    manifest: Manifest, base: CheckpointFacts, experts: Mapping[str, CheckpointFacts], *, watched: bool
) -> tuple[tuple[Finding, ...], Layout | None]:
    """What is to be told of the checkpoints, and the files to write; None where they do not fit."""
    findings, output = compare_checkpoints(base, experts, watched=watched), manifest.output
    if watched:
        findings = (*find_neuronless(base), *findings)
    if any(finding.severity == "error" for finding in findings):
        return findings, None
    layout = lay_out(base, experts, dtype=output.dtype, shard_size=output.shard_size)
    return (*findings, *find_rounded(layout, donors_of(manifest))), layout


def confirm_layout(
    layout: Layout,
    manifest: Manifest,
    lock: Lock,
    files: Mapping[str, Mapping[str, Path]],
    elsewhere: Mapping[str, ReadRange],
) -> None:
    """Hold the files that were fetched, and whose digests were checked, against the headers that the plan has seen.

    Args:
        layout: What the plan has laid out.
        manifest: What is merged.
        lock: What is pinned.
        files: Local paths by role and name.
        elsewhere: Reads those that were not fetched, by role; they are looked at when they come.

    Raises:
        DamagedError: They say something else: whoever answered then told two stories.
        IncompatibleError: An adapter was trained on other weights than the base's, of which it holds a copy; or an
            expert has an output layer of its own, which the base ties.
    """
    facts = {}
    readers = {role: _file_reader(files[role], elsewhere[role]) for role in lock.sources}
    for role, pinned in lock.sources.items():
        facts[role] = read_checkpoint(readers[role], pinned.files, role=role, source=pinned.source)
    base = facts.pop("base")
    problems: list[Problem] = []
    for role, fact in facts.items():
        problems += foreign_copies(base, fact, readers["base"], readers[role])
        problems += untied_heads(base, fact, readers[role])
    if problems:
        raise IncompatibleError(problems=problems)
    if lay_out(base, facts, dtype=manifest.output.dtype, shard_size=manifest.output.shard_size) != layout:
        raise DamagedError(
            "the fetched files are not laid out as their headers said when the merge was planned",
            "run the same command again; if it stays so, do not trust the source",
        )


def _file_reader(files: Mapping[str, Path], elsewhere: ReadRange) -> ReadRange:
    def read(file: str, start: int, stop: int) -> bytes:
        if file not in files:
            return elsewhere(file, start, stop)
        with files[file].open("rb") as stream:
            stream.seek(start)
            return stream.read(max(0, stop - start))

    return read


def _facts(manifest: Manifest, lock: Lock, sources: Sources) -> Mapping[str, CheckpointFacts]:
    """Every checkpoint, read at once; problems of all are reported together."""

    def read(role: str) -> CheckpointFacts | RamekinError:
        pinned = lock.sources[role]
        reader = sources.open(manifest.sources[role]).reader(pinned)
        try:
            return read_checkpoint(reader, pinned.files, role=role, source=pinned.source)
        except RamekinError as error:
            return error

    outcomes = dict(zip(lock.sources, at_once(read, lock.sources, 8), strict=True))
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, RamekinError)]
    if errors:
        raise type(errors[0])(problems=[problem for error in errors for problem in error.problems]) from errors[0]
    return {role: outcome for role, outcome in outcomes.items() if isinstance(outcome, CheckpointFacts)}


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

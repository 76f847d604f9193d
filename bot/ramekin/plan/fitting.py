"""Whether checkpoints fit together, and as what their merge is laid out: from headers and small files alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from ramekin.checkpoint.facts import CheckpointFacts, read_checkpoint
from ramekin.errors import DamagedError, IncompatibleError, Problem, RamekinError
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.plan.compatibility import Finding, compare_checkpoints
from ramekin.plan.copies import foreign_copies, untied_heads
from ramekin.plan.laying import lay_out
from ramekin.plan.layout import Layout
from ramekin.plan.neurons import donors_of, find_neuronless, find_rounded
from ramekin.sources import ReadRange, Sources
from ramekin.threads import at_once


def fitted(manifest: Manifest, lock: Lock, sources: Sources) -> Layout:
    """The files to write, for what needs no plan.

    Raises:
        IncompatibleError: The checkpoints do not fit together; with every mismatch.
        RamekinError: As `read_facts`.
    """
    findings, layout = laid_out(manifest, read_facts(manifest, lock, sources), watched=False)
    if layout is None:
        raise IncompatibleError(problems=mismatches(findings))
    return layout


def mismatches(findings: Iterable[Finding]) -> list[Problem]:
    """What keeps checkpoints from being merged, as an error tells it."""
    return [
        Problem(f"{finding.place}: {finding.subject}: {finding.what}", finding.hint)
        for finding in findings
        if finding.severity == "error"
    ]


def read_facts(manifest: Manifest, lock: Lock, sources: Sources) -> Mapping[str, CheckpointFacts]:
    """Headers and small files of every checkpoint by role, read at once.

    Raises:
        SourceError: A source cannot be read.
        DamagedError: A header or config is not what its format says; all sources are looked at first.
        IncompatibleError: A source has no weights that can be merged.
    """

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


def laid_out(
    manifest: Manifest, facts: Mapping[str, CheckpointFacts], *, watched: bool
) -> tuple[tuple[Finding, ...], Layout | None]:
    """What is to be told of the checkpoints, and the files to write; None where they do not fit."""
    base, experts = facts["base"], {role: fact for role, fact in facts.items() if role != "base"}
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

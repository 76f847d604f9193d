"""Files of weights that are on the disk only in parts, and only while they are needed: low-disk mode's sources.

Nothing is used before its digest was checked. A file that was not seen before passes through completely; on the way the
digest of every tensor is taken, and what the next steps need is put aside. Only once the whole file has turned out to
be the pinned one is any of it used, and are those digests believed. From then on a tensor can be fetched by itself.

Files that were there before, in the Hub client's cache, in a local directory, or downloaded by an earlier run, are used
where they are, and stay.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.arrival import Described, Passage, Run, TensorDigests, holds
from ramekin.atomic import enough_disk
from ramekin.download import Line, Wanted, raise_all
from ramekin.plan.layout import Shard
from ramekin.plan.schedule import Place, Schedule, Visit
from ramekin.plan.steps import Span, Step, spans_of
from ramekin.progress import Progress
from ramekin.threads import at_once

if TYPE_CHECKING:
    from ramekin.client import HubClient

_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Origin:
    """A file that has to be fetched.

    Attributes:
        wanted: Where it comes from.
        tensors: What the plan has seen in its header, and a merge reads.
        places: Role and name of every source that has it.
    """

    wanted: Wanted
    tensors: frozenset[Described]
    places: tuple[tuple[str, str], ...]


class FetchedParts:
    """Gives each step of a merge the files that it reads, as a schedule has it.

    Args:
        root: Directory for the parts; they are all that is in it.
        schedule: What is fetched and deleted when.
        origins: The files that have to be fetched, by digest.
        at_hand: Local paths of all others, by role and name.
        known: Digests of the tensors of files that passed through completely before, by digest of the file.
        note: Is given `known` whenever another file is, to be remembered by the next run.
        client: The Hub.
        progress: Where progress shows.
    """

    def __init__(  # noqa: PLR0913
        self,
        root: Path,
        schedule: Schedule,
        origins: Mapping[str, Origin],
        at_hand: Mapping[str, Mapping[str, Path]],
        *,
        known: Mapping[str, TensorDigests],
        note: Callable[[Mapping[str, TensorDigests]], None],
        client: "HubClient",
        progress: Progress,
    ) -> None:
        self._root = root
        self._schedule = schedule
        self._origins = origins
        self._at_hand = at_hand
        self._known = dict(known)
        self._note = note
        self._client = client
        self._progress = progress
        self._spans = spans_of(schedule.steps)
        self._checked: set[Place] = set()
        self._time = 0
        clear_parts(root, schedule.lying)

    def steps(self, shard: Shard) -> Sequence[Shard]:
        """An output file in steps, for `holding`."""
        return [step.shard for step in self._schedule.steps if step.shard.file == shard.file]

    @contextmanager
    def holding(self, shard: Shard) -> Iterator[Mapping[str, Mapping[str, Path]]]:
        """Every file that a step's tensors are read from, for as long as the context lasts.

        Raises:
            SourceError: A file cannot be had.
            DamagedError: A file is not what the lock says, or not what the plan has seen.
            ResourceError: The disk is full.
        """
        visit = self._next_visit(shard)
        step = self._schedule.steps[visit.number]
        self._fetch(visit, step)
        files = {role: dict(paths) for role, paths in self._at_hand.items()}
        fetched = [digest for digest in step.parts if digest in self._origins]
        for digest in fetched:
            for role, name in self._origins[digest].places:
                files.setdefault(role, {})[name] = self._path((visit.number, digest))
        yield files
        for digest in fetched:
            if digest not in visit.kept:
                self._path((visit.number, digest)).unlink()

    def _next_visit(self, shard: Shard) -> Visit:
        """The schedule's next visit to a step; what comes before it is left out."""
        for time in range(self._time, len(self._schedule.visits)):
            step = self._schedule.steps[self._schedule.visits[time].number]
            if step.shard == shard:
                self._time = time + 1
                return self._schedule.visits[time]
        raise AssertionError(f"{shard.file}: a step that is not expected any more")

    def _path(self, place: Place) -> Path:
        return self._root / str(place[0]) / place[1].replace(":", "-")

    def _fetch(self, visit: Visit, step: Step) -> None:
        """Bring everything that a step reads."""
        needed = [digest for digest in step.parts if digest in self._origins]
        whole = [digest for digest in needed if digest not in self._known]
        again = [digest for digest in needed if digest in self._known and not self._holds((visit.number, digest))]
        total = sum(self._origins[digest].wanted.file.size for digest in whole)
        total += sum(step.parts[digest].size for digest in again)
        if not whole and not again:
            return
        with self._progress.bar("fetching", total) as bar:
            line = Line(self._client, bar)

            jobs = [
                partial(self._pass_through, line, digest, visit.whole.get(digest, {visit.number})) for digest in whole
            ]
            jobs += [
                partial(self._fetch_run, line, (visit.number, digest), run)
                for digest in again
                for run in step.parts[digest].runs
            ]
            try:
                raise_all(at_once(line.guarded, jobs, _AT_ONCE))
            finally:  # when the user interrupts, too
                line.stopped.set()
        self._checked |= {(visit.number, digest) for digest in again}
        if whole:
            self._note(self._known)

    def _pass_through(self, line: Line, digest: str, steps: Iterable[int]) -> None:
        """Let a whole file pass, take the digests of its tensors, and put aside what some steps need of it."""
        origin = self._origins[digest]
        aside = [
            (run, self._made((number, digest)))
            for number in steps
            for run in self._schedule.steps[number].parts[digest].runs
        ]
        sink = Passage(origin.wanted, self._spans[digest], aside)
        line.receive(origin.wanted, sink)
        sink.check(origin.tensors)
        self._known[digest] = sink.tensor_digests
        self._checked |= {(number, digest) for number in steps}

    def _fetch_run(self, line: Line, place: Place, run: Span) -> None:
        """Fetch neighbouring tensors by themselves."""
        digest = place[1]
        wanted = self._origins[digest].wanted
        tensors = [span for span in self._spans[digest] if run.start <= span.start and span.stop <= run.stop]
        sink = Run(run, tensors, [(run, self._made(place))])
        line.receive(wanted, sink)
        if any(self._known[digest].get(span) != found for span, found in sink.tensor_digests.items()):
            raise wanted.damaged()

    def _made(self, place: Place) -> Path:
        """The file of a part: as long as the whole one, with holes where nothing is written."""
        path = self._path(place)
        with enough_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.truncate(self._origins[place[1]].wanted.file.size)
        return path

    def _holds(self, place: Place) -> bool:
        """Whether a part is there: it was checked when it came, or now, if an earlier run has left it."""
        number, digest = place
        if place not in self._checked and self._path(place).is_file():
            spans = self._schedule.steps[number].parts[digest].tensors
            if holds(self._path(place), spans, self._known[digest]):
                self._checked.add(place)
        return place in self._checked and self._path(place).is_file()


def clear_parts(root: Path, keep: Iterable[Place] = ()) -> None:
    """Remove all parts but some."""
    kept = {(str(number), digest.replace(":", "-")) for number, digest in keep}
    for path in root.glob("*/*"):
        if (path.parent.name, path.name) not in kept:
            path.unlink()
    if not kept:
        shutil.rmtree(root, ignore_errors=True)


def lying_parts(root: Path) -> frozenset[Place]:
    """What parts an earlier run has left."""
    found = (path for path in root.glob("*/*") if path.parent.name.isdecimal())
    return frozenset((int(path.parent.name), path.name.replace("-", ":", 1)) for path in found)

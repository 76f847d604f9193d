"""When each file of weights is fetched, kept and deleted in low-disk mode, worked out before it is done.

A file's digest covers all of it, so nothing of a file is used before all of it has passed through once. It need not lie
on the disk for that: as it passes, the digest of every tensor is taken, and what a step needs is put aside, as far as
there is room for it until then. What is not put aside is fetched again when its step comes, by ranges, each tensor
checked against the digest that was taken of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ramekin.plan.steps import Step

Place = tuple[int, str]
"""A part of a file on the disk: the number of the step that reads it, and the file's digest."""


@dataclass(frozen=True)
class Visit:
    """One step of one pass.

    Attributes:
        number: The step's number.
        whole: Files that are fetched whole before it, each with the numbers of the steps whose parts are put aside.
        again: Files of which the step's part is fetched by ranges before it.
        kept: Files whose part stays on the disk after it, for the next pass.
    """

    number: int
    whole: Mapping[str, frozenset[int]]
    again: tuple[str, ...]
    kept: frozenset[str]


@dataclass(frozen=True)
class Schedule:
    """All of it.

    Attributes:
        steps: The steps, in order.
        visits: What happens, in order: all steps once, or twice where the method reads everything twice.
        lying: Parts that lie on the disk from an earlier run and are used.
        peak: Most bytes of disk at any time.
        downloaded: Bytes that are downloaded.
        repeated: How many of them were downloaded before.
    """

    steps: tuple[Step, ...]
    visits: tuple[Visit, ...]
    lying: frozenset[Place]
    peak: int
    downloaded: int
    repeated: int


@dataclass(frozen=True)
class Terms:
    """What a schedule has to keep to.

    Attributes:
        sizes: Bytes of the files that have to be fetched, by digest; all others are at hand and stay.
        passes: How often the method reads all inputs.
        budget: Bytes of disk that there are.
        between: Whether room that is left is used to keep parts for the second pass.
        output_stays: Whether the output files stay on the disk, or are uploaded and deleted one by one.
        finished: Output files that are done already. They take no room here: they are gone, or counted as used.
        counted: Whether an earlier run finished the first of two passes.
        known: Files that passed through completely in an earlier run: the digests of their tensors are known.
        lying: Parts that such a run has left on the disk.
    """

    sizes: Mapping[str, int]
    passes: int
    budget: int
    between: bool = False
    output_stays: bool = False
    finished: Collection[str] = ()
    counted: bool = False
    known: Collection[str] = ()
    lying: Collection[Place] = ()


def make_schedule(steps: tuple[Step, ...], terms: Terms) -> Schedule:
    """Work out what is fetched when, and what stays on the disk until when."""
    return _Making(steps, terms).schedule()


@dataclass
class _Making:
    steps: tuple[Step, ...]
    terms: Terms
    times: list[int] = field(default_factory=list)  # the step's number at each time
    usage: list[int] = field(default_factory=list)  # bytes of disk at each time
    there: set[Place] = field(default_factory=set)  # what lies on the disk now
    known: set[str] = field(default_factory=set)
    downloaded: int = 0
    repeated: int = 0

    def schedule(self) -> Schedule:
        left = [n for n, step in enumerate(self.steps) if step.shard.file not in self.terms.finished]
        counting = list(range(len(self.steps))) if self.terms.passes == 2 and not self.terms.counted else []
        self.times = counting + left
        self.usage = self._least(len(counting))
        self.known = set(self.terms.known)
        self._take_up()
        lying = frozenset(self.there)
        visits = [self._visit(time) for time in range(len(self.times))]
        if self.terms.between and counting:
            visits = self._kept_between(visits, len(counting))
        peak = max(self.usage, default=0)
        return Schedule(self.steps, tuple(visits), lying, peak, self.downloaded, self.repeated)

    def _least(self, merging: int) -> list[int]:
        """What each time needs by itself: the parts of its step, and the output."""
        usage: list[int] = []
        before, file, written = 0, None, 0
        for time, number in enumerate(self.times):
            step = self.steps[number]
            size = sum(step.parts[digest].pages for digest in self._fetched(step))
            if time >= merging:
                if file != step.shard.file:
                    before += written if self.terms.output_stays else 0
                file, written = step.shard.file, step.written
                size += before + written
            usage.append(size)
        return usage

    def _fetched(self, step: Step) -> list[str]:
        return [digest for digest in step.parts if digest in self.terms.sizes]

    def _take_up(self) -> None:
        """Count what lies there, nearest first, as far as there is room; the rest is as if it were not there."""
        for time, number in enumerate(self.times):
            if number in self.times[:time]:
                continue
            for digest in self._fetched(self.steps[number]):
                if digest in self.known and (number, digest) in self.terms.lying:
                    self._keep((number, digest), 0, time)

    def _visit(self, time: int) -> Visit:
        number = self.times[time]
        step = self.steps[number]
        needed = self._fetched(step)
        whole = {digest: {number} for digest in needed if digest not in self.known}
        again = tuple(digest for digest in needed if digest in self.known and (number, digest) not in self.there)
        refetched = sum(step.parts[digest].size for digest in again)
        self.downloaded += sum(self.terms.sizes[digest] for digest in whole) + refetched
        self.repeated += refetched
        self.known |= whole.keys()
        for use, later in self._first_uses(time + 1):
            for digest, numbers in whole.items():
                if digest in self.steps[later].parts and later != number and self._keep((later, digest), time, use):
                    numbers.add(later)
        self.there -= {(number, digest) for digest in needed}
        return Visit(number, {digest: frozenset(numbers) for digest, numbers in whole.items()}, again, frozenset())

    def _first_uses(self, start: int) -> list[tuple[int, int]]:
        """When each step comes first from a time on, with its number."""
        first: dict[int, int] = {}
        for time in range(start, len(self.times)):
            first.setdefault(self.times[time], time)
        return [(time, number) for number, time in first.items()]

    def _kept_between(self, visits: list[Visit], counting: int) -> list[Visit]:
        """Use the room that is left to keep parts from the first pass for the second."""
        when = {number: time for time, number in enumerate(self.times[:counting])}
        for time in range(counting, len(self.times)):
            number = self.times[time]
            for digest in visits[time].again:
                if self._keep((number, digest), when[number] + 1, time):
                    size = self.steps[number].parts[digest].size
                    self.downloaded -= size
                    self.repeated -= size
                    before, after = visits[when[number]], visits[time]
                    visits[when[number]] = replace(before, kept=before.kept | {digest})
                    visits[time] = replace(after, again=tuple(one for one in after.again if one != digest))
        return visits

    def _keep(self, place: Place, start: int, use: int) -> bool:
        """Keep a part from one time until it is used, if there is room all the while."""
        pages = self.steps[place[0]].parts[place[1]].pages
        if any(self.usage[time] + pages > self.terms.budget for time in range(start, use)):
            return False
        for time in range(start, use):
            self.usage[time] += pages
        self.there.add(place)
        return True

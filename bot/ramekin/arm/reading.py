"""A manifest's benchmarks, read: for each the texts in which neurons are watched, and those by which merges are judged.

Everything is rendered, tokenised and searched once, with the base's tokenizer and one chat template, so that every
model reads the same token ids.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ramekin.arm.roles.finding import Role, Search, Traced, find_roles
from ramekin.arm.roles.parsers import PARSERS
from ramekin.arm.roles.rendering import Markers, Renderer
from ramekin.arm.roles.trajectories import Trajectory, read_trajectories, shared_tasks
from ramekin.errors import DamagedError, IncompatibleError, Problem
from ramekin.manifest.benchmarks import Benchmark
from ramekin.manifest.model import Manifest
from ramekin.text import printable

HELD_OUT: Final = 0.2
"""Part of the tasks that is set aside where no development data are named (the project's choice)."""

KEPT: Final = 0.5
"""Part of the tasks of development data that is kept where coefficients are tuned (the project's choice)."""

_SHOWN_TASKS: Final = 5


@dataclass(frozen=True)
class Prompt:
    """Something to be answered.

    Attributes:
        ids: Token ids of all that stands before the answer.
        answer: The recorded one.
    """

    ids: tuple[int, ...]
    answer: str


@dataclass(frozen=True)
class Material:
    """What one benchmark has to read.

    Attributes:
        donor: The expert that is best at it.
        role: Its role, in the trajectories in which neurons are watched.
        said: All that the assistant says in them; None where the texts were given.
        dev: The role in the trajectories by which models are judged; None if there are none.
        held_out: Whether these were set aside from the calibration data.
        dev_watched: Whether neurons were watched in them, too: then they are for show, and nothing is decided by them.
        kept: The role in other development data, which nothing is chosen by.
        prompts: What models are asked; empty if they are not.
        judge: How answers are compared.
        longest: Most tokens of an answer.
        by_task: Whether each task counts the same.
        template: Digest of the chat template; None where all texts were given.
    """

    donor: str
    role: Role
    said: Role | None = None
    dev: Role | None = None
    held_out: bool = False
    dev_watched: bool = False
    kept: Role | None = None
    prompts: tuple[Prompt, ...] = ()
    judge: str | None = None
    longest: int = 256
    by_task: bool = False
    template: str | None = None


def read_materials(
    manifest: Manifest,
    data: Mapping[str, Path],
    tokenizer: Any,
    *,
    develop: bool,
    keep: bool = False,
    show: bool = False,
) -> dict[str, Material]:
    """Read all benchmarks of a manifest.

    Args:
        manifest: The manifest.
        data: Local paths of its recorded runs by role, `data:BENCHMARK:USE`.
        tokenizer: The base's, a fast one.
        develop: Whether development data are wanted: where none are named, part of the calibration data is set aside.
        keep: Whether half of the development data is kept for the end, when all is chosen.
        show: Whether there are to be some also where nothing is decided by them: part of the calibration data then is
            both, so that what is decided is what would be without.

    Raises:
        DamagedError: A file is not what it should be, a role is not found, or calibration and development data share
            tasks; the problems of all benchmarks at once.
        IncompatibleError: The tokenizer or the chat template cannot be worked with.
    """
    found: dict[str, Material] = {}
    problems: list[Problem] = []
    kind: type[DamagedError | IncompatibleError] = DamagedError
    for name, benchmark in manifest.benchmarks.items():
        try:
            found[name] = _Reading(name, benchmark, data, tokenizer).material(develop=develop, keep=keep, show=show)
        except (DamagedError, IncompatibleError) as error:
            kind = type(error) if not problems else kind
            problems += error.problems
    if problems:
        raise kind(problems=problems)
    return found


@dataclass
class _Reading:
    """One benchmark being read."""

    name: str
    benchmark: Benchmark
    data: Mapping[str, Path]
    tokenizer: Any
    _renderer: Renderer | None = field(default=None, init=False)

    def material(self, *, develop: bool, keep: bool, show: bool) -> Material:
        benchmark = self.benchmark
        calibration: Sequence[Trajectory] = self._trajectories("calibration")
        dev: Sequence[Trajectory] = ()
        held_out = False
        if benchmark.dev is not None:
            dev = self._trajectories("dev")
            self._check_disjoint(calibration, dev)
        elif develop:
            calibration, dev = self._parted(calibration, HELD_OUT, "no `dev`")
            held_out = True
        kept: Sequence[Trajectory] = ()
        if keep and dev:
            dev, kept = self._parted(dev, KEPT, "all of it is needed to tune by")
        role, *said = self._find(calibration, "calibration", self._searches(calibration))
        found = self._role(dev, "dev" if benchmark.dev else "calibration") if dev else None
        if found and held_out:
            known = {traced.digest for traced in role.trajectories}  # the same run under another task's name
            found.trajectories = [traced for traced in found.trajectories if traced.digest not in known]
            if not found.trajectories:
                raise DamagedError(
                    f"`benchmarks.{self.name}`: all runs that were set aside are others again",
                    "name some as `dev`",
                )
        elif found:
            self._check_same_texts(role, found)
        elif show:
            found = self._some_of(role)
        return Material(
            donor=benchmark.expert,
            role=role,
            said=said[0] if said else None,
            dev=found,
            held_out=held_out,
            dev_watched=found is not None and not dev,
            kept=self._role(kept, "dev") if kept else None,
            prompts=self._prompts(found) if found and benchmark.evaluate else (),
            judge=benchmark.evaluate,
            longest=benchmark.max_new_tokens,
            by_task=benchmark.weight == "task",
            template=hashlib.sha256(self._renderer.template.encode()).hexdigest() if self._renderer else None,
        )

    def _trajectories(self, use: str) -> tuple[Trajectory, ...]:
        return read_trajectories(self.data[f"data:{self.name}:{use}"], Path(self.benchmark.data[use].file))

    def _searches(self, trajectories: Sequence[Trajectory]) -> list[Search]:
        """The role, and for comparison all that the assistant says; where texts are given nobody knows who speaks."""
        shown, limit = self.benchmark.demonstrations, self.benchmark.max_tokens
        said = Search(PARSERS["assistant"], shown_turns=shown, limit=limit)
        return [self._search, said] if all(each.text is None for each in trajectories) else [self._search]

    @property
    def _search(self) -> Search:
        benchmark = self.benchmark
        return Search(
            benchmark.role.parser,
            last_turn=benchmark.turns == "last",
            shown_turns=benchmark.demonstrations,
            policy=benchmark.tokens,
            limit=benchmark.max_tokens,
        )

    def _role(self, trajectories: Sequence[Trajectory], use: str) -> Role:
        return self._find(trajectories, use, [self._search])[0]

    def _find(self, trajectories: Sequence[Trajectory], use: str, searches: Sequence[Search]) -> list[Role]:
        where = f"`benchmarks.{self.name}.{use}`"
        return find_roles(trajectories, self.tokenizer, lambda: self._made(trajectories), searches, where)

    def _made(self, trajectories: Sequence[Trajectory]) -> Renderer:
        benchmark = self.benchmark
        if self._renderer is None:
            template = self.data.get(f"data:{self.name}:chat_template")
            prefix, suffix = benchmark.assistant_prefix, benchmark.assistant_suffix
            self._renderer = Renderer(
                self.tokenizer,
                template=template.read_text("utf-8") if template else None,
                markers=Markers(prefix, suffix) if prefix and suffix else None,
                settings=benchmark.template_kwargs,
                tools=any(each.tools for each in trajectories),
            )
        return self._renderer

    def _prompts(self, role: Role) -> tuple[Prompt, ...]:
        """What stands before the last turn that counts, and that turn."""
        return tuple(
            Prompt(tuple(self._ids(traced.text[: traced.reply[0]])), traced.text[slice(*traced.reply)])
            for traced in role.trajectories
            if traced.reply and traced.reply[0]
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _parted(
        self, trajectories: Sequence[Trajectory], share: float, why: str
    ) -> tuple[list[Trajectory], list[Trajectory]]:
        """Set part of the tasks aside, by their names' digests: the same on every machine, and in any order."""
        aside = _first_tasks({each.task for each in trajectories}, share)
        if all(each.task in aside for each in trajectories):
            raise DamagedError(
                f"`benchmarks.{self.name}` has runs of one task alone, and {why}",
                "name runs of other tasks as `dev`, or record more",
            )
        kept = [each for each in trajectories if each.task not in aside]
        return kept, [each for each in trajectories if each.task in aside]

    def _some_of(self, role: Role) -> Role:
        """As many of the trajectories as would be set aside, and without taking them away."""
        chosen = _first_tasks({traced.task for traced in role.trajectories}, HELD_OUT)
        return Role([traced for traced in role.trajectories if traced.task in chosen])

    def _check_disjoint(self, calibration: Sequence[Trajectory], dev: Sequence[Trajectory]) -> None:
        shared = shared_tasks(calibration, dev)
        if shared:
            raise self._shared(f"{len(shared)} tasks", shared)

    def _check_same_texts(self, calibration: Role, dev: Role) -> None:
        """The same run under another name is the same run."""
        known = {traced.digest for traced in calibration.trajectories}
        shared = [traced.name for traced in dev.trajectories if traced.digest in known]
        if shared:
            raise self._shared(f"{len(shared)} runs", shared)

    def _shared(self, what: str, names: Sequence[str]) -> DamagedError:
        shown = ", ".join(f"`{printable(name, 40)}`" for name in names[:_SHOWN_TASKS])
        more = " …" if len(names) > _SHOWN_TASKS else ""
        return DamagedError(
            f"`benchmarks.{self.name}` has {what} both in `calibration` and in `dev`: {shown}{more}",
            "a merge must not be judged by what it was chosen on: keep each task in one of the two",
        )


def _first_tasks(tasks: Collection[str], share: float) -> set[str]:
    """So large a part of some tasks, rounded up, the first by their names' digests."""
    ranking = sorted(tasks, key=lambda task: hashlib.sha256(task.encode()).digest())
    return {*ranking[: math.ceil(share * len(ranking))]}


def read_alone(traced: Traced) -> tuple[tuple[str, bool], ...]:
    """A trajectory's text in pieces, and whether each is in the role."""
    pieces, at = [], 0
    for start, end in traced.spans:
        pieces += [(traced.text[at:start], False), (traced.text[start:end], True)]
        at = end
    pieces.append((traced.text[at:], False))
    return tuple((text, inside) for text, inside in pieces if text)

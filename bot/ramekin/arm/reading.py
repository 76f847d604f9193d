"""A manifest's benchmarks, read: for each the texts in which neurons are watched, and those by which merges are judged.

Everything is rendered, tokenised and searched once, with the base's tokenizer and one chat template, so that every
model reads the same token ids.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ramekin.arm.parting import HELD_OUT, KEPT, not_apart, parted, same_texts, some_of
from ramekin.arm.roles.finding import Role, find_roles
from ramekin.arm.roles.looking import Search
from ramekin.arm.roles.parsers import PARSERS
from ramekin.arm.roles.rendering import Markers, Renderer
from ramekin.arm.roles.trajectories import Trajectory, read_trajectories, shared_tasks
from ramekin.errors import DamagedError, IncompatibleError
from ramekin.manifest.benchmarks import Benchmark
from ramekin.manifest.model import Manifest


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
        show: Whether there are to be some also where nothing is decided by them; these stay calibration data, too.

    Raises:
        DamagedError: A file is not what it should be, a role is not found, or calibration and development data share
            tasks; the problems of all benchmarks at once.
        IncompatibleError: The tokenizer or the chat template cannot be worked with.
    """
    found = _read(manifest, data, tokenizer, develop=develop, keep=keep, show=show)
    if found.error:
        raise found.error
    return dict(found.materials)


@dataclass(frozen=True)
class Inspected:
    """What benchmarks have to read, to be looked at.

    Attributes:
        materials: By benchmark, also where it cannot be worked with; not where there is nothing to be seen.
        error: What is wrong with any of them; None if nothing is.
    """

    materials: Mapping[str, Material]
    error: DamagedError | IncompatibleError | None


def inspect_materials(
    manifest: Manifest, data: Mapping[str, Path], tokenizer: Any, *, develop: bool, keep: bool = False
) -> Inspected:
    """Read all benchmarks of a manifest as far as they can be read; a role that is to be nothing may be empty.

    Args and what is wrong are those of `read_materials`.
    """
    return _read(manifest, data, tokenizer, develop=develop, keep=keep, goes_on=True)


def _read(
    manifest: Manifest,
    data: Mapping[str, Path],
    tokenizer: Any,
    *,
    develop: bool,
    keep: bool,
    show: bool = False,
    goes_on: bool = False,
) -> Inspected:
    found: dict[str, Material] = {}
    errors: list[DamagedError | IncompatibleError] = []
    for name, benchmark in manifest.benchmarks.items():
        told = errors if goes_on else None
        try:
            found[name] = _Reading(name, benchmark, data, tokenizer, told).material(
                develop=develop, keep=keep, show=show
            )
        except (DamagedError, IncompatibleError) as error:
            errors.append(error)
    problems = dict.fromkeys(problem for error in errors for problem in error.problems)
    return Inspected(found, type(errors[0])(problems=[*problems]) if errors else None)


@dataclass
class _Reading:
    """One benchmark being read; what is wrong ends that, unless there is a list of what is `told`."""

    name: str
    benchmark: Benchmark
    data: Mapping[str, Path]
    tokenizer: Any
    told: list[DamagedError | IncompatibleError] | None = None
    _renderer: Renderer | None = field(default=None, init=False)

    def material(self, *, develop: bool, keep: bool, show: bool) -> Material:
        benchmark = self.benchmark
        calibration: Sequence[Trajectory] = self._trajectories("calibration")
        dev: Sequence[Trajectory] = ()
        held_out = False
        if benchmark.dev is not None:
            dev = self._trajectories("dev")
            self._see_that_apart(shared_tasks(calibration, dev), "tasks")
        elif develop:
            calibration, dev = self._parted(calibration, HELD_OUT, "no `dev`")
            held_out = True
        kept: Sequence[Trajectory] = ()
        if keep and dev:
            dev, kept = self._parted(dev, KEPT, "all of it is needed to tune by")
        role, *said = self._find(calibration, "calibration", self._searches(calibration))
        found = self._role(dev, "dev" if benchmark.dev else "calibration", beside=role if held_out else None)
        if found and held_out:
            self._leave_out(found, role)
        elif found:
            self._see_that_apart(same_texts(role, found), "runs")
        elif show:
            found = some_of(role, HELD_OUT)
        return Material(
            donor=benchmark.expert,
            role=role,
            said=said[0] if said and said[0].trajectories else None,
            dev=found,
            held_out=held_out,
            dev_watched=found is not None and not dev,
            kept=self._role(kept, "dev", beside=found),
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

    def _role(self, trajectories: Sequence[Trajectory], use: str, beside: Role | None) -> Role | None:
        """The role in development data, if there are any; what is wrong is told once of a file that it shares."""
        known = beside is not None and bool(beside.unread or beside.empty)
        return self._find(trajectories, use, [self._search], known=known)[0] if trajectories else None

    def _find(
        self, trajectories: Sequence[Trajectory], use: str, searches: Sequence[Search], *, known: bool = False
    ) -> list[Role]:
        where = f"`benchmarks.{self.name}.{use}`"
        found = find_roles(trajectories, self.tokenizer, lambda: self._made(trajectories), searches, where)
        problem = found[0].unread or (None if self._is_to_be_empty else found[0].empty)
        if problem and not known:
            self._tell(DamagedError(problems=[problem]))
        return found

    @property
    def _is_to_be_empty(self) -> bool:
        """Whether a role without tokens is what was asked for, to look at."""
        return self.told is not None and self.benchmark.role.name == "none"

    def _tell(self, error: DamagedError) -> None:
        if self.told is None:
            raise error
        self.told.append(error)

    def _leave_out(self, aside: Role, role: Role) -> None:
        """Of what was set aside, leave out what is the same run under another task's name."""
        known = {traced.digest for traced in role.trajectories}
        there, aside.trajectories = aside.trajectories, [run for run in aside.trajectories if run.digest not in known]
        if there and not aside.trajectories:
            what = f"`benchmarks.{self.name}`: all runs that were set aside are others again"
            self._tell(DamagedError(what, "name some as `dev`"))

    def _made(self, trajectories: Sequence[Trajectory]) -> Renderer:
        benchmark = self.benchmark
        if self._renderer is None:
            prefix, suffix = benchmark.assistant_prefix, benchmark.assistant_suffix
            self._renderer = Renderer(
                self.tokenizer,
                template=self._template(),
                markers=Markers(prefix, suffix) if prefix and suffix else None,
                settings=benchmark.template_kwargs,
                tools=any(each.tools for each in trajectories),
            )
        return self._renderer

    def _template(self) -> str | None:
        """The chat template that the manifest names instead of the base's."""
        path = self.data.get(f"data:{self.name}:chat_template")
        try:
            return path.read_text("utf-8") if path else None
        except (OSError, UnicodeDecodeError) as error:
            raise DamagedError(
                f"{self.benchmark.data['chat_template'].file} cannot be read: {error}",
                "give a chat template of transformers, text in UTF-8",
            ) from error

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
    ) -> tuple[Sequence[Trajectory], Sequence[Trajectory]]:
        kept, aside = parted(trajectories, share)
        if not kept:
            what = f"`benchmarks.{self.name}` has runs of one task alone, and {why}"
            self._tell(DamagedError(what, "name runs of other tasks as `dev`, or record more"))
            return trajectories, ()
        return kept, aside

    def _see_that_apart(self, names: Sequence[str], kind: str) -> None:
        if names:
            self._tell(not_apart(f"benchmarks.{self.name}", names, kind))

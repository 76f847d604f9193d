"""What models are asked, and how: everything that a decision is made from, measured by all processes together.

Each process has the model, merges the candidates into it, and reads its share of the texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ramekin.arm.alignment import alignment
from ramekin.arm.architecture import Layer, tensors_of
from ramekin.arm.hosting import Host, assembled, dtype_of, load_tokenizer
from ramekin.arm.observing import Aim, Kind, Measured, Observed, Observer, mean_of_all, observe_all
from ramekin.arm.reading import Material, read_materials
from ramekin.arm.store import SaliencyStore
from ramekin.arm.tuning import Search
from ramekin.checkpoint.selection import files_to_copy
from ramekin.digests import json_digest
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.merge.files import SourceFiles, Supply
from ramekin.merge.orders import Means, lead
from ramekin.merge.team import Team
from ramekin.methods import Arm, Choosing, Tuned
from ramekin.methods.base import SEMANTICS, Method
from ramekin.plan.layout import Layout
from ramekin.progress import Bar


@dataclass(frozen=True)
class Terms:
    """What a manifest's method asks to be measured.

    Attributes:
        candidates: The candidates by name.
        aim: What is measured.
        develop: Whether development data are wanted.
        trace_dtype: Element type that models are run in.
        tune: How many candidates a search for better coefficients may try; 0 without one.
    """

    candidates: Mapping[str, Method]
    aim: Aim
    develop: bool
    trace_dtype: str
    tune: int = 0

    @classmethod
    def of(cls, method: Choosing, manifest: Manifest, *, everything: bool = False) -> "Terms":
        """What a method needs; `everything` that can be known where all is to be shown."""
        asked = any(benchmark.evaluate for benchmark in manifest.benchmarks.values())
        wants_answers = asked and (everything or "scores" in method.signals or getattr(method, "repair", "") == "auto")
        develop = method.develops(asked=asked)
        named = all(benchmark.dev for benchmark in manifest.benchmarks.values())
        likelihood = develop or (everything and named)
        arm = isinstance(method, Arm)
        aim = Aim(
            overlap=arm or everything or "aos" in method.signals,
            said=arm,
            likelihood=likelihood,
            answers=wants_answers,
        )
        tune = method.budget if isinstance(method, Tuned) and not everything else 0
        return cls(method.candidates, aim, develop, str(getattr(method, "trace_dtype", "base")), tune)


@dataclass(frozen=True)
class Question:
    """All that a decision is made from; the same in every process.

    Attributes:
        manifest: The manifest.
        lock: Its lock.
        layout: The tensors of the merge.
        files: Local path of every source's files, by role and name.
        data: Local paths of recorded runs, by role.
        terms: What is measured, and of which candidates.
        store: Where what was measured is kept.
        device: `auto`, `cpu` or `cuda`.
    """

    manifest: Manifest
    lock: Lock
    layout: Layout
    files: SourceFiles
    data: Mapping[str, Path]
    terms: Terms
    store: Path
    device: str = "auto"

    @property
    def candidates(self) -> Mapping[str, Method]:
        """The candidates by name, in order."""
        return self.terms.candidates

    @property
    def experts(self) -> dict[str, str]:
        """Digest of all that determines the weights of each expert."""
        base = self._digests("base")  # and the output's types: what an adapter changes is rounded to them
        return {name: json_digest([self._digests(f"expert:{name}"), base, self._types]) for name in self.layout.experts}

    def digest_of(self, method: Method) -> str:
        """Digest of all that determines the weights of a candidate."""
        sources = [self._digests(role) for role in self.lock.sources]
        return json_digest([SEMANTICS, method.model_dump(mode="json"), sources, [*self.layout.experts], self._types])

    @property
    def _types(self) -> list[str]:
        return sorted({task.dtype for shard in self.layout.shards for task in shard.tensors})

    def _digests(self, role: str) -> list[str]:
        return [f"{name} {file.digest}" for name, file in sorted(self.lock.sources[role].files.items())]


@dataclass(frozen=True)
class Answer:
    """What was measured.

    Attributes:
        materials: What was read, by benchmark.
        observed: What the models did.
        changed: By candidate, how many elements are not the base's.
        layers: Where the neurons are.
        names: Names of the model's tensors in its checkpoints, by those in the model.
        shapes: Shapes of the tensors that hold neurons, by their names in the model.
        dtype: Element type that models were run in.
        alignment: By expert the median cosine of its neurons' rows with the base's.
        tuned: The search for better coefficients; None without one.
    """

    materials: Mapping[str, Material]
    observed: Observed
    changed: Mapping[str, int]
    layers: tuple[Layer, ...]
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str
    alignment: Mapping[str, float]
    tuned: "Tuning | None" = None


def ask(question: Question, means: Means) -> Answer:
    """Have all processes watch the models.

    Raises:
        RamekinError: As reading, loading, merging and tracing do.
    """
    order = Watching(question)
    if means.team.size > 1:
        lead(means.team, order, means.resources)
    return order.carry_out(None, means)


@dataclass(frozen=True)
class Watching:
    """The order to watch models, for all processes."""

    question: Question

    def carry_out(self, supply: Supply | None, means: Means) -> Answer:
        """Watch them; every process knows everything in the end."""
        question = self.question
        alone = Means(means.resources, means.progress)
        with assembled(_small(question.files["base"])) as directory:
            tokenizer = load_tokenizer(directory)
        materials = read_materials(
            question.manifest, question.data, tokenizer, develop=question.terms.develop, keep=bool(question.terms.tune)
        )
        for name, material in materials.items():
            for warning in (*material.role.warnings, *(material.dev.warnings if material.dev else ())):
                means.progress.note(f"warning: {name}: {warning}")
        dtype = dtype_of(question.layout, question.terms.trace_dtype)
        host = Host(question.layout, question.files, dtype, question.device, alone, neighbours=means.team.neighbours)
        aligned = alignment(question.layout, question.files, host.layers, host.checkpoint_names)
        store = SaliencyStore(question.store)
        kind = f"{dtype} on {host.device_type}"  # what one kind of device computes is not compared with another's
        observer = Observer(
            host.layers, materials, kind, tokenizer=tokenizer, budget=host.budget, store=store, team=means.team
        )
        digests = {name: question.digest_of(method) for name, method in question.candidates.items()}
        counted = _Counted(store, digests, means.team)

        def build(names: Sequence[str]) -> Iterator[tuple[str, Any]]:
            # One whose changes were never counted is built for that alone.
            wanted = [name for name in digests if name in names or name not in counted.known]
            for name, model in host.candidates({name: question.candidates[name] for name in wanted}, counted.take):
                if name in names:
                    yield name, model

        @contextmanager
        def show(name: str, tokens: int) -> Iterator[Bar]:
            with means.progress.bar(f"watching {name}", tokens // means.team.size, "tokens") as bar:
                yield bar

        observed = observe_all(observer, question.terms.aim, question.experts, host.expert, digests, build, show=show)
        tuned = None
        if question.terms.tune:
            watched = _Watched(host, observer, observed, counted, question, show)
            tuned, observed = watched.tune()
        shapes = {task.name: task.shape for shard in question.layout.shards for task in shard.tensors}
        names = host.checkpoint_names
        held = {name: shapes[names[name]] for name in sorted(tensors_of(host.layers))}
        return Answer(materials, observed, counted.known, host.layers, names, held, dtype, aligned, tuned)


@dataclass(frozen=True)
class Tuning:
    """A search for better coefficients.

    Attributes:
        start: The candidate of the pool that it began from.
        tried: What it tried, by what it is called, in order.
        best: What it found; the start, if nothing was better.
    """

    start: str
    tried: Mapping[str, Method]
    best: str


@dataclass(frozen=True)
class _Watched:
    """What a search for coefficients works with."""

    host: Host
    observer: Observer
    observed: Observed
    counted: "_Counted"
    question: Question
    show: "Callable[[str, int], AbstractContextManager[Bar]]"

    def tune(self) -> tuple[Tuning, Observed]:
        """Search from the best of the pool; what was found is measured once more, on data that nothing is chosen by."""
        found = dict(self.observed.candidates)

        def evaluate(methods: Mapping[str, Method]) -> dict[str, float]:
            found.update(self._measured(methods, "loss"))
            return {name: mean_of_all(found[name].loss.values()) for name in methods}

        values = {name: mean_of_all(each.loss.values()) for name, each in found.items()}
        start = min(values, key=lambda name: values[name])
        search = Search([*self.question.layout.experts], evaluate, self.question.terms.tune)
        method, _ = search.run(self.question.candidates[start], values[start])
        best = next((name for name, each in search.tried.items() if each == method), start)
        known = {**self.question.candidates, **search.tried}
        for name, measured in self._measured({each: known[each] for each in {start: 0, best: 0}}, "kept").items():
            found[name].kept.update(measured.kept)
        return Tuning(start, search.tried, best), Observed(self.observed.experts, found)

    def _measured(self, methods: Mapping[str, Method], kind: Kind) -> dict[str, Measured]:
        """Measure candidates, as far as that was not done before."""
        digests = {name: self.question.digest_of(method) for name, method in methods.items()}
        wanted: dict[str, list[Kind]] = {name: [kind] for name in self.observer.materials}
        found = {name: self.observer.known(digest, wanted) for name, digest in digests.items()}
        missing = {name: methods[name] for name, known in found.items() if known.of(kind).keys() != wanted.keys()}
        self.counted.expect({name: digests[name] for name in methods})
        missing |= {name: method for name, method in methods.items() if name not in self.counted.known}
        for name, model in self.host.candidates(missing, self.counted.take):
            with self.show(name, self.observer.tokens(wanted)) as bar:
                found[name] = self.observer.measure(model, digests[name], wanted, bar.advance)
        return found


def _small(files: Mapping[str, Path]) -> dict[str, Path]:
    """Of the base's files, those that the merge takes over: config, tokenizer, templates."""
    return {name: files[name] for name in files_to_copy(files)}


class _Counted:
    """How many elements of candidates are not the base's, as far as that is known."""

    def __init__(self, store: SaliencyStore, digests: Mapping[str, str], team: Team) -> None:
        self._store = store
        self._digests: dict[str, str] = {}
        self._team = team
        self.known: dict[str, int] = {}
        self.expect(digests)

    def expect(self, digests: Mapping[str, str]) -> None:
        """Look for what is kept of candidates, by the digests of their weights; the first process tells all."""
        self._digests |= digests
        kept = {name: self._store.get_values(self._key(name)) for name in digests}
        self.known |= self._team.gather({name: int(values[0]) for name, values in kept.items() if values})[0]

    def take(self, name: str, count: int) -> None:
        """Remember a count."""
        self.known[name] = count
        if not self._team.rank:
            self._store.put_values(self._key(name), [count], {"candidate": name})

    def _key(self, name: str) -> str:
        return json_digest({"changed": self._digests[name]})

"""What models are asked, and how: everything that a decision is made from, measured by all processes together.

Each process has the model, merges the candidates into it, and reads its share of the texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ramekin.arm.alignment import alignment
from ramekin.arm.architecture import Layer, tensors_of
from ramekin.arm.fitting import see_that_all_fit
from ramekin.arm.hosting import Host, dtype_of, load_tokenizer
from ramekin.arm.measure import PAPERS, Measure
from ramekin.arm.measured import Aim, Kind, Measured, Observed
from ramekin.arm.observing import Observer, mean_of_all, observe_all, observe_candidates
from ramekin.arm.reading import Material
from ramekin.arm.store import Counted, SaliencyStore
from ramekin.arm.tuning import Search
from ramekin.assembling import assembled
from ramekin.checkpoint.selection import files_to_copy
from ramekin.digests import json_digest
from ramekin.lock.model import Lock
from ramekin.manifest.model import Manifest
from ramekin.merge.files import SourceFiles, Supply
from ramekin.merge.orders import Means, lead
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
        trace_dtype: Element type that models are run in.
        tune: How many candidates a search for better coefficients may try; 0 without one.
        measure: By which measure neurons are watched.
    """

    candidates: Mapping[str, Method]
    aim: Aim
    trace_dtype: str
    tune: int = 0
    measure: Measure = PAPERS

    @classmethod
    def of(cls, method: Choosing, materials: Mapping[str, Material], *, everything: bool = False) -> "Terms":
        """What a method needs of what was read; `everything` that can be known where all is to be shown."""
        asked = any(material.judge for material in materials.values())
        wants_answers = asked and (everything or "scores" in method.signals or getattr(method, "repair", "") == "auto")
        # Where a method looks at development data they are there: named, or set aside.
        developed = all(material.dev is not None for material in materials.values())
        arm = isinstance(method, Arm)
        aim = Aim(
            overlap=arm or everything or "aos" in method.signals,
            said=arm,
            likelihood=developed and (everything or method.develops(asked=asked)),
            answers=wants_answers,
        )
        tune = method.budget if isinstance(method, Tuned) and not everything else 0
        dtype = str(getattr(method, "trace_dtype", "base"))
        return cls(method.candidates, aim, dtype, tune, Measure.of(method))


@dataclass(frozen=True)
class Question:
    """All that a decision is made from; the same in every process.

    Attributes:
        manifest: The manifest.
        lock: Its lock.
        layout: The tensors of the merge.
        files: Local path of every source's files, by role and name.
        materials: What was read, by benchmark.
        terms: What is measured, and of which candidates.
        store: Where what was measured is kept.
        device: `auto`, `cpu` or `cuda`.
    """

    manifest: Manifest
    lock: Lock
    layout: Layout
    files: SourceFiles
    materials: Mapping[str, Material]
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
        device: What models were run on.
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
    device: str = "cpu"

    @property
    def donors(self) -> dict[str, str]:
        """Expert by benchmark."""
        return {name: material.donor for name, material in self.materials.items()}


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
        """Watch them; every process knows everything in the end, but how neurons are aligned, which the first sees."""
        question, terms = self.question, self.question.terms
        for name, material in question.materials.items():
            for warning in (*material.role.warnings, *(material.dev.warnings if material.dev else ())):
                means.progress.note(f"warning: {name}: {warning}")
        dtype = dtype_of(question.layout, terms.trace_dtype)
        host = Host(question.layout, question.files, dtype, question.device, means)
        structure, names = host.structure, host.structure.checkpoint_names
        see_that_all_fit(question.materials, structure.positions)
        aligned = alignment(question.layout, question.files, structure.layers, names) if not means.team.rank else {}
        store = SaliencyStore(question.store)
        observer = Observer(
            structure.layers,
            question.materials,
            f"{dtype} on {host.device_type}",  # what one kind of device computes is not compared with another's
            tokenizer=_tokenizer(question) if terms.aim.answers else None,
            budget=host.budget,
            store=store,
            team=means.team,
            by_length=structure.by_length,
            measure=terms.measure,
        )

        @contextmanager
        def show(name: str, tokens: int) -> Iterator[Bar]:
            with means.progress.bar(f"watching {name}", tokens // means.team.size, "tokens") as bar:
                yield bar

        watched = _Watched(question, host, observer, Counted(store, means.team), show)
        observed, tuned = watched.pool(), None
        if terms.tune:
            tuned, observed = watched.tune(observed)
        shapes = {task.name: task.shape for shard in question.layout.shards for task in shard.tensors}
        held = {name: shapes[names[name]] for name in sorted(tensors_of(structure.layers))}
        means.counted.update(host.counted)  # what is chosen is merged by the same
        changed = watched.counted.known
        found = question.materials, observed, changed, structure.layers, names, held, dtype, aligned, tuned
        return Answer(*found, device=host.device_name)


def _tokenizer(question: Question) -> Any:
    """The base's, from those of its files that the merge takes over: config, tokenizer, templates."""
    files = question.files["base"]
    with assembled({name: files[name] for name in files_to_copy(files)}) as directory:
        return load_tokenizer(directory)


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
    """The model, who measures it, and what is known of candidates."""

    question: Question
    host: Host
    observer: Observer
    counted: Counted
    show: "Callable[[str, int], AbstractContextManager[Bar]]"

    def pool(self) -> Observed:
        """Measure the experts, and the candidates of the pool."""
        question, methods = self.question, self.question.candidates
        digests, build = self._built(methods)
        return observe_all(
            self.observer, question.terms.aim, question.experts, self.host.expert, digests, build, show=self.show
        )

    def tune(self, observed: Observed) -> tuple[Tuning, Observed]:
        """Search from the best of the pool; what was found is measured once more, on data that nothing is chosen by.

        Args:
            observed: What was measured of the pool.
        """
        found = dict(observed.candidates)

        def evaluate(methods: Mapping[str, Method]) -> dict[str, float]:
            found.update(self._measured(methods, "loss"))
            return {name: mean_of_all(found[name].loss.values()) for name in methods}

        values = {name: mean_of_all(each.loss.values()) for name, each in found.items()}
        start = min(values, key=lambda name: values[name])
        first = self.question.candidates[start]
        search = Search([*self.question.layout.experts], evaluate, self.question.terms.tune)
        method, _ = search.run(first, values[start])
        best = next((name for name, each in search.tried.items() if each == method), start)
        for name, measured in self._measured({start: first, best: method}, "kept").items():
            found[name].kept.update(measured.kept)
        return Tuning(start, search.tried, best), Observed(observed.experts, found)

    def _measured(self, methods: Mapping[str, Method], kind: Kind) -> dict[str, Measured]:
        """Measure one thing of candidates, on all benchmarks."""
        wanted: dict[str, list[Kind]] = {name: [kind] for name in self.observer.materials}
        digests, build = self._built(methods)
        return observe_candidates(self.observer, wanted, digests, build, show=self.show)

    def _built(
        self, methods: Mapping[str, Method]
    ) -> tuple[dict[str, str], Callable[[Sequence[str]], Iterator[tuple[str, nn.Module]]]]:
        """Digests of candidates, and what builds those that are asked for."""
        digests = {name: self.question.digest_of(method) for name, method in methods.items()}
        self.counted.expect(digests)

        def build(names: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
            # One whose changes were never counted is built for that alone.
            wanted = [name for name in methods if name in names or name not in self.counted.known]
            for name, model in self.host.candidates({name: methods[name] for name in wanted}, self.counted.take):
                if name in names:
                    yield name, model

        return digests, build

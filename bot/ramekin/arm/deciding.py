"""From benchmarks to a decision: which candidate is merged, and whose neurons it gets (arXiv 2601.07309, Algorithm 1).

    read the benchmarks -> watch experts and candidates -> choose -> see which benchmarks are weak -> transplant sets

All processes take part: each has the model, merges the candidates into it, and reads its share of the texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from ramekin.arm.alignment import LEAST, alignment
from ramekin.arm.architecture import Layer, tensors_of
from ramekin.arm.choosing import AOS_NOISE, CLOSE, Choice, Ranked, Selected, Traces, select, settled
from ramekin.arm.hosting import Host, assembled, dtype_of, load_tokenizer
from ramekin.arm.neurons import Neurons
from ramekin.arm.observing import Aim, Kind, Measured, Observed, Observer, observe_all
from ramekin.arm.reading import Material, read_materials
from ramekin.arm.repair import Weakness, weak_by_likelihood, weak_by_scores
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
from ramekin.methods.choosing import Signal
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
        develop = method.wants_development
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
        base = self._digests("base")
        return {name: json_digest([self._digests(f"expert:{name}"), base]) for name in self.layout.experts}

    def digest_of(self, method: Method) -> str:
        """Digest of all that determines the weights of a candidate."""
        dtypes = sorted({task.dtype for shard in self.layout.shards for task in shard.tensors})
        sources = [self._digests(role) for role in self.lock.sources]
        return json_digest([SEMANTICS, method.model_dump(mode="json"), sources, [*self.layout.experts], dtypes])

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
        observer = Observer(
            host.layers, materials, dtype, tokenizer=tokenizer, budget=host.budget, store=store, team=means.team
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
            return {name: _mean(found[name].loss.values()) for name in methods}

        values = {name: _mean(each.loss.values()) for name, each in found.items()}
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


@dataclass(frozen=True)
class Decision:
    """What is to be merged.

    Attributes:
        answer: What was measured.
        choice: Salient sets for the method's `top_k`; None where neurons were not watched.
        selected: The candidate.
        method: How it is merged.
        weakness: Which benchmarks are to be repaired.
        sets: Their transplant sets, in the order of repair (Eq. 8).
        given: The same without neurons that another expert gives.
        ranked: What each signal says of the candidates.
    """

    answer: Answer
    choice: Choice | None
    selected: Selected
    method: Method
    weakness: Weakness
    sets: Mapping[str, Neurons]
    given: Mapping[str, Neurons]
    ranked: Mapping[Signal, Ranked]


def decide(question: Question, answer: Answer, method: Choosing) -> Decision:
    """Choose, and find what is to be transplanted.

    Args:
        question: What was asked.
        answer: What was measured.
        method: ARM, or another that chooses.

    Raises:
        UsageError: The signal that is to decide was not measured.
    """
    top_k = float(getattr(method, "top_k", 0.1))
    choice = choose(answer, top_k)
    ranked = rank(question.manifest, answer, choice)
    selected = select(method.signals, ranked)
    nothing = Weakness("none", {}, ())
    weakness = _weakness(question.manifest, answer, selected.name, method) if isinstance(method, Arm) else nothing
    sets: Mapping[str, Neurons] = {}
    given: Mapping[str, Neurons] = {}
    if isinstance(method, Arm) and choice:
        donors = {name: material.donor for name, material in answer.materials.items()}
        sets = choice.transplants(selected.name, weakness.weak, protect=method.protect)
        given = settled(sets, donors, method.collisions)
    known = {**question.candidates, **(answer.tuned.tried if answer.tuned else {})}
    return Decision(answer, choice, selected, known[selected.name], weakness, sets, given, ranked)


def choose(answer: Answer, top_k: float) -> Choice | None:
    """The salient sets for any `top_k`, without watching again; None where neurons were not watched."""
    observed = answer.observed
    if not observed.experts.role:
        return None
    return Traces(observed.experts.role, {name: each.role for name, each in observed.candidates.items()}).choose(top_k)


def rank(manifest: Manifest, answer: Answer, choice: Choice | None) -> dict[Signal, Ranked]:
    """What each signal says of the candidates, as far as it was measured of all of them."""
    candidates = answer.observed.candidates
    found: dict[Signal, Ranked] = {}
    if choice:
        found["aos"] = Ranked(choice.selection.means, noise=AOS_NOISE)
    if all(each.loss.keys() == answer.materials.keys() for each in candidates.values()):
        parts = {
            name: {benchmark: [-loss for loss in losses] for benchmark, losses in each.loss.items()}
            for name, each in candidates.items()
        }
        found["likelihood"] = Ranked({name: _mean(by.values()) for name, by in parts.items()}, parts)
    scores = {name: scores_of(manifest, each, name) for name, each in candidates.items()}
    if all(each.keys() == answer.materials.keys() for each in scores.values()):
        measured = all(each.right.keys() == answer.materials.keys() for each in candidates.values())
        found["scores"] = Ranked(
            {name: sum(each.values()) / len(each) for name, each in scores.items()},
            {name: each.right for name, each in candidates.items()} if measured else None,
        )
    return found


def _mean(values: Any) -> float:
    means = [mean_of(each) for each in values]
    return sum(means) / len(means)


def mean_of(values: Sequence[float]) -> float:
    """Mean of those that there are."""
    there = [value for value in values if not isnan(value)]
    return sum(there) / len(there) if there else 0.0


def scores_of(
    manifest: Manifest, measured: Measured, name: str, benchmarks: Sequence[str] | None = None
) -> dict[str, float]:
    """Scores of a model by benchmark: measured where that is possible, else as the manifest has them.

    Args:
        manifest: The manifest.
        measured: What was measured of the model.
        name: What it is called in the manifest's scores.
        benchmarks: Which ones; all if left out.
    """
    found = {}
    for benchmark in benchmarks if benchmarks is not None else manifest.benchmarks:
        if benchmark in measured.right:
            found[benchmark] = mean_of(measured.right[benchmark])
        elif name in manifest.benchmarks[benchmark].scores:
            found[benchmark] = manifest.benchmarks[benchmark].scores[name]
    return found


def scores_of_donors(manifest: Manifest, answer: Answer) -> dict[str, float]:
    """By benchmark the score of its expert, as far as it is known."""
    found: dict[str, float] = {}
    for name, material in answer.materials.items():
        found |= scores_of(manifest, answer.observed.experts, material.donor, [name])
    return found


def _weakness(manifest: Manifest, answer: Answer, backbone: str, method: Arm) -> Weakness:
    """Which benchmarks are repaired: as the manifest says, or by scores where they are known, or by likelihood."""
    if isinstance(method.repair, tuple):
        return Weakness("list", {}, method.repair)
    if method.repair == "all":
        return Weakness("all", {}, tuple(answer.materials))
    if method.repair == "none":
        return Weakness("none", {}, ())
    own, donors = (
        scores_of(manifest, answer.observed.candidates[backbone], backbone),
        scores_of_donors(manifest, answer),
    )
    if own.keys() == donors.keys() == answer.materials.keys():
        return weak_by_scores({name: donors[name] for name in answer.materials}, own)
    losses = answer.observed.candidates[backbone].loss
    return weak_by_likelihood(
        {name: mean_of(answer.observed.experts.loss[name]) for name in answer.materials},
        {name: mean_of(losses[name]) for name in answer.materials},
    )


def warnings_of(decision: Decision) -> tuple[str, ...]:
    """What is to be known of a choice."""
    found = []
    for name, cosine in decision.answer.alignment.items():
        if cosine < LEAST:
            found.append(
                f"the neurons of `{name}` do not stand where the base's do (median cosine {cosine:.2f}): was it "
                "trained from another model?"
            )
    margin = decision.choice.selection.margin if decision.choice else None
    if margin is not None and margin < CLOSE and decision.selected.signal == "aos":
        found.append(
            f"the best two candidates are {float(margin):.4f} apart in mean AOS, which is less than what running the "
            "same model in another element type makes"
        )
    return tuple(found)

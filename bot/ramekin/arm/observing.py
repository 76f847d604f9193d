"""What models do on benchmarks, measured: neurons at work, likelihood of the role, answers to prompts.

Every model reads the same texts: an expert those of the benchmarks that it is the donor of, a candidate all. What was
measured of a model before is not measured again: a model of which all is known is not even loaded or built.

Several processes share the batches. What is read together does not depend on their number, and sums are exact to 100
bits, so that what comes out is the same for any.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import isnan, nan
from typing import Any, get_args

from torch import nn

from ramekin.arm.answering import right_answers
from ramekin.arm.architecture import Layer
from ramekin.arm.halving import HALVES, joined
from ramekin.arm.lengths import column_lengths
from ramekin.arm.likelihood import losses_of
from ramekin.arm.measure import PAPERS, Measure
from ramekin.arm.measured import JUDGED, TRACED, Aim, Kind, Measured, Observed
from ramekin.arm.reading import Material
from ramekin.arm.readings import Readings
from ramekin.arm.saliency import Doubles, Floats, RoleMean
from ramekin.arm.store import SaliencyStore
from ramekin.arm.tracing import BUDGET_CPU, trace
from ramekin.errors import DamagedError
from ramekin.merge.team import Alone, Team
from ramekin.progress import Bar


class Observer:
    """Measures models, each of them and each benchmark once.

    Args:
        layers: The MLPs of the models, which all have the same structure.
        materials: What the benchmarks have to read, by name.
        dtype: Element type that the models are run in: what models in different types do cannot be compared.
        tokenizer: For answers.
        budget: Tokens of a batch, padding included.
        store: Where what was measured is kept.
        team: The processes that share the texts.
        by_length: Whether the models turn otherwise in a longer text, and so read each alone (`arm.positions`).
        measure: By which measure neurons are watched; the materials have those tokens that are (`arm.measure`).
    """

    def __init__(  # noqa: PLR0913
        self,
        layers: Sequence[Layer],
        materials: Mapping[str, Material],
        dtype: str,
        *,
        tokenizer: Any = None,
        budget: int = BUDGET_CPU,
        store: SaliencyStore | None = None,
        team: Team | None = None,
        by_length: bool = False,
        measure: Measure = PAPERS,
    ) -> None:
        self.materials = materials
        self._layers = layers
        self._measure = measure
        self._readings = Readings(materials, dtype, measure, by_length=by_length)
        self._tokenizer = tokenizer
        self._budget = budget
        self._store = store
        self._team = team or Alone()

    def tokens(self, wanted: Mapping[str, Sequence[Kind]]) -> int:
        """How many tokens a model will read for that, answers apart."""
        return self._readings.tokens(wanted)

    def known(self, digest: str, wanted: Mapping[str, Sequence[Kind]]) -> Measured:
        """What is kept of a model; the first process decides for all.

        Args:
            digest: Of all that determines the model's weights.
            wanted: What is asked for, by benchmark.
        """
        found = Measured()
        if self._store and not self._team.rank:
            widths = [layer.width for layer in self._layers]
            for name, kinds in wanted.items():
                for kind in kinds:
                    key = self._readings.key(digest, name, kind)
                    expected = widths * 2 if kind == "halves" else widths
                    kept: Any = self._store.get(key, expected) if kind in TRACED else self._store.get_values(key)
                    if kept is not None:
                        found.of(kind)[name] = kept
        return self._team.gather(found)[0]

    def measure(
        self,
        model: nn.Module,
        digest: str,
        wanted: Mapping[str, Sequence[Kind]],
        advance: Callable[[int], None] = lambda tokens: None,
    ) -> Measured:
        """Measure a model.

        Args:
            model: On its device.
            digest: Of all that determines its weights.
            wanted: What is asked for, by benchmark.
            advance: Told how many tokens were read.

        Raises:
            RamekinError: As `ramekin.arm.tracing.trace`.
        """
        found = Measured()
        for name, kinds in wanted.items():
            for traced, layers in self._trace(model, name, kinds, advance).items():
                found.of(traced)[name] = layers
            for kind in (kind for kind in kinds if kind in JUDGED):
                texts = self._readings.judged(name, kind)
                found.of(kind)[name] = self._joined(losses_of(model, texts, "loss", advance=advance, part=self._part))
            if "right" in kinds:
                material = self.materials[name]
                asked, judge = (model, self._tokenizer, material.prompts), material.judge or "exact"
                found.right[name] = self._joined(right_answers(*asked, judge, material.longest, part=self._part))
            self._keep(digest, name, kinds, found)
        return found

    def _trace(
        self, model: nn.Module, name: str, kinds: Sequence[Kind], advance: Callable[[int], None]
    ) -> dict[Kind, list[Floats]]:
        """What neurons do, over all processes' texts."""
        wanted = [kind for kind in TRACED if kind in kinds]
        if not wanted:
            return {}
        texts = self._readings.traced(name, wanted)
        mine = trace(model, self._layers, texts, budget=self._budget, advance=advance, part=self._part)
        widths = [layer.width for layer in self._layers]
        total: dict[str, RoleMean] = {}
        for each in self._team.gather(mine):
            for role, mean in each.items():
                total.setdefault(role, RoleMean(widths)).merge(mean)
        if "halves" in wanted:
            total["role"] = joined([total[half] for half in HALVES], widths)
        lengths = self._lengths(model)
        found: dict[Kind, list[Floats]] = {kind: total[kind].result(lengths) for kind in wanted if kind != "halves"}
        if "halves" in wanted:
            found["halves"] = [layer for half in HALVES for layer in total[half].result(lengths)]
        return found

    def _lengths(self, model: nn.Module) -> list[Doubles] | None:
        """What magnitudes are taken times, if they are; the first process tells all."""
        if self._measure.saliency != "abs_wout":
            return None
        return self._team.gather([] if self._team.rank else column_lengths(model, self._layers))[0]

    @property
    def _part(self) -> tuple[int, int]:
        return self._team.rank, self._team.size

    def _joined(self, mine: list[float]) -> list[float]:
        """What all processes found, each of them NaN where it was not its part."""
        found = zip(*self._team.gather(mine), strict=True)
        return [next((value for value in each if not isnan(value)), nan) for each in found]

    def _keep(self, digest: str, name: str, kinds: Sequence[Kind], found: Measured) -> None:
        if not self._store or self._team.rank:
            return
        for kind in kinds:
            key, about = self._readings.key(digest, name, kind), {"benchmark": name, "model": digest, "kind": kind}
            if kind in TRACED:
                self._store.put(key, found.of(kind)[name], about)
            else:
                self._store.put_values(key, found.of(kind)[name], about)


Loaded = tuple[str, nn.Module]


def observe_all(
    observer: Observer,
    aim: Aim,
    experts: Mapping[str, str],
    load: Callable[[str], nn.Module],
    candidates: Mapping[str, str],
    build: Callable[[Sequence[str]], Iterable[Loaded]],
    *,
    show: Callable[[str, int], AbstractContextManager[Bar]],
) -> Observed:
    """Measure all models, as far as it was not done before.

    Args:
        observer: Measures them.
        aim: What is measured.
        experts: By name, digest of all that determines their weights.
        load: Gives an expert, valid until the next model is asked for.
        candidates: The same by candidate, in the pool's order.
        build: Gives the candidates that are asked for, each valid until the next.
        show: A context in which so many tokens are read of the model of this name; it gives what is told how many were.

    Raises:
        RamekinError: As `ramekin.arm.tracing.trace`.
    """
    of_experts = Measured()
    for expert, wanted in _of_donors(observer.materials, aim).items():
        known = observer.known(experts[expert], wanted)
        if rest := _rest(wanted, known):
            model = load(expert)
            with show(expert, observer.tokens(rest)) as bar:
                _include(known, observer.measure(model, experts[expert], rest, bar.advance))
        _include(of_experts, known)
    every = {name: aim.kinds(material, donor=False) for name, material in observer.materials.items()}
    return Observed(of_experts, observe_candidates(observer, every, candidates, build, show=show))


def observe_candidates(
    observer: Observer,
    wanted: Mapping[str, Sequence[Kind]],
    candidates: Mapping[str, str],
    build: Callable[[Sequence[str]], Iterable[Loaded]],
    *,
    show: Callable[[str, int], AbstractContextManager[Bar]],
) -> dict[str, Measured]:
    """Measure candidates, as far as it was not done before; what all of them are asked is `wanted`, by benchmark.

    All else is as for `observe_all`.
    """
    found = {name: observer.known(digest, wanted) for name, digest in candidates.items()}
    for name, model in build([name for name, known in found.items() if _rest(wanted, known)]):
        rest = _rest(wanted, found[name])
        with show(name, observer.tokens(rest)) as bar:
            _include(found[name], observer.measure(model, candidates[name], rest, bar.advance))
    return found


def _of_donors(materials: Mapping[str, Material], aim: Aim) -> dict[str, dict[str, list[Kind]]]:
    found: dict[str, dict[str, list[Kind]]] = {}
    for name, material in materials.items():
        found.setdefault(material.donor, {})[name] = aim.kinds(material, donor=True)
    return found


def _rest(wanted: Mapping[str, Sequence[Kind]], known: Measured) -> dict[str, list[Kind]]:
    rest = {name: [kind for kind in kinds if name not in known.of(kind)] for name, kinds in wanted.items()}
    return {name: kinds for name, kinds in rest.items() if kinds}


def _include(into: Measured, more: Measured) -> None:
    for kind in get_args(Kind):
        into.of(kind).update(more.of(kind))


def mean_of_all(values: Iterable[Sequence[float]]) -> float:
    """Mean over benchmarks of each one's mean."""
    means = [mean_of(each) for each in values]
    return sum(means) / len(means)


def mean_of(values: Sequence[float]) -> float:
    """Mean of those that there are.

    Raises:
        DamagedError: There are none.
    """
    there = [value for value in values if not isnan(value)]
    if not there:
        raise DamagedError(
            "ARM_EMPTY_ROLE: no token of the role has one before it, in any development run", "see `ramekin roles`"
        )
    return sum(there) / len(there)

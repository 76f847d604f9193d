"""ARM's choice of a backbone, on models in memory (arXiv 2601.07309, Algorithm 1, lines 1 to 12).

Every model is traced on the same texts: an expert on those of the benchmarks that it is the donor of, a candidate on
all. What is kept of either are its saliencies, from which the choice for any `top_k` follows without a model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from ramekin.arm.architecture import Layer
from ramekin.arm.neurons import Neurons, Selection, salient, select_backbone, transplant_sets
from ramekin.arm.roles.finding import Role
from ramekin.arm.saliency import Floats
from ramekin.arm.store import SaliencyStore, reading_digest, saliency_key
from ramekin.arm.tracing import BUDGET, together, trace

_ROLE = "role"

Saliencies = Mapping[str, list[Floats]]
"""By benchmark, of each layer `[f]`."""


@dataclass(frozen=True)
class Benchmark:
    """What one benchmark asks of the merge.

    Attributes:
        donor: The expert that is best at it.
        role: Its role's tokens in its trajectories.
    """

    donor: str
    role: Role


class Tracer:
    """Traces models on benchmarks, each model and benchmark once.

    Args:
        layers: The MLPs of the models, which all have the same structure.
        benchmarks: By name.
        dtype: Element type that the models are run in: sets of models in different types cannot be compared.
        budget: Tokens of a batch, padding included.
        store: Where saliencies are kept for the next run.
        advance: Told how many tokens were read.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        benchmarks: Mapping[str, Benchmark],
        dtype: str,
        *,
        budget: int = BUDGET,
        store: SaliencyStore | None = None,
        advance: Callable[[int], None] = lambda tokens: None,
    ) -> None:
        self.benchmarks = benchmarks
        self._layers = layers
        self._dtype = dtype
        self._budget = budget
        self._store = store
        self._advance = advance
        self._texts = {name: together({_ROLE: benchmark.role}) for name, benchmark in benchmarks.items()}
        self._readings = {name: reading_digest(texts, _ROLE) for name, texts in self._texts.items()}

    def known(self, digest: str, names: Iterable[str]) -> dict[str, list[Floats]]:
        """What is kept of a model.

        Args:
            digest: Of all that determines the model's weights.
            names: The benchmarks.
        """
        if not self._store:
            return {}
        widths = [layer.width for layer in self._layers]
        kept = {name: self._store.get(self._key(digest, name), widths) for name in names}
        return {name: layers for name, layers in kept.items() if layers is not None}

    def trace(self, model: nn.Module, digest: str, names: Iterable[str]) -> dict[str, list[Floats]]:
        """Trace a model.

        Args:
            model: On its device.
            digest: Of all that determines its weights.
            names: The benchmarks.

        Raises:
            RamekinError: As `ramekin.arm.tracing.trace`.
        """
        found = {}
        for name in names:
            means = trace(model, self._layers, self._texts[name], budget=self._budget, advance=self._advance)
            found[name] = means[_ROLE].result()
            if self._store:
                self._store.put(self._key(digest, name), found[name], {"benchmark": name, "model": digest})
        return found

    def _key(self, digest: str, name: str) -> str:
        return saliency_key(digest, self._readings[name], self._dtype)


@dataclass(frozen=True)
class Traces:
    """Saliencies of all models.

    Attributes:
        experts: By benchmark, its donor's.
        candidates: By candidate, in the pool's order, and benchmark.
    """

    experts: Saliencies
    candidates: Mapping[str, Saliencies]

    def choose(self, top_k: float) -> "Choice":
        """Take the neurons that do most, and the candidate whose neurons they are (Eq. 3 to 5)."""
        experts = {name: salient(layers, top_k) for name, layers in self.experts.items()}
        candidates = {
            candidate: {name: salient(layers, top_k) for name, layers in found.items()}
            for candidate, found in self.candidates.items()
        }
        return Choice(experts, candidates, select_backbone(experts, candidates))


@dataclass(frozen=True)
class Choice:
    """Sets of neurons, and the backbone.

    Attributes:
        experts: By benchmark, its donor's set.
        candidates: By candidate and benchmark.
        selection: AOS of all, and the candidate that was chosen.
    """

    experts: Mapping[str, Neurons]
    candidates: Mapping[str, Mapping[str, Neurons]]
    selection: Selection

    @property
    def backbone(self) -> Mapping[str, Neurons]:
        """By benchmark, the set of the chosen candidate."""
        return self.candidates[self.selection.selected]

    def transplants(self, weak: Sequence[str], *, protect: bool = True) -> dict[str, Neurons]:
        """What to transplant for weak benchmarks, in their order (Eq. 7 and 8)."""
        return transplant_sets(self.experts, self.backbone, weak, protect=protect)


def trace_all(
    tracer: Tracer,
    experts: Mapping[str, str],
    load: Callable[[str], nn.Module],
    candidates: Mapping[str, str],
    build: Callable[[Sequence[str]], Iterable[tuple[str, nn.Module]]],
) -> Traces:
    """Trace all models on what is not known of them yet; one of which all is known is not even loaded or built.

    Args:
        tracer: Traces them.
        experts: By name, digest of all that determines their weights.
        load: Gives an expert, valid until the next model is asked for.
        candidates: The same by candidate, in the pool's order.
        build: Gives the candidates that are asked for, each valid until the next.

    Raises:
        RamekinError: As `ramekin.arm.tracing.trace`.
    """
    own: dict[str, list[str]] = {}
    for name, benchmark in tracer.benchmarks.items():
        own.setdefault(benchmark.donor, []).append(name)
    of_experts: dict[str, list[Floats]] = {}
    for expert, names in own.items():
        known = tracer.known(experts[expert], names)
        if rest := [name for name in names if name not in known]:
            known |= tracer.trace(load(expert), experts[expert], rest)
        of_experts |= known
    every = [*tracer.benchmarks]
    found = {name: tracer.known(digest, every) for name, digest in candidates.items()}
    for name, model in build([name for name, known in found.items() if len(known) < len(every)]):
        rest = [benchmark for benchmark in every if benchmark not in found[name]]
        found[name] |= tracer.trace(model, candidates[name], rest)
    return Traces({name: of_experts[name] for name in every}, found)

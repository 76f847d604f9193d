"""Fitting a LoRA adapter onto the base: which of the base's tensors it changes, by what, and what cannot be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ramekin.checkpoint.adapter import MERGE_HINT, AdapterConfig
from ramekin.checkpoint.adapter_tensors import AdaptedModule, AdapterTensors, sort_adapter
from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.findings import Finding, Severity, folded
from ramekin.checkpoint.tensors import FLOATING, LowRank, Tensor
from ramekin.plan.layout import Part
from ramekin.plan.quantities import plural
from ramekin.plan.vocabulary_tensors import KEPT, SAME_ROWS, UNWATCHED, differs_in_padding, tied_embeddings, tied_names

_PREFIXES: Final = ("model.", "transformer.", "language_model.", "gpt_neox.")
"""What the names of a whole model begin with, and those of its checkpoint may not, or the other way round."""

OTHER_BASE: Final = "name the base that the adapter was trained on"
_SHAPE: Final = "use an adapter that was trained on this base, with its vocabulary unchanged"
_UNTIE: Final = (
    "use a base whose output layer is stored apart from its embedding, and an adapter that was trained on it"
)


@dataclass(frozen=True)
class FittedAdapter:
    """An adapter on a base.

    Attributes:
        parts: What it has of the base's tensors, by name; the others it leaves as they are.
        findings: What keeps it from being merged, and what is worth knowing.
        frozen: Weights that it has a copy of and that must be the base's, with the base's.
    """

    parts: Mapping[str, Part]
    findings: tuple[Finding, ...]
    frozen: tuple[tuple[Tensor, Tensor], ...] = ()

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks of its products, in ascending order, each once."""
        return tuple(sorted({part.rank for part in self.parts.values() if isinstance(part, LowRank)}))


def fit_adapter(
    base: CheckpointFacts, expert: CheckpointFacts, config: AdapterConfig, *, watched: bool = False
) -> FittedAdapter:
    """Fit an expert that is an adapter onto the base.

    Args:
        base: The base.
        expert: The adapter.
        config: Its config.
        watched: Whether models are watched at work, which need the same vocabulary.

    Returns:
        Its parts, of which some are missing where there are errors among the findings.
    """
    sorted_tensors = sort_adapter(expert.inventory.tensors, biases=config.biases)
    fitting = _Fitting(base, expert, config, watched)
    for name, why in sorted_tensors.wrong.items():
        fitting.tell("error", name, why, MERGE_HINT)
    if config.ranks.takes_too_long(len(sorted_tensors.modules)) or config.alphas.takes_too_long(
        len(sorted_tensors.modules)
    ):
        fitting.tell("error", "rank_pattern", "and `alpha_pattern` have too many patterns to be matched", MERGE_HINT)
    else:
        for module in sorted_tensors.modules:
            fitting.adapt(module)
    with_embedding = any(fitting.is_embedding(name) for name in sorted_tensors.saved)
    for name, tensor in sorted_tensors.saved.items():
        fitting.replace(name, tensor, with_embedding=with_embedding)
    frozen = tuple(fitting.frozen(sorted_tensors))
    return FittedAdapter(fitting.parts, fitting.findings(expert.inventory.tensors), frozen)


def describe_adapter(base: CheckpointFacts, expert: CheckpointFacts) -> str | None:
    """What an adapter is, in a few words; None for what is none."""
    if expert.adapter is None:
        return None
    ranks = fit_adapter(base, expert, expert.adapter).ranks or (expert.adapter.rank,)
    rank = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"
    return f"LoRA adapter, {rank}, {plural(len(expert.inventory.tensors), 'tensor')}"


@dataclass
class _Fitting:
    """An adapter as it is fitted, tensor by tensor."""

    base: CheckpointFacts
    expert: CheckpointFacts
    config: AdapterConfig
    watched: bool
    parts: dict[str, Part] = field(default_factory=dict)
    _told: defaultdict[tuple[Severity, str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._embeddings = tied_embeddings(self.base)

    def tell(self, severity: Severity, name: str, what: str, hint: str = "") -> None:
        self._told[severity, what, hint].append(name)

    def findings(self, among: Iterable[str]) -> tuple[Finding, ...]:
        """What was told, names that differ only in numbers as one."""
        names = tuple(among)
        return tuple(
            finding
            for (severity, what, hint), told in self._told.items()
            for finding in folded(severity, self.expert.role, told, what, hint, among=names)
        )

    def adapt(self, module: AdaptedModule) -> None:
        """Take up a module that a product changes."""
        target = self._target(f"{module.name}.weight", module.a.name)
        if target is None:
            return
        rank = self.config.rank_of(module.name)
        if (module.a.shape[0], module.b.shape[1]) != (rank, rank):
            found = f"{module.a.shape[0]} and {module.b.shape[1]}" if module.a.shape[0] != module.b.shape[1] else None
            what = f"has rank {found or module.a.shape[0]}, and adapter_config.json says {rank}"
            self.tell("error", module.a.name, what, OTHER_BASE if found is None else MERGE_HINT)
        elif not self.config.adapts(module.name):
            self.tell("error", module.a.name, "is of a module that `target_modules` does not name", MERGE_HINT)
        elif self._is_tied(target.name):
            what = (
                f"changes `{target.name}`, which the base uses both as embedding and as output layer: it was trained "
                "to change one of the two, and PEFT's own merge changes both"
            )
            self.tell("error", module.a.name, what, _UNTIE)
        elif (part := self._product(module, target)) is not None:
            self._put(target, part, module.a)

    def replace(self, name: str, tensor: Tensor, *, with_embedding: bool) -> None:
        """Take up a tensor that replaces the base's; `with_embedding` where the adapter has the embedding, too."""
        if name in tied_names(self.base, [name]) and with_embedding and self._stays_tied(name):
            self.tell("note", tensor.name, "is the embedding once more, to which the base ties it, so it is left out")
            return
        target = self._target(name, tensor.name)
        if target is None:
            return
        padded = differs_in_padding(self.base, self.expert, target, tensor)
        sizes = f"replaces `{target.name}`, which is {_shape(target)} in the base and {_shape(tensor)} here"
        if target.shape != tensor.shape and not padded:
            self.tell("error", tensor.name, sizes, _SHAPE)
        elif padded and self.watched:
            self.tell("error", tensor.name, f"{sizes}{UNWATCHED}", SAME_ROWS)
        elif target.dtype not in FLOATING:
            self.tell(
                "error", tensor.name, f"replaces `{target.name}`, which the base stores as {target.dtype}", _SHAPE
            )
        elif self._is_tied(target.name) and not self._stays_tied(name):
            what = (
                f"replaces `{target.name}`, which the base uses both as embedding and as output layer: PEFT unties the "
                "two, and the merged model keeps the base's ties"
            )
            self.tell("error", tensor.name, what, _UNTIE)
        else:
            if padded:
                self.tell("note", tensor.name, f"{sizes}{KEPT}")
            self._put(target, tensor, tensor)

    def is_embedding(self, name: str) -> bool:
        """Whether a name is that of an embedding that the base ties."""
        return not self._embeddings.isdisjoint(self._candidates(name))

    def frozen(self, tensors: AdapterTensors) -> Iterable[tuple[Tensor, Tensor]]:
        """The copies of weights that were not trained, each with the base's own."""
        for name, copy in tensors.frozen.items():
            found = self._candidates(name)
            target = self.base.inventory.tensors[found[0]] if len(found) == 1 else None
            if target is None or copy.name in tensors.wrong:
                continue
            if target.shape != copy.shape:
                what = f"is {_shape(copy)} here, and `{target.name}` is {_shape(target)} in the base"
                self.tell("error", copy.name, what, _SHAPE)
            else:
                self.tell("note", copy.name, "is a copy of the base's own weight, which is used instead")
                yield copy, target

    def _put(self, target: Tensor, part: Part, tensor: Tensor) -> None:
        if target.name in self.parts:
            self.tell("error", tensor.name, f"is a second change of `{target.name}`", MERGE_HINT)
        self.parts[target.name] = part

    def _product(self, module: AdaptedModule, target: Tensor) -> LowRank | None:
        """The change of a weight. Which way round it is stored is told by the shapes, and of squares by the config.

        That is what PEFT does: it goes by the kind of the module, and corrects the config.
        """
        rows, columns = module.b.shape[0], module.a.shape[1]
        straight, turned = target.shape == (rows, columns), target.shape == (columns, rows)
        if len(target.shape) > 2:
            what = f"is for `{target.name}`, which has {len(target.shape)} dimensions: only matrices are adapted"
            self.tell("error", module.a.name, what, MERGE_HINT)
            return None
        transposed = module.embedding or (turned and (not straight or self.config.fan_in_fan_out))
        if not (turned if transposed else straight) or target.dtype not in FLOATING:
            what = f"changes a tensor of {rows} x {columns}, and `{target.name}` is {_shape(target)}"
            if target.dtype not in FLOATING:
                what = f"changes `{target.name}`, which the base stores as {target.dtype}"
            self.tell("error", module.a.name, what, _SHAPE)
            return None
        return LowRank(module.a, module.b, self.config.scaling_of(module.name), transposed)

    def _target(self, name: str, told: str) -> Tensor | None:
        """The base's tensor of a name in the adapted model; None, and told, where it has none."""
        found = self._candidates(name)
        if len(found) == 1:
            return self.base.inventory.tensors[found[0]]
        if not found:
            if tied_names(self.base, [name]):
                what = (
                    "changes the output layer, which the base ties to its embedding: it was trained to change one of "
                    "the two, and the merged model has one tensor for both"
                )
                self.tell("error", told, what, _UNTIE)
            else:
                self.tell("error", told, "is for a module that the base does not have", OTHER_BASE)
        else:
            what = f"may be for {' or '.join(f'`{candidate}`' for candidate in found)} of the base"
            self.tell("error", told, what, MERGE_HINT)
        return None

    def _candidates(self, name: str) -> list[str]:
        """Names that the checkpoint may have for a tensor: its own, else with or without what models begin with."""
        tensors = self.base.inventory.tensors
        if name in tensors:
            return [name]
        others = [name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)]
        others += [prefix + name for prefix in _PREFIXES]
        return [other for other in others if other in tensors]

    def _is_tied(self, name: str) -> bool:
        return name in self._embeddings or bool(tied_names(self.base, [name]))

    def _stays_tied(self, name: str) -> bool:
        """Whether embedding and output layer were one in training: as a pair that is tied, or as they were resized."""
        return self.config.keeps_tied or not (
            self.config.replaces(name.removesuffix(".weight"))
            or any(
                self.config.replaces(other.removesuffix(".weight")) for other in (*self._embeddings, "lm_head.weight")
            )
        )


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a scalar"

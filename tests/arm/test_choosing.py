"""The whole choice on small models: beside Algorithm 1 done by hand, and again from what is kept."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from families import build as build_model
from test_tracing import made, reference
from torch import nn

from ramekin.arm.architecture import find_layers
from ramekin.arm.choosing import Traces
from ramekin.arm.measured import Aim
from ramekin.arm.neurons import how_many
from ramekin.arm.observing import Observer, observe_all
from ramekin.arm.reading import Material
from ramekin.arm.roles.finding import Role, Traced
from ramekin.arm.roles.trajectories import digest_of
from ramekin.arm.store import SaliencyStore
from ramekin.progress import Silence

TOP_K = 0.3
DONORS = {"tau": "tool", "shop": "web", "os": "web"}


def role(seed: int) -> Role:
    found = [
        Traced(f"{number}", f"{number}", text.ids, text.roles["call"], digest_of(text.ids), "", ())
        for number, text in enumerate(made(5, seed))
    ]
    return Role(found)


MATERIALS = {name: Material(donor, role(seed)) for seed, (name, donor) in enumerate(DONORS.items())}
EXPERTS = {"tool": "digest-1", "web": "digest-2"}
CANDIDATES = {"mean": "digest-3", "near tool": "digest-4", "strange": "digest-5"}


def blend(weights: dict[int, float]) -> nn.Module:
    """A model whose weights are those of several seeds, mixed."""
    model = build_model("llama")
    parts = {seed: build_model("llama", seed).state_dict() for seed in weights}
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(sum(share * parts[seed][name] for seed, share in weights.items()))
    return model


def models() -> dict[str, nn.Module]:
    return {
        "tool": blend({1: 1}),
        "web": blend({2: 1}),
        "mean": blend({1: 0.5, 2: 0.5}),
        "near tool": blend({1: 0.9, 2: 0.1}),
        "strange": blend({7: 1}),
    }


class Shelf:
    """Gives out models, and remembers which were wanted."""

    def __init__(self) -> None:
        self.models = models()
        self.wanted: list[str] = []

    def load(self, name: str) -> nn.Module:
        self.wanted.append(name)
        return self.models[name]

    def build(self, names: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
        yield from ((name, self.load(name)) for name in names)


def traced(
    shelf: Shelf,
    store: SaliencyStore | None = None,
    experts: dict[str, str] = EXPERTS,
    candidates: dict[str, str] = CANDIDATES,
) -> Traces:
    observer = Observer(find_layers(shelf.models["tool"]), MATERIALS, "float32", budget=64, store=store)
    found = observe_all(
        observer, Aim(), experts, shelf.load, candidates, shelf.build, show=lambda *_: Silence().bar("", 0)
    )
    return Traces(found.experts.role, {name: each.role for name, each in found.candidates.items()})


def by_hand(model: nn.Module, benchmark: str) -> set[tuple[int, int]]:
    """Eq. 2 and 3 with lists and sets."""
    found = set()
    for layer, values in enumerate(reference(model, made(5, [*DONORS].index(benchmark)), "call")):
        ranking = sorted(range(len(values)), key=lambda j: (-values[j], j))
        found |= {(layer, j) for j in ranking[: how_many(TOP_K, len(values))]}
    return found


@pytest.mark.usefixtures("several_threads")
def test_beside_the_algorithm_by_hand() -> None:
    shelf = Shelf()
    choice = traced(shelf).choose(TOP_K)
    sets = {name: {b: by_hand(model, b) for b in DONORS} for name, model in shelf.models.items()}
    aos = {
        g: {b: Fraction(len(sets[g][b] & sets[don][b]), len(sets[g][b] | sets[don][b])) for b, don in DONORS.items()}
        for g in CANDIDATES
    }
    assert choice.selection.scores == aos
    best = max(CANDIDATES, key=lambda g: sum(aos[g].values()))
    assert choice.selection.selected == best != "strange"
    assert shelf.wanted == ["tool", "web", *CANDIDATES]

    for protect in (True, False):
        for benchmark, found in choice.transplants(best, ["os", "tau"], protect=protect).items():
            needed = set().union(*(sets[best][other] for other in DONORS if other != benchmark and protect))
            mine = {(layer, int(j)) for layer, row in enumerate(found.layers) for j in np.flatnonzero(row)}
            assert mine == sets[DONORS[benchmark]][benchmark] - needed


def test_all_neurons_leave_nothing_to_choose_or_to_transplant() -> None:
    choice = traced(Shelf()).choose(1.0)
    assert set(choice.selection.means.values()) == {1}
    assert choice.selection.selected == "mean"  # the first
    assert len(choice.transplants("mean", ["tau"])["tau"]) == 0


@pytest.mark.parametrize("top_k", [0.05, 0.1, 0.5])
def test_invariants(top_k: float) -> None:
    choice = traced(Shelf()).choose(top_k)
    selected = choice.selection.selected
    backbone = choice.candidates[selected]
    for found in (*choice.experts.values(), *backbone.values()):
        assert found.per_layer == tuple(how_many(top_k, len(layer)) for layer in found.layers)
    for benchmark, found in choice.transplants(selected, [*DONORS]).items():
        assert found & choice.experts[benchmark] == found
        assert all(len(found & own) == 0 for other, own in backbone.items() if other != benchmark)


def test_only_what_changed_is_traced_again(tmp_path: Path) -> None:
    store = SaliencyStore(tmp_path)
    first = traced(Shelf(), store)

    again = Shelf()
    same = traced(again, store)
    assert again.wanted == []
    assert same.choose(TOP_K).selection == first.choose(TOP_K).selection
    assert all(
        np.array_equal(a, b) for name in DONORS for a, b in zip(same.experts[name], first.experts[name], strict=True)
    )

    moved = Shelf()
    traced(moved, store, EXPERTS | {"web": "digest-9"}, CANDIDATES | {"mean": "digest-10"})
    assert moved.wanted == ["web", "mean"]

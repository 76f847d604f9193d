"""From what was measured to the neurons that are transplanted: beside Algorithm 1 with sets of pairs."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_choosing import DONORS as OWNERS
from test_observing import Bench, layers, made, model_of, reference, role_of

from ramekin.arm.asking import Answer
from ramekin.arm.deciding import Decision, decide
from ramekin.arm.measured import Aim, Observed
from ramekin.arm.neurons import how_many
from ramekin.arm.reading import Material
from ramekin.arm.reporting import replaced, report_activation
from ramekin.errors import UsageError
from ramekin.methods import Arm, Average, BestOf, Ties

Pairs = set[tuple[int, int]]
DONORS = {"tau": "tool", "shop": "web", "os": "web"}
POOL = {"average": Average(), "ties": Ties()}
MODEL_OF = {"average": "mean", "ties": "strange"}
WIDTH = 24


@cache
def materials() -> dict[str, Material]:
    return {
        name: Material(donor, role_of(made(5, seed), "call"), dev=role_of(made(4, seed + 50), "call"))
        for seed, (name, donor) in enumerate(DONORS.items())
    }


@cache
def observed() -> Observed:
    """What the models really do."""
    candidates = {model: f"digest of {model}" for model in MODEL_OF.values()}
    found = Bench(materials(), Aim(likelihood=True), candidates=candidates).observe()
    return Observed(found.experts, {name: found.candidates[model] for name, model in MODEL_OF.items()})


def answer() -> Answer:
    shapes = {
        place.tensor: (WIDTH, 16) if place.axis == 0 else (16, WIDTH) for layer in layers() for place in layer.places
    }
    return Answer(materials(), observed(), {}, tuple(layers()), {}, shapes, "float32", {})


def decided(
    method: Arm | BestOf, scores: Mapping[str, Mapping[str, float]] | None = None, judge: Any = None
) -> Decision:
    benchmarks = {name: SimpleNamespace(scores=dict((scores or {}).get(name, {}))) for name in DONORS}
    question: Any = SimpleNamespace(manifest=SimpleNamespace(benchmarks=benchmarks), candidates=POOL)
    return decide(question, answer(), method, judge)


@cache
def sets(top_k: float) -> dict[str, dict[str, Pairs]]:
    """Eq. 2 and 3, by model and benchmark."""
    found: dict[str, dict[str, Pairs]] = {}
    for model in ("tool", "web", "mean", "strange"):
        for seed, name in enumerate(DONORS):
            chosen = set()
            for layer, values in enumerate(reference(model_of(model), made(5, seed), "call")):
                ranking = sorted(range(len(values)), key=lambda j, values=values: (-values[j], j))
                chosen |= {(layer, j) for j in ranking[: how_many(top_k, len(values))]}
            found.setdefault(model, {})[name] = chosen
    return found


def algorithm(
    top_k: float, weak: list[str], *, protect: bool = True, collisions: str = "last"
) -> tuple[str, dict[str, Pairs], dict[str, Pairs]]:
    """Algorithm 1: the backbone, what is transplanted, and what is left of it after collisions."""
    of = sets(top_k)
    aos = {
        g: sum(len(of[m][b] & of[d][b]) / len(of[m][b] | of[d][b]) for b, d in DONORS.items()) / len(DONORS)
        for g, m in MODEL_OF.items()
    }
    best = max(POOL, key=lambda g: aos[g])
    backbone = of[MODEL_OF[best]]
    wanted = {}
    for b in weak:
        needed = set().union(*(backbone[other] for other in DONORS if other != b)) if protect else set()
        wanted[b] = of[DONORS[b]][b] - needed
    owner: dict[tuple[int, int], str] = {}
    for b, chosen in wanted.items():
        for neuron in chosen:
            if collisions == "first" and neuron in owner:
                continue
            owner[neuron] = b
    contested = {neuron for neuron in owner if len({DONORS[b] for b, chosen in wanted.items() if neuron in chosen}) > 1}
    gone = contested if collisions == "skip" else set()
    given = {b: {neuron for neuron, who in owner.items() if who == b} - gone for b in weak}
    return best, wanted, given


def pairs(found: Any) -> Pairs:
    return {(layer, int(j)) for layer, row in enumerate(found.layers) for j in np.flatnonzero(row)}


def by_donor(found: Mapping[str, Pairs]) -> dict[str, Pairs]:
    all_: dict[str, Pairs] = {}
    for name, chosen in found.items():
        all_.setdefault(DONORS[name], set()).update(chosen)
    return all_


def same(decision: Decision, expected: tuple[str, dict[str, Pairs], dict[str, Pairs]]) -> None:
    best, wanted, given = expected
    assert decision.selected.name == best
    assert decision.method == POOL[best]
    assert {name: pairs(found) for name, found in decision.sets.items()} == wanted
    assert list(decision.sets) == list(wanted)
    assert by_donor({name: pairs(found) for name, found in decision.given.items()}) == by_donor(given)


def arm(**settings: Any) -> Arm:
    return Arm.model_validate({"pool": ["average", "ties"]} | settings)


def test_the_tests_have_the_same_benchmarks() -> None:
    assert OWNERS == DONORS


@pytest.mark.parametrize("top_k", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize("collisions", ["last", "first", "skip"])
def test_beside_algorithm_1(top_k: float, protect: bool, collisions: str) -> None:
    for repair, weak in (("all", [*DONORS]), (["os", "tau"], ["os", "tau"]), (["tau"], ["tau"]), ("none", [])):
        decision = decided(arm(top_k=top_k, repair=repair, protect=protect, collisions=collisions))
        same(decision, algorithm(top_k, weak, protect=protect, collisions=collisions))
        assert decision.weakness.rule == (repair if isinstance(repair, str) else "list")
        count = sum(len(found) for found in decision.given.values())
        assert replaced(decision) == count * 3 * 16


def test_something_is_at_stake() -> None:
    """Or the test above would say nothing."""
    _, wanted, given = algorithm(0.3, [*DONORS], protect=False)
    assert all(wanted.values())
    assert given != wanted
    assert algorithm(0.3, [*DONORS], protect=True)[1] != wanted


def test_by_likelihood() -> None:
    decision = decided(arm(top_k=0.3))
    best = decision.selected.name
    gaps = {
        name: float(np.nanmean(observed().candidates[best].loss[name]) - np.nanmean(observed().experts.loss[name]))
        for name in DONORS
    }
    weak = sorted((name for name in DONORS if gaps[name] > 0.02), key=lambda name: gaps[name])
    assert decision.weakness.rule == "likelihood"
    assert decision.weakness.gaps == pytest.approx(gaps)
    assert list(decision.weakness.weak) == weak
    same(decision, algorithm(0.3, weak))


def test_by_scores() -> None:
    best = algorithm(0.3, [])[0]
    scores = {
        "tau": {"tool": 0.9, best: 0.3},
        "shop": {"web": 0.8, best: 0.79},  # lost less than one part in twenty
        "os": {"web": 0.5, best: 0.4},
    }
    decision = decided(arm(top_k=0.3), scores)
    assert decision.weakness.rule == "scores"
    assert decision.weakness.weak == ("os", "tau")
    assert decision.weakness.gaps["tau"] == pytest.approx(2 / 3)
    same(decision, algorithm(0.3, ["os", "tau"]))
    report = report_activation(decision, arm(top_k=0.3))
    assert report.weak == ("os", "tau")
    assert report.transplanted["tau"].gap == pytest.approx(2 / 3)
    for name, each in report.transplanted.items():
        assert each.neurons == len(decision.sets[name]) == each.salient - each.protected == sum(each.per_layer)
        assert each.applied == len(decision.given[name])
    # With one score missing likelihood decides.
    del scores["os"]["web"]
    assert decided(arm(top_k=0.3), scores).weakness.rule == "likelihood"


@pytest.mark.parametrize("repair", ["all", "auto", ["os"]])
def test_all_neurons_leave_nothing_to_transplant(repair: Any) -> None:
    decision = decided(arm(top_k=1, repair=repair))
    assert decision.selected.name == "average", "the first of equals"
    assert all(len(found) == 0 for found in (*decision.sets.values(), *decision.given.values()))
    assert decision.choice
    assert {*decision.choice.selection.means.values()} == {1}
    report = report_activation(decision, arm(top_k=1, repair=repair))
    assert report.weights_replaced == report.collisions == 0
    assert report.mean_aos == {"average": 1.0, "ties": 1.0}


def test_best_of_transplants_nothing() -> None:
    likelihoods = {
        name: float(np.mean([np.nanmean(losses) for losses in each.loss.values()]))
        for name, each in observed().candidates.items()
    }
    decision = decided(BestOf.model_validate({"pool": ["average", "ties"]}))
    assert decision.selected.name == min(likelihoods, key=lambda name: likelihoods[name])
    assert decision.selected.margin == pytest.approx(abs(likelihoods["average"] - likelihoods["ties"]))
    assert (decision.sets, decision.given, decision.weakness.rule) == ({}, {}, "none")


def test_scores_that_nobody_gave() -> None:
    method = BestOf.model_validate({"pool": ["average", "ties"], "select": "scores"})
    with pytest.raises(UsageError, match="candidates cannot be chosen by scores"):
        decided(method, {"tau": {"average": 0.5}})
    scores = {name: {"average": 0.2, "ties": 0.3} for name in DONORS}
    decision = decided(method, scores)
    assert (decision.selected.name, decision.selected.signal) == ("ties", "scores")
    assert decision.selected.margin == pytest.approx(0.1)


def test_the_same_role_for_all_is_judged_like_any_other() -> None:
    """Role-agnostic: all that the assistant says, in all benchmarks."""
    every = {name: replace(each, said=each.role) for name, each in materials().items()}
    found = Bench(every, Aim(said=True), candidates={"mean": "x"}).observe()
    for name in DONORS:
        for ours, theirs in zip(found.experts.said[name], found.experts.role[name], strict=True):
            assert np.array_equal(ours, theirs)


class Tasks:
    """Tasks that score some benchmarks, each as well as it is told."""

    def __init__(self, donors: dict[str, float], backbone: dict[str, float]) -> None:
        self.benchmarks = tuple(donors)
        self._found = donors, backbone
        self.asked: list[Any] = []

    def scores(self, backbone: Any) -> tuple[dict[str, float], dict[str, float]]:
        self.asked.append(backbone)
        return self._found


def test_tasks_that_score_every_benchmark_tell_what_is_weak() -> None:
    judge = Tasks(dict.fromkeys(DONORS, 0.8), {"tau": 0.75, "shop": 0.76, "os": 0.4})
    decision = decided(arm(), judge=judge)
    assert judge.asked == [decision.method], "the backbone is measured, and once"
    assert decision.weakness.rule == "scores"
    assert decision.weakness.gaps == pytest.approx({"tau": 0.0625, "shop": 0.05, "os": 0.5})
    assert decision.weakness.weak == ("tau", "os"), "the worst is last; a twentieth is not weak"


def test_tasks_stand_beside_scores_that_are_given() -> None:
    best = decided(arm()).selected.name
    given = {"tau": {"tool": 1.0, best: 0.5}, "shop": {"web": 0.5, best: 0.5}, "os": {"web": 0.1, best: 0.0}}
    judge = Tasks({"os": 0.9, "shop": 1.0}, {"os": 0.9, "shop": 0.9})
    decision = decided(arm(), given, judge)
    assert decision.weakness.gaps == pytest.approx({"tau": 0.5, "shop": 0.1, "os": 0.0}), "and come before them"
    assert decision.weakness.weak == ("shop", "tau")


@pytest.mark.parametrize("settings", [{}, {"repair": "all"}, {"repair": "none"}, {"repair": ["os"]}])
def test_what_cannot_decide_is_not_measured(settings: dict[str, Any]) -> None:
    judge = Tasks({"tau": 0.8}, {"tau": 0.1})
    assert decided(arm(**settings), judge=judge).weakness == decided(arm(**settings)).weakness
    assert judge.asked == []

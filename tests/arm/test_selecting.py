"""Which candidate is chosen by which signals, and who gives a neuron that several would."""

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.arm.choosing import AOS_NOISE, Ranked, select, settled
from ramekin.arm.neurons import Neurons
from ramekin.errors import UsageError

TRANSPLANT = json.loads((Path(__file__).parents[1] / "golden" / "arm.json").read_text())["transplant"]


def test_one_signal_takes_the_best_and_of_equals_the_first() -> None:
    ranked = {"aos": Ranked({"a": Fraction(1, 3), "b": Fraction(1, 2), "c": Fraction(1, 2)}, noise=AOS_NOISE)}
    found = select(["aos"], ranked)
    assert (found.name, found.signal, found.margin) == ("b", "aos", 0.0)
    assert select(["aos"], {"aos": Ranked({"a": Fraction(1, 2)})}).margin is None


def test_noise_does_not_move_a_single_signal() -> None:
    found = select(["aos"], {"aos": Ranked({"a": Fraction(500, 1000), "b": Fraction(501, 1000)}, noise=AOS_NOISE)})
    assert (found.name, found.margin) == ("b", pytest.approx(0.001))


AOS = {"a": Fraction(40, 100), "b": Fraction(41, 100), "c": Fraction(395, 1000), "d": Fraction(41, 100)}


@pytest.mark.parametrize(
    ("likelihood", "expected", "margin"),
    [
        ({"a": -2.0, "b": -2.1, "c": -1.0, "d": -2.05}, "a", 0.05),  # c is out, though it is likelier
        ({"a": -2.0, "b": -2.0, "c": -1.0, "d": -2.0}, "a", 0.0),
        ({"a": -2.2, "b": -2.1, "c": -1.0, "d": -2.0}, "d", 0.1),
    ],
)
def test_what_aos_leaves_within_its_noise_the_next_decides(
    likelihood: dict[str, float], expected: str, margin: float
) -> None:
    found = select(["aos", "likelihood"], {"aos": Ranked(AOS, noise=AOS_NOISE), "likelihood": Ranked(likelihood)})
    assert (found.name, found.signal) == (expected, "likelihood")
    assert found.margin == pytest.approx(margin)


def test_the_next_is_not_asked_where_the_first_is_sure() -> None:
    aos = {"a": Fraction(1, 2), "b": Fraction(4, 10)}
    ranked = {"aos": Ranked(aos, noise=AOS_NOISE), "likelihood": Ranked({"a": -9.0, "b": -1.0})}
    found = select(["aos", "likelihood"], ranked)
    assert (found.name, found.signal, found.margin) == ("a", "aos", pytest.approx(0.1))
    assert select(["likelihood", "aos"], ranked).name == "b"


@pytest.mark.parametrize("missing", ["aos", "likelihood", "scores"])
def test_a_signal_that_was_not_measured(missing: str) -> None:
    everything = {each: Ranked({"a": 1.0, "b": 1.0}) for each in ("aos", "likelihood", "scores")}
    ranked = {name: each for name, each in everything.items() if name != missing}
    for signals in ([missing], [*ranked, missing]):
        with pytest.raises(UsageError, match=f"candidates cannot be chosen by {missing}") as caught:
            select(signals, ranked)  # type: ignore[arg-type]
        assert caught.value.exit_code == 2
    some = dict(everything) | {missing: Ranked({"a": 1.0})}
    first = next(iter(ranked))
    with pytest.raises(UsageError, match=missing):
        select([first, missing], some)  # type: ignore[list-item]


values = st.lists(st.floats(-5, 5, width=32) | st.just(math.nan), min_size=2, max_size=6)


@given(st.data(), st.integers(1, 3))
def test_the_noise_of_pairs_is_their_standard_error(drawing: st.DataObject, benchmarks: int) -> None:
    parts: dict[str, dict[str, list[float]]] = {"a": {}, "b": {}}
    variance = 0.0
    for number in range(benchmarks):
        one = drawing.draw(values)
        other = drawing.draw(st.lists(st.floats(-5, 5, width=32), min_size=len(one), max_size=len(one)))
        parts["a"][f"{number}"], parts["b"][f"{number}"] = one, other
        differences = (np.array(one) - np.array(other))[~np.isnan(one)]
        if len(differences) > 1:
            variance += differences.var(ddof=1) / len(differences)
    error = math.sqrt(variance) / benchmarks
    for gap, near in ((0.999 * error, True), (1.001 * error + 1e-9, False)):
        ranked = Ranked({"a": 0.0, "b": -gap}, parts)
        assert ranked.near("a", ["a", "b"]) == (["a", "b"] if near else ["a"])


def test_pairs_tell_apart_what_single_values_would_not() -> None:
    """All do badly on the same trajectory; the difference is always the same."""
    one = [-0.1, -5.0, -2.0, -9.0]
    parts = {"a": {"x": one}, "b": {"x": [each - 0.01 for each in one]}, "c": {"x": [-9.0, -0.2, -2.1, -5.1]}}
    means: Mapping[str, float] = {name: float(np.mean(each["x"])) for name, each in parts.items()}
    assert Ranked(means, parts).near("a", ["a", "b", "c"]) == ["a", "c"]


# Who gives.

DONORS = {"p": "one", "q": "two", "r": "one", "s": "three"}


def neurons(*chosen: int) -> Neurons:
    row = np.zeros(12, bool)
    row[list(chosen)] = True
    return Neurons((row[:6], row[6:]))


def members(found: Neurons) -> set[int]:
    return {*np.flatnonzero(np.concatenate(found.layers)).tolist()}


def by_hand(sets: Mapping[str, set[int]], rule: str) -> dict[str, set[int]]:
    """One neuron after the other."""
    found: dict[str, set[int]] = {name: set() for name in sets}
    for neuron in range(12):
        wanting = [name for name in sets if neuron in sets[name]]
        if wanting and not (rule == "skip" and len({DONORS[name] for name in wanting}) > 1):
            found[wanting[0] if rule == "first" else wanting[-1]].add(neuron)
    return found


orders: st.SearchStrategy[Sequence[str]] = st.permutations([*DONORS]).flatmap(
    lambda order: st.integers(1, 4).map(lambda count: order[:count])
)


@given(orders, st.data(), st.sampled_from(["last", "first", "skip"]))
def test_beside_one_neuron_after_the_other(order: Sequence[str], drawing: st.DataObject, rule: str) -> None:
    sets = {name: drawing.draw(st.sets(st.integers(0, 11))) for name in order}
    found = settled({name: neurons(*each) for name, each in sets.items()}, DONORS, rule)  # type: ignore[arg-type]
    assert list(found) == list(order), "in the order of repair"
    mine = {name: members(each) for name, each in found.items()}
    assert sum(map(len, mine.values())) == len(set().union(*mine.values())), "nobody gives what another gives"
    # Of one donor it is all the same in whose name it gives.
    by_donor: list[dict[str, set[int]]] = []
    for each in (mine, by_hand(sets, rule)):
        given_by: dict[str, set[int]] = {}
        for name, chosen in each.items():
            given_by.setdefault(DONORS[name], set()).update(chosen)
        by_donor.append(given_by)
    assert by_donor[0] == by_donor[1]


def test_the_worked_example() -> None:
    row = [Neurons(tuple(np.isin(np.arange(4), [j for la, j in TRANSPLANT["sets"][b] if la == layer])
                         for layer in range(2))) for b in "AB"]  # fmt: skip
    sets = dict(zip("AB", row, strict=True))

    def pairs(found: Neurons) -> list[list[int]]:
        return [[layer, int(j)] for layer, each in enumerate(found.layers) for j in np.flatnonzero(each)]

    contested = TRANSPLANT["collisions"]
    last, first, skip = (settled(sets, TRANSPLANT["donor"], rule) for rule in ("last", "first", "skip"))  # type: ignore[arg-type]
    assert pairs(last["B"]) == TRANSPLANT["sets"]["B"]
    assert pairs(last["A"]) == [each for each in TRANSPLANT["sets"]["A"] if each not in contested]
    assert pairs(first["A"]) == TRANSPLANT["sets"]["A"]
    assert [pairs(skip[name]) for name in "AB"] == [[[0, 2], [1, 0]], []]


def test_nothing_to_give() -> None:
    assert settled({}, DONORS, "last") == {}

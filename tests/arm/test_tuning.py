"""The search over coefficients: what it may move, that it only ever gets better, and stays within its budget."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.arm.tuning import Search
from ramekin.methods import (
    Average,
    Dare,
    DareTies,
    Method,
    ModelStock,
    Ram,
    RamPlus,
    RamPlusSmooth,
    TaskArithmetic,
    Ties,
)
from ramekin.methods.base import weights_of
from ramekin.methods.choices import label_of
from ramekin.methods.coefficients import coefficients_of, with_coefficients

EXPERTS = ("coder", "tool", "memory")


def bowl(target: Mapping[str, float]) -> "Bowl":
    return Bowl(target)


class Bowl:
    """Task arithmetic is the better the nearer its weights are to some; remembers what it was asked."""

    def __init__(self, target: Mapping[str, float]) -> None:
        self.target = target
        self.asked: list[str] = []
        self.reads = 0

    def __call__(self, methods: Mapping[str, Method]) -> dict[str, float]:
        self.asked += methods
        self.reads += 1
        return {name: self.of(method) for name, method in methods.items()}

    def of(self, method: Method) -> float:
        assert isinstance(method, TaskArithmetic)
        weights = dict(zip(EXPERTS, weights_of(method.weight, EXPERTS), strict=True))
        return sum((weights[name] - wanted) ** 2 for name, wanted in self.target.items())


TARGETS = st.fixed_dictionaries({name: st.floats(0.05, 2) for name in EXPERTS})


@given(TARGETS, st.integers(1, 60))
def test_never_worse_and_within_the_budget(target: dict[str, float], budget: int) -> None:
    judge, start = bowl(target), TaskArithmetic(weight=0.4)
    search = Search(EXPERTS, judge, budget)
    best, value = search.run(start, judge.of(start))
    assert value == judge.of(best) <= judge.of(start)
    assert value == min([judge.of(start), *search.values.values()])
    assert len(search.tried) <= budget
    assert [*search.tried] == judge.asked == [*dict.fromkeys(judge.asked)], "nothing is tried twice"
    assert judge.reads <= len(judge.asked)


@given(TARGETS)
def test_gets_near_with_enough_tries(target: dict[str, float]) -> None:
    judge, start = bowl(target), TaskArithmetic(weight=0.4)
    _, value = Search(EXPERTS, judge, 400).run(start, judge.of(start))
    assert value < 0.02 * sum(wanted**2 for wanted in target.values()) + 0.02


def test_the_same_again() -> None:
    tried = []
    for _ in range(2):
        judge = bowl({"coder": 0.9, "tool": 0.2, "memory": 0.6})
        search = Search(EXPERTS, judge, 24)
        search.run(TaskArithmetic(), judge.of(TaskArithmetic()))
        tried.append([*search.tried])
    assert tried[0] == tried[1]
    assert len(tried[0]) == 24


def test_up_and_down_come_from_one_read() -> None:
    judge = bowl({"coder": 0.4, "tool": 0.4, "memory": 0.4})
    Search(EXPERTS, judge, 8).run(TaskArithmetic(), judge.of(TaskArithmetic()))
    assert (judge.reads, len(judge.asked)) == (4, 8)


def test_a_method_without_coefficients_stays() -> None:
    def never(methods: Mapping[str, Method]) -> dict[str, float]:
        raise AssertionError(methods)

    assert Search(EXPERTS, never, 24).run(ModelStock(), 1.0) == (ModelStock(), 1.0)


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (Average(), ["all weights", *(f"weight.{name}" for name in EXPERTS)]),
        (TaskArithmetic(weight=0.7), ["all weights", *(f"weight.{name}" for name in EXPERTS)]),
        (Ties(), [*(f"weight.{name}" for name in EXPERTS), "density", "scale"]),
        (Dare(), ["all weights", *(f"weight.{name}" for name in EXPERTS), "drop_rate"]),
        (DareTies(), [*(f"weight.{name}" for name in EXPERTS), "drop_rate", "scale"]),
        (Ram(), ["shared", "r", "alpha"]),
        (RamPlus(), ["shared", "r", "alpha"]),
        (RamPlusSmooth(), ["shared", "r"]),
        (ModelStock(), []),
    ],
    ids=lambda value: value.name if isinstance(value, Method) else None,
)
def test_what_can_be_moved(method: Method, names: list[str]) -> None:
    own = with_coefficients(method, EXPERTS)
    found = coefficients_of(own)
    assert [each.name for each in found] == names
    for each in found:
        for factor in (1.5, 1 / 1.5):
            moved = each.moved(factor)
            if moved is None:
                continue
            again = type(moved).model_validate(moved.model_dump())  # within its bounds
            assert again == moved != own
            assert label_of(moved) != label_of(own)


def test_bounds_and_zeros() -> None:
    density = next(each for each in coefficients_of(Ties(density=1.0)) if each.name == "density")
    assert density.moved(1.5) is None
    r = next(each for each in coefficients_of(RamPlus(r=0.0)) if each.name == "r")
    assert r.moved(1 / 1.5) is None
    assert r.moved(1.5) == RamPlus(r=0.03)


def test_a_merge_by_the_paper_has_the_papers_parameters() -> None:
    assert RamPlus().model_dump() == {"name": "ram+", "epsilon": 1e-05, "r": 0.1, "alpha": 2.0}
    assert RamPlus(shared=0.5).model_dump()["shared"] == 0.5
    assert RamPlus.model_validate(RamPlus(shared=0.5).model_dump()) == RamPlus(shared=0.5)


def test_the_factor_on_what_is_shared() -> None:
    plain, halved = Ram().coefficients([1, 1, 1]), Ram(shared=0.5).coefficients([1, 1, 1])
    for pattern, (one, other) in enumerate(zip(plain, halved, strict=True)):
        assert other == (one if pattern.bit_count() < 2 else one / 2)

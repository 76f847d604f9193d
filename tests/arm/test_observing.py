"""What is measured of models: beside slow references, once only, and the same from any number of processes."""

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chats import tokenizer
from crews import with_followers
from safetensors.numpy import load_file
from test_choosing import blend
from test_tracing import made, reference
from torch import nn

from ramekin.arm.architecture import Layer, find_layers
from ramekin.arm.measured import Aim, Measured, Observed
from ramekin.arm.observing import Observer, observe_all
from ramekin.arm.reading import Material, Prompt
from ramekin.arm.roles.finding import Role, Traced
from ramekin.arm.roles.trajectories import digest_of
from ramekin.arm.store import SaliencyStore
from ramekin.arm.texts import Text
from ramekin.errors import DamagedError
from ramekin.merge.team import Alone, Crew, Dismissed, Team

KINDS = ("role", "said", "halves", "loss", "right")


@functools.cache
def model_of(name: str) -> nn.Module:
    return blend(MODELS[name])


@functools.cache
def layers() -> Sequence[Layer]:
    return find_layers(model_of("mean"))


def role_of(texts: Sequence[Text], role: str, tasks: Sequence[str] = ()) -> Role:
    """As if a role was found in texts; every text is of its own task if none are given."""
    found = []
    for number, text in enumerate(texts):
        if role in text.roles:
            at = text.roles[role]
            task = tasks[number] if tasks else f"{number}"
            found.append(Traced(f"{number}", task, text.ids[: at[-1] + 1], at, digest_of(text.ids), "", ()))
    return Role(found)


def prompts(texts: Sequence[Text]) -> tuple[Prompt, ...]:
    return tuple(Prompt(text.ids[:6], "never said") for text in texts)


def material(donor: str, seed: int, *, judged: bool = True) -> Material:
    texts, dev = made(6, seed), made(5, seed + 100)
    return Material(
        donor,
        role_of(texts, "call"),
        said=role_of(texts, "last"),
        dev=role_of(dev, "call"),
        prompts=prompts(dev) if judged else (),
        judge="exact" if judged else None,
        longest=3,
    )


MATERIALS = {"tau": material("tool", 0), "shop": material("web", 1, judged=False), "os": material("web", 2)}
EVERYTHING = Aim(said=True, likelihood=True, answers=True)
EXPERTS = {"tool": "digest-1", "web": "digest-2"}
CANDIDATES = {"mean": "digest-3", "strange": "digest-4"}
MODELS = {"tool": {1: 1.0}, "web": {2: 1.0}, "mean": {1: 0.5, 2: 0.5}, "strange": {7: 1.0}}


@dataclass
class Spy(Observer):
    """Remembers what was really measured."""

    measured: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.measured = []

    def measure(self, model: nn.Module, digest: str, wanted: Any, advance: Any = lambda tokens: None) -> Measured:
        self.measured.append((digest, {name: [*kinds] for name, kinds in wanted.items()}))
        return super().measure(model, digest, wanted, advance)


@dataclass
class Bench:
    """Models that are given out, in one process of a team."""

    materials: Mapping[str, Material] = field(default_factory=lambda: MATERIALS)
    aim: Aim = EVERYTHING
    store: SaliencyStore | None = None
    experts: Mapping[str, str] = field(default_factory=lambda: EXPERTS)
    candidates: Mapping[str, str] = field(default_factory=lambda: CANDIDATES)
    dtype: str = "float32"
    budget: int = 60
    wanted: list[str] = field(default_factory=list)
    shown: list[tuple[str, int, int]] = field(default_factory=list)
    measured: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    spoil: Callable[[nn.Module, Team], None] = lambda model, team: None

    def observe(self, team: Team | None = None) -> Observed:
        team = team or Alone()
        observer = Spy(
            layers(),
            self.materials,
            self.dtype,
            tokenizer=tokenizer(),
            budget=self.budget,
            store=self.store,
            team=team,
        )

        def load(name: str) -> nn.Module:
            self.wanted.append(name)
            model = copy.deepcopy(model_of(name)).to(getattr(torch, self.dtype))
            self.spoil(model, team)
            return model

        def give(names: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
            yield from ((name, load(name)) for name in names)

        @contextmanager
        def show(name: str, tokens: int) -> Iterator[Any]:
            bar = Counted()
            yield bar
            self.shown.append((name, tokens, bar.total))

        found = observe_all(observer, self.aim, self.experts, load, self.candidates, give, show=show)
        self.measured = observer.measured
        return found


class Counted:
    total = 0

    def advance(self, amount: int) -> None:
        self.total += amount


def bits(found: Any) -> Any:
    """All numbers as bytes, so that not a bit may differ."""
    if isinstance(found, Observed):
        return bits(found.experts), {name: bits(each) for name, each in found.candidates.items()}
    layers = {
        kind: {name: [layer.tobytes() for layer in each] for name, each in found.of(kind).items()} for kind in KINDS[:3]
    }
    return layers | {
        kind: {name: np.array(each).tobytes() for name, each in found.of(kind).items()} for kind in KINDS[3:]
    }


def slow_losses(model: nn.Module, texts: Sequence[Text], role: str) -> list[float]:
    """One text after the other, with all logits in float64."""
    found = []
    for text in texts:
        if role not in text.roles:
            continue
        with torch.no_grad():
            chances = model(input_ids=torch.tensor([text.ids])).logits[0].double().log_softmax(-1)
        told = [-float(chances[at - 1, text.ids[at]]) for at in text.roles[role] if at]
        found.append(sum(told) / len(told) if told else math.nan)
    return found


@pytest.mark.usefixtures("several_threads")
def test_beside_slow_references() -> None:
    bench = Bench()
    found = bench.observe()
    assert bench.wanted == ["tool", "web", "mean", "strange"]
    of_models = {"tool": found.experts, "web": found.experts} | dict(found.candidates)
    for name in MODELS:
        model = model_of(name)
        for seed, (benchmark, each) in enumerate(MATERIALS.items()):
            if name in EXPERTS and each.donor != name:
                continue
            measured = of_models[name]
            for ours, theirs in zip(measured.role[benchmark], reference(model, made(6, seed), "call"), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
            expected = slow_losses(model, made(5, seed + 100), "call")
            np.testing.assert_allclose(measured.loss[benchmark], expected, rtol=2e-5)
    # Only experts are watched in all that the assistant says, and prompts are given where there is a judge.
    assert found.experts.said.keys() == MATERIALS.keys()
    for ours, theirs in zip(found.experts.said["shop"], reference(model_of("web"), made(6, 1), "last"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    for each in found.candidates.values():
        assert (each.said, each.right.keys()) == ({}, {"tau", "os"})
        assert each.right["tau"] == [0.0] * 5


def test_the_bar_is_told_what_it_was_promised() -> None:
    bench = Bench(aim=Aim(said=True, likelihood=True))
    bench.observe()
    assert [name for name, *_ in bench.shown] == ["tool", "web", "mean", "strange"]
    assert all(promised == told > 0 for _, promised, told in bench.shown)


@pytest.mark.parametrize(
    ("aim", "of_tool", "of_candidate"),
    [
        (Aim(), {"tau": ["role", "halves"]}, {"tau": ["role"], "shop": ["role"], "os": ["role"]}),
        (
            Aim(overlap=False, likelihood=True),
            {"tau": ["loss"]},
            {"tau": ["loss"], "shop": ["loss"], "os": ["loss"]},
        ),
        (Aim(overlap=False, answers=True), {"tau": ["right"]}, {"tau": ["right"], "os": ["right"]}),
        (
            EVERYTHING,
            {"tau": ["role", "halves", "said", "loss", "right"]},
            {"tau": ["role", "loss", "right"], "shop": ["role", "loss"], "os": ["role", "loss", "right"]},
        ),
    ],
)
def test_what_is_aimed_at(aim: Aim, of_tool: object, of_candidate: object) -> None:
    bench = Bench(aim=aim)
    bench.observe()
    measured = dict(bench.measured)
    assert measured["digest-1"] == of_tool
    assert measured["digest-3"] == of_candidate


def test_where_nothing_is_wanted_nothing_is_loaded() -> None:
    bench = Bench(aim=Aim(overlap=False))
    found = bench.observe()
    assert (bench.wanted, bits(found.experts)) == ([], bits(Measured()))


def test_nothing_is_loaded_when_all_is_known(tmp_path: Path) -> None:
    first = Bench(store=SaliencyStore(tmp_path)).observe()
    again = Bench(store=SaliencyStore(tmp_path))
    assert bits(again.observe()) == bits(first)
    assert (again.wanted, again.shown, again.measured) == ([], [], [])


def longer(found: Material) -> Material:
    return replace(found, longest=found.longest + 1)


def other_dev(found: Material) -> Material:
    return replace(found, dev=role_of(made(4, 77), "call"))


def other_calibration(found: Material) -> Material:
    return replace(found, role=role_of(made(4, 78), "call"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [(longer, ["right"]), (other_dev, ["loss"]), (other_calibration, ["role", "halves"])],
)
def test_only_what_changed_is_measured_again(
    change: Callable[[Material], Material], expected: list[str], tmp_path: Path
) -> None:
    store = SaliencyStore(tmp_path)
    Bench(store=store).observe()
    bench = Bench(dict(MATERIALS) | {"os": change(MATERIALS["os"])}, store=store)
    bench.observe()
    of_candidates = [kind for kind in expected if kind != "halves"]  # these are the experts' alone
    assert bench.measured == [
        ("digest-2", {"os": expected}),
        ("digest-3", {"os": of_candidates}),
        ("digest-4", {"os": of_candidates}),
    ]
    assert bench.wanted == ["web", "mean", "strange"]


def test_another_model_or_type_is_measured_anew(tmp_path: Path) -> None:
    store = SaliencyStore(tmp_path)
    Bench(store=store).observe()
    moved = Bench(store=store, experts=dict(EXPERTS) | {"web": "digest-8"}, candidates={"strange": "digest-4"})
    moved.observe()
    assert moved.wanted == ["web"]
    other = Bench(store=store, dtype="bfloat16")
    other.observe()
    assert other.wanted == ["tool", "web", "mean", "strange"]


def test_what_an_interrupted_run_has_measured_stays(tmp_path: Path) -> None:
    store = SaliencyStore(tmp_path)

    def stop(model: nn.Module, team: Team) -> None:
        if len(bench.wanted) == 4:
            raise KeyboardInterrupt

    bench = Bench(store=store, spoil=stop)
    with pytest.raises(KeyboardInterrupt):
        bench.observe()
    again = Bench(store=store)
    found = again.observe()
    assert again.wanted == ["strange"]
    assert bits(found) == bits(Bench().observe())


def together(size: int, make: Callable[[], Bench]) -> tuple[Any, list[Bench], list[object]]:
    """Observe in several processes; what came of it in the first, their benches, and how the others ended."""
    benches = [make() for _ in range(size)]
    seen: list[Any] = [None] * (size - 1)

    def follower(crew: Crew) -> int:
        while True:
            try:
                if not seen[crew.rank - 1]:
                    seen[crew.rank - 1] = bits(benches[crew.rank].observe(crew))
                crew.gather(None)
            except Dismissed as end:
                return end.code
            except DamagedError as error:  # as `follow` does
                seen[crew.rank - 1] = error
                crew.fail(error)

    found, ends = with_followers(size, benches[0].observe, lead=follower)
    if isinstance(found, Observed):
        assert all(each == bits(found) for each in seen), "all know the same"
    return found, benches, ends


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_several_processes_give_the_bits_of_one(size: int, dtype: str) -> None:
    alone = Bench(dtype=dtype)
    expected = bits(alone.observe())
    found, benches, ends = together(size, lambda: Bench(dtype=dtype))
    assert isinstance(found, Observed), found
    assert bits(found) == expected
    assert ends == [0] * (size - 1)
    for number, (name, tokens, told) in enumerate(alone.shown):
        assert sum(bench.shown[number][2] for bench in benches) == told == tokens, name


def contents(directory: Path) -> dict[str, dict[str, bytes]]:
    """What is kept; the order of what the files say of themselves is left to chance."""
    return {
        path.name: {name: value.tobytes() for name, value in load_file(path).items()} for path in directory.iterdir()
    }


def test_only_the_first_keeps_and_all_use_it(tmp_path: Path) -> None:
    first, *_ = together(2, lambda: Bench(store=SaliencyStore(tmp_path / "one")))
    kept = contents(tmp_path / "one")
    alone = Bench(store=SaliencyStore(tmp_path / "two"))
    assert bits(alone.observe()) == bits(first)
    assert contents(tmp_path / "two") == kept
    stores = [SaliencyStore(tmp_path / "one"), SaliencyStore(tmp_path / "empty")]
    again, benches, _ = together(2, lambda: Bench(store=stores.pop(0)))
    assert bits(again) == bits(first)
    assert [bench.wanted for bench in benches] == [[], []], "the first one decides what is known"


def test_what_all_texts_begin_with_is_told_by_all_of_them() -> None:
    """Not by those of one process: every other one of these begins with something of its own."""
    texts = [Text((*(range(3, 63)), *range(3, 30), *text.ids), {"call": (90,)}) for text in made(6, 3)]
    other = [Text((5, *text.ids), {"call": (91,)}) for text in texts]
    mixed = [text for pair in zip(texts, other, strict=True) for text in pair]
    found = {"tau": Material("tool", role_of(mixed, "call"))}
    make = partial(Bench, found, Aim(), experts={"tool": "digest-1"}, budget=300)
    expected = bits(make().observe())
    assert [bits(together(size, make)[0]) for size in (2, 3)] == [expected] * 2


def test_more_processes_than_texts() -> None:
    few = {"tau": replace(MATERIALS["tau"], role=role_of(made(1, 5), "call"), said=None, prompts=prompts(made(1, 5)))}
    experts = {"tool": "digest-1"}
    expected = bits(Bench(few, experts=experts).observe())
    found, _, ends = together(3, lambda: Bench(few, experts=experts))
    assert (bits(found), ends) == (expected, [0, 0])


@pytest.mark.parametrize("victim", [0, 1])
def test_what_one_process_meets_ends_all(victim: int) -> None:
    def spoil(model: nn.Module, team: Team) -> None:
        if team.rank == victim:
            model.model.layers[0].mlp.up_proj.weight.data[3] = float("nan")

    found, _, ends = together(2, lambda: Bench(spoil=spoil))
    assert isinstance(found, DamagedError)
    assert "ARM_NONFINITE" in str(found)
    assert ends == [found.exit_code]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_texts_decides_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def mixed(role: Role | None) -> tuple[Role, list[int]]:
        assert role
        order = [int(at) for at in generator.permutation(len(role.trajectories))]
        return Role([role.trajectories[at] for at in order]), order

    each = MATERIALS["tau"]
    (role, _), (said, _), (dev, order) = mixed(each.role), mixed(each.said), mixed(each.dev)
    moved = {"tau": replace(each, role=role, said=said, dev=dev)}
    experts = {"tool": "digest-1"}
    first, second = (Bench(found, experts=experts, budget=1).observe() for found in ({"tau": each}, moved))
    for one, other in ((first.experts, second.experts), (first.candidates["mean"], second.candidates["mean"])):
        assert bits(one)["role"] == bits(other)["role"]
        assert bits(one)["said"] == bits(other)["said"]
        np.testing.assert_allclose(other.loss["tau"], [one.loss["tau"][at] for at in order], rtol=1e-6)


def test_roles_in_one_go_are_what_they_are_one_by_one() -> None:
    model = model_of("mean")
    observer = Observer(layers(), MATERIALS, "float32", budget=1)
    both = observer.measure(model, "x", {"tau": ["role", "said"]})
    one, other = (observer.measure(model, "x", {"tau": [kind]}) for kind in ("role", "said"))
    for ours, theirs in ((both.role, one.role), (both.said, other.said)):
        for a, b in zip(ours["tau"], theirs["tau"], strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)
    assert (one.said, other.role) == ({}, {})


def two_levels(model: nn.Module, texts: Sequence[Text], role: str, tasks: Sequence[str]) -> list[np.ndarray]:
    """The mean over tasks of the mean over their trajectories."""
    by_task = []
    for task in sorted(set(tasks)):
        own = [text for text, its in zip(texts, tasks, strict=True) if its == task and role in text.roles]
        if own:
            by_task.append(reference(model, own, role))
    return [np.mean(layers, axis=0) for layers in zip(*by_task, strict=True)]


def test_every_task_counts_the_same() -> None:
    texts, tasks = made(9, 4), ["a", "b", "a", "a", "c", "a", "c", "a", "d"]
    plain = Material("tool", role_of(texts, "call", tasks), said=role_of(texts, "last", tasks))
    model = model_of("mean")
    found = Observer(layers(), {"x": replace(plain, by_task=True)}, "float32").measure(
        model, "m", {"x": ["role", "said"]}
    )
    for ours, theirs in zip(found.role["x"], two_levels(model, texts, "call", tasks), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    for ours, theirs in zip(found.said["x"], two_levels(model, texts, "last", tasks), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    each = Observer(layers(), {"x": plain}, "float32").measure(model, "m", {"x": ["role"]})
    assert not np.allclose(each.role["x"][0], found.role["x"][0], rtol=1e-3)


def test_models_are_left_as_they_were() -> None:
    model = copy.deepcopy(model_of("mean")).train()
    before = copy.deepcopy(model.state_dict())
    observer = Observer(layers(), MATERIALS, "float32", tokenizer=tokenizer())
    observer.measure(model, "x", {"tau": ["role", "said", "loss", "right"]})
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())

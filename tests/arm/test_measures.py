"""How neurons are watched otherwise than in the paper, beside a reference that keeps all and adds it up slowly."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from crews import with_followers
from families import build
from test_observing import bits, role_of
from test_tracing import keep
from torch import nn

from ramekin.arm.architecture import find_layers
from ramekin.arm.halving import HALVES
from ramekin.arm.lengths import column_lengths
from ramekin.arm.measure import PAPERS, Measure, as_watched
from ramekin.arm.measured import Aim, Measured
from ramekin.arm.neurons import how_many, salient
from ramekin.arm.observing import Observer
from ramekin.arm.reading import Material
from ramekin.arm.readings import Readings
from ramekin.arm.roles.finding import Role
from ramekin.arm.store import SEMANTICS, SaliencyStore, reading_digest, text_digest
from ramekin.arm.texts import Text, common_prefix, contrasted
from ramekin.arm.tracing import trace
from ramekin.digests import json_digest
from ramekin.errors import DamagedError
from ramekin.merge.team import Crew, Dismissed, Team
from ramekin.methods import Arm, Average, BestOf, Tuned

MEASURES = [Measure(saliency, shift) for saliency in ("abs", "abs_wout", "contrast") for shift in (0, -1)]
OTHERS = [measure for measure in MEASURES if measure != PAPERS]
NAMES = [f"{measure.saliency}{measure.shift or ''}" for measure in MEASURES]
every_measure = pytest.mark.parametrize("measure", MEASURES, ids=NAMES)
any_other = pytest.mark.parametrize("measure", OTHERS, ids=NAMES[1:])

COLUMNS: Mapping[str, Callable[[nn.Module, int, int], torch.Tensor]] = {
    "llama": lambda model, layer, j: model.model.layers[layer].mlp.down_proj.weight[:, j],
    "phi3": lambda model, layer, j: model.model.layers[layer].mlp.down_proj.weight[:, j],
    "gpt2": lambda model, layer, j: model.transformer.h[layer].mlp.c_proj.weight[j],
    "opt": lambda model, layer, j: model.model.decoder.layers[layer].fc2.weight[:, j],
    "starcoder2": lambda model, layer, j: model.model.layers[layer].mlp.c_proj.weight[:, j],
}
"""Where arm.md says that the weights are by which neuron j goes on; GPT-2 has them in rows."""

TASKS = ["a", "b", "a", "a", "c", "b", "d", "a"]


def said_in(count: int, seed: int, prefix: int = 0) -> list[Text]:
    """Texts in which the assistant speaks, now and then from the first token on, and in most plays its role."""
    generator = np.random.default_rng(seed)
    shared = tuple(int(token) for token in generator.integers(3, 60, prefix))
    texts = []
    for number in range(count):
        ids = (*shared, *(int(token) for token in generator.integers(3, 60, generator.integers(8, 22))))
        first = 0 if number % 3 == 0 and not prefix else prefix + 2
        said = tuple(range(first, len(ids) - 1))
        call = sorted({first, *(int(at) for at in generator.choice(said, 4))})
        roles = {"said": said} if number % 4 == 1 else {"said": said, "call": tuple(call)}
        texts.append(Text(ids, roles))
    return texts


def material(texts: Sequence[Text], *, by_task: bool = False) -> Material:
    tasks = TASKS[: len(texts)]
    return Material("tool", role_of(texts, "call", tasks), said=role_of(texts, "said", tasks), by_task=by_task)


def activations(model: nn.Module, text: Text) -> list[np.ndarray]:
    """Of each layer all of z, `[tokens, f]`."""
    seen: list[torch.Tensor] = []
    hooks = [
        model.get_submodule(layer.projection).register_forward_hook(partial(keep, seen)) for layer in find_layers(model)
    ]
    with torch.no_grad():
        model(input_ids=torch.tensor([text.ids]))
    for hook in hooks:
        hook.remove()
    return [z.reshape(len(text.ids), -1).double().numpy() for z in seen]


def mean_over(z: np.ndarray, positions: Sequence[int], shift: int) -> np.ndarray | None:
    rows = [[abs(value) for value in z[at + shift]] for at in positions if at + shift >= 0]
    return np.array([math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]) if rows else None


def slow(
    family: str, model: nn.Module, texts: Sequence[Text], measure: Measure, role: str = "call", by_task: bool = False
) -> list[np.ndarray]:
    """A7 and A24 as they are written: a mean over trajectories, or over tasks of the mean over theirs."""
    found: dict[str, list[list[np.ndarray]]] = {}
    for number, text in enumerate(texts):
        if role not in text.roles:
            continue
        layers = []
        for z in activations(model, text):
            own, other = (mean_over(z, text.roles[each], measure.shift) for each in (role, "said"))
            if own is not None and measure.saliency == "contrast" and role != "said":
                own = None if other is None else own - other
            layers.append(own)
        if layers[0] is not None:
            found.setdefault(TASKS[number] if by_task else f"{number}", []).append(layers)
    tasks = [[sum(column) / len(runs) for column in zip(*runs, strict=True)] for runs in found.values()]
    means = [sum(column) / len(tasks) for column in zip(*tasks, strict=True)]
    if measure.saliency != "abs_wout":
        return means
    return [
        np.array(
            [
                value * math.sqrt(math.fsum(w**2 for w in COLUMNS[family](model, layer, j).tolist()))
                for j, value in enumerate(values)
            ]
        )
        for layer, values in enumerate(means)
    ]


def measured(
    model: nn.Module, each: Material, measure: Measure, budget: int = 60, team: Team | None = None
) -> Measured:
    watched = as_watched({"x": each}, measure)
    observer = Observer(find_layers(model), watched, "float32", budget=budget, team=team, measure=measure)
    kinds = Aim(said=True).kinds(watched["x"], donor=True)
    return observer.measure(model, "m", {"x": kinds})


def near(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=3e-5, atol=3e-6)


@every_measure
@pytest.mark.parametrize("by_task", [False, True])
@pytest.mark.parametrize("family", COLUMNS)
def test_beside_the_reference(family: str, by_task: bool, measure: Measure) -> None:
    model, texts = build(family), said_in(8, 3)
    for budget in (1, 60, 500):
        found = measured(model, material(texts, by_task=by_task), measure, budget)
        expected = slow(family, model, texts, measure, by_task=by_task)
        near(found.role["x"], expected)
        near(found.said["x"], slow(family, model, texts, measure, "said", by_task))
        assert salient(found.role["x"], 0.3) == salient([values.astype(np.float32) for values in expected], 0.3)
    if measure.saliency == "contrast":
        assert any((layer < 0).any() for layer in found.role["x"])


@every_measure
def test_halves_are_those_of_what_is_read(measure: Measure) -> None:
    model, texts = build("llama"), said_in(8, 5)
    watched = as_watched({"x": material(texts)}, measure)
    halves = Readings(watched, "float32", measure).traced("x", ["halves"])
    found = measured(model, material(texts), measure)
    expected = []
    for half in HALVES:
        own = [text.ids for text in halves if half in text.roles]
        chosen = [text for text in texts if any(text.ids[: len(ids)] == ids for ids in own) and "call" in text.roles]
        assert 0 < len(chosen) == len(own)
        expected += slow("llama", model, chosen, measure)
    near(found.halves["x"], expected)


@every_measure
def test_neither_order_nor_processes_nor_batches_decide(measure: Measure) -> None:
    model, texts = build("qwen3"), said_in(8, 1)
    own = partial(copy.deepcopy, model)  # hooks are a process's own
    alone = bits(measured(model, material(texts), measure, budget=1))
    for seed in range(2):
        mixed = [texts[at] for at in np.random.default_rng(seed).permutation(len(texts))]
        assert bits(measured(model, material(mixed), measure, budget=1)) == alone

    def follower(crew: Crew) -> int:
        try:
            seen.append(bits(measured(own(), material(texts), measure, budget=1, team=crew)))
            crew.gather(None)
        except Dismissed as end:
            return end.code
        raise AssertionError

    for size in (2, 3):
        seen: list[object] = []
        found, ends = with_followers(
            size, lambda team: measured(own(), material(texts), measure, budget=1, team=team), lead=follower
        )
        assert (bits(found), seen, ends) == (alone, [alone] * (size - 1), [0] * (size - 1))


@every_measure
@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "opt"])
def test_what_all_begin_with_is_read_once_or_each_time(family: str, measure: Measure) -> None:
    model, texts = build(family), said_in(7, 2, prefix=80)
    watched = as_watched({"x": material(texts)}, measure)
    read = Readings(watched, "float32", measure).traced("x", ["role"])
    assert common_prefix(read) == 80
    layers = find_layers(model)
    for budget in (1, 400):
        once, each = (
            trace(model, layers, read, budget=budget, reuse_prefix=reuse)["role"].result() for reuse in (True, False)
        )
        near(once, each)
        assert salient(once, 0.3) == salient(each, 0.3)


def test_the_common_beginning_ends_before_what_is_watched() -> None:
    texts = [Text((1, 2, 3, 4, 5, number), {"said": (3, 4), "call": (4,)}) for number in (6, 7)]
    for saliency, shift, common in (("abs", 0, 4), ("abs", -1, 3), ("contrast", 0, 3), ("contrast", -1, 2)):
        measure = Measure(saliency, shift)
        (watched,) = as_watched({"x": material(texts)}, measure).values()
        read = Readings({"x": watched}, "float32", measure).traced("x", ["role"])
        assert common_prefix(read) == common
        # What is needed last is what is watched last: with a shift the role's last token is not read.
        assert [text.needed for text in read] == [5 + shift] * 2
        assert [len(each.ids) for each in watched.role.trajectories] == [5 + shift] * 2


def test_the_first_token_has_none_before_it() -> None:
    texts = [Text((5, 6, 7, 8), {"call": (0, 2), "said": (0, 1, 2)}), Text((6, 7, 8), {"call": (0,), "said": (0, 1)})]
    (watched,) = as_watched({"x": material(texts)}, Measure(shift=-1)).values()
    (role,) = watched.role.trajectories
    assert (role.positions, role.ids) == ((1,), (5, 6))
    assert (watched.role.without, watched.role.warnings) == (
        1,
        ["1 trajectories have the role in their first token alone, and are left out"],
    )
    assert watched.said
    assert [each.positions for each in watched.said.trajectories] == [(0, 1), (0,)]
    with pytest.raises(DamagedError, match=r"ARM_EMPTY_ROLE: in `benchmarks\.x.calibration` no token of the role has"):
        as_watched({"x": material(texts[1:])}, Measure(shift=-1))


def test_what_cannot_be_contrasted_is_refused_for_all_benchmarks_at_once() -> None:
    texts = said_in(6, 0)
    plain = material(texts)
    assert plain.said
    far = Role([replace(each, digest="another") for each in plain.said.trajectories])
    wrong = {
        "given": replace(plain, said=None),
        "all": replace(plain, said=plain.role),
        "cut": replace(plain, said=far),
        "right": plain,
    }
    with pytest.raises(DamagedError) as caught:
        as_watched(wrong, Measure("contrast"))
    told = [problem.what for problem in caught.value.problems]
    assert [what.split("`")[1] for what in told] == [
        f"benchmarks.{name}.calibration" for name in ("given", "all", "cut")
    ]
    assert ["nobody knows" in told[0], "is all that the assistant says" in told[1], "the limit" in told[2]] == [
        True
    ] * 3
    assert all(problem.hint.endswith("or leave out `saliency: contrast`") for problem in caught.value.problems)
    for saliency in ("abs", "abs_wout"):
        assert as_watched(wrong, Measure(saliency)) == wrong


def test_a_trajectory_of_which_all_speech_is_cut_is_left_out() -> None:
    model, texts = build("llama"), said_in(6, 0)
    plain = material(texts)
    assert plain.said
    missing = plain.role.trajectories[0]
    said = Role([each for each in plain.said.trajectories if each.digest != missing.digest])
    (watched,) = as_watched({"x": replace(plain, said=said)}, Measure("contrast")).values()
    assert watched.role.without == 1
    assert "cuts all that the assistant says, and are left out" in watched.role.warnings[0]
    rest = [text if text.ids[: len(missing.ids)] != missing.ids else replace(text, roles={}) for text in texts]
    found = measured(model, replace(plain, said=said), Measure("contrast"))
    near(found.role["x"], slow("llama", model, rest, Measure("contrast")))


@pytest.mark.parametrize("family", COLUMNS)
def test_columns(family: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = build(family).to(dtype)
        for number, lengths in enumerate(column_lengths(model, find_layers(model))):
            slow_ones = [COLUMNS[family](model, number, j).double().norm().item() for j in range(24)]
            np.testing.assert_allclose(lengths, slow_ones, rtol=1e-14)
            assert lengths.dtype == np.float64


def test_negative_values_are_ordered_as_others() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = generator.integers(-3, 3, 17).astype(np.float32)
        for top_k in (0.1, 0.4, 0.9, 1.0):
            best = sorted(range(17), key=lambda j: (-values[j], j))[: how_many(top_k, 17)]
            assert {*salient([values], top_k).layers[0].nonzero()[0]} == {*best}


def keys(measure: Measure) -> dict[str, str]:
    each = replace(material(said_in(8, 4)), dev=role_of(said_in(4, 9), "call"))
    readings = Readings(as_watched({"x": each}, measure), "float32", measure)
    return {kind: readings.key("m", "x", kind) for kind in ("role", "halves", "said", "loss")}


def test_the_measure_is_part_of_the_key_and_the_papers_is_not() -> None:
    """By hand, as keys were made before there were any measures."""
    texts = [text for text in said_in(8, 4) if "call" in text.roles]
    read = sorted(json_digest([text.ids[: text.roles["call"][-1] + 1], text.roles["call"]]) for text in texts)
    plain = {"semantics": SEMANTICS, "model": "m", "dtype": "float32", "reading": json_digest(read)}
    papers = keys(PAPERS)
    assert papers["role"] == json_digest(plain)
    assert papers["halves"] == json_digest(plain | {"kind": "halves"})
    found = [keys(measure) for measure in MEASURES]
    assert len({each["role"] for each in found}) == len({each["halves"] for each in found}) == len(MEASURES)
    assert {each["loss"] for each in found} == {papers["loss"]}, "likelihood is watched by no measure"
    # What is contrasted with nothing is what it was.
    by = dict(zip(NAMES, found, strict=True))
    assert (by["contrast"]["said"], by["contrast-1"]["said"]) == (by["abs"]["said"], by["abs-1"]["said"])
    assert len({each["said"] for each in found}) == 4


def test_what_a_role_is_contrasted_with_is_part_of_what_is_read() -> None:
    one = Text((1, 2, 3, 4, 5), {"role": (2,), "said": (1, 2)})
    other, longer = replace(one, roles=one.roles | {"said": (2,)}), replace(one, roles=one.roles | {"said": (1, 2, 4)})
    assert len({text_digest(each, "role") for each in (one, other, longer)}) == 1
    texts = contrasted([one, other, longer], "role", "said")
    assert len({text_digest(each, "role") for each in texts}) == 3
    assert reading_digest(texts, "role") == reading_digest(texts[::-1], "role")


@any_other
def test_what_is_kept_is_found_again_by_its_own_measure_alone(tmp_path: Path, measure: Measure) -> None:
    model, store = build("llama"), SaliencyStore(tmp_path)

    def observer(own: Measure) -> tuple[Observer, list[str]]:
        watched = as_watched({"x": material(said_in(8, 4))}, own)
        made = Observer(find_layers(model), watched, "float32", store=store, measure=own)
        return made, [*Aim().kinds(watched["x"], donor=True)]

    made, kinds = observer(measure)
    first = made.measure(model, "m", {"x": kinds})
    again, _ = observer(measure)
    assert bits(again.known("m", {"x": kinds})) == bits(first)
    plain, _ = observer(PAPERS)
    assert bits(plain.known("m", {"x": kinds})) == bits(Measured())


def test_which_methods_have_a_measure() -> None:
    for saliency, shift in product(("abs", "abs_wout", "contrast"), (0, -1)):
        for method in (Arm, BestOf):
            assert Measure.of(method(saliency=saliency, shift=shift)) == Measure(saliency, shift)
    assert Measure.of(Tuned()) == Measure.of(Average()) == PAPERS == Measure()
    assert as_watched({"x": (each := material(said_in(4, 0)))}, PAPERS)["x"] is each

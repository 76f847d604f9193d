"""Whether two halves of the recorded runs name the same neurons, beside tracing each half by itself."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_observing import Bench, layers, model_of, role_of
from test_tracing import made, reference

from ramekin.arm.halving import HALVES, agreement, agreements, halved
from ramekin.arm.measured import Aim
from ramekin.arm.neurons import how_many
from ramekin.arm.observing import Observer
from ramekin.arm.reading import Material
from ramekin.arm.store import SaliencyStore, text_digest
from ramekin.arm.texts import Text

TEXTS = [text for text in made(7) if "call" in text.roles]


def material(texts: Sequence[Text], tasks: Sequence[str] = (), *, by_task: bool = False) -> Material:
    return Material("tool", role_of(texts, "call", tasks), said=role_of(texts, "last", tasks), by_task=by_task)


def half_by_half(texts: Sequence[Text]) -> list[list[Text]]:
    """Every other one by the digest of what is read, by hand."""
    ranking = sorted(texts, key=lambda text: text_digest(Text(text.ids, {"call": text.roles["call"]}), "call"))
    return [ranking[0::2], ranking[1::2]]


def test_each_trajectory_is_in_one_half() -> None:
    texts = [Text(text.ids, {"role": text.roles["call"], "said": (1,)}) for text in TEXTS]
    found = halved(texts)
    assert [{*text.roles} - {"said"} for text in found] == [{text_half} for text_half in map(half_of, found)]
    assert all(text.roles["said"] == (1,) for text in found)
    counts = [sum(half in text.roles for text in found) for half in HALVES]
    assert sum(counts) == len(texts)
    assert 0 <= counts[0] - counts[1] <= 1
    in_any_order = {text.ids: half_of(text) for text in halved(texts[::-1])}
    assert in_any_order == {text.ids: half_of(text) for text in found}


def half_of(text: Text) -> str:
    (half,) = {*text.roles} & {*HALVES}
    return half


def test_texts_without_the_role_are_left_as_they_are() -> None:
    other = Text((1, 2, 3), {"said": (1,)}, {"said": 0.5})
    assert halved([other]) == (other,)
    weighed = Text((1, 2, 3), {"role": (2,), "said": (1,)}, {"role": 2.0, "said": 0.5})
    assert halved([weighed])[0].weights == {"first": 2.0, "said": 0.5}


def test_texts_that_end_elsewhere_are_told_apart_where_that_counts() -> None:
    """As for models that turn otherwise in longer texts: to them these two are not the same."""
    texts = [Text((1, 2, 3), {"role": (2,)}, length=length) for length in (5, 9)]
    found = halved(texts, whole=True)
    assert {text.length: half_of(text) for text in found} == {
        text.length: half_of(text) for text in halved(texts[::-1], whole=True)
    }


def test_beside_tracing_each_half_alone() -> None:
    model = model_of("mean")
    found = Observer(layers(), {"x": material(TEXTS)}, "float32", budget=60).measure(
        model, "m", {"x": ["role", "halves"]}
    )
    expected = [layer for half in half_by_half(TEXTS) for layer in reference(model, half, "call")]
    for ours, theirs in zip(found.halves["x"], expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    whole = Observer(layers(), {"x": material(TEXTS)}, "float32", budget=60).measure(model, "m", {"x": ["role"]})
    for ours, theirs in zip(found.role["x"], whole.role["x"], strict=True):
        assert np.array_equal(ours, theirs), "all of them say the same whether halves are told apart or not"


@pytest.mark.parametrize("top_k", [0.1, 0.5, 1.0])
def test_what_they_have_in_common(top_k: float) -> None:
    model, sets = model_of("tool"), []
    for half in half_by_half(TEXTS):
        chosen = set()
        for layer, values in enumerate(reference(model, half, "call")):
            ranking = sorted(range(len(values)), key=lambda j, values=values: (-values[j], j))
            chosen |= {(layer, j) for j in ranking[: how_many(top_k, len(values))]}
        sets.append(chosen)
    found = Bench({"tau": material(TEXTS)}, Aim(), experts={"tool": "digest-1"}, candidates={}).observe().experts
    assert agreement(found.halves["tau"], top_k) == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))


def test_neither_order_nor_tasks_nor_a_model_that_is_no_expert() -> None:
    tasks = ["a", "a", "b", "c", "a", "b", "d"][: len(TEXTS)]
    for by_task in (False, True):
        one, other = (
            Bench({"tau": material(texts, names, by_task=by_task)}, Aim(said=True), experts={"tool": "d"}, budget=1)
            for texts, names in ((TEXTS, tasks), (TEXTS[::-1], tasks[::-1]))
        )
        first, second = one.observe(), other.observe()
        for a, b in zip(first.experts.halves["tau"], second.experts.halves["tau"], strict=True):
            assert np.array_equal(a, b)
        assert [each.halves for each in first.candidates.values()] == [{}, {}]


def test_one_trajectory_has_no_halves() -> None:
    bench = Bench({"tau": material(TEXTS[:1])}, Aim(), experts={"tool": "digest-1"}, candidates={})
    found = bench.observe()
    assert bench.measured == [("digest-1", {"tau": ["role"]})]
    assert agreements(found.experts.halves, 0.1) == {}


def test_they_are_kept_and_what_an_older_run_kept_is_completed(tmp_path: Path) -> None:
    each = {"tau": material(TEXTS)}
    store = SaliencyStore(tmp_path)

    def bench() -> Bench:
        return Bench(each, Aim(), store=store, experts={"tool": "digest-1"}, candidates={})

    first = bench().observe().experts
    again = bench()
    assert agreements(again.observe().experts.halves, 0.3) == agreements(first.halves, 0.3)
    assert again.measured == [], "nothing is traced again"
    for path in tmp_path.iterdir():
        if b'"kind":"halves"' in path.read_bytes()[:4096]:
            path.unlink()
    older = bench()
    assert agreements(older.observe().experts.halves, 0.3) == agreements(first.halves, 0.3)
    assert older.measured == [("digest-1", {"tau": ["halves"]})]
    assert older.shown[0][1] == older.shown[0][2], "the bar knows what is read for halves alone"


def test_another_end_of_a_run_makes_no_other_halves(tmp_path: Path) -> None:
    """What comes after the role is not read, and so decides nothing: neither the key nor the halves."""
    store = SaliencyStore(tmp_path)
    one = material(TEXTS)
    role = one.role
    other = replace(
        one, role=replace(role, trajectories=[replace(t, digest=t.digest[::-1]) for t in role.trajectories])
    )
    for each, measured in ((one, 1), (other, 0)):
        bench = Bench({"tau": each}, Aim(), store=store, experts={"tool": "digest-1"}, candidates={})
        bench.observe()
        assert len(bench.measured) == measured

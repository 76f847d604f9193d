"""Tracing beside a reference that reads one trajectory at a time and keeps everything."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch
from families import DENSE, build
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ramekin.arm import tracing
from ramekin.arm.architecture import find_layers
from ramekin.arm.neurons import salient
from ramekin.arm.saliency import RoleMean
from ramekin.arm.texts import Text, batches, common_prefix
from ramekin.arm.tracing import trace
from ramekin.errors import DamagedError, IncompatibleError, ResourceError


def made(count: int, seed: int = 0, prefix: int = 0) -> list[Text]:
    """Texts with two roles, of which some have one only."""
    generator = np.random.default_rng(seed)
    shared = tuple(int(token) for token in generator.integers(3, 60, prefix))
    texts = []
    for number in range(count):
        ids = (*shared, *(int(token) for token in generator.integers(3, 60, generator.integers(4, 20))))
        at = sorted({int(place) for place in generator.integers(prefix, len(ids), 4)})
        roles = {"call": tuple(at), "last": tuple(at[-1:])}
        texts.append(Text(ids, {"call": roles["call"]} if number % 3 == 1 else roles))
    return texts


def keep(seen: list[torch.Tensor], _module: nn.Module, args: tuple[torch.Tensor], _out: torch.Tensor) -> None:
    seen.append(args[0])


def reference(model: nn.Module, texts: Sequence[Text], role: str) -> list[np.ndarray]:
    """Eq. 2 as it is written: the whole model, one text after the other, all of z kept."""
    layers, sums, count = find_layers(model), None, 0
    for text in texts:
        if role not in text.roles:
            continue
        seen: list[torch.Tensor] = []
        hooks = [model.get_submodule(layer.projection).register_forward_hook(partial(keep, seen)) for layer in layers]
        with torch.no_grad():
            model(input_ids=torch.tensor([text.ids]))
        for hook in hooks:
            hook.remove()
        rows = [abs(z.reshape(len(text.ids), -1)[[*text.roles[role]]].double().numpy()).mean(0) for z in seen]
        sums = rows if sums is None else [total + row for total, row in zip(sums, rows, strict=True)]
        count += 1
    return [total / count for total in sums]


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("prefix", [0, 70])
def test_every_architecture(family: str, prefix: int) -> None:
    model, texts = build(family), made(7, prefix=prefix)
    layers = find_layers(model)
    expected = {role: reference(model, texts, role) for role in ("call", "last")}
    assert common_prefix(texts) == prefix
    for budget in (1, 40, 500):
        found = trace(model, layers, texts, budget=budget)
        for role, values in expected.items():
            assert found[role].trajectories == sum(role in text.roles for text in texts)
            for ours, theirs in zip(found[role].result(), values, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
            assert salient(found[role].result(), 0.3) == salient(values, 0.3)


def test_order_does_not_matter() -> None:
    model, texts = build("llama"), made(9)
    layers = find_layers(model)
    found = trace(model, layers, texts, budget=1)["call"].result()
    for seed in range(4):
        mixed = [texts[at] for at in np.random.default_rng(seed).permutation(len(texts))]
        again = trace(model, layers, mixed, budget=1)["call"].result()
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_add_up_to_one(processes: int) -> None:
    model, texts = build("qwen3"), made(10)
    layers = find_layers(model)
    whole = trace(model, layers, texts, budget=1)["call"]
    total = RoleMean([layer.width for layer in layers])
    for rank in range(processes):
        total.merge(trace(model, layers, texts[rank::processes], budget=1)["call"])
    assert total.trajectories == whole.trajectories
    assert all(np.array_equal(a, b) for a, b in zip(total.result(), whole.result(), strict=True))


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 120))
def test_batches(lengths: list[int], budget: int) -> None:
    found = [*batches(lengths, budget)]
    assert sorted(index for batch in found for index in batch) == [*range(len(lengths))]
    for batch in found:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
    assert [lengths[batch[0]] for batch in found] == sorted((lengths[batch[0]] for batch in found), reverse=True)


def test_what_texts_have_in_common_ends_before_any_role() -> None:
    assert common_prefix([Text((1, 2, 3, 4), {"a": (3,)}), Text((1, 2, 3, 5), {"a": (1,)})]) == 1
    assert common_prefix([Text((1, 2, 3, 4), {"a": (3,)}), Text((1, 9, 3, 5), {"a": (3,)})]) == 1
    assert common_prefix([Text((1, 2), {"a": (0,)})]) == 0


def test_what_comes_after_the_roles_is_not_read() -> None:
    model = build("llama")
    text = Text((5, 6, 7, 8, 9, 10), {"a": (1, 2)})
    read: list[int] = []
    hook = model.get_decoder().register_forward_pre_hook(
        lambda _, __, kwargs: read.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    told: list[int] = []
    trace(model, find_layers(model), [text], advance=told.append)
    hook.remove()
    assert read == told == [3]


def test_activations_that_are_not_finite() -> None:
    model = build("llama")
    model.model.layers[1].mlp.up_proj.weight.data[3] = float("inf")
    with pytest.raises(DamagedError, match="ARM_NONFINITE: activations of layer 1"):
        trace(model, find_layers(model), made(2))


def test_a_hook_that_is_not_called() -> None:
    model = build("llama")
    layers = find_layers(model)
    mlp = model.model.layers[1].mlp
    down = mlp.down_proj.weight
    mlp.forward = lambda x: nn.functional.linear(mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x), down)
    with pytest.raises(IncompatibleError, match="ARM_HOOK_MISSED: of 2 MLPs 1 were seen"):
        trace(model, layers, made(2))


def test_a_prefix_counts_for_each_text_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = build("llama"), made(6, prefix=90)
    read, sizes = tracing._Reader.read, []

    def noted(self: object, batch: list[Text], *rest: object) -> object:
        sizes.append(len(batch))
        return read(self, batch, *rest)

    monkeypatch.setattr(tracing._Reader, "read", noted)
    trace(model, find_layers(model), texts, budget=250)
    assert sizes == [2, 2, 2]


def test_no_text_in_a_role() -> None:
    assert trace(build("llama"), find_layers(build("llama")), []) == {}
    with pytest.raises(DamagedError, match="ARM_EMPTY_ROLE"):
        RoleMean([4]).result()


def test_batches_are_halved_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = build("llama"), made(8)
    layers = find_layers(model)
    expected = trace(model, layers, texts, budget=1)["call"].result()
    read, sizes = tracing._Reader.read, []

    def small(self: object, batch: list[Text], *rest: object) -> object:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return read(self, batch, *rest)

    monkeypatch.setattr(tracing._Reader, "read", small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    found = trace(model, layers, texts, budget=10_000)["call"].result()
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)

    def never(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(tracing._Reader, "read", never)
    with pytest.raises(ResourceError, match="one trajectory alone"):
        trace(model, layers, texts)


def test_the_model_is_left_as_it_was() -> None:
    model = build("llama").train()
    trace(model, find_layers(model), made(3))
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())

"""Neurons are found in every dense architecture, are what the formula says, and can be moved one by one."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from families import DENSE, FORMULAS, MIXTURES, build
from torch import nn

from ramekin.arm.architecture import find_layers, tensors_of, transplant
from ramekin.arm.neurons import Neurons
from ramekin.errors import IncompatibleError

IDS = torch.arange(3, 15).reshape(1, -1)


def states(model: nn.Module, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What enters and what leaves a module while the model reads a text; `[tokens, width]`."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = model.get_submodule(path).register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    with torch.inference_mode():
        model.get_decoder()(input_ids=IDS, use_cache=False)
    hook.remove()
    return tuple(each.reshape(-1, each.shape[-1]).clone() for each in seen[0])


def some(widths: Sequence[int], seed: int = 0) -> Neurons:
    generator = np.random.default_rng(seed)
    return Neurons(tuple(generator.random(width) < 0.3 for width in widths))


def test_there_are_21_of_them() -> None:
    assert len(DENSE) == len(FORMULAS) == 21


@pytest.mark.parametrize("family", DENSE)
def test_what_is_hooked_is_what_the_formula_says(family: str) -> None:
    model = build(family)
    layers = find_layers(model)
    assert len(layers) == 2
    inward, formula = FORMULAS[family]
    for layer in layers:
        parent, _, _ = layer.projection.rpartition(".")
        z, _ = states(model, layer.projection)
        x, _ = states(model, f"{parent}.{inward}")
        with torch.inference_mode():
            expected = formula(model.get_submodule(parent), x)
        assert z.shape == (IDS.numel(), layer.width)
        assert torch.equal(z, expected.reshape(z.shape))


@pytest.mark.parametrize("family", DENSE)
def test_a_transplant_replaces_the_neurons_contributions(family: str) -> None:
    model, donor = build(family), build(family, seed=1)
    layers = find_layers(model)
    chosen = some([layer.width for layer in layers])
    layer, at = layers[0], torch.from_numpy(chosen.layers[0])
    parent, _, outward = layer.projection.rpartition(".")
    inward, formula = FORMULAS[family]
    x, _ = states(model, f"{parent}.{inward}")

    def run(mlp: nn.Module) -> torch.Tensor:
        with torch.inference_mode():
            return mlp.get_submodule(outward)(formula(mlp, x))

    def contribution(mlp: nn.Module) -> torch.Tensor:
        """What the chosen neurons add to the output, its bias left out."""
        with torch.inference_mode():
            z = formula(mlp, x).reshape(-1, layer.width)
            weight = mlp.get_submodule(outward).weight
            return z[:, at] @ (weight[at] if family == "gpt2" else weight[:, at].T)

    own, its = model.get_submodule(parent), donor.get_submodule(parent)
    before, lost, won = run(own), contribution(own), contribution(its)
    transplant(layers, chosen, donor.state_dict(), model.state_dict())
    torch.testing.assert_close(run(own), before - lost + won, rtol=0, atol=2e-5)


@pytest.mark.parametrize("family", DENSE)
def test_all_neurons_and_none(family: str) -> None:
    model, donor = build(family), build(family, seed=1)
    layers = find_layers(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    none = Neurons(tuple(np.zeros(layer.width, np.bool_) for layer in layers))
    transplant(layers, none, donor.state_dict(), model.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    every = Neurons(tuple(np.ones(layer.width, np.bool_) for layer in layers))
    transplant(layers, every, donor.state_dict(), model.state_dict())
    moved = tensors_of(layers)
    for name, value in model.state_dict().items():
        assert torch.equal(value, (donor.state_dict() if name in moved else before)[name])
    # The bias of the output projection belongs to no neuron.
    assert not any(name.startswith(f"{layer.projection}.bias") for layer in layers for name in moved)


@pytest.mark.parametrize("family", ["llama-mlp-bias", "phi3", "gpt2", "opt"])
def test_only_the_chosen_neurons_change(family: str) -> None:
    model, donor = build(family), build(family, seed=1)
    layers = find_layers(model)
    chosen = some([layer.width for layer in layers], seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    transplant(layers, chosen, donor.state_dict(), model.state_dict())
    changed = 0
    for layer, mask in zip(layers, chosen.layers, strict=True):
        for place in layer.places:
            differs = (model.state_dict()[place.tensor] != before[place.tensor]).movedim(place.axis, 0)
            found = differs[place.first : place.first + layer.width].reshape(layer.width, -1).any(1)
            assert found.tolist() == mask.tolist()
            changed += int(found.sum())
    assert changed == sum(len(layer.places) * n for layer, n in zip(layers, chosen.per_layer, strict=True))


@pytest.mark.parametrize("family", MIXTURES)
def test_mixtures_of_experts_are_refused_by_name(family: str) -> None:
    with pytest.raises(IncompatibleError, match=r"ARM_UNSUPPORTED_MOE: .* is a mixture of experts"):
        find_layers(build(family))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own, as it compiles
def test_what_else_has_no_neurons() -> None:
    lacking = build("llama")
    lacking.model.layers[1].mlp = nn.Identity()
    with pytest.raises(IncompatibleError, match="an MLP was found in 1 of its 2 layers"):
        find_layers(lacking)

    quantised = build("llama")
    quantised.model.layers[0].mlp.up_proj.weight = nn.Parameter(
        torch.zeros(24, 16, dtype=torch.int8), requires_grad=False
    )
    with pytest.raises(IncompatibleError, match="quantised"):
        find_layers(quantised)

    twice = build("llama")
    twice.model.layers[0].second = twice.model.layers[1].mlp
    with pytest.raises(IncompatibleError, match="layer 0 has more than one MLP"):
        find_layers(twice)

    adapted = build("llama")
    adapted.peft_config = {}
    with pytest.raises(IncompatibleError, match="an adapter is attached"):
        find_layers(adapted)

    with pytest.raises(IncompatibleError, match="it is compiled"):
        find_layers(torch.compile(build("llama")))

"""Where a model's MLP neurons are: what to trace, and which weights are a neuron's own.

Neuron j of a layer is what enters column j of its MLP's output projection (arXiv 2601.07309, section 3). To it belong
that column, row j of each input projection, and their biases at j. The output projection's bias belongs to no neuron.

The MLPs are found by structure, not by the name of the model: two or three projections beside each other, once in every
layer of the decoder. What does not look so is refused, above all mixtures of experts: their neurons are tensors of
three axes, with no module between, and some have one dense expert beside the others that would be taken for all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import torch
from torch import nn

from ramekin.arm.neurons import Neurons
from ramekin.errors import IncompatibleError
from ramekin.plan.neurons import EXPERT_COUNTS

# Projections into the MLP, and out of it; the first that is there counts.
_SIGNATURES: Final[Sequence[tuple[tuple[str, ...], str]]] = (
    (("gate_proj", "up_proj"), "down_proj"),
    (("gate_up_proj",), "down_proj"),
    (("w1", "w3"), "w2"),
    (("c_fc",), "c_proj"),
    (("fc1",), "fc2"),
    (("fc_in",), "fc_out"),
    (("dense_h_to_4h",), "dense_4h_to_h"),
    (("up_proj",), "down_proj"),
)
_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.([0-9]+)(?:\.|$)")


@dataclass(frozen=True)
class Place:
    """Where neurons are in a tensor.

    Attributes:
        tensor: Its name, in the model and in its files.
        axis: The axis along which neurons stand.
        first: Where neuron 0 is on it.
    """

    tensor: str
    axis: int
    first: int = 0


@dataclass(frozen=True)
class Layer:
    """One layer's MLP.

    Attributes:
        width: f, how many neurons it has.
        projection: The module path of its output projection: what enters it is z.
        places: Where its neurons' weights are.
    """

    width: int
    projection: str
    places: tuple[Place, ...]


def find_layers(model: nn.Module) -> tuple[Layer, ...]:
    """The MLPs of a causal language model of the transformers library, first layer first.

    Raises:
        IncompatibleError: Its neurons cannot be traced or transplanted, with the reason.
    """
    refuse_what_has_no_neurons(model)
    decoder = model.get_decoder()  # type: ignore[operator]
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    found: dict[int, Layer] = {}
    for path, module in decoder.named_modules():
        signature = _signature(module)
        number = _LAYER.search(path) if signature else None
        if signature and number:
            layer = _layer(".".join(part for part in (prefix, path) if part), module, *signature)
            if int(number[1]) in found:
                _refuse(model, f"layer {number[1]} has more than one MLP")
            found[int(number[1])] = layer
    depth = getattr(model.config.get_text_config(), "num_hidden_layers", len(found))  # type: ignore[union-attr,operator]
    if not found or sorted(found) != list(range(depth)):
        _refuse(model, f"an MLP was found in {len(found)} of its {depth} layers")
    return tuple(found[number] for number in range(depth))


def refuse_what_has_no_neurons(model: nn.Module) -> None:
    """See that the model is what ARM can work on.

    Raises:
        IncompatibleError: It is a mixture of experts, quantised, compiled, an adapter, or has an encoder.
    """
    config: Any = model.config
    if hasattr(model, "_orig_mod"):
        _refuse(model, "it is compiled, so that its activations cannot be seen")
    if hasattr(model, "peft_config") or any(".lora_" in name for name, _ in model.named_modules()):
        _refuse(model, "an adapter is attached to it; merge that into its weights first")
    if getattr(config, "is_encoder_decoder", False):
        _refuse(model, "it has an encoder")
    if _is_mixture(config) or any("experts" in name or weight.dim() == 3 for name, weight in model.named_parameters()):
        raise IncompatibleError(
            f"ARM_UNSUPPORTED_MOE: {type(model).__name__} is a mixture of experts, whose neurons ARM does not define",
            "merge it with another method, such as `ram+`",
        )


def _is_mixture(config: Any) -> bool:
    counts = [getattr(each, key, None) for each in (config, config.get_text_config()) for key in EXPERT_COUNTS]
    return any(isinstance(count, int) and count > 0 for count in counts)


def _refuse(model: nn.Module, why: str) -> NoReturn:
    raise IncompatibleError(
        f"ARM_UNSUPPORTED: the neurons of {type(model).__name__} cannot be traced: {why}",
        "merge it with another method, such as `ram+`",
    )


def _signature(module: nn.Module) -> tuple[tuple[str, ...], str] | None:
    children = {name for name, _ in module.named_children()}
    return next((found for found in _SIGNATURES if {*found[0], found[1]} <= children), None)


def _layer(path: str, parent: nn.Module, inward: tuple[str, ...], outward: str) -> Layer:
    """Take up the projections of one MLP, each a Linear, `[out, in]`, or GPT-2's Conv1D, `[in, out]`."""
    projection = parent.get_submodule(outward)
    across = _neuron_axis(path, projection, out=True)
    width = _weight(path, projection).shape[across]
    places = [Place(f"{path}.{outward}.weight", across)]
    for name in inward:
        module = parent.get_submodule(name)
        axis = _neuron_axis(path, module, out=False)
        size = _weight(path, module).shape[axis]
        if size not in {width, 2 * width} or (size == 2 * width and len(inward) > 1):
            raise IncompatibleError(
                f"ARM_UNSUPPORTED: `{path}.{name}` has {size} outputs, for {width} neurons",
                "merge it with another method, such as `ram+`",
            )
        # Where gate and up are one projection, the gate's rows come first.
        for first in range(0, size, width):
            places.append(Place(f"{path}.{name}.weight", axis, first))
            if getattr(module, "bias", None) is not None:
                places.append(Place(f"{path}.{name}.bias", 0, first))
    return Layer(width, f"{path}.{outward}", tuple(places))


def _weight(path: str, module: nn.Module) -> torch.Tensor:
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() != 2 or not weight.dtype.is_floating_point:
        raise IncompatibleError(
            f"ARM_UNSUPPORTED: the weights in `{path}` are quantised or of an unknown kind ({type(module).__name__})",
            "use weights in bfloat16, float16 or float32",
        )
    return weight


def _neuron_axis(path: str, module: nn.Module, *, out: bool) -> int:
    """The axis of neurons in a projection's weight: of what enters it if it leads `out` of the MLP."""
    if isinstance(module, nn.Linear):
        return 1 if out else 0
    if type(module).__name__ == "Conv1D":
        return 0 if out else 1
    raise IncompatibleError(
        f"ARM_UNSUPPORTED: the projections in `{path}` are of an unknown kind ({type(module).__name__})",
        "merge it with another method, such as `ram+`",
    )


def changed_places(layers: Sequence[Layer], neurons: Neurons) -> Iterator[tuple[Place, torch.Tensor]]:
    """Where the neurons of a set are: places, and `[n]`, the indices on the place's axis; nothing for empty layers."""
    for layer, chosen in zip(layers, neurons.layers, strict=True):
        indices = torch.from_numpy(chosen.nonzero()[0])
        if len(indices):
            yield from ((place, place.first + indices) for place in layer.places)


def transplant(
    layers: Sequence[Layer], neurons: Neurons, donor: Mapping[str, torch.Tensor], into: Mapping[str, torch.Tensor]
) -> None:
    """Give a model the neurons of another, all or some, in place (Eq. 6).

    Args:
        layers: Where neurons are, in both.
        neurons: Which.
        donor: The tensors of the model they come from, by name.
        into: The tensors of the model that gets them.
    """
    with torch.no_grad():
        for place, indices in changed_places(layers, neurons):
            target = into[place.tensor]
            at = indices.to(target.device)
            values = donor[place.tensor].index_select(place.axis, indices.to(donor[place.tensor].device))
            target.index_copy_(place.axis, at, values.to(target))


def tensors_of(layers: Iterable[Layer]) -> set[str]:
    """All tensors that hold neurons."""
    return {place.tensor for layer in layers for place in layer.places}

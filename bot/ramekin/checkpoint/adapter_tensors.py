"""The tensors of a LoRA adapter by what they are for: pairs of factors, and tensors that replace the base's.

PEFT names them `base_model.model.MODULE.lora_A.weight` and `lora_B`, for embeddings `MODULE.lora_embedding_A` and
`lora_embedding_B`; older releases put the adapter's own name in between. A module that was saved whole has the names
that it has in the model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.checkpoint.tensors import FLOATING, Tensor

PREFIX: Final = "base_model.model."

_FACTOR: Final = re.compile(r"(?P<module>.+)\.lora_(?P<factor>[AB])(?:\.(?P<adapter>[^.]+))?\.weight")
_EMBEDDING_FACTOR: Final = re.compile(r"(?P<module>.+)\.lora_embedding_(?P<factor>[AB])(?:\.(?P<adapter>[^.]+))?")
_SAVED: Final = re.compile(r"\.modules_to_save(?:\.[^.]+(?=\.))?(?=\.[^.]+$)")
_OTHER: Final = (
    (re.compile(r".*lora_magnitude_vector.*"), "is of a DoRA adapter, which is no plain product"),
    (re.compile(r".*lora_B.*\.bias"), "is a bias of the adapter itself, which is not supported"),
    (re.compile(r".*trainable_tokens.*"), "replaces single rows of an embedding, which is not supported"),
    (re.compile(r".*(?:\.|^)(?:lora_|ia3_|vera_|hada_|oft_|boft_|adalora).*"), "is of no known kind of LoRA adapter"),
)


@dataclass(frozen=True)
class AdaptedModule:
    """A module whose weight a product of two factors changes.

    Attributes:
        name: Its name in the model that the adapter was trained on.
        a: `[r, in]`.
        b: `[out, r]`.
        embedding: Whether it is an embedding, whose weight is stored as `[in, out]`.
    """

    name: str
    a: Tensor
    b: Tensor
    embedding: bool = False


@dataclass(frozen=True)
class AdapterTensors:
    """The tensors of an adapter.

    Attributes:
        modules: What is changed by a product.
        saved: What is replaced, by the name in the model.
        frozen: Copies of weights that a product changes, by the name in the model; they were not trained.
        wrong: What cannot be merged, by the name in the file, with the reason.
    """

    modules: tuple[AdaptedModule, ...]
    saved: Mapping[str, Tensor]
    frozen: Mapping[str, Tensor]
    wrong: Mapping[str, str]


def sort_adapter(tensors: Mapping[str, Tensor], *, biases: bool = False) -> AdapterTensors:
    """Sort an adapter's tensors.

    Args:
        tensors: By the name in the file.
        biases: Whether biases were trained, so that those in the file are meant.
    """
    factors: dict[tuple[str, bool], dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    wrong: dict[str, str] = {}
    adapters: set[str] = set()
    for name, tensor in tensors.items():
        inner = name.removeprefix(PREFIX)
        match = _FACTOR.fullmatch(inner) or _EMBEDDING_FACTOR.fullmatch(inner)
        if inner == name:
            wrong[name] = f"is not named as an adapter's tensor is, which begins with `{PREFIX}`"
        elif tensor.dtype not in FLOATING:
            wrong[name] = f"is stored as {tensor.dtype}, and adapters are merged in bfloat16, float16 or float32"
        elif match:
            pair = factors.setdefault((match["module"], match.re is _EMBEDDING_FACTOR), {})
            adapters.add(match["adapter"] or "")
            if match["factor"] in pair or len(adapters) > 1:
                wrong[name] = "is of another adapter than the tensors before it; a file must hold one adapter"
            pair.setdefault(match["factor"], tensor)
        elif why := next((why for pattern, why in _OTHER if pattern.fullmatch(inner)), None):
            wrong[name] = why
        elif biases and inner.endswith(".bias"):
            wrong[name] = "is a bias that was trained (`bias` in adapter_config.json), which is not supported"
        else:
            _keep(whole, _SAVED.sub("", inner), tensor, wrong)
    modules = _paired(factors, wrong)
    frozen = {name.replace(".base_layer.", "."): tensor for name, tensor in whole.items() if ".base_layer." in name}
    saved = {name: tensor for name, tensor in whole.items() if ".base_layer." not in name}
    changed = {f"{module.name}.weight" for module in modules}
    wrong |= {saved[name].name: "is stored beside factors that change it" for name in saved if name in changed}
    wrong |= {
        tensor.name: "is a weight of the base that no factors change"
        for name, tensor in frozen.items()
        if name not in changed and not name.endswith(".bias")
    }
    return AdapterTensors(modules, saved, frozen, wrong)


def _keep(whole: dict[str, Tensor], name: str, tensor: Tensor, wrong: dict[str, str]) -> None:
    if name in whole:
        wrong[tensor.name] = "is stored twice"
    whole.setdefault(name, tensor)


def _paired(
    factors: Mapping[tuple[str, bool], Mapping[str, Tensor]], wrong: dict[str, str]
) -> tuple[AdaptedModule, ...]:
    """The complete pairs of two matrices; `wrong` gets the others."""
    modules = []
    seen: set[str] = set()
    for (module, embedding), pair in factors.items():
        a, b = pair.get("A"), pair.get("B")
        if a is None or b is None:
            alone = next(iter(pair.values()))
            wrong[alone.name] = f"has no `lora_{'A' if a is None else 'B'}` beside it, so the file is not complete"
        elif len(a.shape) > 2 or len(b.shape) > 2:
            wrong[(a if len(a.shape) > 2 else b).name] = "has more than two dimensions, as of a convolution's adapter"
        elif len(a.shape) < 2 or len(b.shape) < 2 or not (a.numel and b.numel):
            empty = b if len(a.shape) == 2 and a.numel else a
            wrong[empty.name] = "is no matrix; where training was sharded, it was saved before it was gathered"
        elif module in seen:
            wrong[a.name] = "is one of two pairs of factors of one module"
        else:
            modules.append(AdaptedModule(module, a, b, embedding))
            seen.add(module)
    return tuple(modules)

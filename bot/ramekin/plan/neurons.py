"""Whether a model has the neurons that ARM works on, as far as its config and the names of its tensors tell."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.findings import Finding, folded
from ramekin.checkpoint.tensors import FLOATING, ITEM_SIZES, Tensor
from ramekin.manifest.model import Manifest
from ramekin.methods import Arm
from ramekin.plan.layout import Layout, TensorTask

EXPERT_COUNTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""Keys of a config that say how many experts a mixture has."""

_HINT: Final = "merge it with another method, such as `ram+`"


def find_neuronless(base: CheckpointFacts) -> Iterator[Finding]:
    """What keeps a model from being watched at work; all experts have the base's structure.

    Args:
        base: The base.
    """
    if count := _count_of_experts(base.config):
        what = "ARM_UNSUPPORTED_MOE: it is a mixture of experts, whose neurons ARM does not define"
        yield Finding("error", base.role, count, what, _HINT)
    else:
        what = "ARM_UNSUPPORTED_MOE: it belongs to a mixture of experts, whose neurons ARM does not define"
        yield from folded("error", base.role, _routed(base), what, _HINT)
    if base.config.get("is_encoder_decoder"):
        what = "ARM_UNSUPPORTED: the model has an encoder, and ARM watches decoders alone"
        yield Finding("error", base.role, "is_encoder_decoder", what, _HINT)
    if "tokenizer.json" not in base.files:
        what = "ARM reads recorded runs with the fast tokenizer, whose file the base does not have"
        yield Finding("error", base.role, "tokenizer.json", what, "save the fast tokenizer into the base")


def donors_of(manifest: Manifest) -> frozenset[str]:
    """The experts that may give neurons to the merge."""
    method = manifest.method
    if not isinstance(method, Arm) or method.repair == "none":
        return frozenset()
    named = method.repair if isinstance(method.repair, tuple) else manifest.benchmarks
    return frozenset(manifest.benchmarks[name].expert for name in named)


def find_rounded(layout: Layout, donors: Collection[str]) -> Iterator[Finding]:
    """Tell of experts whose neurons will not be their own to the last bit, because the merge has a narrower type.

    Args:
        layout: The tensors of the merge.
        donors: The experts that may give neurons.
    """
    tasks = [task for shard in layout.shards for task in shard.tensors]
    for number, name in enumerate(layout.experts):
        lost = dict.fromkeys(loss for task in tasks if (loss := rounding_of(task, number))) if name in donors else {}
        for theirs, ours in lost:
            what = f"what it gives is {theirs}, and is rounded to the merge's {ours}"
            yield Finding("note", f"expert:{name}", "neurons", what, f"set `output.dtype: {theirs}` to keep all of it")


def rounding_of(task: TensorTask, number: int) -> tuple[str, str] | None:
    """Element types of an expert's tensor and of the merge's, if the expert's is the wider one."""
    part = task.experts[number]
    if task.operation != "merge" or not isinstance(part, Tensor) or ITEM_SIZES[part.dtype] <= ITEM_SIZES[task.dtype]:
        return None
    return FLOATING[part.dtype], FLOATING[task.dtype]


def _count_of_experts(config: Mapping[str, Any]) -> str | None:
    """The key that says how many experts there are, if there are any."""
    inner = config.get("text_config")
    for part in (config, inner if isinstance(inner, dict) else {}):
        for key in EXPERT_COUNTS:
            if isinstance(count := part.get(key), int) and count > 0:
                return key
    return None


def _routed(base: CheckpointFacts) -> Iterator[str]:
    """Tensors of experts, where the config does not count them: by name, or with an axis for them."""
    for name, tensor in base.inventory.tensors.items():
        if "experts" in name.split(".") or (len(tensor.shape) == 3 and name.endswith((".weight", "_proj"))):
            yield name

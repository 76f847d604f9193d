"""One model in memory, on whatever device there is, whose weights every expert and candidate takes for its turn."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ramekin.arm.architecture import Layer, find_layers
from ramekin.arm.candidates import Resident, build_candidates, checkpoint_names
from ramekin.arm.positions import positions_of, turning_by_length
from ramekin.arm.tracing import BUDGET, BUDGET_CPU
from ramekin.assembling import assembled
from ramekin.checkpoint.tensors import LowRank
from ramekin.errors import IncompatibleError, UsageError
from ramekin.merge.files import AtHand, SourceFiles
from ramekin.merge.orders import Counting, Means, thresholds_of
from ramekin.merge.resources import Resources
from ramekin.merge.statistics import Probe
from ramekin.methods import TaskArithmetic
from ramekin.methods.base import Method
from ramekin.plan.layout import Layout
from ramekin.room import memory_available
from ramekin.text import printable

_DTYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_NAMES: Final = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
_BESIDE: Final = 1.3  # of a model's bytes on a GPU, with the activations of a batch: an estimate
_SPARE: Final = 2 << 30  # bytes of memory that candidates which wait leave to everything else


def dtype_of(layout: Layout, wanted: str) -> str:
    """The element type that models are run in: the one that was asked for, or that of most of the base's weights."""
    if wanted != "base":
        return wanted
    sizes: dict[str, int] = {}
    for task in (task for shard in layout.shards for task in shard.tensors if task.operation == "merge"):
        sizes[task.base.dtype] = sizes.get(task.base.dtype, 0) + task.base.nbytes
    return _NAMES[max(sizes, key=lambda dtype: sizes[dtype])] if sizes else "float32"


def load_tokenizer(directory: Path) -> Any:
    """The tokenizer of a checkpoint, a fast one.

    Raises:
        IncompatibleError: It cannot be loaded without running code that comes with it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(directory, use_fast=True, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises what it likes for what it does not know
        raise IncompatibleError(
            f"the base's tokenizer cannot be loaded: {_first_line(error)}", "use a base that transformers can load"
        ) from error


class Host:
    """A model whose weights are exchanged.

    Attributes:
        device_type: `cpu` or `cuda`.
        device_name: `cpu`, or the GPU's name.
        budget: Tokens of a batch that its device is good for.
        structure: What is known of it without weights.
        counted: The overlap statistics that candidates were merged by, by their threshold.

    Args:
        layout: The tensors of a merge.
        files: Local path of every file of weights and of the base's other files, by role and name.
        dtype: Element type that it is run in.
        device: `auto`, `cpu` or `cuda`.
        means: What merging candidates may use. Every process of its team has a host, and merges them all.

    Raises:
        IncompatibleError: transformers cannot load it, or its neurons cannot be watched.
        UsageError: There is no such device.
    """

    def __init__(self, layout: Layout, files: SourceFiles, dtype: str, device: str, means: Means) -> None:
        self.counted: dict[float, Probe] = {}
        self._layout = layout
        self._files = files
        self._dtype = _DTYPES[dtype]
        self._means = means
        self._alone = Means(means.resources, means.progress, counted=self.counted)
        self._names = [task.name for shard in layout.shards for task in shard.tensors]
        self.structure = structure_of(files["base"], self._names)
        self._place = place_for(device, means.resources, layout.total_size)  # a GPU that is not there is told at once
        self.device_type = "cuda" if self._place else "cpu"
        self.device_name = torch.cuda.get_device_name() if self._place else "cpu"
        self.budget = BUDGET if self._place else BUDGET_CPU

    @cached_property
    def _resident(self) -> Resident:
        """The model itself, loaded when it is first needed: where all is known of all models, never."""
        with assembled(self._files["base"]) as directory:
            model = _loaded(directory, self._dtype, self._place)
        return Resident(model, self._names)

    def expert(self, name: str) -> nn.Module:
        """The model with the weights of an expert, until the next is asked for.

        Raises:
            IncompatibleError: It has not all of the weights, or has them in another shape.
            DamagedError: An adapter's weights are damaged.
        """
        number = self._layout.experts.index(name)
        tasks = (task for shard in self._layout.shards for task in shard.tensors)
        if any(isinstance(task.experts[number], LowRank) for task in tasks):
            weights = {each: float(each == name) for each in self._layout.experts}
            for _ in self.candidates({name: TaskArithmetic(weight=weights)}):
                pass
            return self._resident.model
        files = self._files[f"expert:{name}"]
        return self._resident.load({file: path for file, path in files.items() if file.endswith(".safetensors")})

    def candidates(
        self, methods: Mapping[str, Method], changed: Callable[[str, int], None] = lambda name, count: None
    ) -> Iterator[tuple[str, nn.Module]]:
        """The model with the weights of each candidate, until the next is asked for.

        Args:
            methods: The candidates by name.
            changed: Is told how many elements of a candidate are not the base's.
        """
        if not methods:
            return  # and do not load what nobody looks at
        supply = AtHand(self._files)
        if wanted := thresholds_of(methods.values(), self.counted):
            # Every process has come here, and merges by what all of them count together.
            self.counted.update(Counting(self._layout, wanted).carry_out(supply, self._means))
        room = (memory_available() or 0) - _SPARE
        built = build_candidates(
            self._layout,
            supply,
            methods,
            self._resident,
            memory=max(0, room // self._means.team.neighbours),
            means=self._alone,
            changed=changed,
        )
        yield from ((name, self._resident.model) for name in built)


def _loaded(directory: Path, dtype: torch.dtype, place: str | None) -> nn.Module:
    """The base's model on its device: one GPU if it fits, several or some of the processor's memory if not."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    showed = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # its bar among ours says nothing that one could act on
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            device_map=place,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **_attention(directory),
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the library raises what it likes for what it does not know
        raise IncompatibleError(
            f"transformers cannot load the base: {_first_line(error)}",
            "use a causal language model that transformers knows without code of its own",
        ) from error
    finally:
        if showed:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    torch.backends.cuda.matmul.allow_tf32 = False
    found: nn.Module = model.eval()  # type: ignore[no-untyped-call]
    return found


def _attention(directory: Path) -> dict[str, str]:
    """Step by step for models that keep within bounds what attention compares (Gemma 2): faster ways leave that out."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    bounded = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return {"attn_implementation": "eager"} if bounded else {}


def place_for(device: str, resources: Resources, size: int) -> str | None:
    """What `device_map` is to be for a model of so many bytes; None for the processor.

    Raises:
        UsageError: There is no GPU though one was asked for, or it is too small and nothing is there to help.
    """
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return None
    if not torch.cuda.is_available():
        raise UsageError("`--device cuda`: there is no CUDA device here", "leave it out, or use a machine with a GPU")
    place = resources.local_rank % torch.cuda.device_count()
    free, _ = torch.cuda.mem_get_info(place)
    if size * _BESIDE < free or int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        return f"cuda:{place}"
    if importlib.util.find_spec("accelerate") is None:
        raise UsageError(
            f"the model needs more than the {free / 1e9:.0f} GB that the GPU has free", "install `accelerate`"
        )
    return "auto"


def _first_line(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0], 200)


@dataclass(frozen=True)
class Structure:
    """What is known of a model without its weights.

    Attributes:
        layers: Where its neurons are.
        checkpoint_names: Names of its tensors in checkpoints, by those that they have in the model.
        positions: How many tokens it can read; None where its positions do not end.
        by_length: Whether it turns otherwise in a longer text.
    """

    layers: tuple[Layer, ...]
    checkpoint_names: Mapping[str, str]
    positions: int | None = None
    by_length: bool = False


def structure_of(files: Mapping[str, Path], names: Sequence[str]) -> Structure:
    """What a model is like, without weights.

    Args:
        files: The base's files by name; only its config is read.
        names: Names of the tensors in its checkpoints.

    Raises:
        IncompatibleError: transformers does not know it, or its neurons cannot be watched.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    with assembled({"config.json": files["config.json"]}) as directory:
        try:
            config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                    config, trust_remote_code=False
                )
        except Exception as error:  # the library raises what it likes for what it does not know
            raise IncompatibleError(
                f"transformers does not know the base: {_first_line(error)}", "use a base that transformers can load"
            ) from error
    layers, known = find_layers(model), checkpoint_names(model, names)
    return Structure(layers, known, positions_of(model), bool(turning_by_length(model)))

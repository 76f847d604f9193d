"""What the neurons of a model do while it reads trajectories (arXiv 2601.07309, section 3.1).

Every model reads the same token ids. Only the decoder runs, without the language model's head, and a hook on each MLP's
output projection sees z, what enters it. Of that the mean magnitude over the role's tokens is kept and nothing else.

Texts of a batch are padded on the right, without a mask, because a causal decoder does not see what comes after. A
prefix that all have in common, such as a system prompt, is read once. Models that turn otherwise in a longer text read
each text alone (`arm.positions`).
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import nn

from ramekin.arm.architecture import Layer
from ramekin.arm.positions import decoder_of, reading_part_of, see_that_it_fits, turning_by_length
from ramekin.arm.saliency import RoleMean, magnitude
from ramekin.arm.texts import Text, batches, common_prefix
from ramekin.errors import IncompatibleError, ResourceError

BUDGET: Final = 16_384
"""Tokens of a batch, padding included: what 80 GB hold beside a model of eight billion parameters."""

BUDGET_CPU: Final = 4_096
"""The same on a processor, where larger batches are not faster."""

LEAST_PREFIX: Final = 64
"""A common prefix that is shorter is not worth a pass of its own."""


def trace(
    model: nn.Module,
    layers: Sequence[Layer],
    texts: Sequence[Text],
    *,
    budget: int = BUDGET,
    reuse_prefix: bool = True,
    advance: Callable[[int], None] = lambda tokens: None,
    part: tuple[int, int] = (0, 1),
) -> dict[str, RoleMean]:
    """Trace a model on texts: by role, the mean over them of what each neuron does in it (Eq. 2).

    Args:
        model: A causal language model of the transformers library, on its device.
        layers: Its MLPs.
        texts: What it reads.
        budget: Tokens of a batch, padding included. Halved for as long as a GPU has not enough memory.
        reuse_prefix: Whether to read what all texts begin with once.
        advance: Told how many tokens were read.
        part: Which of how many processes this is. Each reads every so-manieth batch: what is read together stays the
            same, and so does every bit.

    Raises:
        IncompatibleError: A hook was not called: the model does not run the modules that it is made of. Or a text is
            longer than the model can read.
        DamagedError: An activation is NaN or infinite.
        ResourceError: One text alone is too much for the GPU's memory.
    """
    see_that_it_fits(model, max((text.needed for text in texts), default=0))
    means: dict[str, RoleMean] = {}
    reader = _Reader(model, layers)
    shared = common_prefix(texts) if reuse_prefix and not reader.one_by_one else 0
    shared = shared if shared >= LEAST_PREFIX else 0
    budget = 1 if reader.one_by_one else budget  # tokens that no two texts share
    with only_reading(model), reader.hooked():
        waiting = [*batches([text.needed - shared for text in texts], budget, shared)][part[0] :: part[1]]
        # Each batch has its own copy of the prefix.
        prefix = reader.read_prefix(texts[0].ids[:shared]) if shared and waiting else None
        while waiting:
            batch = [texts[index] for index in waiting[0]]
            try:
                found = reader.read(batch, shared, prefix)
            except torch.OutOfMemoryError as error:
                waiting[:1] = halved(waiting[0], error)
                continue
            for text, layers_of_role in zip(batch, found, strict=True):
                for role, values in layers_of_role.items():
                    mean = means.setdefault(role, RoleMean([layer.width for layer in layers]))
                    mean.take(values, text.weights.get(role, 1.0))
                advance(text.needed)
            waiting.pop(0)
    return means


@contextmanager
def only_reading(model: nn.Module) -> Iterator[None]:
    """Have a model do the same every time, and keep nothing for training, for as long as the context lasts."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def device_of(model: nn.Module) -> torch.device:
    """Where a model wants its token ids; where accelerate keeps its weights elsewhere, it moves these as well."""
    found: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[operator]
    return torch.device("cpu") if found.is_meta else found.device


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Token ids of several texts, `[texts, tokens]`, padded on the right."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *(length - len(row)) * (0,)] for row in rows], device=device)


def halved(batch: list[int], error: torch.OutOfMemoryError) -> list[list[int]]:
    """Two halves of a batch that was too much at once.

    Raises:
        ResourceError: It is a single text.
    """
    if len(batch) == 1:
        raise ResourceError(
            "one trajectory alone needs more memory than the GPU has",
            "set a lower `max_tokens` for the benchmark, or use another device",
        ) from error
    torch.cuda.empty_cache()
    middle = (len(batch) + 1) // 2
    return [batch[:middle], batch[middle:]]


class _Reader:
    """Reads batches, and has of each text what its roles need."""

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        self._model = model
        self._layers = layers
        self._decoder = decoder_of(model)
        self._turning = turning_by_length(model)
        self.one_by_one = bool(self._turning)
        # What keys and values are handed over as has another name from transformers 5.24 on.
        known = inspect.signature(self._decoder.forward).parameters
        self._kept_as = "cache" if "cache" in known else "past_key_values"
        self._device = device_of(model)
        self._rows: list[dict[str, list[torch.Tensor]]] = []
        self._found: list[dict[str, list[torch.Tensor]]] = []
        self._calls = [0] * len(layers)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """See what enters the output projections for as long as the context lasts."""
        with ExitStack() as stack:
            for number, layer in enumerate(self._layers):
                module = self._model.get_submodule(layer.projection)
                handle = module.register_forward_pre_hook(
                    lambda _module, args, number=number: self._take(number, args[0])
                )
                stack.callback(handle.remove)
            yield

    def read_prefix(self, ids: Sequence[int]) -> Any:
        """Keys and values of a prefix."""
        from transformers import DynamicCache

        self._begin([])
        cache = DynamicCache(config=self._model.config)  # type: ignore[arg-type]
        self._decoder(input_ids=padded([ids], self._device), use_cache=True, **{self._kept_as: cache})
        self._check_calls()
        return cache

    def read(self, batch: Sequence[Text], shared: int, prefix: Any) -> list[dict[str, list[torch.Tensor]]]:
        """Read texts from `shared` on; of each, by role, for every layer `[f]`, what z comes to."""
        self._begin([self._places(text, shared) for text in batch])
        ids = padded([text.ids[shared : text.needed] for text in batch], self._device)
        if prefix is None:
            with reading_part_of(batch[0].whole, self._turning):
                self._decoder(input_ids=ids, use_cache=False)
        else:
            cache = copy.deepcopy(prefix)
            cache.batch_repeat_interleave(len(batch))
            self._decoder(input_ids=ids, use_cache=True, **{self._kept_as: cache})
        self._check_calls()
        return self._found

    def _places(self, text: Text, shared: int) -> dict[str, list[torch.Tensor]]:
        """By role its positions behind a prefix, and those that it is contrasted with, if it is."""
        both = {role: [at, *([text.against[role]] if role in text.against else [])] for role, at in text.roles.items()}
        return {role: [torch.tensor(at, device=self._device) - shared for at in each] for role, each in both.items()}

    def _begin(self, rows: list[dict[str, list[torch.Tensor]]]) -> None:
        self._rows = rows
        self._found = [{role: [] for role in row} for row in rows]
        self._calls = [0] * len(self._layers)

    def _take(self, number: int, z: torch.Tensor) -> None:
        """What entered one layer's output projection: `[texts, tokens, f]`, or in one row (OPT)."""
        self._calls[number] += 1
        if not self._rows:
            return
        texts = z.reshape(len(self._rows), -1, z.shape[-1])
        for row, positions, found in zip(texts, self._rows, self._found, strict=True):
            for role, at in positions.items():
                found[role].append(magnitude(row, *(each.to(row.device) for each in at)))

    def _check_calls(self) -> None:
        if any(calls != 1 for calls in self._calls):
            raise IncompatibleError(
                f"ARM_HOOK_MISSED: of {len(self._layers)} MLPs {self._calls.count(1)} were seen once at work",
                "turn off what replaces the model's modules: compilation, kernels, quantisation",
            )

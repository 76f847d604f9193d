"""How likely a model finds what was said in a role, each token given all that stands before it.

    NLL = mean over trajectories of (mean over the role's tokens of -log p(token t | tokens before t)),   in nats

The first token of a text has nothing before it and does not count.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from ramekin.arm.positions import reading_part_of, see_that_it_fits, turning_by_length
from ramekin.arm.texts import Text, batches
from ramekin.arm.tracing import device_of, halved, only_reading, padded
from ramekin.errors import DamagedError

BUDGET = 2_048
"""Tokens of a batch, padding included: each that is scored takes as many floats as the vocabulary has entries."""


def losses_of(
    model: nn.Module,
    texts: Sequence[Text],
    role: str,
    *,
    budget: int = BUDGET,
    advance: Callable[[int], None] = lambda tokens: None,
    part: tuple[int, int] = (0, 1),
) -> list[float]:
    """Negative log-likelihood of each text's role: its mean over the role's tokens, in nats; NaN where none counts.

    Args:
        model: A causal language model of the transformers library, on its device.
        texts: What it reads.
        role: The role whose tokens count.
        budget: Tokens of a batch, padding included. Halved for as long as a GPU has not enough memory.
        advance: Told how many tokens were read.
        part: Which of how many processes this is. Each reads every so-manieth batch; of the others' texts it has NaN.

    Raises:
        IncompatibleError: A text is longer than the model can read.
        DamagedError: A logit is NaN.
        ResourceError: One text alone is too much for the GPU's memory.
    """
    found = [math.nan] * len(texts)
    chosen = [number for number, text in enumerate(texts) if any(text.roles.get(role, ()))]  # a position that is not 0
    needed = [texts[number].roles[role][-1] + 1 for number in chosen]
    see_that_it_fits(model, max(needed, default=1) - 1)  # the last token of a role is told, not read
    with only_reading(model):
        every = [*batches(needed, 1 if turning_by_length(model) else budget)]
        waiting = every[part[0] :: part[1]]
        while waiting:
            batch = [chosen[index] for index in waiting[0]]
            try:
                losses = _losses(model, [texts[number] for number in batch], role)
            except torch.OutOfMemoryError as error:
                waiting[:1] = halved(waiting[0], error)
                continue
            for number, loss in zip(batch, losses, strict=True):
                if math.isnan(loss):
                    raise DamagedError("ARM_NONFINITE: a logit is not finite", "use bfloat16 or float32")
                found[number] = loss
                advance(texts[number].needed)
            waiting.pop(0)
    return found


def _losses(model: nn.Module, batch: Sequence[Text], role: str) -> list[float]:
    """Of each text, the mean over the role's tokens. Only the logits that are needed by any text are computed."""
    device = device_of(model)
    positions = [[at for at in text.roles[role] if at] for text in batch]
    length = max(each[-1] for each in positions)
    read = padded([text.ids[:length] for text in batch], device)
    needed = sorted({at - 1 for each in positions for at in each})
    place = {at: number for number, at in enumerate(needed)}
    with reading_part_of(batch[0].whole, turning_by_length(model)):  # where there are such, the text is alone
        output = model(input_ids=read, use_cache=False, logits_to_keep=torch.tensor(needed, device=device))
    losses = []
    for text, each, logits in zip(batch, positions, output.logits, strict=True):
        own = logits[torch.tensor([place[at - 1] for at in each], device=logits.device)].float()
        said = torch.tensor([text.ids[at] for at in each], device=logits.device)
        losses.append(float(nn.functional.cross_entropy(own, said)))
    return losses

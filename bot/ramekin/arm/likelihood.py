"""How likely a model finds what was said in a role, each token given all that stands before it.

    NLL = mean over trajectories of (mean over the role's tokens of -log p(token t | tokens before t)),   in nats

The first token of a text has nothing before it and does not count.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from ramekin.arm.tracing import Text, batches, device_of, only_reading, padded
from ramekin.errors import DamagedError

BUDGET = 2_048
"""Tokens of a batch, padding included: each that is scored takes as many floats as the vocabulary has entries."""


def negative_log_likelihood(model: nn.Module, texts: Sequence[Text], role: str, *, budget: int = BUDGET) -> float:
    """Mean negative log-likelihood of a role's tokens, in nats.

    Args:
        model: A causal language model of the transformers library, on its device.
        texts: What it reads.
        role: The role whose tokens count.
        budget: Tokens of a batch, padding included.

    Raises:
        DamagedError: No text has a token in the role that has one before it, or a logit is NaN.
    """
    chosen = [text for text in texts if any(text.roles.get(role, ()))]  # a position that is not 0
    if not chosen:
        raise DamagedError("ARM_EMPTY_ROLE: no trajectory has a token in the role", "see `ramekin roles`")
    found = [0.0] * len(chosen)
    with only_reading(model):
        for batch in batches([text.roles[role][-1] + 1 for text in chosen], budget):
            losses = _losses(model, [chosen[index] for index in batch], role)
            for index, loss in zip(batch, losses, strict=True):
                found[index] = loss
    if any(map(math.isnan, found)):
        raise DamagedError("ARM_NONFINITE: a logit is not finite", "use bfloat16 or float32")
    return sum(found) / len(found)


def _losses(model: nn.Module, batch: Sequence[Text], role: str) -> list[float]:
    """Of each text, the mean over the role's tokens. Only the logits that are needed by any text are computed."""
    device = device_of(model)
    positions = [[at for at in text.roles[role] if at] for text in batch]
    length = max(each[-1] for each in positions)  # the last token of a role is told, not read
    read = padded([text.ids[:length] for text in batch], device)
    needed = sorted({at - 1 for each in positions for at in each})
    place = {at: number for number, at in enumerate(needed)}
    output = model(input_ids=read, use_cache=False, logits_to_keep=torch.tensor(needed, device=device))
    losses = []
    for text, each, logits in zip(batch, positions, output.logits, strict=True):
        own = logits[torch.tensor([place[at - 1] for at in each], device=logits.device)].float()
        said = torch.tensor([text.ids[at] for at in each], device=logits.device)
        losses.append(float(nn.functional.cross_entropy(own, said)))
    return losses

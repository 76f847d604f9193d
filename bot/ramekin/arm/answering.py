"""Having a model answer prompts, greedily, and comparing its answers with the recorded ones."""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final

import torch
from torch import nn

from ramekin.arm.positions import forget_lengths, see_that_it_fits, turning_by_length
from ramekin.arm.reading import Prompt
from ramekin.arm.tracing import device_of, only_reading

AT_ONCE: Final = 16
"""Prompts that are answered together, where a model does the same in company."""

SHORTER: Final = "set a lower `max_new_tokens` for the benchmark, or leave long runs out"

_THOUGHTS: Final = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def _number(text: str) -> tuple[str, Decimal]:
    """A number as JSON has it: 1 is 1.0, and is not `true`."""
    return "number", Decimal(text)


_DECODER: Final = json.JSONDecoder(parse_int=_number, parse_float=_number)


def right_answers(
    model: nn.Module,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    judge: str,
    longest: int,
    *,
    part: tuple[int, int] = (0, 1),
) -> list[float]:
    """Whether a model's greedy answers are right, 1 or 0 for each prompt.

    Args:
        model: A causal language model of the transformers library, on its device.
        tokenizer: Of the transformers library.
        prompts: What it is asked.
        judge: `exact`: the same text but for white space at the ends and thoughts; `json`: the same first JSON value.
        longest: Most tokens of an answer.
        part: Which of how many processes this is. Each asks every so-manieth batch; of the others' prompts it has NaN.

    Raises:
        IncompatibleError: A prompt with its answer is longer than the model can read.
    """
    for prompt in prompts:
        see_that_it_fits(model, read_with(prompt, longest), SHORTER)
    found = [math.nan] * len(prompts)
    turning = turning_by_length(model)
    together = 1 if turning else AT_ONCE
    order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number].ids))
    with only_reading(model):
        for first in range(part[0] * together, len(order), part[1] * together):
            batch = order[first : first + together]
            forget_lengths(turning)
            texts = _answers(model, tokenizer, [prompts[number] for number in batch], longest)
            for number, text in zip(batch, texts, strict=True):
                found[number] = float(is_right(text, prompts[number].answer, judge))
    return found


def read_with(prompt: Prompt, longest: int) -> int:
    """Tokens that a model reads for an answer of the most tokens: the last one is said, not read."""
    return len(prompt.ids) + longest - 1


def is_right(answer: str, recorded: str, judge: str) -> bool:
    """Whether an answer is the recorded one, as `exact` text or as the same first `json` value."""
    if judge == "exact":
        return _bare(answer) == _bare(recorded)
    value, wanted = _first_json(_bare(answer)), _first_json(_bare(recorded))
    return wanted is not None and value == wanted


def _bare(text: str) -> str:
    return _THOUGHTS.sub("", text).strip()


def _first_json(text: str) -> object | None:
    """The first object or list, in a list of its own so that an empty one is something."""
    for match in re.finditer(r"[{\[]", text):
        try:
            value, _ = _DECODER.raw_decode(text, match.start())
        except RecursionError:  # whatever begins behind it is nearly as deep
            return None
        except (ValueError, ArithmeticError):
            continue
        return [value]
    return None


def _answers(model: Any, tokenizer: Any, prompts: Sequence[Prompt], longest: int) -> list[str]:
    """Greedy answers, up to the token that ends them."""
    device = device_of(model)
    length = max(len(prompt.ids) for prompt in prompts)
    # Answers are written at the right end, so padding goes to the left, and has to be masked.
    ids = torch.tensor([[*(length - len(prompt.ids)) * (0,), *prompt.ids] for prompt in prompts], device=device)
    mask = torch.tensor([[*(length - len(prompt.ids)) * (0,), *len(prompt.ids) * (1,)] for prompt in prompts])
    settings = _settings(model, tokenizer, longest)
    own, model.generation_config = model.generation_config, settings  # what is not set is else taken from its own
    try:
        made = model.generate(ids, attention_mask=mask.to(device))
    finally:
        model.generation_config = own
    ends = {*(settings.eos_token_id or ())}
    said = [[*takewhile(lambda token: token not in ends, row)] for row in made[:, length:].tolist()]
    # Special tokens stay: some templates begin calls of tools with one.
    return [tokenizer.decode(row, clean_up_tokenization_spaces=False) for row in said]


def _settings(model: Any, tokenizer: Any, longest: int) -> Any:
    """Greedy, whatever the model's own settings are."""
    from transformers import GenerationConfig

    own = getattr(model, "generation_config", None)
    ends: set[int] = set()
    for end in (getattr(own, "eos_token_id", None), tokenizer.eos_token_id):
        ends |= set(end) if isinstance(end, list) else set() if end is None else {end}
    pad = tokenizer.pad_token_id
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=longest,
        eos_token_id=sorted(ends) or None,
        pad_token_id=pad if pad is not None else min(ends, default=0),
    )

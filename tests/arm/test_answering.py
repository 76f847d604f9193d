"""Answers of models, and whether they are the recorded ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from chats import tokenizer
from families import build
from torch import nn

from ramekin.arm import answering
from ramekin.arm.answering import is_right, right_answers
from ramekin.arm.reading import Prompt


@pytest.mark.parametrize(
    ("answer", "recorded", "right"),
    [
        ("yes", "yes", True),
        ("  yes\n", "yes", True),
        ("Yes", "yes", False),
        ("yes, it is", "yes", False),
        ("<think>is it?</think>\n\nyes", "yes", True),
        ("yes", "<think>\nno\n</think>\nyes", True),
        ("<think>yes", "yes", False),  # nothing was said yet
        ("", "", True),
        ("a <think>b</think>c", "a c", True),
    ],
)
def test_exactly(answer: str, recorded: str, right: bool) -> None:
    assert is_right(answer, recorded, "exact") is right


CALL = '{"name": "find", "arguments": {"ids": [1, 2], "more": {"deep": [{"a": null}]}}}'


@pytest.mark.parametrize(
    ("answer", "recorded", "right"),
    [
        (CALL, CALL, True),
        ('{"arguments":{"more":{"deep":[{"a":null}]},"ids":[1,2]},"name":"find"}', CALL, True),  # order of keys
        (CALL.replace("[1, 2]", "[2, 1]"), CALL, False),
        (f"<tool_call>\n{CALL}\n</tool_call>", f"I will look.\n<tool_call>\n{CALL}\n</tool_call>", True),
        (f"{CALL} and {{}}", CALL, True),  # the first one counts
        (f"{{}} {CALL}", CALL, False),
        ('{"code": "if (a) { b[0] = \\"}\\"; }"}', '{"code": "if (a) { b[0] = \\"}\\"; }"}', True),
        ('{"code": "} {"}', '{"code": "} {  "}', False),
        (f"use braces {{like this}} {CALL}", CALL, True),
        (f"<think>{{}} or []</think>{CALL}", CALL, True),
        (f"<think>{CALL}", CALL, False),
        ("{}", "{}", True),
        ("[]", "[]", True),
        ("{}", "[]", False),
        ("[]", CALL, False),
        ("{", "{}", False),
        (CALL[:-1], CALL, False),
        ("no JSON at all", "no JSON at all", False),
        ("", "", False),
        ("12", "12", False),  # neither object nor list
        ('{"n": 1}', '{"n": 1.0}', True),
        ('{"n": 1}', '{"n": true}', False),
        ('{"n": 1}', '{"n": "1"}', False),
        ("[" * 100_000, "{}", False),
    ],
)
def test_as_json(answer: str, recorded: str, right: bool) -> None:
    assert is_right(answer, recorded, "json") is right


def one_by_one(model: nn.Module, ids: Sequence[int], longest: int, ends: set[int]) -> list[int]:
    """Greedy, without a cache, without padding."""
    said: list[int] = []
    for _ in range(longest):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*ids, *said]])).logits[0, -1]
        said.append(int(logits.argmax()))
        if said[-1] in ends:
            break
    return said


def questions(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    generator = np.random.default_rng(seed)
    return [tuple(int(each) for each in generator.integers(3, 60, generator.integers(1, 25))) for _ in range(count)]


@pytest.fixture
def spoken() -> Any:
    made = tokenizer()
    made.eos_token = None
    return made


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "opt", "gemma2", "bloom", "falcon"])
def test_together_is_as_one_by_one(family: str, spoken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where models number positions, or are told of padding."""
    monkeypatch.setattr(answering, "AT_ONCE", 3)
    model = build(family)
    model.generation_config.eos_token_id = None
    asked = questions(7)
    expected = [spoken.decode(one_by_one(model, ids, 6, set())) for ids in asked]
    prompts = [Prompt(ids, answer) for ids, answer in zip(asked, expected, strict=True)]
    assert family == "bloom" or len(set(expected)) > 1
    assert right_answers(model, spoken, prompts, "exact", 6) == [1.0] * 7
    wrong = [Prompt(ids, f"{answer}!") for ids, answer in zip(asked, expected, strict=True)]
    assert right_answers(model, spoken, [prompts[0], wrong[1], prompts[2]], "exact", 6) == [1.0, 0.0, 1.0]
    # Of several processes each asks every so-manieth batch.
    parts = [right_answers(model, spoken, prompts, "exact", 6, part=(rank, 2)) for rank in range(2)]
    assert all((one == 1.0) != (other == 1.0) for one, other in zip(*parts, strict=True))


def test_it_ends_where_the_model_ends(spoken: Any) -> None:
    model, (ids,) = build("llama"), questions(1, seed=3)
    said = one_by_one(model, ids, 8, set())
    end = said[3]
    first = said.index(end)
    for place in ("model", "tokenizer"):
        model.generation_config.eos_token_id = [end, 63] if place == "model" else None
        spoken.eos_token = spoken.convert_ids_to_tokens(end) if place == "tokenizer" else None
        prompt = Prompt(ids, spoken.decode(said[:first]))
        assert right_answers(model, spoken, [prompt], "exact", 8) == [1.0], place


def test_settings_of_the_model_do_not_count(spoken: Any) -> None:
    model, (ids,) = build("llama"), questions(1, seed=4)
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=9.0, max_length=2)
    model.generation_config.eos_token_id = None
    expected = spoken.decode(one_by_one(model, ids, 5, set()))
    assert right_answers(model.train(), spoken, [Prompt(ids, expected)], "exact", 5) == [1.0]
    assert model.training


def test_nothing_is_asked(spoken: Any) -> None:
    assert right_answers(build("llama"), spoken, [], "exact", 5) == []

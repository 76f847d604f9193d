"""Likelihood beside the whole model's logits, and what it makes weak."""

import numpy as np
import pytest
import torch
from families import DENSE, build
from test_tracing import made

from ramekin.arm.likelihood import losses_of
from ramekin.arm.observing import mean_of
from ramekin.arm.repair import weak_by_likelihood, weak_by_scores
from ramekin.arm.texts import Text
from ramekin.errors import DamagedError


@pytest.mark.parametrize("family", DENSE)
def test_every_architecture(family: str) -> None:
    model, texts = build(family), made(6)
    losses = []
    for text in texts:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([text.ids])).logits[0].double()
        chances = logits.log_softmax(-1)
        told = [-float(chances[at - 1, text.ids[at]]) for at in text.roles["call"] if at]
        losses += [sum(told) / len(told)] if told else []
    for budget in (1, 60, 1000):
        found = mean_of(losses_of(model, texts, "call", budget=budget))
        np.testing.assert_allclose(found, sum(losses) / len(losses), rtol=2e-5)


def test_without_a_token_that_can_be_foreseen() -> None:
    model = build("llama")
    with pytest.raises(DamagedError, match="ARM_EMPTY_ROLE"):
        mean_of(losses_of(model, [Text((5, 6), {"a": (0,)}), Text((5, 6), {"b": (1,)})], "a"))
    only = losses_of(model, [Text((5, 6), {"a": (0, 1)})], "a")
    assert only == losses_of(model, [Text((5, 6), {"a": (1,)}), Text((5,), {"a": (0,)})], "a")[:1]
    model.lm_head.weight.data[3] = float("nan")
    with pytest.raises(DamagedError, match="ARM_NONFINITE"):
        losses_of(model, made(2), "call")


def test_weak_by_scores() -> None:
    experts = {"a": 0.8, "b": 0.5, "c": 0.9, "d": 0.0, "e": 0.6, "f": 1.0}
    backbone = {"a": 0.6, "b": 0.49, "c": 0.45, "d": 0.1, "e": 0.45, "f": 0.95}
    found = weak_by_scores(experts, backbone)
    assert found.weak == ("a", "e", "c")  # a and e have lost the same part, as good as
    assert found.gaps["c"] == pytest.approx(0.5)
    assert found.gaps["d"] < 0
    assert found.gaps["f"] == 0.05  # not above it


def test_weak_by_likelihood() -> None:
    found = weak_by_likelihood({"a": 0.1, "b": 0.1, "c": 0.1}, {"a": 0.3, "b": 0.11, "c": 0.2})
    assert (found.rule, found.weak) == ("likelihood", ("c", "a"))

"""Models whose positions end, and models that turn otherwise in a longer text."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from chats import tokenizer
from families import TURNING, build
from test_answering import one_by_one
from test_tracing import reference

from ramekin.arm.answering import right_answers
from ramekin.arm.architecture import find_layers
from ramekin.arm.fitting import see_that_all_fit
from ramekin.arm.hosting import structure_of
from ramekin.arm.likelihood import losses_of
from ramekin.arm.observing import Observer
from ramekin.arm.positions import forget_lengths, positions_of, turning_by_length
from ramekin.arm.reading import Material, Prompt
from ramekin.arm.roles.finding import Role, Traced
from ramekin.arm.roles.trajectories import digest_of
from ramekin.arm.saliency import RoleMean
from ramekin.arm.store import SaliencyStore
from ramekin.arm.texts import Text, common_prefix
from ramekin.arm.tracing import LEAST_PREFIX, trace
from ramekin.errors import IncompatibleError

LONGEST = 128


def runs(count: int, seed: int = 0) -> list[Text]:
    """Whole trajectories with a common beginning, on both sides of 80 tokens, whose roles end well before they do."""
    generator = np.random.default_rng(seed)
    shared = tuple(int(token) for token in generator.integers(3, 60, LEAST_PREFIX + 2))
    found = []
    for number in range(count):
        ids = (*shared, *(int(token) for token in generator.integers(3, 60, generator.integers(6, 56))))
        last = min(len(ids), 80) if number % 2 else len(ids)
        at = sorted({int(place) for place in generator.integers(len(shared), last - 2, 4)})
        found.append(Text(ids, {"call": tuple(at), "last": tuple(at[-1:])}))
    sides = {(len(text.ids) > 80, text.needed > 80) for text in found}
    assert sides == {(False, False), (True, False), (True, True)}
    return found


def cut(texts: Sequence[Text]) -> list[Text]:
    """What is left of them where nobody needs the rest."""
    return [dataclasses.replace(text, ids=text.ids[: text.needed], length=len(text.ids)) for text in texts]


def alone(family: str, texts: Sequence[Text], role: str) -> list[np.ndarray]:
    """The mean over whole texts, each read by a model that has read nothing before."""
    return [
        np.mean(layers, axis=0) for layers in zip(*(reference(build(family), [t], role) for t in texts), strict=True)
    ]


def bits(means: dict[str, RoleMean]) -> dict[str, list[bytes]]:
    return {role: [layer.tobytes() for layer in mean.result()] for role, mean in means.items()}


@pytest.mark.parametrize("family", TURNING)
def test_what_they_do_is_what_they_would_do_with_the_whole_text_alone(family: str) -> None:
    model, texts = build(family), runs(9)
    found = trace(model, find_layers(model), cut(texts))
    for role in ("call", "last"):
        for ours, theirs in zip(found[role].result(), alone(family, texts, role), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("family", TURNING)
def test_neither_budget_nor_order_nor_company_changes_a_bit(family: str) -> None:
    model, texts = build(family), cut(runs(9))
    layers = find_layers(model)
    assert common_prefix(texts) >= LEAST_PREFIX
    expected = bits(trace(model, layers, texts))
    for budget in (1, 200, 4096):
        for reuse in (True, False):
            for seed in range(2):
                mixed = [texts[at] for at in np.random.default_rng(seed).permutation(len(texts))]
                assert bits(trace(model, layers, mixed, budget=budget, reuse_prefix=reuse)) == expected
    for processes in (2, 3):
        total = {role: RoleMean([layer.width for layer in layers]) for role in expected}
        for rank in range(processes):
            for role, mean in trace(model, layers, texts, budget=200, part=(rank, processes)).items():
                total[role].merge(mean)
        assert bits(total) == expected
    assert bits(trace(build(family), layers, [*texts[4:], *texts[:4]])) == expected


@pytest.mark.parametrize("family", TURNING)
def test_likelihood_too(family: str) -> None:
    model, texts = build(family), runs(9)
    expected = losses_of(model, cut(texts), "call")
    for text, loss in zip(texts, expected, strict=True):
        with torch.no_grad():
            told = build(family)(input_ids=torch.tensor([text.ids])).logits[0].double().log_softmax(-1)
        own = [-float(told[at - 1, text.ids[at]]) for at in text.roles["call"]]
        assert loss == pytest.approx(sum(own) / len(own), rel=2e-5)
    for budget in (1, 300, 4096):
        assert losses_of(model, cut(texts)[::-1], "call", budget=budget)[::-1] == expected


@pytest.mark.parametrize("family", TURNING)
def test_an_answer_is_what_the_prompt_alone_gets(family: str) -> None:
    spoken, model = tokenizer(), build(family)
    spoken.eos_token = model.generation_config.eos_token_id = None
    asked = [text.ids[: 60 + 4 * number] for number, text in enumerate(runs(9))]
    answers = []
    for ids in asked:
        fresh = build(family)
        fresh.generation_config.eos_token_id = None
        made = fresh.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False, pad_token_id=0)
        answers.append(spoken.decode(made[0, len(ids) :].tolist()))
        if len(ids) + 4 <= 80:
            assert answers[-1] == spoken.decode(one_by_one(model, ids, 4, set()))
    prompts = [Prompt(ids, answer) for ids, answer in zip(asked, answers, strict=True)]
    for order in ([*range(9)], [*range(9)][::-1], [4, 8, 0, 2, 6]):
        assert right_answers(model, spoken, [prompts[at] for at in order], "exact", 4) == [1.0] * len(order)


@pytest.mark.parametrize("family", TURNING)
def test_where_weights_are_kept_elsewhere(family: str) -> None:
    """As accelerate does it where the GPU is too small."""
    accelerate = pytest.importorskip("accelerate")
    texts = cut(runs(5))
    expected = bits(trace(build(family), find_layers(build(family)), texts))
    model = accelerate.cpu_offload(build(family), execution_device=torch.device("cpu"))
    assert bits(trace(model, find_layers(model), texts)) == expected


def test_they_are_known_without_their_weights(tmp_path: Path) -> None:
    for family in TURNING:
        build(family).config.save_pretrained(tmp_path)
        assert structure_of({"config.json": tmp_path / "config.json"}, []).by_length, family
    for family in ("llama", "gemma3-text", "phi3"):
        assert turning_by_length(build(family)) == []


@pytest.mark.parametrize("family", TURNING)
def test_what_they_have_seen_is_forgotten(family: str) -> None:
    model, fresh = build(family), build(family)
    ids = torch.tensor([[*range(3, 63), *range(3, 23)]])  # 80: not more than the limit
    with torch.no_grad():
        model(input_ids=torch.full((1, 120), 5))
        forget_lengths(turning_by_length(model))
        assert torch.equal(model(input_ids=ids).logits, fresh(input_ids=ids).logits)


def test_what_was_measured_is_found_again_only_for_the_same_length(tmp_path: Path) -> None:
    """Of texts that are the same up to the role's last token, some are longer than 80 tokens in all, and others not."""
    model = build("phi3-longrope")

    def measured(length: int, *, by_length: bool) -> bool:
        ids, at = tuple(range(3, 60)), (40, 56)
        role = Role([Traced("a", "a", ids, at, digest_of(ids), "", (), None, length)])
        store, wanted = SaliencyStore(tmp_path), {"tau": ["role", "loss"]}
        material = Material("tool", role, dev=role)
        observer = Observer(find_layers(model), {"tau": material}, "float32", store=store, by_length=by_length)
        known = observer.known("digest", wanted)
        assert bool(known.role) == bool(known.loss)
        observer.measure(model, "digest", wanted)
        return bool(known.role)

    asked = [(60, False), (90, False), (60, True), (90, True), (60, True), (90, True)]
    assert [measured(length, by_length=by_length) for length, by_length in asked] == [0, 1, 0, 0, 1, 1]


# Positions that end.


@pytest.mark.parametrize("family", ["gpt2", "opt", "gptj"])
def test_texts_that_are_longer_than_the_model_can_read(family: str) -> None:
    model = build(family)
    assert positions_of(model) == LONGEST
    layers, ids = find_layers(model), (5,) * 200

    def text(tokens: int) -> list[Text]:
        return [Text(ids[:tokens], {"a": (tokens - 1,)})]

    trace(model, layers, text(LONGEST))
    losses_of(model, text(LONGEST + 1), "a")  # the last token is told, not read
    spoken = tokenizer()
    spoken.eos_token = model.generation_config.eos_token_id = None
    right_answers(model, spoken, [Prompt(ids[: LONGEST - 4], "x")], "exact", 5)
    for read, tokens in (
        (lambda: trace(model, layers, text(LONGEST + 1)), 129),
        (lambda: losses_of(model, text(LONGEST + 2), "a"), 129),
        (lambda: right_answers(model, spoken, [Prompt(ids[: LONGEST - 3], "x")], "exact", 5), 130 - 1),
    ):
        with pytest.raises(IncompatibleError, match=f"takes {tokens} tokens, and .* has 128 positions"):
            read()


def test_models_whose_positions_do_not_end() -> None:
    assert [positions_of(build(family)) for family in ("llama", "bloom", "falcon", "gpt-neox")] == [None] * 4


def run_of(tokens: int) -> Role:
    ids = (5,) * tokens
    return Role([Traced("run", "run", ids, (tokens - 1,), digest_of(ids), "", ())])


def test_all_of_it_is_told_before_any_weights_are_loaded() -> None:
    short = Material(
        "tool", run_of(100), said=run_of(128), dev=run_of(129), prompts=(Prompt((5,) * 120, ""),), longest=9
    )
    see_that_all_fit({"tau": short}, 128)
    see_that_all_fit({"tau": short}, None)
    long = {
        "tau": dataclasses.replace(short, said=run_of(129), kept=run_of(131), longest=10),
        "shop": dataclasses.replace(short, dev=run_of(1300), held_out=True),
    }
    with pytest.raises(IncompatibleError) as caught:
        see_that_all_fit(long, 128)
    assert [problem.what for problem in caught.value.problems] == [
        "`benchmarks.tau.calibration`: `run` takes 129 tokens, and the models have 128 positions",
        "`benchmarks.tau.dev`: `run` takes 131 tokens, and the models have 128 positions",
        "`benchmarks.tau`: a prompt with an answer of 10 tokens takes 129, and the models have 128 positions",
        "`benchmarks.shop.calibration`: `run` takes 1,300 tokens, and the models have 128 positions",
    ]
    assert all("max_tokens" in problem.hint or "max_new_tokens" in problem.hint for problem in caught.value.problems)

"""Which models ARM cannot watch at work, as far as a plan can tell."""

from typing import Any

import pytest
from plain_checkpoints import CONFIG, facts, tensors

from ramekin.checkpoint.findings import Finding
from ramekin.plan.laying import lay_out
from ramekin.plan.neurons import find_neuronless, find_rounded

MOE = "ARM_UNSUPPORTED_MOE"
LAYER = "model.layers.{}.mlp."


def told(config: dict[str, Any] | None = None, **more: Any) -> list[Finding]:
    found = [*find_neuronless(facts(config=CONFIG | (config or {}), **more))]
    assert all((finding.severity, finding.role) == ("error", "base") and finding.hint for finding in found)
    return found


def with_tensors(**shapes: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The small model and more tensors in both of its layers, `__` for a dot."""
    names = {name.replace("__", "."): shape for name, shape in shapes.items()}
    return tensors() | {LAYER.format(n) + name: ("BF16", shape) for n in range(2) for name, shape in names.items()}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_experts": 0, "num_local_experts": None, "n_routed_experts": "8"},
        {"text_config": {"num_experts": 0}},
        {"text_config": None},
        {"text_config": [{"num_experts": 8}]},
        {"is_encoder_decoder": False},
        {"num_experts_per_tok": 2},
    ],
)
def test_a_dense_decoder_has_neurons(config: dict[str, Any]) -> None:
    assert told(config) == []


@pytest.mark.parametrize("key", ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_config_that_counts_experts(key: str, nested: bool) -> None:
    counted: dict[str, Any] = {key: 8}
    (finding,) = told({"text_config": counted} if nested else counted)
    assert finding.subject == key
    assert finding.what.startswith(f"{MOE}: ")
    assert "`ram+`" in finding.hint


def test_a_mixture_is_told_once() -> None:
    both = {"num_experts": 8, "n_routed_experts": 8, "text_config": {"num_experts": 8}}
    (finding,) = told(both, contents=with_tensors(experts__gate_up_proj=(8, 64, 16)))
    assert finding.subject == "num_experts"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("experts__0__up_proj__weight", (32, 16)),
        ("experts__gate_up_proj", (8, 16, 64)),
        ("gate_up_proj", (8, 16, 64)),
        ("input_linear__weight", (8, 64, 16)),
    ],
)
def test_tensors_that_belong_to_experts(name: str, shape: tuple[int, ...]) -> None:
    (finding,) = told(contents=with_tensors(**{name: shape}))
    assert finding.subject == "model.layers.{0-1}.mlp." + name.replace("__", ".")
    assert finding.what.startswith(f"{MOE}: ")
    assert finding.what.endswith("(2 tensors)")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("experts_of_language__weight", (32, 16)), ("position", (1, 1, 16)), ("conv__weight", (16, 3, 4, 4))],
)
def test_tensors_that_do_not(name: str, shape: tuple[int, ...]) -> None:
    assert told(contents=with_tensors(**{name: shape})) == []


def test_an_encoder() -> None:
    (finding,) = told({"is_encoder_decoder": True})
    assert finding.subject == "is_encoder_decoder"
    assert "ARM_UNSUPPORTED: the model has an encoder" in finding.what


def test_no_fast_tokenizer() -> None:
    (finding,) = told(small={"tokenizer_config.json": {}})
    assert finding.subject == "tokenizer.json"
    assert "save the fast tokenizer" in finding.hint


def test_all_of_it_is_told() -> None:
    found = told({"num_experts": 8, "is_encoder_decoder": True}, small={})
    assert [finding.subject for finding in found] == ["num_experts", "is_encoder_decoder", "tokenizer.json"]


def rounded(
    dtype: str | None = None, *, x: str = "F32", base: str = "BF16", donors: tuple[str, ...] = ("x",)
) -> list[str]:
    experts = {"x": facts("expert:x", tensors(x)), "y": facts("expert:y", tensors("F32"))}
    found = [*find_rounded(lay_out(facts(contents=tensors(base)), experts, dtype=dtype), donors)]
    assert all((finding.severity, finding.subject) == ("note", "neurons") for finding in found)
    return [f"{finding.place}: {finding.what}; {finding.hint}" for finding in found]


def test_neurons_of_a_wider_type_are_rounded() -> None:
    told = "x: what it gives is float32, and is rounded to the merge's bfloat16"
    told += "; set `output.dtype: float32` to keep all of it"
    assert rounded() == [told]
    assert rounded("bfloat16", base="F32") == [told]
    assert rounded("float16") == [told.replace("bfloat16", "float16")]
    assert len(rounded(donors=("x", "y"))) == 2


@pytest.mark.parametrize("case", [{"x": "BF16"}, {"x": "F16"}, {"dtype": "float32"}, {"base": "F32"}, {"donors": ()}])
def test_neurons_that_are_not(case: dict[str, Any]) -> None:
    assert rounded(**case) == []

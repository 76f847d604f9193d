"""Candidates in memory are what a merge would write, bit for bit."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from families import build
from safetensors.torch import load_file
from synthetic import Data, Sources, lay_out
from torch import nn

from ramekin.arm.candidates import Resident, build_candidates
from ramekin.errors import IncompatibleError
from ramekin.merge import engine
from ramekin.merge.engine import merge_weights
from ramekin.methods import Average, DareTies, Ram, RamPlus, TaskArithmetic, Ties

POOL = {
    "average": Average(),
    "task-arithmetic 0.7": TaskArithmetic(weight=0.7),
    "ties": Ties(),
    "dare-ties": DareTies(),
    "ram": Ram(),
    "ram+": RamPlus(),
}
NAMES = {torch.bfloat16: "BF16", torch.float32: "F32"}


def content(model: nn.Module, strip: str = "") -> dict[str, Data]:
    """The weights as a checkpoint has them: tied ones once."""
    found, seen = {}, set()
    for name, value in model.state_dict().items():
        if value.data_ptr() not in seen and value.dtype in NAMES:
            seen.add(value.data_ptr())
            raw = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            found[name.removeprefix(strip)] = Data(NAMES[value.dtype], tuple(value.shape), raw)
    return found


def models(family: str, dtype: torch.dtype) -> list[nn.Module]:
    """A base and three experts near it."""
    base = build(family).to(dtype)
    found = [base]
    for seed in (1, 2, 3):
        expert = build(family).to(dtype)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in expert.parameters():
                change = torch.randn(weight.shape, generator=generator) * 0.05
                weight.add_((change * (torch.rand(weight.shape, generator=generator) < 0.4)).to(dtype))
        found.append(expert)
    return found


def sources(tmp_path: Path, family: str, dtype: torch.dtype, strip: str = "") -> Sources:
    base, *experts = (content(model, strip) for model in models(family, dtype))
    return lay_out(tmp_path / "in", base, dict(zip(["a", "b", "c"], experts, strict=True)))


def equal(model: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str = "") -> bool:
    state = model.state_dict()
    return all(torch.equal(state[prefix + name], value) for name, value in tensors.items())


@pytest.mark.parametrize(
    ("family", "strip", "dtype", "candidates_beside"),
    [
        ("llama", "", torch.bfloat16, 0),
        ("llama", "", torch.float32, 2),
        ("gemma2", "", torch.bfloat16, 9),
        ("gpt2", "transformer.", torch.bfloat16, 9),
        ("phi3", "", torch.float32, 9),
        ("opt", "", torch.bfloat16, 9),
    ],
)
def test_as_the_merge_would_write_them(
    family: str, strip: str, dtype: torch.dtype, candidates_beside: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sources(tmp_path, family, dtype, strip)
    names = [task.name for shard in given.layout.shards for task in shard.tensors]
    resident = Resident(build(family, seed=9).to(dtype), names)
    reads: list[int] = []
    opened = engine.open_sources
    monkeypatch.setattr(engine, "open_sources", lambda *a: (reads.append(1), opened(*a))[1])
    memory = candidates_beside * given.layout.total_size
    seen = []
    for name in build_candidates(given.layout, given.supply, POOL, resident, memory=memory):
        seen.append(name)
        merge_weights(given.layout, given.supply, POOL[name], tmp_path / name)
        assert equal(resident.model, load_file(tmp_path / name / "model.safetensors"), strip), name
    assert seen == [*POOL]
    assert len(reads) == {0: 6, 2: 2, 9: 1}[candidates_beside]


def test_an_expert_in_the_same_model(tmp_path: Path) -> None:
    given = sources(tmp_path, "llama", torch.bfloat16)
    resident = Resident(build("llama").bfloat16(), [*given.base])
    resident.load(given.files["expert:b"])
    assert equal(resident.model, load_file(given.files["expert:b"]["b.safetensors"]))


def test_what_does_not_fit(tmp_path: Path) -> None:
    given = sources(tmp_path, "llama", torch.bfloat16)
    some = [name for name in given.base if "mlp" not in name]
    with pytest.raises(IncompatibleError, match=r"the checkpoints lack 6 tensors of LlamaForCausalLM, such as `model"):
        Resident(build("llama"), some)

    resident = Resident(build("llama"), [*given.base])
    part = lay_out(tmp_path / "part", {name: given.base[name] for name in some}, {})
    with pytest.raises(IncompatibleError, match="an expert lacks 6 tensors"):
        resident.load(part.files["base"])
    name = "model.norm.weight"
    longer = lay_out(tmp_path / "long", given.base | {name: Data("F32", (17,), bytes(68))}, {})
    with pytest.raises(IncompatibleError, match=r"`model.norm.weight` has the shape \[17\] in an expert and \[16\]"):
        resident.load(longer.files["base"])

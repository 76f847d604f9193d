"""The model in memory that takes everybody's weights: as transformers would have loaded them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from chats import tokenizer
from families import DENSE, MIXTURES, build
from safetensors.torch import load_file
from synthetic import Data, Sources, data, lay_out, write_safetensors
from torch import nn
from transformers import AutoModelForCausalLM

from ramekin.arm.architecture import find_layers
from ramekin.arm.candidates import Resident, checkpoint_names
from ramekin.arm.hosting import Host, dtype_of, load_tokenizer, structure_of
from ramekin.assembling import assembled
from ramekin.checkpoint.tensors import LowRank
from ramekin.errors import IncompatibleError, UsageError
from ramekin.merge.engine import Means
from ramekin.methods import Average
from ramekin.plan.layout import Layout, Shard

UNKNOWN = "transformers does not know the base"
IDS = torch.tensor([[5, 9, 33, 7, 12, 60, 3]])
NAMES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


def tensors(path: Path) -> dict[str, Data]:
    return {
        name: Data(
            NAMES[value.dtype], tuple(value.shape), value.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        )
        for name, value in load_file(path).items()
        if value.dtype in NAMES
    }


@dataclass(frozen=True)
class Family:
    """A base and two experts, saved as transformers saves them."""

    sources: Sources
    saved: Path

    @property
    def names(self) -> list[str]:
        return [task.name for shard in self.sources.layout.shards for task in shard.tensors]

    def host(self, dtype: str = "float32", layout: Layout | None = None) -> Host:
        return Host(layout or self.sources.layout, self.sources.files, dtype, "cpu", Means())

    def loaded(self, name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        bounded = json.loads((self.saved / name / "config.json").read_text()).get("attn_logit_softcapping")
        more = {"attn_implementation": "eager"} if bounded else {}
        return AutoModelForCausalLM.from_pretrained(
            self.saved / name, dtype=dtype, local_files_only=True, **more
        ).eval()


def save(directory: Path, family: str, dtype: torch.dtype = torch.float32) -> Family:
    found = {}
    for seed, name in enumerate(("base", "a", "b")):
        build(family, seed).to(dtype).save_pretrained(directory / name)
        found[name] = tensors(directory / name / "model.safetensors")
    base = found.pop("base")
    sources = lay_out(directory / "in", base, found)
    sources.files["base"]["config.json"] = directory / "base" / "config.json"
    return Family(sources, directory)


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("family", DENSE)
def test_every_architecture(family: str, tmp_path: Path) -> None:
    made = save(tmp_path, family)
    structure = structure_of(made.sources.files["base"], made.names)
    layers, names = structure.layers, structure.checkpoint_names
    model = made.loaded("base")
    assert layers == find_layers(model)
    assert names == checkpoint_names(model, made.names)
    assert {place.tensor for layer in layers for place in layer.places} <= names.keys()
    host = made.host()
    assert host.structure == structure
    assert structure.positions == (128 if family in {"gpt2", "opt", "gptj"} else None)
    assert not structure.by_length
    assert "_resident" not in vars(host), "nothing is loaded for that"
    for expert in ("b", "a", "b"):
        assert torch.equal(logits(host.expert(expert)), logits(made.loaded(expert)))


@pytest.mark.parametrize(("family", "attention"), [("gemma2", "eager"), ("llama", "sdpa")])
def test_how_attention_is_computed(family: str, attention: str, tmp_path: Path) -> None:
    model: Any = save(tmp_path, family).host().expert("a")
    assert model.config._attn_implementation == attention


def test_candidates_take_their_turn_with_experts(tmp_path: Path) -> None:
    made = save(tmp_path, "llama", torch.bfloat16)
    host, counts = made.host(), dict[str, int]()
    host.expert("a")
    methods = {"one": Average(), "two": Average()}
    seen = [
        (name, logits(model).clone())
        for name, model in host.candidates(methods, lambda name, count: counts.update({name: count}))
    ]
    assert [name for name, _ in seen] == ["one", "two"]
    assert torch.equal(seen[0][1], seen[1][1])
    expected = made.loaded("a")
    other = made.loaded("b").state_dict()
    with torch.no_grad():
        for name, value in expected.state_dict().items():
            value.copy_(((value + other[name]) / 2).bfloat16())
    assert torch.equal(seen[0][1], logits(expected))
    start = made.loaded("base").state_dict()
    names = made.names
    assert counts["one"] == sum(int((expected.state_dict()[name] != start[name]).sum()) for name in names)
    assert torch.equal(logits(host.expert("b")), logits(made.loaded("b")))


def test_run_in_another_type(tmp_path: Path) -> None:
    made = save(tmp_path, "qwen3")
    assert dtype_of(made.sources.layout, "base") == "float32"
    assert dtype_of(made.sources.layout, "bfloat16") == "bfloat16"
    assert dtype_of(Layout((), ()), "base") == "float32"
    model = made.host("bfloat16").expert("a")
    assert torch.equal(logits(model), logits(made.loaded("a", torch.bfloat16)))


def test_an_adapter_as_an_expert(tmp_path: Path) -> None:
    """Beside weights that were added up here, without any library for adapters."""
    made = save(tmp_path, "llama")
    generator = torch.Generator().manual_seed(4)
    expected, factors, tasks = made.loaded("base"), dict[str, Data](), []
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    targets = [name for name in made.names if name.endswith(("q_proj.weight", "up_proj.weight", "down_proj.weight"))]
    changes = {}
    for name in targets:
        rows, columns = made.sources.base[name].shape
        a, b = torch.randn(2, columns, generator=generator), torch.randn(rows, 2, generator=generator)
        factors |= {f"{name}.a": data(a.numpy()), f"{name}.b": data(b.numpy())}
        changes[name] = 0.25 * (b @ a)
    lying = write_safetensors(path, factors)
    for task in made.sources.layout.shards[0].tensors:
        low = LowRank(lying[f"{task.name}.a"], lying[f"{task.name}.b"], 0.25) if task.name in targets else None
        tasks.append(replace(task, experts=(task.experts[0], low)))
    layout = Layout((Shard("model.safetensors", tuple(tasks)),), made.sources.layout.experts)
    made.sources.files["expert:b"] = {path.name: path}
    state = expected.state_dict()
    with torch.no_grad():
        for name, change in changes.items():
            state[name] += change
    found = made.host(layout=layout).expert("b")
    torch.testing.assert_close(logits(found), logits(expected), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(found), logits(made.loaded("base")), atol=1e-2)
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-6, atol=1e-6)
        if name not in targets:
            assert torch.equal(value, made.loaded("base").state_dict()[name])


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_weights_that_are_kept_elsewhere(family: str, tmp_path: Path) -> None:
    """As accelerate does it where the GPU is too small."""
    accelerate = pytest.importorskip("accelerate")
    made = save(tmp_path, family)
    model = accelerate.cpu_offload(made.loaded("base"), execution_device=torch.device("cpu"))
    assert all(weight.is_meta for weight in model.parameters())
    resident = Resident(model, made.names)
    for name in ("a", "b", "a"):
        files = made.sources.files[f"expert:{name}"]
        torch.testing.assert_close(logits(resident.load(files)), logits(made.loaded(name)), rtol=0, atol=0)


# What cannot be.


def refused(call: Any) -> IncompatibleError:
    """It is told in two lines, and is nobody's bug."""
    with pytest.raises(IncompatibleError) as caught:
        call()
    for problem in caught.value.problems:
        assert problem.what
        assert problem.hint
        assert "\n" not in problem.what + problem.hint
        assert len(problem.what) < 400
    assert caught.value.exit_code == 5
    return caught.value


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "nonsense"}, "transformers does not know the base"),
        ({}, "transformers does not know the base"),
        ({"model_type": "llama", "hidden_size": "wide"}, "transformers does not know the base"),
        (
            {"model_type": "bert", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1},
            "ARM_UNSUPPORTED",
        ),
        ({"model_type": "t5", "d_model": 16, "num_layers": 1}, "transformers does not know the base"),
        (
            {"auto_map": {"AutoConfig": "configuration.Config"}, "model_type": "own"},
            "transformers does not know the base",
        ),
    ],
)
def test_a_base_that_transformers_does_not_know(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "configuration.py").write_text("raise SystemExit('code of strangers')")
    assert message in str(refused(lambda: structure_of({"config.json": tmp_path / "config.json"}, [])))


@pytest.mark.parametrize("family", MIXTURES)
def test_mixtures_of_experts(family: str, tmp_path: Path) -> None:
    build(family).config.save_pretrained(tmp_path)
    assert "ARM_UNSUPPORTED_MOE" in str(refused(lambda: structure_of({"config.json": tmp_path / "config.json"}, [])))


def test_a_base_without_its_weights(tmp_path: Path) -> None:
    made = save(tmp_path, "llama")
    made.sources.files["base"]["model.safetensors"].write_bytes(b"not weights")
    host = made.host()
    assert "transformers cannot load the base" in str(refused(lambda: host.expert("a")))


def test_tokenizers(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text('{"model_type": "llama"}')
    assert "the base's tokenizer cannot be loaded" in str(refused(lambda: load_tokenizer(empty)))
    (empty / "tokenizer.json").write_text("{")
    assert "the base's tokenizer cannot be loaded" in str(refused(lambda: load_tokenizer(empty)))
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["tokenization.Own", None]}}
    (empty / "tokenizer_config.json").write_text(json.dumps(own))
    (empty / "tokenization.py").write_text("raise SystemExit('code of strangers')")
    refused(lambda: load_tokenizer(empty))

    tokenizer().save_pretrained(tmp_path / "good")
    files = {path.name: path for path in (tmp_path / "good").iterdir()}
    with assembled({**files, "deep/inside.txt": files["tokenizer.json"]}) as directory:
        found = load_tokenizer(directory)
        assert (directory / "deep" / "inside.txt").read_bytes() == files["tokenizer.json"].read_bytes()
    assert found("red shoes")["input_ids"] == tokenizer()("red shoes")["input_ids"]
    assert not directory.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    made = save(tmp_path, "llama")
    with pytest.raises(UsageError, match="there is no CUDA device here"):
        Host(made.sources.layout, made.sources.files, "float32", "cuda", Means())

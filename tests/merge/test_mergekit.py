"""mergekit is an independent implementation of some methods: the same checkpoints, merged by both, agree.

mergekit computes in float32 here, as ramekin does, and rounds once to bfloat16. It has a venv of its own, which
`make mergekit` builds.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import to_float32
from synthetic import Data, data, read_tensors, write_safetensors

from ramekin.cli.main import main

ROOT = Path(__file__).parents[2]
MERGEKIT = ROOT / ".venv-mergekit" / "bin" / "python"
DENSITY = 0.2
SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (1600, 128),
    "model.layers.0.self_attn.q_proj.weight": (96, 128),
    "model.layers.0.self_attn.q_proj.bias": (96,),
    "model.layers.0.conv.weight": (17, 5, 3),
    "model.layers.0.mlp.down_proj.weight": (128, 333),
    "model.norm.weight": (128,),
    "model.scale": (1,),
}
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1600, "hidden_size": 128}


@dataclass(frozen=True)
class Counterpart:
    """A method of mergekit's, and the manifest's `method` that is the same."""

    name: str
    parameters: Mapping[str, Any]
    ours: Mapping[str, Any]
    given_base: bool = True


COUNTERPARTS = {
    "average": Counterpart("linear", {"weight": 1.0}, {"name": "average"}, given_base=False),
    "task-arithmetic": Counterpart("task_arithmetic", {"weight": 0.4}, {"name": "task-arithmetic", "weight": 0.4}),
    "ties": Counterpart(
        "ties",
        {"density": DENSITY, "weight": 1.0, "normalize": True, "lambda": 1.0},
        {"name": "ties", "density": DENSITY, "weight": 1.0, "lambda": 1.0},
    ),
    "model-stock": Counterpart("model_stock", {"filter_wise": False}, {"name": "model-stock", "filter_wise": False}),
    "ram": Counterpart("ram", {"epsilon": 1e-5}, {"name": "ram", "epsilon": 1e-5}),
}


@dataclass(frozen=True)
class Family:
    """A base and its experts on disk, each a directory with one file of weights."""

    directory: Path
    base: Mapping[str, Data]
    experts: Mapping[str, Mapping[str, Data]]

    def file(self, role: str) -> Path:
        return self.directory / role / "model.safetensors"

    def changes(self, name: str) -> list[np.ndarray]:
        """tau_t of one tensor, flat, float32."""
        return [expert[name].values - self.base[name].values for expert in self.experts.values()]


def base_weights(random: np.random.Generator) -> dict[str, Data]:
    """Matrices around 0, and vectors around 1, as norms are."""
    return {name: data(random.normal(float(len(shape) == 1), 0.02, shape), "BF16") for name, shape in SHAPES.items()}


def stepped(base: Mapping[str, Data], random: np.random.Generator) -> dict[str, Data]:
    """An expert in bfloat16 that has moved some weights up its grid by one to three steps: many changes are equal."""
    moved = {}
    for name, old in base.items():
        bits = np.frombuffer(old.raw, "<u2")
        steps = random.integers(1, 4, bits.size) * (random.random(bits.size) < 0.5)
        moved[name] = Data("BF16", old.shape, (bits + steps).astype("<u2").tobytes())
    return moved


def continuous(base: Mapping[str, Data], random: np.random.Generator) -> dict[str, Data]:
    """An expert in float32 whose changes are its own for one half, and everybody's for the other."""
    everybody = np.random.default_rng(99)
    moved = {}
    for name, old in base.items():
        together, alone = (r.normal(0.0, 0.004, old.shape) for r in (everybody, random))
        moved[name] = data(old.values.reshape(old.shape) + np.float32(together + alone))
    return moved


KINDS = {"stepped": stepped, "continuous": continuous}
FAMILIES = [(kind, experts) for kind in KINDS for experts in (2, 3, 4)]


def write_family(directory: Path, kind: str, number: int) -> Family:
    """Directories that `ramekin` takes for checkpoints."""
    base = base_weights(np.random.default_rng(number))
    experts = {f"expert-{t}": KINDS[kind](base, np.random.default_rng([number, t])) for t in range(number)}
    family = Family(directory, base, experts)
    for role, tensors in {"base": base, **experts}.items():
        write_safetensors(family.file(role), tensors)
        (directory / role / "config.json").write_text(json.dumps(CONFIG))
    return family


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Family]:
    """Every family, with what mergekit makes of it beside it in `METHOD.safetensors`."""
    if not MERGEKIT.exists():
        pytest.skip("mergekit is not installed: `make mergekit` builds .venv-mergekit")
    root = tmp_path_factory.mktemp("families")
    made = {key: write_family(root / f"{key[0]}-{key[1]}", *key) for key in FAMILIES}
    jobs = [
        {
            "base": str(family.file("base")),
            "experts": [str(family.file(name)) for name in family.experts],
            "method": counterpart.name,
            "parameters": counterpart.parameters,
            "given_base": counterpart.given_base,
            "out": str(family.directory / f"{method}.safetensors"),
        }
        for family in made.values()
        for method, counterpart in COUNTERPARTS.items()
    ]
    (root / "jobs.json").write_text(json.dumps(jobs))
    command = [str(MERGEKIT), str(Path(__file__).with_name("mergekit_run.py")), str(root / "jobs.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return made


def theirs(family: Family, method: str) -> dict[str, np.ndarray]:
    """What mergekit made, as the bits of bfloat16."""
    content = (family.directory / f"{method}.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    return {
        name: np.frombuffer(content[end:], "<u2")[slice(*(place // 2 for place in header[name]["data_offsets"]))]
        for name in SHAPES
    }


def ours(family: Family, method: str) -> dict[str, np.ndarray]:
    """What `ramekin merge` makes of the same files, as the bits of bfloat16."""
    manifest = {
        "version": 1,
        "base": "./base",
        "experts": {name: f"./{name}" for name in family.experts},
        "method": COUNTERPARTS[method].ours,
        "output": {"repo": "demo/merged", "dtype": "bfloat16"},
    }
    path, out = family.directory / f"{method}.yaml", family.directory / f"ours-{method}"
    path.write_text(json.dumps(manifest))  # JSON is YAML
    assert main(["merge", str(path), "--out", str(out), "--quiet"]) == 0
    return {name: np.frombuffer(tensor.raw, "<u2") for name, tensor in read_tensors(out).items()}


def places(family: Family, method: str) -> dict[str, np.ndarray]:
    """Where the two differ, by tensor."""
    mine, other = ours(family, method), theirs(family, method)
    assert mine.keys() == other.keys() == SHAPES.keys()
    return {name: np.flatnonzero(mine[name] != other[name]) for name in SHAPES}


def cuts(changes: list[np.ndarray]) -> list[np.float32]:
    """The smallest |tau| that each expert keeps in a tensor."""
    kept = max(1, int(DENSITY * changes[0].size))
    return [np.sort(np.abs(tau))[-kept] for tau in changes]


@pytest.mark.parametrize(("kind", "experts"), FAMILIES)
@pytest.mark.parametrize("method", ["average", "task-arithmetic"])
def test_bit_for_bit(families: dict[tuple[str, int], Family], kind: str, experts: int, method: str) -> None:
    differing = {name: found.tolist() for name, found in places(families[kind, experts], method).items() if found.size}
    assert differing == {}


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_ram_of_bfloat16_bit_for_bit(families: dict[tuple[str, int], Family], experts: int) -> None:
    assert {
        name: found.tolist() for name, found in places(families["stepped", experts], "ram").items() if found.size
    } == {}


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_ram_of_float32(families: dict[tuple[str, int], Family], experts: int) -> None:
    """Bit for bit, but where three share an element: mergekit sums thirds, ramekin takes a third of the sum (Eq. 7).

    The two differ in the last bit of float32, which tips a rounding to bfloat16 in one element of some 100,000.
    """
    family = families["continuous", experts]
    mine, other = ours(family, "ram"), theirs(family, "ram")
    for name in SHAPES:
        sharing = np.sum([np.abs(tau) > np.float32(1e-5) for tau in family.changes(name)], axis=0)
        steps = np.abs(mine[name].astype(int) - other[name].astype(int))
        assert np.flatnonzero(steps[sharing != 3]).tolist() == []
        assert steps.max() <= 1
        assert np.count_nonzero(steps) <= 1 + steps.size // 20_000


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_ties_where_all_changes_differ_bit_for_bit(families: dict[tuple[str, int], Family], experts: int) -> None:
    family = families["continuous", experts]
    for name, found in places(family, "ties").items():
        changes = family.changes(name)
        for tau, cut in zip(changes, cuts(changes), strict=True):
            assert np.count_nonzero(np.abs(tau) == cut) == 1, "only one change is at the cut"
        assert found.tolist() == [], name


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_ties_where_equals_straddle_the_cut(families: dict[tuple[str, int], Family], experts: int) -> None:
    """Which of several equal changes are kept is a choice: the lowest indices here, whatever a sort leaves there."""
    family = families["stepped", experts]
    straddled = 0
    for name, found in places(family, "ties").items():
        changes = family.changes(name)
        at_cut = np.zeros(changes[0].size, bool)
        for tau, cut in zip(changes, cuts(changes), strict=True):
            equals = np.abs(tau) == cut
            at_cut |= equals
            straddled += np.count_nonzero(np.abs(tau) >= cut) > max(1, int(DENSITY * tau.size))
        assert found.size == np.count_nonzero(at_cut[found]), name
    assert straddled >= len(SHAPES), "the data puts this to the test"


@pytest.mark.parametrize(("kind", "experts"), FAMILIES)
def test_model_stock_to_rounding(families: dict[tuple[str, int], Family], kind: str, experts: int) -> None:
    """mergekit takes norms and products in float32: a share t that is off by 1e-6 tips a rounding here and there."""
    family = families[kind, experts]
    mine, other = ours(family, "model-stock"), theirs(family, "model-stock")
    for name in SHAPES:
        if mine[name].size == 1:
            continue  # changes of one element are parallel or opposite: mergekit does not hold t within 0 and 1
        a, b = (to_float32(found[name].tobytes(), "BF16") for found in (mine, other))
        one_step = np.float32(2.0**-7) * np.maximum(abs(a), abs(b))
        assert np.all(abs(a - b) <= one_step + np.float32(1e-7)), name  # changes and weights are some 1e-2
        assert np.count_nonzero(a != b) <= 1 + a.size // 1000, name

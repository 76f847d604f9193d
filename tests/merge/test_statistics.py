"""Overlap by kind of module and layer, against counts taken element by element."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from synthetic import data, lay_out

from ramekin.merge.engine import merge_weights, probe
from ramekin.merge.merging import _kept
from ramekin.merge.orders import WrittenFile
from ramekin.merge.statistics import Probe, TensorOverlap, by_module
from ramekin.methods import Average, RamPlus

EXPERTS = ("one", "two", "three")
PARTS = {
    "model.embed_tokens.weight": ("embed_tokens", None, (7, 4)),
    "model.layers.0.mlp.up_proj.weight": ("mlp.up_proj", 0, (5, 4)),
    "model.layers.0.mlp.up_proj.bias": ("mlp.up_proj", 0, (5,)),
    "model.layers.1.mlp.up_proj.weight": ("mlp.up_proj", 1, (5, 4)),
    "model.layers.1.mlp.experts.0.w.weight": ("mlp.experts.w", 1, (3, 3)),
    "model.layers.1.mlp.experts.1.w.weight": ("mlp.experts.w", 1, (3, 3)),
    "model.norm.weight": ("norm", None, (4,)),
}


@pytest.fixture
def sources(tmp_path: Path):
    random = np.random.default_rng(3)
    base = {name: data(random.standard_normal(shape), shape=shape) for name, (_, _, shape) in PARTS.items()}
    experts = {
        expert: {
            name: data(d.values.reshape(d.shape) + 0.1 * (random.random(d.shape) < share), shape=d.shape)
            for name, d in base.items()
        }
        for expert, share in zip(EXPERTS, (0.2, 0.5, 0.7), strict=True)
    }
    return lay_out(tmp_path / "in", base, experts)


def counted(sources, module: str, layer: int | None) -> dict[str, object]:
    """The same, one element at a time."""
    found: dict[str, object] = {"elements": 0, "anyone": 0, "several": 0, **dict.fromkeys(EXPERTS, 0)}
    for name, (kind, where, _) in PARTS.items():
        if (kind, where) != (module, layer):
            continue
        start = sources.base[name].values
        for place, value in enumerate(start):
            changers = [e for e in EXPERTS if abs(float(sources.experts[e][name].values[place] - value)) > 1e-5]
            found["elements"] += 1
            found["anyone"] += bool(changers)
            found["several"] += len(changers) > 1
            for expert in changers:
                found[expert] += 1
    return found


def test_modules_are_counted_layer_by_layer(sources) -> None:
    found = by_module(probe(sources.layout, sources.supply, 1e-5).by_tensor, EXPERTS)
    assert list(found) == ["embed_tokens", "mlp.up_proj", "mlp.experts.w", "norm"]
    assert found["mlp.up_proj"].layers == (0, 1)
    for module, overlap in found.items():
        for place, layer in enumerate(overlap.layers):
            shown = {name: getattr(overlap, name)[place] for name in ("elements", "anyone", "several")}
            shown |= {expert: overlap.experts[expert][place] for expert in EXPERTS}
            assert shown == counted(sources, module, layer)
    assert found["norm"].layers == (None,)


@pytest.mark.parametrize("method", [RamPlus(), Average()], ids=lambda m: m.name)
def test_modules_add_up_to_the_model(method, sources, tmp_path: Path) -> None:
    result = merge_weights(sources.layout, sources.supply, method, tmp_path / "out")
    overlap = result.probe.overlap
    found = by_module(result.probe.by_tensor, EXPERTS).values()
    assert sum(sum(module.elements) for module in found) == overlap.elements
    assert sum(sum(module.anyone) for module in found) == overlap.elements - overlap.counts[0]
    alone = sum(overlap.unique(t) for t in range(3))
    assert sum(sum(module.several) for module in found) == overlap.elements - overlap.counts[0] - alone


def test_what_is_too_much_to_read_is_summed_up() -> None:
    counts = np.array([5, 1, 0, 4])
    tensors = {f"model.layers.{n % 3}.kind_{n}.weight": TensorOverlap.of(counts * (n + 1)) for n in range(60)}
    found = by_module(tensors, ("one", "two"))
    assert len(found) == 41
    assert "kind_59" in found
    assert "kind_19" not in found
    assert found["other"].layers == (0, 1, 2)
    assert sum(found["other"].elements) == 10 * sum(range(1, 21))
    assert sum(sum(module.anyone) for module in found.values()) == 5 * sum(range(1, 61))
    assert by_module({}, ("one", "two")) == {}


def older(found: Mapping[str, object]) -> dict[str, object]:
    """Statistics as a version wrote them that did not count what anyone changed."""
    bare = {name: {k: v for k, v in each.items() if k != "anyone"} for name, each in found["by_tensor"].items()}
    return {**found, "by_tensor": bare}


def test_statistics_of_an_older_version_are_not_taken_for_ours(sources, tmp_path: Path) -> None:
    done: dict[str, WrittenFile] = {}
    merge_weights(sources.layout, sources.supply, Average(), tmp_path / "out", on_shard=done.__setitem__)
    (record,) = (file.model_dump(mode="json") for file in done.values())
    assert _kept(WrittenFile, record) in done.values()
    assert _kept(WrittenFile, record | {"statistics": older(record["statistics"])}) is None
    assert _kept(Probe, record["statistics"])
    assert _kept(Probe, older(record["statistics"])) is None
    assert _kept(Probe, None) is None
    with pytest.raises(ValidationError):
        Probe.model_validate(older(record["statistics"]))

"""The worked example, through real files, for all three variants, bit for bit."""

import json
from pathlib import Path

import numpy as np
import pytest
from reference import merge as reference_merge
from synthetic import Sources, data, lay_out, read_tensors

from ramekin.merge.engine import merge_weights, probe
from ramekin.methods import Average, Method, ModelStock, Ram, RamPlus, RamPlusSmooth, TaskArithmetic, Ties
from ramekin.records import report_overlap

OPERATORS = json.loads((Path(__file__).parents[1] / "golden" / "arm.json").read_text())["operators"]
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "ram.json").read_text())
METHODS = {"ram": Ram, "ram+": RamPlus, "ram+s": RamPlusSmooth}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    base = {name: data(values) for name, values in GOLDEN["base"].items()}
    experts = {e: {name: data(v) for name, v in tensors.items()} for e, tensors in GOLDEN["experts"].items()}
    return lay_out(tmp_path / "in", base, experts)


@pytest.mark.parametrize("name", METHODS)
def test_worked_example(name: str, sources: Sources, tmp_path: Path) -> None:
    parameters = {"epsilon": GOLDEN["epsilon"]} | ({"r": GOLDEN["r"]} if name != "ram" else {})
    method = METHODS[name](**parameters)
    expected = GOLDEN["expected"][name]
    result = merge_weights(sources.layout, sources.supply, method, tmp_path / "out")

    merged = read_tensors(tmp_path / "out")
    assert list(merged) == list(expected["merged"])
    for tensor, values in expected["merged"].items():
        assert merged[tensor].raw == np.array(values, np.float32).tobytes()
    reported = report_overlap(result.probe.overlap, sources.layout.experts, result.lambdas)
    assert reported.patterns == GOLDEN["patterns"]
    for expert, stats in expected["stats"].items():
        got = reported.experts[expert]
        assert {"changed": got.changed, "unique": got.unique, "shared": got.shared, "rho": got.rho} == stats
        assert float(np.float32(got.factor)) == expected["lambda"][expert]


def test_probe_alone_counts_the_same(sources: Sources) -> None:
    found = probe(sources.layout, sources.supply, GOLDEN["epsilon"])
    names = sources.layout.experts
    assert report_overlap(found.overlap, names, (1.0, 1.0, 1.0)).patterns == GOLDEN["patterns"]
    assert found.by_tensor["b.bias"].elements == 3
    assert found.by_tensor["b.bias"].changed == (1, 1, 0)
    assert found.by_tensor["b.bias"].unique == (1, 1, 0)
    assert found.bytes_read == sources.layout.input_bytes == 4 * 11 * 4


@pytest.mark.parametrize("name", METHODS)
def test_the_slow_reference_agrees_with_the_worked_example(name: str) -> None:
    def flat(tensors: dict[str, object]) -> dict[str, np.ndarray]:
        return {k: np.array(v, np.float32).reshape(-1) for k, v in tensors.items()}

    found = reference_merge(name, flat(GOLDEN["base"]), [flat(e) for e in GOLDEN["experts"].values()])
    expected = GOLDEN["expected"][name]
    assert found.patterns == GOLDEN["patterns"]
    assert [float(np.float32(x)) for x in found.lambdas] == list(expected["lambda"].values())
    for tensor, values in flat(expected["merged"]).items():
        assert found.merged[tensor].tobytes() == values.tobytes()


TIES, ARITHMETIC, STOCK = OPERATORS["ties"], OPERATORS["task_arithmetic"], OPERATORS["model_stock"]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Average(), OPERATORS["average"]),
        (TaskArithmetic(weight=1.0), ARITHMETIC["lambda_1"]),
        (TaskArithmetic(weight=0.4), ARITHMETIC["lambda_0.4"]),
        (Ties(density=0.5), TIES["density_0.5_lambda_1 (keep 4 of 8 per tensor; elect sign(sum); disjoint mean)"]),
        (Ties(density=0.25), TIES["density_0.25_lambda_1"]),
        (Ties(density=1.0), TIES["density_1.0"]),
        (ModelStock(), STOCK["merged_clamped_t"]),
    ],
    ids=lambda value: value.name if isinstance(value, Method) else "",
)
def test_operators_of_the_pool(method: Method, expected: list[float], tmp_path: Path) -> None:
    experts = {f"e{number}": {"w": data(values)} for number, values in enumerate(OPERATORS["experts"])}
    sources = lay_out(tmp_path / "in", {"w": data(OPERATORS["base"])}, experts)
    merge_weights(sources.layout, sources.supply, method, tmp_path / "out")
    np.testing.assert_allclose(read_tensors(tmp_path / "out")["w"].values, expected, rtol=1e-6, atol=1e-7)


def test_model_stock_of_two_experts(tmp_path: Path) -> None:
    given = STOCK["two_experts"]
    base = np.array(OPERATORS["base"])
    experts = {f"e{number}": {"w": data(base + tau)} for number, tau in enumerate(given["task_vectors"])}
    sources = lay_out(tmp_path / "in", {"w": data(base)}, experts)
    merge_weights(sources.layout, sources.supply, ModelStock(), tmp_path / "out")
    np.testing.assert_allclose(read_tensors(tmp_path / "out")["w"].values, given["merged"], rtol=1e-6)

"""The worked example of ARM, part by part; and what must not pass for it."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ramekin.arm.architecture import Layer, Place, transplant
from ramekin.arm.metrics import cross_overlap
from ramekin.arm.neurons import (
    Neurons,
    chance,
    collisions,
    how_many,
    overlap_by_layer,
    protected_sets,
    salient,
    select_backbone,
    transplant_sets,
)
from ramekin.arm.saliency import RoleMean, mean_magnitude
from ramekin.scores import sum_up

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "arm.json").read_text())
TRACING, SELECTION, TRANSPLANT = GOLDEN["tracing"], GOLDEN["selection"], GOLDEN["transplant"]
K = TRACING["k"]


def neurons(pairs: list[list[int]]) -> Neurons:
    layers = np.zeros((2, 4), np.bool_)
    for layer, j in pairs:
        layers[layer, j] = True
    return Neurons(tuple(layers))


def pairs(found: Neurons) -> list[list[int]]:
    return [[layer, int(j)] for layer, row in enumerate(found.layers) for j in np.flatnonzero(row)]


def traced(which: str) -> list[np.ndarray]:
    """Our way through one model's activations on one benchmark."""
    z, roles = TRACING["z"][which], TRACING["role_positions"][which[-1]]
    found = RoleMean([4, 4])
    for trajectory, positions in zip(z, roles, strict=True):
        if positions:
            at = torch.tensor(positions)
            found.take([mean_magnitude(torch.tensor(layer, dtype=torch.float32), at) for layer in trajectory])
    return found.result()


@pytest.mark.parametrize("which", TRACING["saliency"])
def test_saliency_and_top_sets(which: str) -> None:
    saliency = traced(which)
    np.testing.assert_allclose(saliency, np.array(TRACING["saliency"][which]), rtol=1e-7)
    assert pairs(salient(saliency, K)) == TRACING["top_sets"][which]


def wrong(variant: str, which: str) -> list[list[int]]:
    """What somebody would find who read Eq. 2 another way."""
    z, roles = TRACING["z"][which], TRACING["role_positions"][which[-1]]
    rows = []
    for layer in range(2):
        means, tokens = [], []
        for trajectory, positions in zip(z, roles, strict=True):
            values = np.array(trajectory[layer])
            values = values if variant == "no_abs" else abs(values)
            values = values if variant == "all_tokens" else values[positions]
            tokens.extend(values)
            if len(values):
                means.append(values.mean(0))
        rows.append(np.mean(tokens if variant == "pooled_tokens" else means, axis=0).astype(np.float32))
    return pairs(salient(rows, K))


@pytest.mark.parametrize("variant", TRACING["wrong_if"])
def test_the_example_tells_wrong_readings_from_ours(variant: str) -> None:
    expected = TRACING["wrong_if"][variant]
    assert {which: wrong(variant, which) for which in expected} == expected
    for which, mistaken in expected.items():
        assert pairs(salient(traced(which), K)) != mistaken


def test_a_trajectory_without_the_role_would_lower_the_saliency() -> None:
    # The sets would be the same, so it is the values that tell.
    found = traced("EA|A")
    assert TRACING["role_positions"]["A"][2] == []
    np.testing.assert_allclose(found, np.array(TRACING["saliency"]["EA|A"]), rtol=1e-7)
    assert not np.allclose(np.array(found) * 2 / 3, np.array(TRACING["saliency"]["EA|A"]))


def test_ties_at_the_cut_go_to_the_first() -> None:
    for which, layer in TRACING["ties_at_the_cut"]:
        values = np.array(TRACING["saliency"][which][layer], np.float32)
        cut = np.sort(values)[::-1][how_many(K, 4) - 1]
        tied = np.flatnonzero(values == cut)
        chosen = salient([values], K).layers[0]
        assert len(tied) > 1
        assert chosen[tied[0]]
        assert not chosen[tied[-1]]
    assert pairs(salient([np.array([1, 1, 1, 1, 0, 0], np.float32)], 0.5)) == [[0, 0], [0, 1], [0, 2]]


@pytest.mark.parametrize("case", TRACING["ceil_cases"], ids=str)
def test_how_many(case: dict[str, float]) -> None:
    assert how_many(case["k"], int(case["d_ff"])) == case["K"]


def sets(model: str) -> dict[str, Neurons]:
    return {benchmark: neurons(TRACING["top_sets"][f"{model}|{benchmark}"]) for benchmark in "AB"}


EXPERTS = {"A": neurons(TRACING["top_sets"]["EA|A"]), "B": neurons(TRACING["top_sets"]["EB|B"])}


def test_selection() -> None:
    found = select_backbone(EXPERTS, {"g1": sets("g1"), "g2": sets("g2")})
    for candidate, expected in SELECTION["aos_pooled_fraction"].items():
        assert {name: str(value) for name, value in found.scores[candidate].items()} == expected
        assert found.means[candidate] == pytest.approx(Fraction(SELECTION["score"][candidate]))
    assert found.selected == SELECTION["selected"]
    assert found.margin == found.means["g2"] - found.means["g1"]
    for candidate, expected in SELECTION["aos_layer_mean"].items():
        for benchmark, value in expected.items():
            layers = overlap_by_layer(sets(candidate)[benchmark], EXPERTS[benchmark])
            by_layer = sum(layers, Fraction(0)) / len(layers)
            assert float(by_layer) == value
            assert by_layer >= found.scores[candidate][benchmark]
    assert SELECTION["aos_layer_mean"]["g1"] != SELECTION["aos_pooled"]["g1"]
    assert float(chance(0.1)) == pytest.approx(0.0526, abs=1e-4)


def test_of_equal_candidates_the_first_is_taken() -> None:
    assert select_backbone(EXPERTS, {"x": sets("g2"), "g1": sets("g1"), "y": sets("g2")}).selected == "x"
    assert select_backbone(EXPERTS, {"x": sets("g1")}).margin is None


def test_transplant_sets() -> None:
    backbone = sets("g2")
    assert {name: pairs(found) for name, found in protected_sets(backbone).items()} == TRANSPLANT["protected"]
    found = transplant_sets(EXPERTS, backbone, ["A", "B"])
    assert {name: pairs(each) for name, each in found.items()} == TRANSPLANT["sets"]
    assert {name: float(each.share) for name, each in found.items()} == TRANSPLANT["fraction_of_all_neurons"]
    assert pairs(collisions(found, TRANSPLANT["donor"])) == TRANSPLANT["collisions"]
    assert len(collisions(found, {"A": "E", "B": "E"})) == 0
    bare = transplant_sets(EXPERTS, backbone, ["A", "B"], protect=False)
    assert {name: pairs(each) for name, each in bare.items()} == TRANSPLANT["unprotected_sets"]
    # All benchmarks protect, also those that are not weak themselves.
    assert transplant_sets(EXPERTS, backbone, ["A"])["A"] == found["A"]


def weights(model: int, layer: int, layout: str) -> dict[str, torch.Tensor]:
    """The example's weights of one layer by their formula, in a layout."""
    start = 5000 * layer + 1000 * model
    rows, columns = torch.arange(4).reshape(4, 1), torch.arange(2)
    gate, up = (start + matrix + 10 * rows + columns for matrix in (100, 200))
    down = start + 300 + 10 * columns.reshape(2, 1) + rows.reshape(1, 4)
    biases = {"in.bias": start + 400 + rows.reshape(4), "out.bias": start + 500 + columns}
    if layout == "fused":
        return {"in.weight": torch.cat([gate, up]), "out.weight": down}
    if layout == "transposed":
        return {"in.weight": gate.T.contiguous(), "out.weight": down.T.contiguous()} | biases
    return {"in.weight": gate, "up.weight": up, "out.weight": down} | biases


PLACES = {
    "gated": (Place("in.weight", 0), Place("in.bias", 0), Place("up.weight", 0), Place("out.weight", 1)),
    "fused": (Place("in.weight", 0), Place("in.weight", 0, 4), Place("out.weight", 1)),
    "transposed": (Place("in.weight", 1), Place("in.bias", 0), Place("out.weight", 0)),
}


def repaired(layout: str, layer: int, order: str) -> dict[str, torch.Tensor]:
    found = weights(0, layer, layout)
    for benchmark in order:
        chosen = neurons([pair for pair in TRANSPLANT["sets"][benchmark] if pair[0] == layer])
        donor = weights({"A": 1, "B": 2}[benchmark], layer, layout)
        transplant([Layer(4, "out", PLACES[layout])], Neurons((chosen.layers[layer],)), donor, found)
    return found


@pytest.mark.parametrize("order", ["AB", "BA"])
@pytest.mark.parametrize("layer", [0, 1])
def test_transplanted_weights(layer: int, order: str) -> None:
    expected = TRANSPLANT["weights"][f"after_order_{order}"][str(layer)]
    names = {"gate": "in.weight", "up": "up.weight", "down": "out.weight", "b_in": "in.bias", "b_out": "out.bias"}
    gated = repaired("gated", layer, order)
    assert {name: gated[ours].tolist() for name, ours in names.items()} == expected
    assert expected["b_out"] == TRANSPLANT["weights"]["M0"][str(layer)]["b_out"]


def test_transplanted_weights_in_other_layouts() -> None:
    expected = TRANSPLANT["weights"]
    fused = repaired("fused", 0, "AB")
    assert fused["in.weight"].tolist() == expected["layer0_after_AB_fused_gate_up_2dff_x_d"]
    transposed = repaired("transposed", 0, "AB")
    assert transposed["in.weight"].tolist() == expected["layer0_after_AB_conv1d_c_fc_d_x_dff (transposed gate)"]
    assert transposed["out.weight"].tolist() == expected["layer0_after_AB_conv1d_c_proj_dff_x_d (transposed down)"]


def test_what_enters_the_output_projection() -> None:
    given = GOLDEN["z_definition"]
    x = torch.tensor(given["x"], dtype=torch.float64)
    gate, up, down, inward = (
        torch.tensor(given[name] if name in given else given["plain"][name], dtype=torch.float64)
        for name in ("W_gate", "W_up", "W_down", "W_in")
    )
    z = torch.nn.functional.silu(gate @ x) * (up @ x)
    torch.testing.assert_close(z, torch.tensor(given["swiglu_z"], dtype=torch.float64), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(down @ z, torch.tensor(given["swiglu_out"], dtype=torch.float64))
    plain = given["plain"]
    biased = inward @ x + torch.tensor(plain["b_in"], dtype=torch.float64)
    z = torch.nn.functional.gelu(biased, approximate="tanh")
    torch.testing.assert_close(z, torch.tensor(plain["z"], dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_overlap_of_the_experts() -> None:
    found = cross_overlap(EXPERTS)
    assert float(found.of_union) == GOLDEN["overlap"]["shared_of_union"]
    assert float(found.mean_of_own) == GOLDEN["overlap"]["mean_share_of_own_set"]
    assert found.pairwise["A", "A"] == 1


def test_scores_are_summed_up() -> None:
    given = GOLDEN["metrics"]
    found = sum_up(given["scores"], given["oracle"])
    assert found.average == pytest.approx(given["avg"])
    assert found.worst == given["ws"]
    assert found.harmonic == pytest.approx(given["rhm"])
    assert sum_up({"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 1.0}).harmonic == 0
    assert sum_up({"a": 0.5}, {"a": 0.0}).harmonic is None

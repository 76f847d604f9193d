"""Methods beside RAM, from the manifest to the Hub and back."""

import json

import pytest

from tests.integration.conftest import World

WRITTEN = {
    "ties": "ties\n  density: 0.3\n  weight: {coder: 1, tool: 2, memory: 0.5}\n  lambda: 0.8",
    "dare-ties": "dare-ties\n  drop_rate: 0.4\n  seed: 11",
    "model-stock": "model-stock\n  filter_wise: true",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN)
def test_a_method_is_published_and_derived_again(world: World, name: str) -> None:
    world.manifest(method=WRITTEN[name])
    planned = world.ok("run", "merge.yaml", "--out", "out", "--json").data["plan"]
    report = json.loads((world.directory / "out/ramekin/report.json").read_text())
    assert report["key"] == planned["key"]
    assert report["method"] == {"name": name} | planned["method"]["parameters"]
    # Of a tensor as small as these, TIES knows the cut before it looks.
    assert report["cost"]["bytes_read"] == planned["cost"]["read_bytes"] // (2 if name == "ties" else 1)
    assert {expert["lambda"] for expert in report["overlap"]["experts"].values()} == {None}
    card = (world.directory / "out/README.md").read_text()
    assert f"without any training by `{name}`" in card
    assert "(λ)" not in card
    world.ok("verify", "demo/agent", "--remerge")


@pytest.mark.slow
def test_statistics_without_a_factor(world: World) -> None:
    world.manifest(method="ram-unique\n  expert: tool")
    told = world.ok("stats", "merge.yaml").out
    assert "rho" in told
    assert "lambda" not in told
    world.ok("merge", "merge.yaml", "--out", "out")
    report = json.loads((world.directory / "out/ramekin/report.json").read_text())
    assert world.ok("stats", "merge.yaml", "--json").data == report["overlap"]
    assert "This model is a diagnostic" in (world.directory / "out/README.md").read_text()


@pytest.mark.slow
def test_another_method_is_a_change_against_what_is_published(world: World) -> None:
    world.manifest(method="task-arithmetic")
    world.ok("run", "merge.yaml")
    world.manifest(method="dare\n  weight: {coder: 0.5, tool: 0.25, memory: 0.25}")
    plan = world.ok("plan", "merge.yaml").out
    assert "method.name: task-arithmetic -> dare" in plan
    assert "method.weight: 0.4 -> coder 0.5, tool 0.25, memory 0.25" in plan
    assert "dare (drop_rate 0.5, seed 0, weight (coder 0.5, tool 0.25, memory 0.25))" in " ".join(plan.split())


def test_experts_that_a_method_does_not_know_are_told_before_anything_is_fetched(world: World) -> None:
    world.manifest(method="ties\n  weight: {coder: 1, tols: 2, memory: 0.5}")
    refused = world.ramekin("run", "merge.yaml")
    assert refused.code == 2
    assert "merge.yaml:9: `method.weight.tols` is none of the experts" in refused.err
    assert "did you mean `tool`?" in refused.err
    assert "merge.yaml:9: `method.weight` has no number for `tool`" in refused.err
    assert not world.hub.log.requests()

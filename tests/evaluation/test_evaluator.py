"""Which models are measured, in which order, and what becomes of those for which there is no room."""

from pathlib import Path
from typing import Any

import pytest
from test_models import files, lock, pinned
from tests.card.card_samples import sample

from ramekin.checkpoint.tensors import Tensor
from ramekin.errors import ResourceError
from ramekin.evaluation.evaluator import Evaluator, Written
from ramekin.evaluation.measurements import Found, Measurement, Measurements
from ramekin.manifest.reading import read_manifest
from ramekin.methods import Average
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.progress import Silence

TENSOR = Tensor("t", "BF16", (4,), "model.safetensors", 0)
LAYOUT = Layout(
    (Shard("model.safetensors", (TensorTask("t", "BF16", (4,), "merge", TENSOR, (TENSOR, TENSOR)),)),),
    ("coder", "tool"),
)
HEAD = """version: 1
base: o/b
experts: {coder: o/c, tool: o/t}
method: {name: arm}
benchmarks: {tau: {expert: tool, role: none, calibration: x}}
output: {repo: me/x}
"""
EXPERT = pinned(("config.json", "model.safetensors"), "5")
ADAPTER = pinned(("adapter_config.json", "adapter_model.safetensors"), "5")
MEANS: Any = None


class Notes(Silence):
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


class Asked:
    """Measures nothing, and remembers what it was asked."""

    name = "harness 1"
    settings = {"seed": "0"}  # noqa: RUF012

    def __init__(self, *known: str) -> None:
        self.known = {*known}
        self.asked: list[str] = []
        self.digests: dict[str, str] = {}

    def check(self) -> None:
        """There is nothing to find out."""

    def kept(self, digest: str) -> Measurements:
        return self.found if digest in self.known else {}

    def measure(self, model: str, digest: str, directory: Path) -> Measurements:
        assert directory.is_dir()
        self.asked.append(model)
        self.digests[model] = digest
        return self.found

    @property
    def found(self) -> Measurements:
        return {"gsm8k": Measurement(found=(Found(metric="acc", value=0.5),), date="2026-01-02")}


def evaluator(directory: Path, harness: Asked, more: str, tool: Any = EXPERT) -> tuple[Evaluator, dict[str, Any]]:
    (directory / "merge.yaml").write_text(HEAD + f"evaluate: {{command: [sh]{more}}}\n")
    made = lock(tool=tool)
    notes = Notes()
    return Evaluator(read_manifest(directory / "merge.yaml"), made, LAYOUT, harness, notes), {
        role: {name: Path(path) for name, path in each.items()} for role, each in files(made).items()
    }


def evaluated(directory: Path, harness: Asked, more: str = "", backbone: Any = None, tool: Any = EXPERT) -> Any:
    """Everything in its order; the report and what was told."""
    made, sources = evaluator(directory, harness, more, tool)
    made.begin(sources)
    harness.asked.append("|")
    report = made.evaluate(sample().report, Written(directory, sources, backbone, MEANS))
    return report, made.progress.told  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ("", ["base", "expert:coder", "expert:tool", "|", "merge"]),
        (", models: base", ["base", "|", "merge"]),
        (", models: [experts]", ["expert:coder", "expert:tool", "|", "merge"]),
        (", models: []", ["|", "merge"]),
    ],
)
def test_parents_before_the_merge_and_each_once(tmp_path: Path, more: str, asked: list[str]) -> None:
    harness = Asked()
    report, _ = evaluated(tmp_path, harness, more)
    assert harness.asked == asked
    assert report.evaluation is not None
    assert [*report.evaluation.models] == [name for name in asked if name != "|"]
    assert (report.evaluation.harness, report.evaluation.settings) == ("harness 1", {"seed": "0"})
    assert report.key == sample().report.key


def test_what_is_known_is_not_measured(tmp_path: Path) -> None:
    first = Asked()
    evaluated(tmp_path, first)
    again = Asked(first.digests["base"], first.digests["merge"])
    report, told = evaluated(tmp_path, again)
    assert again.asked == ["expert:coder", "expert:tool", "|"]
    assert "evaluating base: its scores are known" in told
    assert [*report.evaluation.models] == ["base", "expert:coder", "expert:tool", "merge"]
    assert report.cost.seconds.evaluate >= 0


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramekin.evaluation.evaluator.free_disk", lambda place: 0)


def test_a_backbone_without_room_is_left_out_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch)
    harness = Asked()
    report, told = evaluated(tmp_path, harness, backbone=Average())
    assert harness.asked[-1] == "merge"
    assert "backbone" not in report.evaluation.models
    assert "there was no room" in report.evaluation.settings["backbone"]
    assert any("the backbone is not measured" in line for line in told)


def test_an_expert_without_room_is_not_left_out_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch)
    with pytest.raises(ResourceError, match="needed to measure `expert:tool`"):
        evaluated(tmp_path, Asked(), tool=ADAPTER)


def test_a_judge_is_there_for_tasks_that_score_benchmarks(tmp_path: Path) -> None:
    made, sources = evaluator(tmp_path, Asked(), ", tasks: [{name: gsm8k, benchmark: tau}, other]")
    judge = made.judge(sources, tmp_path, MEANS)
    assert judge is not None
    assert judge.benchmarks == ("tau",)
    for more in (", tasks: [gsm8k]", ", tasks: [{name: gsm8k, benchmark: tau}], models: [experts]"):
        made, sources = evaluator(tmp_path, Asked(), more)
        assert made.judge(sources, tmp_path, MEANS) is None

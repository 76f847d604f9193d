"""Measurements as the report keeps them, and what keeps them from being compared."""

from pathlib import Path

import pytest

from ramekin.errors import EvaluationError
from ramekin.evaluation.measurements import Found, Measurement, Measurements
from ramekin.evaluation.reporting import check_alike, chosen, report_scores
from ramekin.manifest.reading import LoadedManifest, read_manifest

HEAD = """version: 1
base: o/b
experts: {coder: o/c, tool: o/t}
method: {name: ram+}
benchmarks: {tau: {expert: tool, role: none, calibration: x}}
output: {repo: me/x}
evaluate:
  tasks:
    - gsm8k
    - name: humaneval
      metric: pass@1
      expert: coder
      results: {dataset: openai/he, task: he}
    - {name: tau2, benchmark: tau}
gate: {of_expert: 0.5}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedManifest:
    (tmp_path / "merge.yaml").write_text(HEAD)
    return read_manifest(tmp_path / "merge.yaml")


def one(value: float, metric: str = "acc", day: int = 1, **more: object) -> Measurement:
    found = (Found(metric="first", value=9), Found.model_validate({"metric": metric, "value": value} | more))
    return Measurement(found=found[::-1] if metric == "acc" else found, details={"seed": "0"}, date=f"2026-01-0{day}")


def scores(value: float, day: int = 1) -> Measurements:
    return {
        "gsm8k": one(value, day=1),
        "humaneval": one(value, "pass@1", day, stderr=0.1, samples=3),
        "tau2": one(value, day=1),
    }


def test_what_the_report_keeps(loaded: LoadedManifest) -> None:
    models = {
        "merge": scores(0.3, day=7),
        "expert:tool": scores(0.4, day=9),
        "base": scores(0.1),
        "expert:coder": scores(0.5),
    }
    order = ["base", "expert:coder", "expert:tool", "backbone", "merge"]
    found = report_scores(loaded, "harness 1", {"seed": "0"}, models, order)
    assert [*found.models] == ["base", "expert:coder", "expert:tool", "merge"]
    assert found.date == "2026-01-07", "the merge's last day, whenever its parents were measured"
    assert found.models["merge"]["humaneval"].model_dump() == {"value": 0.3, "stderr": 0.1, "samples": 3}
    assert {name: (task.metric, task.expert, task.benchmark) for name, task in found.tasks.items()} == {
        "gsm8k": ("acc", None, None), "humaneval": ("pass@1", "coder", None), "tau2": ("acc", "tool", "tau"),
    }  # fmt: skip
    assert found.tasks["humaneval"].results is not None
    assert found.tasks["humaneval"].results.model_dump() == {"dataset": "openai/he", "task": "he"}
    assert [(bar.task, bar.demand, bar.met) for bar in found.gate] == [
        ("gsm8k", "0.5 of coder", True), ("humaneval", "0.5 of coder", True), ("tau2", "0.5 of tool", True),
    ]  # fmt: skip
    assert found.unmet == ()


def test_a_metric_that_is_not_there_has_its_line(loaded: LoadedManifest) -> None:
    with pytest.raises(EvaluationError) as caught:
        chosen(loaded, "humaneval", one(0.5, "pass@10"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.what) == (11, "`humaneval` has no score `pass@1`")
    assert "`first`, `pass@10`" in problem.hint


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"gsm8k": one(0.1)}, "`base` and `merge` were not measured on the same tasks: `humaneval`, `tau2`"),
        (scores(0.1) | {"more": one(0.1)}, "not measured on the same tasks: `more`"),
        (
            scores(0.1) | {"gsm8k": one(0.1, "other")},
            "`base` and `merge` have another score on `gsm8k`: `acc` and `first`",
        ),
        (scores(0.1) | {"tau2": one(0.1, higher_is_better=False)}, "or what counts as better"),
    ],
)
def test_what_cannot_be_compared(loaded: LoadedManifest, other: Measurements, words: str) -> None:
    check_alike(loaded, {"base": scores(0.1), "merge": scores(0.2, day=3)})
    with pytest.raises(EvaluationError, match=words):
        check_alike(loaded, {"base": scores(0.1), "merge": other})


def test_what_a_gate_is_about_has_to_be_measured(tmp_path: Path) -> None:
    text = HEAD[: HEAD.index("evaluate:")] + "evaluate: {command: [sh]}\ngate: {least: {mmlu: 0.5}}\n"
    (tmp_path / "merge.yaml").write_text(text)
    loaded = read_manifest(tmp_path / "merge.yaml")
    with pytest.raises(EvaluationError, match=r"`gate.least.mmlu`: there is no score of that"):
        check_alike(loaded, {"base": {"gsm8k": one(0.5)}})
    check_alike(loaded, {"base": {"mmlu": one(0.5)}})

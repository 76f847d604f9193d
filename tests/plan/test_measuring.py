"""What a plan says of the evaluation, and the disk that it takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ramekin.checkpoint.tensors import Tensor
from ramekin.errors import UsageError
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.plan.disk import Room, choose_mode
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.plan.measuring import check_dispensable, decides_by_tasks, models_written, plan_evaluation
from ramekin.preparing import untrusted

BENCHMARKS = {name: {"expert": "tool", "role": "none", "calibration": "x"} for name in ("tau", "web")}


def manifest(called: str = "ram+", **parts: object) -> Manifest:
    data: dict[str, object] = {
        "version": 1,
        "base": "org/base",
        "experts": {"coder": "org/a", "tool": "org/b"},
        "method": {"name": called},
        "benchmarks": BENCHMARKS if called == "arm" else {},
        "output": {"repo": "org/out"},
    }
    return Manifest.model_validate(data | parts)


def lock(*, adapter: bool = False) -> Lock:
    def source(name: str) -> PinnedSource:
        files = {name: PinnedFile(size=1, sha256="0" * 64)}
        return PinnedSource(source="org/x", kind="hub", commit="0" * 40, files=files)

    experts = {"coder": source("model.safetensors")}
    experts["tool"] = source("adapter_model.safetensors" if adapter else "model.safetensors")
    return Lock(
        schema_version=1, key="sha256:" + "0" * 64, semantics=1, base=source("model.safetensors"), experts=experts
    )


def test_what_will_be_measured_in_words() -> None:
    tasks = [
        "gsm8k",
        {"name": "humaneval", "metric": "pass@1", "fewshot": 0, "limit": 1, "expert": "coder"},
        {"name": "tau2", "fewshot": 5, "benchmark": "tau"},
    ]
    gate = {"of_expert": 0.95, "of_base": 1, "least": {"gsm8k": 0.5}}
    planned = plan_evaluation(manifest("arm", evaluate={"tasks": tasks}, gate=gate))
    assert planned is not None
    assert planned.model_dump() == {
        "harness": "lm-evaluation-harness",
        "tasks": (
            "gsm8k", "humaneval (pass@1, no examples, the first 1 item, of coder)",
            "tau2 (5 examples, of tool, for tau)",
        ),
        "models": ("base", "expert:coder", "expert:tool", "backbone", "merge"),
        "gate": ("every task 0.95 of its expert's score", "every task 1 of the base's score", "gsm8k 0.5"),
    }  # fmt: skip


def test_what_is_left_out() -> None:
    assert plan_evaluation(manifest()) is None
    planned = plan_evaluation(manifest(evaluate={"command": ["sh", "score.sh"], "models": "base"}))
    assert planned is not None
    assert planned.model_dump() == {
        "harness": "sh score.sh", "tasks": (), "models": ("base", "merge"), "gate": ()
    }  # fmt: skip


ALL = {"tasks": [{"name": "a", "benchmark": "tau"}, {"name": "b", "benchmark": "web"}]}


@pytest.mark.parametrize(
    ("made", "adapter", "written"),
    [
        (manifest(), True, "none"),
        (manifest(evaluate={"tasks": ["a"]}), False, "none"),
        (manifest(evaluate={"tasks": ["a"]}), True, "needed"),
        (manifest(evaluate={"tasks": ["a"], "models": ["base"]}), True, "none"),
        (manifest("arm", evaluate={"tasks": ["a"]}), False, "wanted"),
        (manifest("arm", evaluate={"tasks": ["a"], "models": ["experts"]}), False, "none"),
        (manifest("arm", evaluate=ALL), False, "needed"),
        (manifest("arm", evaluate=ALL, method={"name": "arm", "repair": "all"}), False, "wanted"),
        (manifest("arm", evaluate=ALL, method={"name": "arm", "repair": "none"}), False, "none"),
    ],
)
def test_models_that_have_to_be_written(made: Manifest, adapter: bool, written: str) -> None:
    assert models_written(made, lock(adapter=adapter)) == written
    assert decides_by_tasks(made) == (written == "needed" and not adapter)


def test_what_decides_about_weights_cannot_be_left_out() -> None:
    check_dispensable(manifest("arm", evaluate={"tasks": ["a"]}))
    with pytest.raises(UsageError, match="tells by the tasks"):
        check_dispensable(manifest("arm", evaluate=ALL))


def test_nor_where_nobody_has_read_yet_what_would_be_run() -> None:
    prepared: Any = SimpleNamespace(loaded=SimpleNamespace(manifest=manifest("arm", evaluate=ALL)))
    with pytest.raises(UsageError, match="tells by the tasks") as caught:
        untrusted(prepared)
    assert caught.value.problems[0].hint == "merge the pull request: the run after it measures"


def test_the_disk_that_it_takes_is_reckoned_with(tmp_path: Path) -> None:
    tensor = Tensor("t", "BF16", (500,), "model.safetensors", 0)
    layout = Layout(
        (Shard("model.safetensors", (TensorTask("t", "BF16", (500,), "merge", tensor, (tensor,)),)),), ("a",)
    )
    room = Room(tmp_path, tmp_path / "out", tmp_path / ".out", output_stays=True)
    pinned = {role: {"model.safetensors": PinnedFile(size=1100, sha256=role[0] * 64)} for role in ("base", "expert:a")}
    plain, more = (choose_mode(room, layout, pinned, {}, passes=1, copied=10, beside=beside) for beside in (0, 1000))
    assert more.normal.disk_bytes - plain.normal.disk_bytes == 1000
    assert more.low_disk == plain.low_disk

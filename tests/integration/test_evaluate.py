"""Evaluation and gate through the command line: what is measured, what is kept, and what never reaches the Hub."""

import importlib.util
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ramekin.demo.family import base_weights, trained_weights
from ramekin.hub import Hub
from tests.integration.conftest import EXPERTS, TINY, family_files
from tests.integration.kitchen import NARROW, SECRETS, Child, Kitchen, Server, kitchen, opened
from tests.integration.test_lora import adapter_files, upcast

PARENTS = ["base", *(f"expert:{name}" for name in EXPERTS)]
# Scores by model; what was asked is noted in a file.
SCORE = """echo "$RAMEKIN_MODEL_NAME" >> asked
case "$RAMEKIN_MODEL_NAME" in
  base) score=0.2;; expert:tool) score=0.8;; expert:*) score=0.4;; *) score=${MERGED:-0.7};;
esac
echo "working on $(ls "$1" | wc -l) files" >&2
echo "{\\"gsm8k\\": $score, \\"ppl\\": {\\"value\\": 3, \\"higher_is_better\\": false}}"
"""
COMMAND = "evaluate:\n  command: [sh, score.sh]\n"
GATE = "gate:\n  of_expert: 0.875\n"


@pytest.fixture(scope="module")
def open_kitchen() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        yield made


@pytest.fixture
def made(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> Iterator[Kitchen]:
    with kitchen(*open_kitchen, tmp_path / "kitchen") as one:
        (one.work / "score.sh").write_text(SCORE)
        one.manifest(more=COMMAND + GATE)
        yield one


def asked(made: Kitchen) -> list[str]:
    """The models that were measured since this was last asked."""
    path = made.work / "asked"
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def writes(made: Kitchen) -> list[str]:
    """Requests to the Hub that could change anything there."""
    return [request.target for request in made.hub.log.requests() if request.method not in {"GET", "HEAD"}]


def evaluation_of(directory: Path) -> Any:
    return json.loads((directory / "ramekin/report.json").read_text())["evaluation"]


def fails(made: Kitchen, code: int, *arguments: str, **options: Any) -> list[str]:
    """Run a command that has to fail; returns its errors and hints, and nothing was written to the Hub."""
    done = made.ramekin(*arguments, **options)
    assert done.code == code, f"{done.code}\n{done.out}\n{done.err}"
    assert done.error_lines
    assert len(done.error_lines) % 2 == 0
    assert writes(made) == []
    assert made.hub.store.find(made.target) is None
    return done.error_lines


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# The gate


def test_a_merge_that_is_good_enough_is_published_with_its_scores(made: Kitchen) -> None:
    done = made.ok("run", "merge.yaml", "--out", "out")
    assert asked(made) == [*PARENTS, "merge"]
    assert "gate: 2 of 2 demands met" in done.err
    assert "working on 6 files" in done.err
    assert len(made.commits()) == 1
    found = evaluation_of(made.work / "out")
    assert {model: scores["gsm8k"]["value"] for model, scores in found["models"].items()} == {
        "base": 0.2, "expert:coder": 0.4, "expert:tool": 0.8, "expert:memory": 0.4, "merge": 0.7,
    }  # fmt: skip
    assert found["harness"] == "command"
    assert [(bar["demand"], bar["least"], bar["met"]) for bar in found["gate"]] == [
        ("0.875 of tool", 0.7, True), ("0.875 of coder", 3 / 0.875, True),
    ]  # fmt: skip
    card = (made.work / "out/README.md").read_text()
    assert "gsm8k" in card
    assert found["date"] in card

    again = made.ok("run", "merge.yaml")
    assert "nothing to do" in again.out
    assert asked(made) == []


def test_one_that_is_not_never_touches_the_hub(made: Kitchen) -> None:
    weaker = {"MERGED": "0.69"}
    error, hint = fails(made, 9, "run", "merge.yaml", "--out", "out", env=weaker)
    assert error == "error: gsm8k: 0.69 is below 0.875 of tool's 0.8 (0.7)"
    assert "nothing was published" in hint
    assert "out/README.md" in hint
    assert "not met" in (made.work / "out/README.md").read_text(), "the directory stays, and its card says why"
    assert fails(made, 9, "publish", "out")[0] == error
    assert fails(made, 9, "run", "merge.yaml", "--out", "out")[0] == error, "it is there already, and no better"
    assert asked(made) == [*PARENTS, "merge"]
    assert fails(made, 9, "run", "merge.yaml", env=weaker)[0] == error
    assert asked(made) == [], "merged anew, the same bits have the same scores"
    (problem,) = made.ramekin("publish", "out", "--json").data["error"]["problems"]
    assert problem["what"] == error.removeprefix("error: ")

    done = made.ok("merge", "merge.yaml", "--out", "out")
    assert f"warning: the gate would stop it: {problem['what']}" in done.err
    path = made.work / "out/ramekin/report.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in report.items() if key != "evaluation"}))
    assert fails(made, 9, "publish", "out")[0] == "error: the manifest has a `gate`, and the merge has no scores"

    made.manifest(more=COMMAND + GATE.replace("0.875", "0.8"))
    made.ok("run", "merge.yaml", env=weaker)
    assert len(made.commits()) == 1, "a lower gate lets it pass"


def test_not_even_a_repository_is_made_to_find_out_what_a_token_may(made: Kitchen) -> None:
    made.manifest(repo=f"narrow/agent-{made.number}", more=COMMAND + GATE)
    error, _ = fails(made, 9, "run", "merge.yaml", env={"MERGED": "0.1", "HF_TOKEN": NARROW.token})
    assert "gsm8k: 0.1 is below" in error
    assert made.hub.store.find(f"narrow/agent-{made.number}") is None


def test_nothing_is_uploaded_as_it_goes(made: Kitchen) -> None:
    error, hint = fails(made, 2, "run", "merge.yaml", "--low-disk")
    assert error == "error: `evaluate` runs models, which have to be there whole"
    assert "--low-disk" in hint
    assert asked(made) == []


# What is measured, and what is not measured again


def test_a_merge_that_is_made_otherwise_measures_itself_alone(made: Kitchen) -> None:
    made.ok("merge", "merge.yaml", "--out", "one")
    assert asked(made) == [*PARENTS, "merge"]
    text = (made.work / "merge.yaml").read_text()
    (made.work / "merge.yaml").write_text(text.replace("name: ram+", "name: ram"))
    done = made.ok("merge", "merge.yaml", "--out", "two")
    assert asked(made) == ["merge"]
    assert "evaluating expert:tool: its scores are known" in done.err
    models = [evaluation_of(made.work / name)["models"] for name in ("one", "two")]
    assert models[0] == models[1]


def test_what_the_manifest_leaves_out(made: Kitchen) -> None:
    made.manifest(more=COMMAND + "  models: [base]\n  tasks: [{name: gsm8k, expert: tool}]\n")
    plan = made.ok("plan", "merge.yaml", "--json").data["evaluation"]
    assert plan == {
        "harness": "sh score.sh", "tasks": ["gsm8k (of tool)"], "models": ["base", "merge"], "gate": [],
    }  # fmt: skip
    made.ok("merge", "merge.yaml", "--out", "out")
    assert asked(made) == ["base", "merge"]
    found = evaluation_of(made.work / "out")
    assert {model: [*scores] for model, scores in found["models"].items()} == {"base": ["gsm8k"], "merge": ["gsm8k"]}
    assert found["tasks"]["gsm8k"]["expert"] == "tool"


def test_the_weights_do_not_depend_on_it(made: Kitchen) -> None:
    made.ok("merge", "merge.yaml", "--out", "out")
    asked(made)
    plain = made.ok("merge", "merge.yaml", "--out", "plain", "--no-evaluate")
    verified = made.ok("verify", "out", "--remerge")
    assert asked(made) == []
    assert "evaluating" not in plain.err + verified.err
    one, other = (json.loads((made.work / name / "ramekin/report.json").read_text()) for name in ("out", "plain"))
    assert one["output"]["files"] == other["output"]["files"]
    assert one["key"] == other["key"]
    assert "evaluation" not in other


def test_an_adapter_is_measured_as_what_it_makes_of_the_base(made: Kitchen) -> None:
    for name, files in {"base": family_files("base"), "coder": family_files("coder"), "style": adapter_files()}.items():
        (made.work / name).mkdir()
        for file, content in files.items():
            (made.work / name / file).write_bytes(content)
    copy = 'mkdir "kept-$RAMEKIN_MODEL_NAME" && cp "$1"/* "kept-$RAMEKIN_MODEL_NAME"; echo \'{"a": 1}\'\n'
    (made.work / "copy.sh").write_text(copy)
    (made.work / "merge.yaml").write_text(
        "version: 1\nbase: ./base\nexperts:\n  coder: ./coder\n  style: ./style\nmethod: {name: average}\n"
        "output: {repo: demo/agent, dtype: float32}\nevaluate: {command: [sh, copy.sh]}\n"
    )
    cost = made.ok("plan", "merge.yaml", "--json").data["cost"]
    assert cost["disk_bytes"] > 2 * cost["write_bytes"] * 0.95, "it is written beside the merge"
    made.ok("merge", "merge.yaml", "--out", "out")
    kept = {name: made.work / f"kept-{name}" for name in ("expert:style", "merge")}
    assert {path.name for path in kept["expert:style"].iterdir()} == {path.name for path in kept["merge"].iterdir()}
    style, merge = (load_file(place / "model.safetensors") for place in kept.values())
    coder = upcast(trained_weights(base_weights(TINY, seed=0), EXPERTS["coder"], 1))
    for tensor, value in merge.items():
        np.testing.assert_allclose(value, (coder[tensor] + style[tensor]) / 2, rtol=1e-5, atol=1e-6)
    assert not [*made.work.glob(".*partial")], "and it is gone"


# What does not do what it should


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "`evaluate.command` for `base` failed with exit code 1"),
        ("echo '{\"a\": NaN}'", "for `base` printed NaN, which is no score"),
        ('echo "{\\"$RAMEKIN_MODEL_NAME\\": 1}"', "`base` and `expert:coder` were not measured on the same tasks"),
        ("echo ::set-output name=x::y; printf '\\033[31m\\n'", "for `base` printed no JSON object, but `"),
    ],
)
def test_a_program_that_fails_is_told_of_before_anything_is_merged(made: Kitchen, script: str, words: str) -> None:
    (made.work / "score.sh").write_text(script + "\n")
    done = made.ramekin("run", "merge.yaml")
    assert done.code == 6
    assert words in done.error_lines[0]
    assert "merge model" not in done.err
    assert "\x1b" not in done.err
    assert not any(line.startswith("::") for line in done.err.splitlines())
    assert writes(made) == []


def test_one_that_takes_too_long(made: Kitchen) -> None:
    (made.work / "score.sh").write_text("echo $$ > pid; exec sleep 600\n")
    made.manifest(more=COMMAND + "  timeout: 1\n")
    error, _ = fails(made, 6, "run", "merge.yaml")
    assert "took more than 1 seconds" in error
    assert not Path(f"/proc/{(made.work / 'pid').read_text().strip()}").exists()


def test_one_that_is_not_there_is_told_of_before_anything_is_fetched(made: Kitchen) -> None:
    made.manifest(more="evaluate: {command: [./nowhere.sh]}\n")
    error, _ = fails(made, 2, "run", "merge.yaml")
    assert "there is no program `./nowhere.sh`" in error
    assert made.weights_asked_for() == []


def test_no_token_can_be_seen(made: Kitchen) -> None:
    """`Kitchen` holds that no token is in any output; here a program prints all that it can find."""
    (made.home / "x").parent.mkdir(parents=True, exist_ok=True)
    (made.home / "token").write_text(SECRETS[1])
    look = (
        'env | sort; cat "$HF_TOKEN_PATH" || echo no file; '
        "python -c \"from huggingface_hub import get_token; print('found', get_token())\"; echo '{\"a\": 1}'\n"
    )
    (made.work / "score.sh").write_text(look)
    extra = {"GITHUB_TOKEN": SECRETS[2], "INPUT_HF-TOKEN": SECRETS[1], "MINE": f"x{SECRETS[0]}", "KEPT": "yes"}
    made.manifest(more=COMMAND + "  models: []\n")
    done = made.ok("merge", "merge.yaml", "--out", "out", env=extra)
    lines = done.err.splitlines()
    assert "found None" in lines
    assert "no file" in lines
    assert "KEPT=yes" in lines
    assert not any("***" in line for line in lines), "none had to be hidden, since none was there"


# Interruptions


WAITING = """echo "$RAMEKIN_MODEL_NAME" >> asked
if [ "$RAMEKIN_MODEL_NAME" = merge ] && [ ! -e go ]; then echo $$ > pid; exec sleep 600; fi
echo '{"a": 1}'
"""


def waiting(made: Kitchen) -> tuple[Child, int]:
    """A merge whose own measurement does not end, and the process that measures."""
    (made.work / "score.sh").write_text(WAITING)
    made.manifest(more=COMMAND)
    running = made.start("merge", "merge.yaml", "--out", "out")
    pid = made.work / "pid"
    wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
    return running, int(pid.read_text())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_an_interrupted_measurement_goes_on_where_it_stopped(made: Kitchen, number: int, code: int) -> None:
    running, pid = waiting(made)
    assert alive(pid)
    os.kill(running.pid, number)
    assert running.wait().code == code
    wait_for(lambda: not alive(pid))
    assert asked(made) == [*PARENTS, "merge"]
    assert not (made.work / "out").exists()

    (made.work / "go").touch()
    done = made.ok("merge", "merge.yaml", "--out", "out")
    assert asked(made) == ["merge"]
    assert "merge model" not in done.err, "what is merged is not merged again"
    assert evaluation_of(made.work / "out")["models"].keys() == {*PARENTS, "merge"}


def test_a_program_that_failed_on_the_merge_does_not_cost_the_merge(made: Kitchen) -> None:
    (made.work / "score.sh").write_text(
        '[ "$RAMEKIN_MODEL_NAME" != merge ] || [ -e go ] || exit 1; echo \'{"a": 1}\'\n'
    )
    made.manifest(more=COMMAND)
    assert "for `merge` failed with exit code 1" in fails(made, 6, "merge", "merge.yaml", "--out", "out")[0]
    (made.work / "go").touch()
    done = made.ok("merge", "merge.yaml", "--out", "out")
    assert "merge model" not in done.err


# lm-evaluation-harness itself


TASK = """task: digits
dataset_path: json
dataset_kwargs:
  data_files:
    test: tasks/digits.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 2.0}
"""


def own_tasks(made: Kitchen) -> None:
    """A task of our own, with its data beside it."""
    (made.work / "tasks").mkdir()
    (made.work / "tasks/digits.yaml").write_text(TASK)
    questions = [{"question": f"q{n}:", "choices": [f"a{n}", "bb", "cdc"], "answer": n % 3} for n in range(6)]
    (made.work / "tasks/digits.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in questions))


installed = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-evaluation-harness is not installed: ramekin[eval]"
)


@installed
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_harness_itself(made: Kitchen) -> None:
    own_tasks(made)
    tasks = "\n  tasks: [{name: digits, metric: acc_norm, fewshot: 1, limit: 4, expert: coder}]\n"
    keys = "  include: ./tasks\n  models: base\n"
    made.manifest(more=f"evaluate:{tasks}{keys}gate: {{of_base: 0.01}}\n")
    done = made.ramekin("run", "merge.yaml", "--out", "out", timeout=280, env={"HF_HUB_OFFLINE": "0"}, clock=None)
    assert done.code == 0, done.err
    assert "base: digits measured" in done.err
    assert "merge: digits measured" in done.err
    found = evaluation_of(made.work / "out")
    assert found["harness"].startswith("lm-evaluation-harness 0.4.")
    assert found["tasks"]["digits"]["metric"] == "acc_norm"
    assert found["tasks"]["digits"]["details"] == {
        "examples in the prompt": "1", "version of the task": "2.0", "items": "the first 4",
    }  # fmt: skip
    for model in ("base", "merge"):
        score = found["models"][model]["digits"]
        assert score["samples"] == 4
        assert score["value"] * 4 in range(5)
        assert 0 < score["stderr"] < 1 or score["value"] in {0, 1}
    assert len(made.commits()) == 1

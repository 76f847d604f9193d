"""lm-evaluation-harness, seen from our side of the conversation: what is asked, kept, refused and how it is told."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ramekin.errors import EvaluationError, RamekinError, ResourceError, SourceError, UsageError
from ramekin.evaluation import session as sessions
from ramekin.evaluation.children import Surroundings
from ramekin.evaluation.harness import LmEvaluation, require_harness
from ramekin.evaluation.measurements import ScoreStore
from ramekin.evaluation.session import AnswerError, Session
from ramekin.manifest.reading import read_manifest

HEAD = (
    "version: 1\nbase: o/b\nexperts: {coder: o/c, tool: o/t}\nmethod: {name: ram+}\noutput: {repo: me/x}\nevaluate:\n"
)
TASKS = "  tasks:\n    - gsm8k\n    - {name: humaneval, metric: pass@1, limit: 10}\n    - {name: mmlu, fewshot: 5}\n"
FOUND = [{"metric": "acc", "value": 0.5, "stderr": None, "samples": 3, "higher_is_better": True}]


class Answers:
    """A conversation that was written before."""

    def __init__(self, *problems: Mapping[str, Any], error: AnswerError | None = None, found: Any = FOUND) -> None:
        self.problems = problems
        self.error = error
        self.found = found
        self.asked: list[dict[str, Any]] = []

    def ask(self, request: dict[str, Any], timeout: float) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        if request["do"] == "check":
            yield {"device": "cpu"}
            yield from self.problems
        elif self.error:
            raise self.error
        else:
            for task in request["tasks"]:
                yield {"task": task["name"], "found": self.found, "details": {"examples in the prompt": "0"}}


def harness(directory: Path, answers: Answers, more: str = TASKS) -> LmEvaluation:
    (directory / "merge.yaml").write_text(HEAD + more)
    loaded = read_manifest(directory / "merge.yaml")
    assert loaded.manifest.evaluate
    around, store = Surroundings(directory, {}), ScoreStore(directory / "kept")
    session: Any = answers
    made = LmEvaluation(loaded, loaded.manifest.evaluate, around, store, session, lambda line: None, 100)
    made.check()
    return made


def test_a_model_is_asked_for_what_is_not_known_of_it(tmp_path: Path) -> None:
    first = Answers()
    measured = harness(tmp_path, first).measure("base", "d", tmp_path)
    assert [*measured] == ["gsm8k", "humaneval", "mmlu"]
    assert measured["humaneval"].details == {"examples in the prompt": "0", "items": "the first 10"}
    assert [task["name"] for task in first.asked[1]["tasks"]] == ["gsm8k", "humaneval", "mmlu"]

    again = Answers()
    made = harness(tmp_path, again, TASKS.replace("limit: 10", "limit: 20") + "    - arc\n")
    assert made.kept("d") == {}, "not all is known"
    made.measure("base", "d", tmp_path)
    assert again.asked[1]["tasks"] == [
        {"name": "humaneval", "fewshot": None, "limit": 20},
        {"name": "arc", "fewshot": None, "limit": None},
    ]
    assert [*made.kept("d")] == ["gsm8k", "humaneval", "mmlu", "arc"]
    assert made.kept("e") == {}


@pytest.mark.parametrize(
    ("more", "known"),
    [
        ("", True),
        ("  timeout: 7\n", True),
        ("  models: [base]\n", True),
        ("  seed: 1\n", False),
        ("  batch_size: 4\n", False),
        ("  apply_chat_template: true\n", False),
        ("  max_new_tokens: 9\n", False),
        ("  include: ./tasks\n", False),
        ("  reads: ./data.jsonl\n", False),
    ],
)
def test_what_is_part_of_the_question(tmp_path: Path, more: str, known: bool) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/own.yaml").write_text("task: own\n")
    harness(tmp_path, Answers()).measure("base", "d", tmp_path)
    assert bool(harness(tmp_path, Answers(), TASKS + more).kept("d")) == known


def test_a_metric_is_chosen_of_what_is_kept(tmp_path: Path) -> None:
    harness(tmp_path, Answers()).measure("base", "d", tmp_path)
    assert harness(tmp_path, Answers(), TASKS.replace("pass@1", "acc")).kept("d")


def test_everything_that_was_settled_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    answers = Answers()
    keys = "  include: ./tasks\n  apply_chat_template: true\n  batch_size: 3\n  seed: 5\n  max_new_tokens: 7\n"
    made = harness(tmp_path, answers, TASKS + keys)
    made.measure("base", "d", Path("/model"))
    check, request = answers.asked
    assert check == {
        "do": "check", "tasks": ["gsm8k", "humaneval", "mmlu"], "device": "auto", "include": str(tmp_path / "tasks"),
        "unsafe": False,
    }  # fmt: skip
    assert {key: request[key] for key in request if key != "tasks"} == {
        "do": "measure", "model": "/model", "device": "cpu", "bytes": 100, "batch_size": 3, "seed": 5,
        "max_new_tokens": 7, "apply_chat_template": True, "include": str(tmp_path / "tasks"), "unsafe": False,
    }  # fmt: skip
    assert made.settings == {
        "form": "chat, by each model's own template", "batch size": "3", "seed": "5",
        "longest answer": "7 tokens", "device": "cpu",
    }  # fmt: skip


def test_wrong_tasks_are_told_with_their_lines(tmp_path: Path) -> None:
    answers = Answers(
        {"task": "gsm8k", "problem": "unknown", "guess": "gsm8k_cot"},
        {"task": "humaneval", "problem": "unsafe"},
        {"task": "mmlu", "problem": "tag", "tasks": ["mmlu_a", "mmlu_b"]},
    )
    with pytest.raises(UsageError) as caught:
        harness(tmp_path, answers)
    assert [(problem.line, problem.what) for problem in caught.value.problems] == [
        (8, "`evaluate.tasks.0: gsm8k` is no task of lm-evaluation-harness"),
        (9, "`evaluate.tasks.1: humaneval` runs code that models write"),
        (10, "`evaluate.tasks.2: mmlu` stands for several tasks"),
    ]
    hints = [problem.hint for problem in caught.value.problems]
    assert "did you mean `gsm8k_cot`?" in hints[0]
    assert "`confirm_run_unsafe_code: true`" in hints[1]
    assert "`mmlu_a`, `mmlu_b`" in hints[2]


def test_a_directory_of_tasks_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`evaluate.include: ./nowhere` is no directory") as caught:
        harness(tmp_path, Answers(), TASKS + "  include: ./nowhere\n")
    assert caught.value.problems[0].line == 11


@pytest.mark.parametrize(
    ("kind", "error", "code", "hint"),
    [
        ("memory", ResourceError, 8, "`evaluate.batch_size`"),
        ("source", SourceError, 4, "without a token"),
        ("unsafe", EvaluationError, 6, "confirm_run_unsafe_code"),
        ("empty", EvaluationError, 6, "--verbose"),
        ("failed", EvaluationError, 6, "--verbose"),
    ],
)
def test_what_keeps_it_from_its_work(
    tmp_path: Path, kind: str, error: type[RamekinError], code: int, hint: str
) -> None:
    made = harness(tmp_path, Answers(error=AnswerError(kind, "ValueError: it broke\x1b[31m")))
    with pytest.raises(error) as caught:
        made.measure("expert:coder", "d", tmp_path)
    (problem,) = caught.value.problems
    assert problem.what.startswith("lm-evaluation-harness measured `expert:coder`, and failed: ValueError: it broke")
    assert "\x1b" not in problem.what
    assert hint in problem.hint
    assert caught.value.exit_code == code


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number(tmp_path: Path, value: float) -> None:
    made = harness(tmp_path, Answers(found=[FOUND[0] | {"value": value}]))
    with pytest.raises(EvaluationError, match="`base` has no score on `gsm8k`"):
        made.measure("base", "d", tmp_path)
    assert made.kept("d") == {}


def test_without_the_harness_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "merge.yaml").write_text(HEAD + TASKS)
    loaded = read_manifest(tmp_path / "merge.yaml")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        require_harness(loaded)
    (problem,) = caught.value.problems
    assert (problem.line, caught.value.exit_code) == (6, 2)
    assert "is not installed" in problem.what
    assert "`ramekin[eval]`" in problem.hint
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "there")
    require_harness(loaded)


# The conversation itself, with a program in the place of the harness

ECHO = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    for answer in request["say"]:
        print(json.dumps(answer), flush=True)
    if "exit" in request:
        sys.exit(request["exit"])
"""


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(sessions, "_PROGRAM", (sys.executable, "-I", "-S", "-c", ECHO))
    with Session(Surroundings(tmp_path, {}), lambda line: None) as made:
        yield made


def test_answers_come_until_it_is_done(talk: Session) -> None:
    assert [*talk.ask({"say": [{"n": 1}, {"n": 2}, {"done": True}]}, 20)] == [{"n": 1}, {"n": 2}]
    assert [*talk.ask({"say": [{"done": True}]}, 20)] == []
    with pytest.raises(AnswerError, match="no room") as caught:
        [*talk.ask({"say": [{"n": 1}, {"error": "memory", "what": "no room"}]}, 20)]
    assert caught.value.kind == "memory"
    assert [*talk.ask({"say": [{"n": 3}, {"done": True}]}, 20)] == [{"n": 3}], "and it goes on"


def test_one_that_ends(talk: Session) -> None:
    with pytest.raises(EvaluationError, match="lm-evaluation-harness has ended with exit code 3"):
        [*talk.ask({"say": [{"n": 1}], "exit": 3}, 20)]
    assert [*talk.ask({"say": [{"done": True}]}, 20)] == [], "the next question finds another"


def test_one_that_says_nothing(talk: Session) -> None:
    with pytest.raises(EvaluationError, match="lm-evaluation-harness took more than 0 seconds"):
        [*talk.ask({"say": []}, 0.3)]
    assert [*talk.ask({"say": [{"n": 1}, {"done": True}]}, 20)] == [{"n": 1}]

"""Measuring by a program of the user's: when it is asked again, and what is said of one that fails."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ramekin.errors import EvaluationError, UsageError
from ramekin.evaluation.children import Surroundings
from ramekin.evaluation.command import CommandHarness
from ramekin.evaluation.measurements import ScoreStore
from ramekin.manifest.evaluation import Evaluation

SCRIPT = """echo "$RAMEKIN_MODEL_NAME" >> asked
echo '{"gsm8k": 0.5, "mmlu": 0.25}'
"""
Make = Callable[..., CommandHarness]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "score.sh").write_text(SCRIPT)

    def _make(script: str | None = None, **keys: object) -> CommandHarness:
        if script is not None:
            (tmp_path / "score.sh").write_text(script)
        evaluate = Evaluation.model_validate({"command": ["sh", "score.sh"]} | keys)
        around = Surroundings(tmp_path, {"PATH": os.environ["PATH"]})
        return CommandHarness(evaluate, around, ScoreStore(tmp_path / "kept"), lambda line: None)

    return _make


def measured(harness: CommandHarness, digest: str = "d", model: str = "base") -> dict[str, float]:
    found = harness.kept(digest) or harness.measure(model, digest, Path("/model"))
    return {task: each.found[0].value for task, each in found.items()}


def asked(harness: CommandHarness) -> list[str]:
    path = harness.surroundings.directory / "asked"
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def test_it_is_given_the_model(make: Make, tmp_path: Path) -> None:
    harness = make('echo "{\\"$RAMEKIN_MODEL|$RAMEKIN_MODEL_NAME|$1|$#|$PWD\\": 1}"')
    (said,) = measured(harness, model="expert:coder")
    assert said == f"/model|expert:coder|/model|1|{tmp_path}"


def test_what_was_measured_is_not_measured_again(make: Make) -> None:
    assert measured(make()) == measured(make(), model="same") == {"gsm8k": 0.5, "mmlu": 0.25}
    assert asked(make()) == ["base"]
    measured(make(), "other", "merge")
    assert asked(make()) == ["merge"], "another model is"


@pytest.mark.parametrize(
    "change",
    [
        {"script": SCRIPT + "# changed\n"},
        {"command": ["sh", "./score.sh"]},
        {"command": ["sh", "score.sh", "--fast"]},
        {"reads": ["questions"]},
    ],
)
def test_another_question_is_asked(make: Make, change: dict[str, object], tmp_path: Path) -> None:
    measured(make())
    assert asked(make()) == ["base"]
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions/one").write_text("why?")
    measured(make(**change))
    assert asked(make()) == ["base"]


def test_what_it_reads_counts_once_it_is_named(make: Make, tmp_path: Path) -> None:
    for content, again in (("why?", ["base"]), ("why?", []), ("how?", ["base"])):
        (tmp_path / "questions.jsonl").write_text(content)
        measured(make(reads="questions.jsonl"))
        assert asked(make()) == again


def test_who_waits_how_long_is_no_part_of_the_question(make: Make) -> None:
    measured(make())
    measured(make(timeout=5, models=["base"], tasks=["gsm8k"]))
    assert asked(make()) == ["base"]


def test_named_tasks_count_alone_and_in_their_order(make: Make) -> None:
    assert [*measured(make(tasks=["mmlu"])).items()] == [("mmlu", 0.25)]
    assert [*measured(make(tasks=["mmlu", {"name": "gsm8k", "expert": "coder"}]))] == ["mmlu", "gsm8k"]
    with pytest.raises(EvaluationError, match="for `base` printed no score for `arc`, `piqa`"):
        measured(make(tasks=["arc", "gsm8k", "piqa"], command=["sh", "score.sh", "new"]))


@pytest.mark.parametrize(
    ("script", "what", "hint"),
    [
        ("exit 3", "`evaluate.command` for `base` failed with exit code 3", "try it by hand"),
        ("kill -9 $$", "was ended by SIGKILL, maybe for want of memory", "try it by hand"),
        ("kill -11 $$", "was ended by SIGSEGV", "try it by hand"),
        ("true", "printed nothing", '{"gsm8k": 0.5}'),
        ("echo all is well", "printed no JSON object, but `all is well`", '{"gsm8k": 0.5}'),
        ("echo '{\"a\": NaN}'", "printed NaN", '{"gsm8k": 0.5}'),
        ('echo \'{"a": "good"}\'', "`a.value` is refused", '{"gsm8k": 0.5}'),
        ("echo '{\"a\": 1}'; exit 1", "failed with exit code 1", "try it by hand"),
        ("sleep 600", "took more than 1 seconds", "`evaluate.timeout`"),
    ],
)
def test_one_that_fails(make: Make, script: str, what: str, hint: str) -> None:
    harness = make(script, timeout=1)
    with pytest.raises(EvaluationError) as caught:
        measured(harness)
    (problem,) = caught.value.problems
    assert what in problem.what
    assert hint in problem.hint
    assert caught.value.exit_code == 6
    assert harness.kept("d") == {}, "nothing is kept of it"


@pytest.mark.parametrize(
    "program", ["no-such-program", "./no-such-file", "./score.sh", "/no/such/file", "sub/score.sh"]
)
def test_a_program_that_is_not_there_or_cannot_be_run(make: Make, program: str) -> None:
    with pytest.raises(UsageError, match="there is no program"):
        make(command=[program]).check()


def test_programs_that_are_there(make: Make, tmp_path: Path) -> None:
    (tmp_path / "score.sh").chmod(0o755)
    for program in ("sh", "/bin/sh", "./score.sh"):
        make(command=[program]).check()


def test_what_the_report_says_of_it(make: Make) -> None:
    harness = make(command=["python", "my score.py", "--all"])
    assert (harness.name, harness.settings) == ("command", {"command": "python 'my score.py' --all"})

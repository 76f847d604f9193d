"""The generated tasks of examples/smollm2: what is drawn, what is held out, and which answers count."""

import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from ramekin.manifest.reading import read_manifest

EXAMPLE = Path(__file__).parents[1] / "examples" / "smollm2"


def load(name: str) -> ModuleType:
    """A script of the example as a module, under a name that cannot hide another one."""
    spec = importlib.util.spec_from_file_location(f"smollm2_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tasks = load("tasks")
cache = load("cache")
every_task = pytest.mark.parametrize("task", tasks.TASKS.values(), ids=lambda task: task.name)


@every_task
@pytest.mark.parametrize("split", tasks.SPLITS)
def test_the_seed_decides_the_items(task, split):
    assert task.items(split, 50, seed=3) == task.items(split, 50, seed=3)
    assert task.items(split, 50, seed=3) != task.items(split, 50, seed=4)
    assert task.items(split, 50)[:20] == task.items(split, 20)


@every_task
def test_held_out_items_are_not_trained_on(task):
    train, held_out = task.items("train", 1000), task.items("held-out", 100)
    assert len(set(held_out)) == 100
    assert len(set(train)) == 1000
    assert not {item.user for item in train} & {item.user for item in held_out}


def test_a_value_is_trained_on_or_held_out_and_never_both():
    used = {split: {value for pool in tasks.POOLS.values() for value in pool.split(split)} for split in tasks.SPLITS}
    assert not used["train"] & used["held-out"]
    for kind, pool in tasks.POOLS.items():
        assert sorted(pool.split("train") + pool.split("held-out")) == sorted(pool.values), kind
        assert pool.split("held-out"), kind
        assert len(set(pool.values)) == len(pool.values), kind


def test_too_many_items_are_refused():
    few = tasks.Task("few", "", lambda random, split: tasks.Item("", str(random.randrange(3)), ""), str.__eq__)
    assert len(few.items("train", 3)) == 3
    with pytest.raises(ValueError, match="fewer than 4"):
        few.items("train", 4)


@every_task
@pytest.mark.parametrize("split", tasks.SPLITS)
def test_right_answers_are_accepted_and_those_to_other_questions_are_not(task, split):
    items = task.items(split, 100)
    for item, other in pairwise(items):
        assert task.accepts(item.answer, item.answer)
        assert task.accepts(item.answer, other.answer) == (item.answer == other.answer)
        assert not task.accepts(item.answer, "")
        assert not task.accepts(item.answer, f"The answer is {item.answer}")


CALL = '{"name": "set_timer", "arguments": {"minutes": 5, "label": "tea"}}'


@pytest.mark.parametrize(
    ("output", "right"),
    [
        (CALL, True),
        (f" {CALL}\n", True),
        ('{"arguments":{"label":"tea","minutes":5},"name":"set_timer"}', True),
        (CALL.replace("5", '"5"'), False),
        (CALL.replace("5", "5.0"), False),
        (CALL.replace("tea", "Tea"), False),
        (CALL.replace("set_timer", "timer"), False),
        (CALL[:-1], False),
        (CALL + CALL, False),
        (f"```json\n{CALL}\n```", False),
        ("[" * 100_000, False),
        ("null", False),
    ],
)
def test_calls_are_compared_as_json(output, right):
    assert tasks.same_json(CALL, output) is right


def test_true_is_not_one():
    assert not tasks.same_json('{"n": 1}', '{"n": true}')


@pytest.mark.parametrize(
    ("output", "right"),
    [
        ("find docs -name '*.py'", True),
        ('find  docs -name "*.py" ', True),
        ("find docs -name \\*.py", True),
        ("find docs -name '*.pyc'", False),
        ("find . -name '*.py'", False),
        ("find docs -name '*.py", False),
        ("find docs -name '*.py'\nfind docs", False),
        ("$ find docs -name '*.py'", False),
        ("```bash\nfind docs -name '*.py'\n```", False),
    ],
)
def test_commands_are_compared_by_their_words(output, right):
    assert tasks.same_command("find docs -name '*.py'", output) is right


@pytest.mark.parametrize(
    ("output", "right"),
    [("Lisbon", True), (" lisbon.\n", True), ("Lisbon Oslo", False), ("Lisbon..", False), ("Lis", False)],
)
def test_values_are_compared_as_a_whole(output, right):
    assert tasks.same_value("Lisbon", output) is right


def test_a_call_names_an_offered_tool_and_its_arguments():
    signatures = {tool.name: tool for tool in tasks.TOOLS}
    for item in tasks.TASKS["tool"].items("train", 200):
        call = json.loads(item.answer)
        tool = signatures[call["name"]]
        assert tool.signature in item.system
        assert list(call["arguments"]) == list(tool.arguments)
        assert all(str(value) in item.user for value in call["arguments"].values())


def test_the_latest_note_holds():
    replaced = 0
    for item in tasks.TASKS["memory"].items("train", 200):
        *notes, question, _ = item.user.removeprefix("Notes:\n").splitlines()
        subject = question.removeprefix("What is ").removesuffix("?")
        values = [note.removeprefix(f"- {subject}: ") for note in notes if note.startswith(f"- {subject}: ")]
        assert values[-1] == item.answer
        replaced += len(values) > 1
    assert 30 < replaced < 120


def test_a_folder_is_made_again_only_when_its_inputs_change(tmp_path):
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text(str(len(made)))

    target = tmp_path / "stage"
    assert cache.cached(target, {"a": 1}, make)
    assert not cache.cached(target, {"a": 1}, make)
    assert cache.cached(target, {"a": 2}, make)
    assert (target / "file").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_a_folder_that_failed_is_not_there(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached(tmp_path / "stage", {}, fail)
    assert not (tmp_path / "stage").exists()
    assert cache.cached(tmp_path / "stage", {}, lambda folder: (folder / "whole").touch())
    assert not (tmp_path / "stage" / "half").exists()


def test_the_manifest_names_an_expert_for_every_task():
    manifest = read_manifest(EXAMPLE / "merge.yaml").manifest
    assert list(manifest.experts) == list(tasks.TASKS)
    assert manifest.method.name == "ram+"

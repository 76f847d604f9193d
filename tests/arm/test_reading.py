"""Benchmarks as they are read: what is watched, what is set aside, and everything that is wrong at once."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from chats import CHATML, tokenizer

from ramekin.arm.asking import Terms
from ramekin.arm.reading import Inspected, Material, inspect_materials, read_materials
from ramekin.arm.reporting import read_alone
from ramekin.benchmarks import develops
from ramekin.errors import DamagedError, IncompatibleError
from ramekin.manifest.benchmarks import Benchmark
from ramekin.methods import Arm, BestOf, Choosing

CALL = '<tool_call>\n{"name": "find", "arguments": {"id": %d}}\n</tool_call>'
PLAIN = {"expert": "tool", "role": "assistant", "calibration": "./runs.jsonl"}


def chat(number: int, *said: str, task: str | None = None, **more: Any) -> dict[str, Any]:
    messages = []
    for turn, text in enumerate(said):
        messages += [{"role": "user", "content": f"do {number}.{turn}"}, {"role": "assistant", "content": text}]
    return {"id": f"run-{number}", "task_id": task or f"task-{number}", "messages": messages} | more


def chats(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [chat(number, f"first {number}", f"then {number}") for number in range(first, first + count)]


class Shelf:
    """Files of benchmarks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.benchmarks: dict[str, Benchmark] = {}
        self.data: dict[str, Path] = {}

    def put(self, name: str = "tau", *, template: str | None = None, **uses: Any) -> None:
        """A benchmark: `calibration` and `dev` are trajectories, or text; all else are its settings."""
        files = {use: uses.pop(use) for use in ("calibration", "dev") if use in uses}
        settings = dict(PLAIN) | uses | {use: f"./{name}-{use}.jsonl" for use in files}
        if template is not None:
            settings["chat_template"] = "./template.jinja"
            self.data[f"data:{name}:chat_template"] = self.directory / "template.jinja"
            (self.directory / "template.jinja").write_text(template)
        self.benchmarks[name] = Benchmark.model_validate(settings)
        for use, found in files.items():
            text = found if isinstance(found, str) else "\n".join(map(json.dumps, found))
            self.data[f"data:{name}:{use}"] = self.directory / f"{name}-{use}.jsonl"
            self.data[f"data:{name}:{use}"].write_text(text)

    def inspect(self, *, develop: bool = False, template: str | None = CHATML) -> Inspected:
        manifest: Any = SimpleNamespace(benchmarks=self.benchmarks)
        return inspect_materials(manifest, self.data, tokenizer(template), develop=develop)

    def read(self, *, develop: bool = False, show: bool = False, template: str | None = CHATML) -> dict[str, Material]:
        manifest: Any = SimpleNamespace(benchmarks=self.benchmarks)
        return read_materials(manifest, self.data, tokenizer(template), develop=develop, show=show)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def spoken(found: Any) -> list[list[str]]:
    """The role in every trajectory."""
    return [[text for text, inside in read_alone(traced) if inside] for traced in found.trajectories]


def names(found: Any) -> list[str]:
    return [traced.name for traced in found.trajectories]


# What is set aside.


def by_hand(tasks: Sequence[str]) -> set[str]:
    """A fifth of the tasks, rounded up, by the digests of their names."""
    ranking = sorted(set(tasks), key=lambda task: hashlib.sha256(task.encode()).hexdigest())
    return {*ranking[: math.ceil(len(ranking) / 5)]}


def test_a_fifth_of_the_tasks_is_set_aside_whatever_the_order(shelf: Shelf) -> None:
    runs = [chat(number, f"said {number}", task=f"t{number // 2}") for number in range(22)]
    kept, aside = set(), set()
    for seed in range(3):
        mixed = [runs[at] for at in np.random.default_rng(seed).permutation(len(runs))]
        shelf.put(calibration=mixed)
        found = shelf.read(develop=True)["tau"]
        assert found.held_out
        assert found.dev
        kept.add(frozenset(names(found.role)))
        aside.add(frozenset(names(found.dev)))
    ((one,), (other,)) = kept, aside
    assert other == {run["id"] for run in runs if run["task_id"] in by_hand([run["task_id"] for run in runs])}
    assert len(other) == 6, "3 of 11 tasks, two runs of each"
    assert one | other == {run["id"] for run in runs}
    assert not one & other


def test_nothing_is_set_aside_where_nobody_wants_it(shelf: Shelf) -> None:
    shelf.put(calibration=chats(10))
    found = shelf.read()["tau"]
    assert (found.dev, found.held_out, len(found.role.trajectories), found.prompts) == (None, False, 10, ())


def test_what_is_only_shown_is_taken_from_nobody(shelf: Shelf) -> None:
    """What is decided without development data is what it would be where nothing is shown."""
    shelf.put(calibration=chats(10))
    found, plain = shelf.read(show=True)["tau"], shelf.read()["tau"]
    assert found.dev
    assert (found.dev_watched, found.held_out) == (True, False)
    assert names(found.role) == names(plain.role) == [f"run-{number}" for number in range(10)]
    assert {traced.task for traced in found.dev.trajectories} == by_hand([t.task for t in found.role.trajectories])
    assert not plain.dev_watched
    aside = shelf.read(show=True, develop=True)["tau"]
    assert (aside.dev_watched, aside.held_out, len(aside.role.trajectories)) == (False, True, 8)
    shelf.put(calibration=chats(4), dev=chats(3, 10))
    assert not shelf.read(show=True)["tau"].dev_watched


def test_of_one_task_all_is_shown(shelf: Shelf) -> None:
    shelf.put(calibration=[chat(number, f"said {number}", task="one") for number in range(3)])
    found = shelf.read(show=True)["tau"]
    assert found.dev
    assert names(found.dev) == names(found.role) == ["run-0", "run-1", "run-2"]


@pytest.mark.parametrize("method", [Arm(repair="all"), Arm(repair="none"), BestOf(select="aos")])
def test_all_is_measured_where_all_is_to_be_shown(method: Choosing, shelf: Shelf) -> None:
    shelf.put("tau", calibration=chats(10))
    shelf.put("asked", calibration=chats(10, 20), evaluate="exact")
    aim = Terms.of(method, shelf.read(develop=develops(method, shelf.benchmarks), show=True), everything=True).aim
    assert (aim.overlap, aim.likelihood, aim.answers) == (True, True, True)


POOL = ["average", {"name": "ties", "density": 0.3}]
SCORES = {"tool": 0.9, "average": 0.5, "ties (density 0.3)": 0.6}
BY_SCORES = Arm.model_validate({"pool": POOL, "select": "scores"})


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        (BY_SCORES, {"scores": SCORES}, False),
        (Arm.model_validate({"pool": POOL}), {"scores": SCORES | {"other": 1.0}}, False),
        (Arm.model_validate({"pool": POOL, "repair": "none"}), {}, False),
        # A score that is not there may turn out to be needed: whichever candidate is chosen, and the donor's.
        *((BY_SCORES, {"scores": {k: v for k, v in SCORES.items() if k != name}}, True) for name in SCORES),
        (BY_SCORES, {"scores": SCORES, "evaluate": "exact"}, True),  # what is counted comes first
        (Arm.model_validate({"pool": POOL, "select": "likelihood"}), {"scores": SCORES}, True),
        (BestOf.model_validate({"pool": POOL}), {"scores": SCORES}, True),
    ],
)
def test_runs_are_set_aside_only_where_scores_do_not_tell_all(
    method: Choosing, settings: dict[str, Any], expected: bool, shelf: Shelf
) -> None:
    shelf.put("full", calibration=chats(10), scores=SCORES)
    shelf.put("tau", calibration=chats(10), **settings)
    develop = develops(method, shelf.benchmarks)
    assert develop == expected
    found = shelf.read(develop=develop)
    assert {each.held_out for each in found.values()} == {expected}
    aim = Terms.of(method, found).aim
    assert (aim.likelihood, aim.answers) == (expected, "evaluate" in settings)


def test_named_development_data_are_read_in_any_case(shelf: Shelf) -> None:
    shelf.put(calibration=chats(4), dev=chats(3, 10))
    for develop in (False, True):
        found = shelf.read(develop=develop)["tau"]
        assert found.dev
        assert (names(found.dev), found.held_out) == (["run-10", "run-11", "run-12"], False)
        assert len(found.role.trajectories) == 4


def test_one_task_alone_cannot_be_divided(shelf: Shelf) -> None:
    shelf.put(calibration=[chat(number, f"a {number}", task="same") for number in range(4)])
    with pytest.raises(DamagedError, match=r"`benchmarks\.tau` has runs of one task alone, and no `dev`"):
        shelf.read(develop=True)
    assert len(shelf.read()["tau"].role.trajectories) == 4


def test_the_same_run_under_two_names_is_not_set_aside_from_itself(shelf: Shelf) -> None:
    runs = chats(10)
    aside = by_hand([run["task_id"] for run in runs])
    twin = next(run for run in runs if run["task_id"] not in aside)
    names_of_tasks = [run["task_id"] for run in runs]
    other = next(f"again-{n}" for n in range(1000) if f"again-{n}" in by_hand([*names_of_tasks, f"again-{n}"]))
    shelf.put(calibration=[*runs, dict(twin, id="twin", task_id=other)])
    found = shelf.read(develop=True)["tau"]
    assert found.dev
    watched = {traced.digest for traced in found.role.trajectories}
    assert not watched & {traced.digest for traced in found.dev.trajectories}
    assert "twin" not in names(found.dev)


def test_all_that_is_set_aside_is_there_again(shelf: Shelf) -> None:
    one = chat(0, "said")
    shelf.put(calibration=[dict(one, id=f"run-{n}", task_id=f"task-{n}") for n in range(5)])
    with pytest.raises(DamagedError, match="all runs that were set aside are others again"):
        shelf.read(develop=True)


# What must not be in both.


def test_a_task_in_both(shelf: Shelf) -> None:
    dev = [chat(20, "x", task="task-3"), chat(21, "y"), chat(22, "z", task="task-1")]
    shelf.put(calibration=chats(5), dev=dev)
    with pytest.raises(DamagedError, match=r"`benchmarks.tau` has 2 tasks both in .*: `task-1`, `task-3`$"):
        shelf.read()


def test_a_run_in_both_under_another_name(shelf: Shelf) -> None:
    same = dict(chats(5)[2], id="other", task_id="other")
    shelf.put(calibration=chats(5), dev=[chat(21, "y"), same])
    with pytest.raises(DamagedError, match=r"has 1 runs both in `calibration` and in `dev`: `other`$"):
        shelf.read()


def test_many_shared_tasks_are_told_in_part(shelf: Shelf) -> None:
    shelf.put(calibration=chats(9), dev=[chat(n + 50, f"{n}", task=f"task-{n}") for n in range(9)])
    with pytest.raises(DamagedError, match=r"has 9 tasks .*`task-4` …$"):
        shelf.read()


def test_problems_of_several_benchmarks_are_told_at_once(shelf: Shelf) -> None:
    shelf.put("good", calibration=chats(3))
    shelf.put("broken", calibration='{"id": "a"}\nnonsense')
    shelf.put("empty", calibration=chats(3), role="tool-call")
    shelf.put("shared", calibration=chats(3), dev=chats(3))
    with pytest.raises(DamagedError) as caught:
        shelf.read()
    told = [problem.what for problem in caught.value.problems]
    assert len(told) == 4
    assert "has none of `messages`" in told[0]
    assert "is not JSON" in told[1]
    assert told[2].startswith("ARM_EMPTY_ROLE: in `benchmarks.empty.calibration`")
    assert "`benchmarks.shared` has 3 tasks" in told[3]
    assert not any("good" in what for what in told)
    assert all("\n" not in problem.what + problem.hint for problem in caught.value.problems)
    assert caught.value.exit_code == 6


def test_no_template(shelf: Shelf) -> None:
    shelf.put(calibration=chats(3))
    with pytest.raises(IncompatibleError, match="the tokenizer has no chat template") as caught:
        shelf.read(template=None)
    assert caught.value.exit_code == 5


# Roles.


@pytest.mark.parametrize(
    ("role", "said", "expected"),
    [
        ("tool-call", f"I look. {CALL % 3}", [CALL % 3]),
        ({"regex": "run (?P<span>.*?);"}, "run ls; run pwd;", ["ls", "pwd"]),
        ({"regex": "ls|pwd"}, "run ls; run pwd;", ["ls", "pwd"]),
        ({"json": "first"}, 'a {"b": 1} c [2, {"d": 3}]', ['{"b": 1}']),
        ({"json": "last"}, 'a {"b": 1} c [2, {"d": 3}]', ['[2, {"d": 3}]']),
        ({"json": "all"}, 'a {"b": 1} c [2, {"d": 3}]', ['{"b": 1}', '[2, {"d": 3}]']),
        ("assistant", "all of it", ["all of it"]),
    ],
)
def test_what_is_the_role(role: Any, said: str, expected: list[str], shelf: Shelf) -> None:
    shelf.put(calibration=[chat(0, said), chat(1, f"{said} ")], role=role)
    found = shelf.read()["tau"]
    assert spoken(found.role)[0] == expected
    assert found.role.twice == 0
    assert found.said
    assert spoken(found.said)[0] == [said]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["one", "two", "three"]),
        ({"turns": "last"}, ["three"]),
        ({"demonstrations": 1}, ["two", "three"]),
        ({"demonstrations": 2, "turns": "last"}, ["three"]),
    ],
)
def test_which_turns_count(settings: Mapping[str, Any], expected: list[str], shelf: Shelf) -> None:
    shelf.put(calibration=[chat(0, "one", "two", "three")], **settings)
    assert spoken(shelf.read()["tau"].role) == [expected]


def test_marked_demonstrations_have_no_role(shelf: Shelf) -> None:
    run = chat(0, "one", "two", "three")
    run["messages"][1]["loss"] = False
    shelf.put(calibration=[run])
    assert spoken(shelf.read()["tau"].role) == [["two", "three"]]


def test_a_template_of_its_own(shelf: Shelf) -> None:
    own = "{% for m in messages %}[{{ m.role }}]{{ shout }}{{ m.content }}</s>{% endfor %}"
    shelf.put(calibration=chats(2), template=own, template_kwargs={"shout": "!"})
    found = shelf.read(template=None)["tau"]
    assert (
        found.role.trajectories[0].text
        == "[user]!do 0.0</s>[assistant]!first 0</s>[user]!do 0.1</s>[assistant]!then 0</s>"
    )
    assert spoken(found.role)[0] == ["first 0", "then 0"]
    assert found.template == hashlib.sha256(own.encode()).hexdigest()


def test_a_template_that_is_no_text(shelf: Shelf) -> None:
    shelf.put(calibration=chats(2), template="")
    (shelf.directory / "template.jinja").write_bytes(b"\xff\xfe{{ messages }}")
    with pytest.raises(DamagedError, match=r"template\.jinja cannot be read: 'utf-8' codec") as caught:
        shelf.read()
    assert caught.value.exit_code == 6
    assert len(caught.value.problems) == 1


def test_markers_of_the_manifest(shelf: Shelf) -> None:
    """Nothing ends the assistant's turn but a line, which a probe takes for what it is not."""
    own = "{% for m in messages %}{{ 'Q: ' if m.role == 'user' else 'A: ' }}{{ m.content }}\n\n{% endfor %}"
    shelf.put(calibration=chats(2), template=own, assistant_prefix="A: ", assistant_suffix="\n\n")
    assert spoken(shelf.read()["tau"].role)[1] == ["first 1", "then 1"]


def test_given_texts(shelf: Shelf) -> None:
    """No template is needed, and nobody knows who speaks."""
    runs = [{"id": f"{n}", "task_id": f"{n}", "text": f"Q: {n} A: yes {n}", "spans": [[8, 13]]} for n in range(3)]
    shelf.put(calibration=runs, evaluate="exact", dev=[{"id": "x", "text": "Q: 7 A: no", "spans": [[8, 10]]}])
    found = shelf.read(template=None)["tau"]
    assert spoken(found.role) == [["yes 0"], ["yes 1"], ["yes 2"]]
    assert (found.said, found.template) == (None, None)
    (prompt,) = found.prompts
    ids = tokenizer()("Q: 7 A: ", add_special_tokens=False)["input_ids"]
    assert (prompt.ids, prompt.answer) == (tuple(ids), "no")


def test_prompts_are_what_stands_before_the_last_turn(shelf: Shelf) -> None:
    shelf.put(
        calibration=chats(2),
        dev=[chat(9, "one", CALL % 9)],
        role="tool-call" if False else "assistant",
        evaluate="json",
    )
    found = shelf.read()["tau"]
    (prompt,) = found.prompts
    before = "<|im_start|>user\ndo 9.0<|im_end|>\n<|im_start|>assistant\none<|im_end|>\n"
    before += "<|im_start|>user\ndo 9.1<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer().decode(prompt.ids) == before
    assert (prompt.answer, found.judge, found.longest) == (CALL % 9, "json", 256)


def test_where_models_are_not_asked_there_are_no_prompts(shelf: Shelf) -> None:
    shelf.put(calibration=chats(2), dev=chats(2, 7))
    assert shelf.read()["tau"].prompts == ()


def test_the_limit_on_tokens_cuts_the_role(shelf: Shelf) -> None:
    shelf.put(calibration=chats(4), max_tokens=40)
    found = shelf.read()["tau"].role
    assert found.cut == 4
    assert spoken(found)
    assert all(len(traced.ids) <= 40 for traced in found.trajectories)


# What there is to be seen where something is wrong.


def test_everything_is_shown_that_can_be(shelf: Shelf) -> None:
    odd = "x <|im_end|>\n y"
    shelf.put("good", calibration=chats(10))
    shelf.put("empty", calibration=chats(10), role="webshop")
    shelf.put("odd", calibration=[*chats(3), chat(3, odd), chat(4, odd)])
    shelf.put("torn", calibration="{")
    shelf.put("mixed", calibration=chats(3), dev=chats(3, 2))
    with pytest.raises(DamagedError) as caught:
        shelf.read(develop=True)
    found = shelf.inspect(develop=True)
    assert [*found.materials] == ["good", "empty", "odd", "mixed"]
    assert found.error
    # What is wrong is the same, and here also what is wrong behind it.
    assert {each.what for each in caught.value.problems} <= {each.what for each in found.error.problems}
    told = [each.what for each in found.error.problems]
    assert len(told) == len(set(told))
    for words in ("ARM_EMPTY_ROLE: in `benchmarks.empty.calibration`", "trajectories of `benchmarks.odd.calibration`"):
        assert sum(words in what for what in told) == 1, told
    assert any("`benchmarks.mixed` has 1 tasks both in" in what for what in told)
    empty = found.materials["empty"].role
    assert (empty.without, empty.turns, empty.trajectories, empty.samples) == (8, 16, [], [])
    assert len(empty.unmarked) == 3
    assert empty.unmarked[0].text.startswith("first ")
    assert "do " not in empty.unmarked[0].text, "only what the assistant says"
    seen = found.materials["odd"]
    assert seen.dev
    assert {**seen.role.dropped, **seen.dev.dropped}.keys() == {"run-3", "run-4"}
    assert spoken(seen.role)


def test_no_role_can_be_looked_at_and_not_worked_with(shelf: Shelf) -> None:
    shelf.put(calibration=chats(4), role="none")
    found = shelf.inspect()
    assert found.error is None
    assert found.materials["tau"].role.unmarked[0].text == "first 0\nthen 0"
    with pytest.raises(DamagedError, match="ARM_EMPTY_ROLE"):
        shelf.read()


def test_runs_of_one_task_alone_are_shown(shelf: Shelf) -> None:
    shelf.put(calibration=[chat(number, f"said {number}", task="one") for number in range(3)])
    found = shelf.inspect(develop=True)
    assert found.error
    assert "has runs of one task alone" in str(found.error)
    assert len(found.materials["tau"].role.trajectories) == 3


def test_tags_of_an_answer(shelf: Shelf) -> None:
    said = 'so <answer> {"app": "a", "action": "b"} </answer>.'
    shelf.put("bare", calibration=[chat(0, said)], role="officebench")
    shelf.put("kept", calibration=[chat(0, said)], role={"name": "officebench", "keep_tags": True})
    found = shelf.read()
    assert spoken(found["bare"].role) == [['{"app": "a", "action": "b"}']]
    assert spoken(found["kept"].role) == [['<answer> {"app": "a", "action": "b"} </answer>']]
    assert [str(benchmark.role) for benchmark in shelf.benchmarks.values()] == ["officebench", "officebench, tags kept"]
    assert "keep_tags" not in shelf.benchmarks["bare"].model_dump_json(), "keys stay what they were"

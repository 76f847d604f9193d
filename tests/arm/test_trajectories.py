"""Trajectories in all formats that are read, and what is no trajectory."""

import json
from pathlib import Path

import pytest

from ramekin.arm.roles.trajectories import digest_of, read_trajectories, shared_tasks
from ramekin.errors import DamagedError

CALL = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"seat": "12A"}'}}


def write(tmp_path: Path, *lines: object, array: bool = False) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps([*lines]) if array else "".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_chats(tmp_path: Path) -> None:
    entry = {
        "id": "tau-17-2",
        "task_id": "tau-17",
        "benchmark": "tau",
        "messages": [
            {"role": "developer", "content": "policy"},
            {"role": "human", "content": "hello\u2028there"},
            {"role": "agent", "content": None, "tool_calls": [CALL], "loss": False},
            {"role": "tool", "content": "ok", "tool_call_id": "c1", "name": "book"},
            {"role": "gpt", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "book"}}],
        "template_kwargs": {"enable_thinking": False},
    }
    (found,) = read_trajectories(write(tmp_path, entry))
    assert (found.name, found.task) == ("tau-17-2", "tau-17")
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert found.messages[2]["content"] == ""
    # Templates write arguments as JSON themselves.
    assert found.messages[2]["tool_calls"][0]["function"] == {"name": "book", "arguments": {"seat": "12A"}}
    assert found.messages[3] == {"role": "tool", "content": "ok", "tool_call_id": "c1", "name": "book"}
    assert found.turns == [2, 4]
    assert found.demonstrations == {2}
    assert found.tools == tuple(entry["tools"])
    assert found.settings == {"enable_thinking": False}


def test_tau_bench(tmp_path: Path) -> None:
    runs = [
        {"task_id": 3, "reward": 1.0, "traj": [{"role": "user", "content": "hi"}]},
        {"task_id": 3, "reward": 0.0, "traj": [{"role": "user", "content": "ho"}]},
    ]
    found = read_trajectories(write(tmp_path, *runs, array=True))
    assert [(each.name, each.task) for each in found] == [("3#1", "3"), ("3#2", "3")]


def test_tau2_bench(tmp_path: Path) -> None:
    flat = {"id": "a", "name": "look", "arguments": {"x": 1}, "requestor": "assistant"}
    theirs = {"id": "b", "name": "toggle", "arguments": {}, "requestor": "user"}
    simulation = {
        "id": "s1",
        "task_id": "t1",
        "messages": [
            {"role": "user", "content": None, "tool_calls": [theirs]},
            {"role": "tool", "content": "secret", "requestor": "user"},
            {"role": "user", "content": "did it", "tool_calls": [theirs]},
            {"role": "assistant", "content": None, "tool_calls": [flat]},
        ],
    }
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"info": {"policy": "x" * 200_000}, "simulations": [simulation]}, indent=2))
    (found,) = read_trajectories(path)
    # The agent sees neither its user's tools nor what they answer.
    assert [message["role"] for message in found.messages] == ["user", "assistant"]
    assert found.messages[0] == {"role": "user", "content": "did it"}
    assert found.messages[1]["tool_calls"][0]["function"] == {"name": "look", "arguments": {"x": 1}}


def test_shared_conversations(tmp_path: Path) -> None:
    entry = {
        "system": "rules",
        "conversations": [
            {"from": "human", "value": "example"},
            {"from": "gpt", "value": "shown", "loss": False},
            {"from": "human", "value": "task"},
            {"from": "gpt", "value": "own", "loss": True},
            {"from": "observation", "value": "seen"},
            {"from": "function_call", "value": "call", "weight": 0},
        ],
    }
    (found,) = read_trajectories(write(tmp_path, entry))
    assert [message["role"] for message in found.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert found.demonstrations == {2, 6}


def test_null_is_nothing(tmp_path: Path) -> None:
    entry = {"id": None, "task_id": None, "text": None, "tools": None, "messages": [{"role": "user", "content": "a"}]}
    other = entry | {"messages": [{"role": "user", "content": "b"}]}
    first, second = read_trajectories(write(tmp_path, entry, other))
    assert first.name != second.name
    assert shared_tasks([first], [second]) == []
    (again, *_) = read_trajectories(write(tmp_path, entry))
    assert shared_tasks([first], [again]) == [first.task]


@pytest.mark.parametrize(("tools", "found"), [("", None), ("[]", None), ('[{"name": "f"}]', ({"name": "f"},))])
def test_tools_in_a_string(tmp_path: Path, tools: str, found: object) -> None:
    (read,) = read_trajectories(write(tmp_path, {"conversations": [{"from": "human", "value": "a"}], "tools": tools}))
    assert read.tools == found


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"messages": []}\n', encoding="utf-8-sig")
    assert len(read_trajectories(path)) == 1


def test_rendered_text(tmp_path: Path) -> None:
    (found,) = read_trajectories(write(tmp_path, {"id": "a", "text": "é🎉x", "spans": [[1, 3]]}))
    assert (found.text, found.spans, found.messages) == ("é🎉x", ((1, 3),), ())


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ([1], "is not an object"),
        ({"id": "x"}, "has none of `messages`, `conversations`, `text`"),
        ({"messages": "hello"}, "has no list of `messages`"),
        ({"messages": [{"role": "king", "content": "x"}]}, "unknown role (king)"),
        ({"messages": ["hello"]}, "unknown role (hello)"),
        ({"messages": [{"role": "user", "content": 5}]}, "neither text nor null"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "a function without a name"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}]},
            "calls `f` with arguments that are not JSON",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "[1]"}]}]},
            "calls `f` with arguments that have no names",
        ),
        ({"messages": [], "tools": {}}, "`tools` that are not a list"),
        ({"messages": [], "tools": "{"}, "`tools` that are not JSON"),
        ({"messages": [], "template_kwargs": [1]}, "`template_kwargs` that are not an object"),
        ({"conversations": [{"value": "x"}]}, "a turn without `from`"),
        ({"conversations": [], "system": 3}, "a `system` that is no text"),
        ({"text": 3, "spans": []}, "a `text` that is no text"),
        ({"text": "abc"}, "has no list of `spans`"),
        ({"text": "abc", "spans": [[0, 4]]}, "a span that is not in its text: [0, 4]"),
        ({"text": "abc", "spans": [[2, 2]]}, "a span that is not in its text: [2, 2]"),
        ({"text": "abc", "spans": [[0, True]]}, "a span that is not in its text"),
        ({"text": "abc", "spans": ["ab"]}, "a span that is not in its text"),
        ({"id": "first", "messages": []}, "has the id `first`, which another has as well"),
    ],
)
def test_what_is_no_trajectory(tmp_path: Path, entry: object, says: str) -> None:
    with pytest.raises(DamagedError) as caught:
        read_trajectories(write(tmp_path, {"id": "first", "messages": []}, entry))
    (problem,) = caught.value.problems
    assert says in problem.what
    assert problem.line == 2


def test_every_problem_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"messages": []}\n\n{"messages": [}\n{}\n')
    with pytest.raises(DamagedError) as caught:
        read_trajectories(path)
    assert [problem.line for problem in caught.value.problems] == [3, 4]
    assert "is not JSON" in caught.value.problems[0].what


LONG = "1" * 5000


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f'{{"messages": []}}\n{{"messages": [], "n": {LONG}}}\n{{"n": {LONG}}}\n', [2, 3]),
        (f'[\n{{"messages": []}},\n{{"messages": [], "n": {LONG}}}\n]', [3]),
        (f'[{{"messages": [], "n": -{LONG}}}]', [1]),
        (f'{{\n"simulations": [{{"messages": []}}],\n\n"n": {LONG}}}', [4]),
        (
            (
                '{"messages": []}\n{"messages": [{"role": "assistant", "tool_calls": '
                f'[{{"name": "f", "arguments": "{{\\"a\\": {LONG}}}"}}]}}]}}'
            ),
            [2],
        ),
        (f'{{"messages": [], "tools": "[{LONG}]"}}', [1]),
    ],
)
def test_numbers_of_more_digits_than_python_reads(tmp_path: Path, text: str, lines: list[int]) -> None:
    (tmp_path / "data.jsonl").write_text(text)
    with pytest.raises(DamagedError) as caught:
        read_trajectories(tmp_path / "data.jsonl")
    assert [problem.line for problem in caught.value.problems] == lines
    for problem in caught.value.problems:
        assert "not JSON: a number has more than 4300 digits" in problem.what
        assert len(problem.what) < 200


def test_files_that_have_none(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(DamagedError, match="there is no trajectory in this file"):
        read_trajectories(empty)
    with pytest.raises(DamagedError, match="cannot be read"):
        read_trajectories(tmp_path / "absent.jsonl")
    empty.write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedError, match="cannot be read"):
        read_trajectories(empty)


def test_dev_data_of_the_same_tasks_is_noticed(tmp_path: Path) -> None:
    found = read_trajectories(
        write(tmp_path, *({"id": f"{n}", "task_id": f"t{n % 3}", "messages": []} for n in range(5)))
    )
    assert shared_tasks(found[:2], found[2:]) == ["t0", "t1"]
    assert shared_tasks(found[:2], found[2:3]) == []
    assert digest_of([1, 23]) != digest_of([12, 3])

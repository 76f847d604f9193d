"""What every parser finds in turns as agents write them, and what it does not take."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.arm.roles.parsers import PARSERS, Parser, json_values, matching, merged, officebench

CALL = '{"name": "book", "arguments": {"seat": "12{A}", "note": "}</tool_call> 🎫", "nested": {"a": [{"b": 1}]}}}'
LONG = "1" * 5000
REACT = '{"name": "lookup", "arguments": {"q": "A{1} \\" }"}}'


def texts(parser: str | Parser, turn: str) -> tuple[list[str], int]:
    found = (PARSERS[parser] if isinstance(parser, str) else parser)(turn)
    return [turn[start:end] for start, end in found.spans], found.violations


@pytest.mark.parametrize(
    ("parser", "turn", "spans", "violations"),
    [
        # Hermes and Qwen: the tags belong to the call, what is said around it does not.
        (
            "tool-call",
            f"I will look. 🎉\n<tool_call>\n{CALL}\n</tool_call>\nDone.",
            [f"<tool_call>\n{CALL}\n</tool_call>"],
            0,
        ),
        (
            "tool-call",
            f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>",
            [f"<tool_call>{CALL}</tool_call>"] * 2,
            0,
        ),
        ("agentbench-fc", f"<tool_call>{CALL}</tool_call>", [f"<tool_call>{CALL}</tool_call>"], 0),
        ("tool-call", "Just talk, and a brace {.", [], 0),
        ("tool-call", '<tool_call>\n{"name": "book", "arguments": {"a": 1}', [], 1),  # cut off
        ("tool-call", '<tool_call>{"name": "x", "arguments": {}}', [], 1),  # never closed
        ("tool-call", "<tool_call>{'name': 'x'}</tool_call>", [], 1),  # not JSON
        ("tool-call", '<tool_call>{"arguments": {}}</tool_call>', [], 1),  # calls nothing
        ("tool-call", '<tool_call>{"name": "x", "arguments": [1]}</tool_call>', [], 1),
        (
            "tool-call",
            f"<tool_call>oops</tool_call> then <tool_call>{CALL}</tool_call>",
            [f"<tool_call>{CALL}</tool_call>"],
            1,
        ),
        (
            "tool-call",
            f'<tool_call>{{"name": "x"  <tool_call>{CALL}</tool_call>',
            [f"<tool_call>{CALL}</tool_call>"],
            1,
        ),
        (
            "tool-call",
            '<tool_call>{"name": "x", "arguments": "{\\"a\\": 1}"}</tool_call>',
            ['<tool_call>{"name": "x", "arguments": "{\\"a\\": 1}"}</tool_call>'],
            0,
        ),
        # More digits than Python reads
        ("tool-call", f'<tool_call>{{"name": "x", "arguments": {{"a": {LONG}}}}}</tool_call>', [], 1),
        ("react-json", f'Action: {{"name": "x", "arguments": {{"a": {LONG}}}}}', [], 1),
        ("officebench", f'<answer>{{"app": "a", "action": "b", "n": {LONG}}}</answer>', [], 1),
        # Mistral
        ("tool-call", f"[TOOL_CALLS] [{CALL}]", [f"[TOOL_CALLS] [{CALL}]"], 0),
        ("tool-call", '[TOOL_CALLS]book[ARGS]{"seat": "}"}', ['[TOOL_CALLS]book[ARGS]{"seat": "}"}'], 0),
        ("tool-call", '[TOOL_CALLS] [{"name": "x"', [], 1),
        ("tool-call", "[TOOL_CALLS] []", [], 1),
        # Llama 3
        ("tool-call", '{"name": "x", "parameters": {"a": "}"}}', ['{"name": "x", "parameters": {"a": "}"}}'], 0),
        (
            "tool-call",
            '<|python_tag|>{"name": "x", "parameters": {}}\n',
            ['<|python_tag|>{"name": "x", "parameters": {}}'],
            0,
        ),
        ("tool-call", '{"name": "x", "parameters": {}} and more', [], 1),
        # ReAct
        ("tool-call", f"Thought: hm\nAction:\n{REACT}", [f"Action:\n{REACT}"], 0),
        (
            "react-json",
            f'Action: {{"name": "first", "arguments": {{}}}}\nAction: {REACT}\nthen text }}',
            [f"Action: {REACT}"],
            0,
        ),
        ("react-json", 'Action: {"name": "respond", "arguments": {"content": "hi"}}', [], 0),
        ("react-json", "Action: look it up", [], 1),
        # The evaluator takes what follows the last one, wherever that stands.
        ("react-json", 'Action: {"name": "x", "arguments": {"q": "Action: go"}}', [], 1),
        ("react-json", "Nothing.", [], 0),
        # OfficeBench
        (
            "officebench",
            '<think>{"a"}</think>\n<answer> {"app": "excel", "action": "set", "text": "{😀}"} </answer>',
            ['{"app": "excel", "action": "set", "text": "{😀}"}'],
            0,
        ),
        ("officebench", 'I do {"app": "word", "action": "open"} now', ['{"app": "word", "action": "open"}'], 0),
        ("officebench", '<answer>{"app": "word"}</answer>', [], 1),
        ("officebench", "<answer>{broken}</answer>", [], 1),
        ("officebench", "<answer>none</answer>", [], 1),
        ("officebench", '<answer>{"app": "word", "action"', [], 1),
        ("officebench", "Nothing to do.", [], 0),
        # What is only thought of
        (
            "officebench",
            '<think>maybe <answer>{x}</answer></think> {"app": "a", "action": "b"}',
            ['{"app": "a", "action": "b"}'],
            0,
        ),
        (
            "tool-call",
            f"<think>a <tool_call> perhaps</think><tool_call>{CALL}</tool_call>",
            [f"<tool_call>{CALL}</tool_call>"],
            0,
        ),
        # AgentBench's operating system
        (
            "agentbench-os",
            "Think: x\n\nAct: bash\n\n```bash\nls {a,b}\n```\nand\n```bash\necho '```'\n```",
            ["Act: bash", "```bash\nls {a,b}\n```", "```bash\necho '```'\n```"],
            0,
        ),
        ("agentbench-os", "Think: y\nAct: finish", ["Act: finish"], 0),
        ("agentbench-os", "Act: answer(f(220) (about))  \nbye", ["Act: answer(f(220) (about))"], 0),
        ("agentbench-os", "Act: bash\n```bash\nls\n```\nAct: answer(3)", ["Act: answer(3)"], 0),
        ("agentbench-os", "Think: ok\nAct:\nbash\n```bash\nls\n```", ["Act:\nbash", "```bash\nls\n```"], 0),
        ("agentbench-os", "Act: bash\n```bash\nls\n```\nAct: answer", ["Act: bash", "```bash\nls\n```"], 0),
        ("agentbench-os", "Act: bash\nls", [], 1),
        ("agentbench-os", "Act: answer 5", [], 1),
        ("agentbench-os", "Act: dance", [], 1),
        ("agentbench-os", "No.", [], 0),
        # WebShop
        ("webshop", "Thought: buy\nAction:\n click[Buy Now]", ["Action:\n click[Buy Now]"], 0),
        (
            "webshop",
            "action: search[red {shoes} 👟]\nAction: click[x]",
            ["action: search[red {shoes} 👟]"],
            0,
        ),
        ("webshop", "Action: dance[now]", [], 1),
        ("webshop", "OK", [], 0),
        # Databases and households
        (
            "dbbench",
            "Action: Operation\n```sql\nSELECT 1;\n```",
            ["Action: Operation", "```sql\nSELECT 1;\n```"],
            0,
        ),
        ("dbbench", 'Action: Answer\nFinal Answer: ["a"]', ["Action: Answer", 'Final Answer: ["a"]'], 0),
        ("dbbench", "Action: Operation\nSELECT 1", [], 1),
        ("dbbench", "Action: Dance", [], 1),
        ("alfworld", "THOUGHT: go\nACTION: go to desk 1  \n", ["ACTION: go to desk 1"], 0),
        ("alfworld", "ACTION:", [], 1),
        ("alfworld", "hm", [], 0),
        # Any
        ("assistant", "all of it", ["all of it"], 0),
        ("assistant", " \n", [], 0),
        ("none", "anything", [], 0),
    ],
)
def test_turns(parser: str, turn: str, spans: list[str], violations: int) -> None:
    assert texts(parser, turn) == (spans, violations)


def test_tags_can_be_kept() -> None:
    turn = 'so <answer> {"app": "a", "action": "b"} </answer>.'
    found = officebench(turn, keep_tags=True)
    assert [turn[slice(*span)] for span in found.spans] == ['<answer> {"app": "a", "action": "b"} </answer>']


def test_regular_expressions() -> None:
    assert texts(matching(r"<code>(?P<span>.*?)</code>"), "<code>a\n{b}</code><code></code>") == (["a\n{b}"], 0)
    assert texts(matching(r"\d+"), "1 and 22") == (["1", "22"], 0)


def test_json_values() -> None:
    turn = 'x [1, {"a": "]"}] {bad} {"b": "}"} tail {'
    assert texts(json_values("all"), turn)[0] == ['[1, {"a": "]"}]', '{"b": "}"}']
    assert texts(json_values("first"), turn)[0] == ['[1, {"a": "]"}]']
    assert texts(json_values("last"), turn)[0] == ['{"b": "}"}']
    assert texts(json_values("last"), "none") == ([], 0)
    assert texts(json_values("all"), f'{{"a": {LONG}}} then {{"b": 1}}') == (['{"b": 1}'], 0)


ARGUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.text("ab{}\n🎉\"'"), st.dictionaries(st.text(), ARGUMENTS, max_size=3)), max_size=4))
def test_whatever_the_arguments_hold_the_calls_are_found(said: list[tuple[str, dict[str, object]]]) -> None:
    calls = [
        f"<tool_call>\n{json.dumps({'name': 'f', 'arguments': arguments}, ensure_ascii=bool(number % 2))}\n</tool_call>"
        for number, (_, arguments) in enumerate(said)
    ]
    turn = "".join(before + call for (before, _), call in zip(said, calls, strict=True))
    assert texts("tool-call", turn) == (calls, 0) if calls else texts("tool-call", turn)[0] == []


@given(st.sampled_from([*PARSERS]), st.text("ActionFinal: <tool_call>{}[]\"'`bash\n()answr/\\", max_size=80))
def test_no_turn_breaks_a_parser(parser: str, turn: str) -> None:
    found = PARSERS[parser](turn)
    assert all(0 <= start < end <= len(turn) for start, end in found.spans)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda s: (s[0], s[0] + s[1]))))
def test_spans_are_united(spans: list[tuple[int, int]]) -> None:
    found = merged(spans)
    covered = {at for start, end in spans for at in range(start, end)}
    assert {at for start, end in found for at in range(start, end)} == covered
    assert all(first[1] < second[0] for first, second in pairwise(found))

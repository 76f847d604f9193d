"""Calls that an agent cannot make: of tools that there are not, without what they need, of what is not offered."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.arm.roles.calls import Scene, offered_in, tools_of
from ramekin.arm.roles.parsers import PARSERS, Parser, matching, officebench, parse

BOOK = {
    "name": "book",
    "description": "books",
    "parameters": {"type": "object", "properties": {"seat": {}, "note": {}}, "required": ["seat"]},
}
LIST = {"name": "list", "parameters": {"type": "object", "properties": {}}}
OPENAI = [{"type": "function", "function": BOOK}, {"type": "function", "function": LIST}]
FLAT = [{"type": "function", **BOOK}, LIST]


@pytest.mark.parametrize("schemas", [OPENAI, FLAT])
def test_tools(schemas: list[object]) -> None:
    assert tools_of(schemas) == {"book": {"seat"}, "list": set()}


@pytest.mark.parametrize(
    "schemas",
    [
        None,
        [],
        [{"type": "function"}],
        [BOOK, "list"],
        [{"type": "function", "function": "book"}],
        [{"name": 3}],
        [None],
    ],
)
def test_where_tools_are_not_known(schemas: list[object] | None) -> None:
    assert tools_of(schemas) is None


@pytest.mark.parametrize("parameters", [None, 3, [], {}, {"required": "seat"}, {"required": [3, None]}])
def test_where_nothing_must_be_given(parameters: object) -> None:
    assert tools_of([{"name": "f", "parameters": parameters}]) == {"f": frozenset()}


def called(name: str, arguments: object) -> str:
    return json.dumps({"name": name, "arguments": arguments})


GOOD = called("book", {"seat": "1"})
UNKNOWN, WITHOUT = called("cook", {"seat": "1"}), called("book", {"note": "x"})


@pytest.mark.parametrize(
    ("parser", "turn", "spans", "violations"),
    [
        ("tool-call", f"<tool_call>{GOOD}</tool_call>", [f"<tool_call>{GOOD}</tool_call>"], 0),
        ("tool-call", f"<tool_call>{UNKNOWN}</tool_call>", [], 1),
        ("tool-call", f"<tool_call>{WITHOUT}</tool_call>", [], 1),
        (
            "agentbench-fc",
            f"<tool_call>{WITHOUT}</tool_call> no, <tool_call>{GOOD}</tool_call>, <tool_call>{UNKNOWN}</tool_call>",
            [f"<tool_call>{GOOD}</tool_call>"],
            2,
        ),
        # Not what stands in a string of a call that is wrong.
        ("tool-call", "<tool_call>" + called("cook", {"x": f"<tool_call>{GOOD}</tool_call>"}) + "</tool_call>", [], 1),
        ("tool-call", "<tool_call>" + called("book", json.dumps({"seat": 1})) + "</tool_call>", None, 0),
        ("tool-call", "<tool_call>" + called("book", json.dumps({"note": 1})) + "</tool_call>", [], 1),
        ("tool-call", f"[TOOL_CALLS] [{GOOD}]", None, 0),
        ("tool-call", f"[TOOL_CALLS] [{GOOD}, {WITHOUT}]", [], 1),
        ("tool-call", '[TOOL_CALLS]book[ARGS]{"seat": 1}', None, 0),
        ("tool-call", '[TOOL_CALLS]book[ARGS]{"note": 1}', [], 1),
        ("tool-call", '[TOOL_CALLS]cook[ARGS]{"seat": 1}', [], 1),
        ("tool-call", '{"name": "book", "parameters": {"seat": 1}}', None, 0),
        ("tool-call", '{"name": "book", "parameters": {}}', [], 1),
        ("tool-call", f"Thought: x\nAction: {UNKNOWN}", [], 1),
        ("react-json", f"Action: {GOOD}", None, 0),
        ("react-json", f"Action: {WITHOUT}", [], 1),
        # To respond is to talk, whatever the tools are.
        ("react-json", "Action: " + called("respond", {"content": "hi"}), [], 0),
        ("tool-call", "Just talk.", [], 0),
    ],
)
def test_calls_of_tools(parser: str, turn: str, spans: list[str] | None, violations: int) -> None:
    found = parse(PARSERS[parser], turn, Scene(tools_of(OPENAI)))
    assert [turn[start:end] for start, end in found.spans] == ([turn] if spans is None else spans)
    assert found.violations == violations


@pytest.mark.parametrize("turn", [f"<tool_call>{UNKNOWN}</tool_call>", f"<tool_call>{WITHOUT}</tool_call>"])
def test_where_tools_are_not_known_every_call_counts(turn: str) -> None:
    assert parse(PARSERS["tool-call"], turn, Scene()).spans == ((0, len(turn)),)


@pytest.mark.parametrize("parser", [*PARSERS.values(), matching("a"), officebench])
def test_a_scene_changes_nothing_for_others(parser: Parser) -> None:
    turn = 'Act: finish a <answer>{"app": "a", "action": "b"}</answer>'
    assert parse(parser, turn, Scene(tools_of(OPENAI), frozenset())) == parser(turn)


# What a shop's page offers, as AgentBench tells it.

PAGE = 'Observation:\n"Instruction: [SEP] shoes"\n\nAvailable Actions:\n'
PYTHON = (
    PAGE + "{'has_search_bar': False, 'clickables': ['back to search', '< prev', \"women's\", 'b000', 'red [new]']}"
)
JSON = PAGE + '{"has_search_bar": false, "clickables": ["back to search", "< prev", "women\'s", "b000", "red [new]"]}'
OFFERED = {"back to search", "< prev", "women's", "b000", "red [new]"}


@pytest.mark.parametrize("page", [PYTHON, JSON, f"{PAGE}{{'clickables': ['old']}}\n{PYTHON}"])
def test_what_is_offered(page: str) -> None:
    assert offered_in(page) == OFFERED


@pytest.mark.parametrize(
    ("page", "offered"),
    [
        (PAGE + "{'has_search_bar': True, 'clickables': []}", set()),
        (PAGE + "{'has_search_bar': True, 'clickables': ['Search']}", {"search"}),
        (PAGE + r"{'clickables': ['it\'s', 'a\\b', 'a, \"b\"]']}", {"it's", "a\\b", 'a, "b"]'}),
        (PAGE + '{"clickables": ["caf\\u00e9"]}', {"café"}),
        # Examples leave out what there was, and nobody knows the rest.
        (PAGE + '{"has_search_bar": true, "clickables": ["...", "..."]}', None),
        (PAGE + "{'clickables': ['a' 'b']}", None),
        (PAGE + "{'clickables': [3]}", None),
        (PAGE + "{'clickables': ['a'", None),
        (PAGE + "nothing", None),
        ("You are web shopping. The value must be in the list of available actions.", None),
        ("", None),
    ],
)
def test_pages(page: str, offered: set[str] | None) -> None:
    assert offered_in(page) == offered


@pytest.mark.parametrize(
    ("turn", "is_action"),
    [
        ("Action:\nclick[B000]", True),
        ("Action: click[Women's]", True),
        ("Action:\nclick[Buy Now]", False),
        ("Action: search[Buy Now]", True),
        ("Action: click[b001]\nAction: click[b000]", False),
    ],
)
def test_clicks(turn: str, is_action: bool) -> None:
    found = parse(PARSERS["webshop"], turn, Scene(offered=offered_in(PYTHON)))
    assert (len(found.spans), found.violations) == ((1, 0) if is_action else (0, 1))
    assert parse(PARSERS["webshop"], turn, Scene()).violations == 0


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x17F), max_size=8), max_size=6))
def test_whatever_is_offered_is_found(values: list[str]) -> None:
    wanted = None if "..." in values else {value.lower() for value in values}
    assert offered_in(PAGE + json.dumps({"has_search_bar": True, "clickables": values})) == wanted
    if all(value.isprintable() for value in values):
        assert offered_in(PAGE + str({"has_search_bar": True, "clickables": values})) == wanted


@pytest.mark.parametrize("part", ["'a' ", "'a', ", "'", "\\'", "Available Actions: {'clickables': [", "{", " "])
def test_a_hostile_page_takes_no_time(part: str) -> None:
    started = time.process_time()
    assert offered_in(PAGE + "{'clickables': [" + part * 100_000) is None
    assert time.process_time() - started < 2

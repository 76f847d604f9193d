"""Where in an assistant's turn its role is: tool calls, actions, answers.

A parser reads one turn, as the model sees it, and gives the spans that belong to the role. What looks like the role but
is malformed (JSON that does not parse, a tag that is not closed, a call without a name, or of a tool that there is not,
or without what it must be given, a click on what is not offered) is no span but a violation: the benchmark's own
evaluator would not take it either. Offsets count characters.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.arm.roles.calls import ANYWHERE, Scene, Tools, decode, is_call

Span = tuple[int, int]
"""Start and end, exclusive."""


@dataclass(frozen=True)
class Found:
    """What a parser found in one turn.

    Attributes:
        spans: In order, possibly overlapping.
        violations: How many attempts were malformed.
    """

    spans: tuple[Span, ...] = ()
    violations: int = 0

    def __add__(self, other: "Found") -> "Found":
        return Found(self.spans + other.spans, self.violations + other.violations)


Parser = Callable[[str], Found]
SceneParser = Callable[[str, Scene], Found]

NOTHING: Final = Found()
_VIOLATION: Final = Found(violations=1)

_THOUGHT: Final = "</think>"
_OPEN: Final = re.compile(r"<tool_call>\s*")
_CLOSE: Final = re.compile(r"\s*</tool_call>")
_MISTRAL: Final = re.compile(r"\[TOOL_CALLS\]\s*(?:(?P<name>[\w.\-]+)\s*(?:\[CALL_ID\]\w+\s*)?\[ARGS\]\s*)?")
_LLAMA: Final = re.compile(r"\s*(?:<\|python_tag\|>\s*)?(?=\{)")
_ACTION: Final = re.compile(r"Action:\s*")
_ANSWER: Final = re.compile(r"<answer>(.*)</answer>", re.DOTALL)
_ACT: Final = re.compile(r"Act:\s*(.+)")
_BASH: Final = re.compile(r"```bash\n(.*?)\n```", re.DOTALL)
_SHOP: Final = re.compile(r"[Aa]ction: *\n* *((?:search|click)\[(.+?)])")
_OPERATION: Final = re.compile(r"Action:[ \t]*(Operation|Answer)\b")
_SQL: Final = re.compile(r"```sql\n(.*?)\n```", re.DOTALL)
_FINAL: Final = re.compile(r"Final Answer:[^\n]*")
_BRACKET: Final = re.compile(r"[{\[]")
_HOUSEHOLD: Final = re.compile(r"ACTION:[ \t]*\S[^\n]*")


def _thought(turn: str) -> int:
    """Where the turn's thoughts end: they may try out what is said only later."""
    return turn.rfind(_THOUGHT) + len(_THOUGHT) if _THOUGHT in turn else 0


def tool_call(turn: str, scene: Scene = ANYWHERE) -> Found:
    """Function calls, in any of the notations of current chat templates: the whole call, its tags included.

    `<tool_call>{...}</tool_call>` (Hermes, Qwen, the function-calling protocol of AgentBench), `[TOOL_CALLS]` with JSON
    (Mistral), or a turn that is nothing but a call (Llama 3); or else as `react_json`.
    """
    if "<tool_call>" in turn[_thought(turn) :]:
        return _tagged_calls(turn, scene.tools)
    if "[TOOL_CALLS]" in turn:
        return _mistral_calls(turn, scene.tools)
    alone = _LLAMA.match(turn)
    if alone and '"name"' in turn:
        decoded = decode(turn, alone.end())
        if decoded and not turn[decoded[1] :].strip() and is_call(decoded[0], scene.tools):
            return Found(((len(turn) - len(turn.lstrip()), decoded[1]),))
        return _VIOLATION
    return react_json(turn, scene)


def _tagged_calls(turn: str, tools: Tools | None) -> Found:
    """Walk from tag to tag; a string in the JSON may hold anything, even the closing tag."""
    found, at = NOTHING, _thought(turn)
    while opened := _OPEN.search(turn, at):
        decoded = decode(turn, opened.end())
        closed = _CLOSE.match(turn, decoded[1]) if decoded else None
        if decoded and closed:
            inside = Found(((opened.start(), closed.end()),)) if is_call(decoded[0], tools) else _VIOLATION
            found, at = found + inside, closed.end()
        else:
            # What is malformed ends at the next closing tag, or where the next call begins.
            following = _CLOSE.search(turn, opened.end())
            found, at = found + _VIOLATION, following.end() if following else len(turn)
            nested = _OPEN.search(turn, opened.end(), at)
            at = nested.start() if nested else at
    return found


def _mistral_calls(turn: str, tools: Tools | None) -> Found:
    found, at = NOTHING, 0
    while marked := _MISTRAL.search(turn, at):
        decoded = decode(turn, marked.end())
        value = decoded[0] if decoded else None
        if marked["name"] is not None:
            value = {"name": marked["name"], "arguments": value if isinstance(value, dict) else None}
        calls = value if isinstance(value, list) else [value]
        if decoded and calls and all(is_call(call, tools) for call in calls):
            found, at = found + Found(((marked.start(), decoded[1]),)), decoded[1]
        else:
            found, at = found + _VIOLATION, marked.end()
    return found


def react_json(turn: str, scene: Scene = ANYWHERE) -> Found:
    """The last `Action:` with its JSON; to `respond` is to talk, not to call a tool."""
    marks = list(_ACTION.finditer(turn))
    if not marks:
        return NOTHING
    decoded = decode(turn, marks[-1].end())
    if not decoded or not is_call(decoded[0]):
        return _VIOLATION
    value = decoded[0]
    if isinstance(value, dict) and value["name"] == "respond":
        return NOTHING
    return Found(((marks[-1].start(), decoded[1]),)) if is_call(value, scene.tools) else _VIOLATION


def officebench(turn: str, *, keep_tags: bool = False) -> Found:
    """The JSON of `<answer>`, brace to brace; without the tag, from the turn's first brace to its last."""
    said = _thought(turn)
    answer = _ANSWER.search(turn, said)
    if not answer and turn.find("<answer>", said) >= 0:
        return _VIOLATION
    first, last = answer.span(1) if answer else (said, len(turn))
    start, end = turn.find("{", first, last), turn.rfind("}", first, last) + 1
    if start < 0 or end <= start:
        return _VIOLATION if answer else NOTHING
    try:
        value = json.loads(turn[start:end])
    except (ValueError, RecursionError):
        return _VIOLATION
    if not isinstance(value, dict) or not {"app", "action"} <= value.keys():
        return _VIOLATION
    return Found((answer.span() if answer and keep_tags else (start, end),))


def agentbench_os(turn: str) -> Found:
    """`Act: bash` and its code blocks, `Act: finish`, or `Act: answer(...)`; the last one that there is."""
    for act in reversed(list(_ACT.finditer(turn))):
        action = act[1].strip().lower()
        if action.startswith("bash"):
            blocks = tuple(block.span() for block in _BASH.finditer(turn))
            end = act.start(1) + len("bash")
            return Found(((act.start(), end), *blocks)) if blocks else _VIOLATION
        if action.startswith("finish"):
            return Found(((act.start(), act.start(1) + len("finish")),))
        opened, closed = turn.find("(", *act.span(1)), turn.rfind(")", *act.span(1))
        if action.startswith("answer") and 0 <= opened < closed:
            return Found(((act.start(), closed + 1),))
    return _VIOLATION if "Act:" in turn else NOTHING


def webshop(turn: str, scene: Scene = ANYWHERE) -> Found:
    """The first `Action: search[...]` or `Action: click[...]`; what is clicked must be offered, where that is known."""
    action = _SHOP.search(turn)
    if action:
        clicked = action[2].lower() if action[1].startswith("click") else None
        absent = clicked is not None and scene.offered is not None and clicked not in scene.offered
        return _VIOLATION if absent else Found((action.span(),))
    return _VIOLATION if re.search("[Aa]ction:", turn) else NOTHING


def dbbench(turn: str) -> Found:
    """`Action: Operation` with its SQL, or `Action: Answer` with the final answer."""
    action = _OPERATION.search(turn)
    if not action:
        return _VIOLATION if "Action:" in turn else NOTHING
    rest = (_SQL if action[1] == "Operation" else _FINAL).search(turn, action.end())
    return Found((action.span(), rest.span())) if rest else _VIOLATION


def alfworld(turn: str) -> Found:
    """The line of `ACTION:`."""
    action = _HOUSEHOLD.search(turn)
    if action:
        return Found(((action.start(), action.start() + len(action[0].rstrip())),))
    return _VIOLATION if "ACTION:" in turn else NOTHING


def assistant(turn: str) -> Found:
    """All that the assistant says: no role in particular."""
    return Found(((0, len(turn)),)) if turn.strip() else NOTHING


def nothing(_turn: str) -> Found:
    """No tokens at all."""
    return NOTHING


def matching(pattern: str) -> Parser:
    """What a regular expression matches: its group `span` where it has one."""
    expression = re.compile(pattern, re.DOTALL)
    group = "span" if "span" in expression.groupindex else 0

    def parse(turn: str) -> Found:
        spans = (match.span(group) for match in expression.finditer(turn))
        return Found(tuple(span for span in spans if span[0] < span[1]))

    return parse


def json_values(which: str) -> Parser:
    """The `first`, the `last` or `all` JSON objects and arrays of a turn, each with all that it holds."""

    def parse(turn: str) -> Found:
        found = list(_values(turn))
        return Found(tuple({"first": found[:1], "last": found[-1:], "all": found}[which]))

    return parse


def _values(turn: str) -> Iterator[Span]:
    at = 0
    while start := _BRACKET.search(turn, at):
        decoded = decode(turn, start.start())
        at = decoded[1] if decoded else start.end()
        if decoded:
            yield start.start(), decoded[1]


PARSERS: Final[Mapping[str, Parser]] = {
    "tool-call": tool_call,
    "react-json": react_json,
    "officebench": officebench,
    "agentbench-os": agentbench_os,
    "agentbench-fc": tool_call,
    "webshop": webshop,
    "dbbench": dbbench,
    "alfworld": alfworld,
    "assistant": assistant,
    "none": nothing,
}
"""Parsers that need no parameter, by the role's name in manifests."""


_IN_SCENE: Final[Mapping[Parser, SceneParser]] = {tool_call: tool_call, react_json: react_json, webshop: webshop}


def parse(parser: Parser, turn: str, scene: Scene) -> Found:
    """What a parser finds in a turn; some know more where they know what the agent can do."""
    knowing = _IN_SCENE.get(parser)
    return knowing(turn, scene) if knowing else parser(turn)


def merged(spans: list[Span]) -> list[Span]:
    """Spans in order, those that overlap or touch made one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found

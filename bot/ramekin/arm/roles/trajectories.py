"""Recorded trajectories, in the formats that agents and their benchmarks write.

One trajectory per line of JSON, or a file that is one JSON array of them:

    {"id", "task_id", "messages": [...], "tools": [...], "template_kwargs": {}}   chats as OpenAI's interface has them
    {"task_id", "traj": [...]}                                                    result files of tau-bench
    {"simulations": [{"id", "task_id", "messages": [...]}]}                       result files of tau2-bench
    {"system", "conversations": [{"from", "value", "loss"}]}                      ShareGPT, as LLaMA-Factory has it
    {"text", "spans": [[start, end]]}                                             rendered already, the role marked
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ramekin.arm.roles.parsers import Span
from ramekin.digests import json_digest
from ramekin.errors import DamagedError, Problem

Message = Mapping[str, Any]

_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "agent": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
_MOST_DIGITS: Final = 4300
_LONG_NUMBER: Final = re.compile(rf"\d{{{_MOST_DIGITS + 1},}}")
_HINT: Final = "write one trajectory per line, as docs/arm.md shows"


@dataclass(frozen=True)
class Trajectory:
    """One recorded run of an agent.

    Attributes:
        name: Its id, unique in its file.
        task: The task that it is a run of.
        messages: What chat templates take; empty where the text is given.
        demonstrations: Which messages only show the agent how to do it: no role of its own.
        tools: Schemas of the tools, for the template.
        settings: More variables for the template.
        text: The rendered text, if it was given.
        spans: The role in that text, in characters.
    """

    name: str
    task: str
    messages: tuple[Message, ...] = ()
    demonstrations: frozenset[int] = frozenset()
    tools: tuple[Mapping[str, Any], ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    spans: tuple[Span, ...] = ()

    @property
    def turns(self) -> list[int]:
        """Indices of the assistant's messages."""
        return [number for number, message in enumerate(self.messages) if message["role"] == "assistant"]


class _BadEntryError(Exception):
    """Something in an entry is not what it should be."""


def read_trajectories(path: Path, called: Path | None = None) -> tuple[Trajectory, ...]:
    """Read a file of trajectories.

    Args:
        path: Where it is.
        called: What messages call it.

    Raises:
        DamagedError: It cannot be read, or some of it is no trajectory: every problem, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedError(
            f"{called or path} cannot be read: {error}", "give a file of trajectories, JSON in UTF-8"
        ) from error
    found: list[Trajectory] = []
    problems: list[Problem] = []
    names: set[str] = set()
    for line, entry in _entries(text):
        try:
            trajectory = _trajectory(_json(entry, "is not JSON") if isinstance(entry, str) else entry, len(found) + 1)
            _see_that_new(trajectory.name, names)
        except _BadEntryError as error:
            problems.append(Problem(f"the trajectory {error}", _HINT, called or path, line))
            continue
        found.append(trajectory)
    if not found and not problems:
        problems = [Problem("there is no trajectory in this file", _HINT, called or path)]
    if problems:
        raise DamagedError(problems=problems)
    return tuple(found)


def _json(text: str, otherwise: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _BadEntryError(f"{otherwise}: {error}") from error
    except ValueError as error:  # Python reads no integer of more digits
        raise _BadEntryError(f"{otherwise}: a number has more than {_MOST_DIGITS} digits") from error


def _see_that_new(name: str, names: set[str]) -> None:
    if name in names:
        raise _BadEntryError(f"has the id `{name}`, which another has as well")
    names.add(name)


def _entries(text: str) -> Iterator[tuple[int | None, Any]]:
    """Entries with their lines: of an array all have none, of lines each has its own, unparsed."""
    if text.lstrip().startswith("[") or '"simulations"' in text:
        try:
            whole = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            whole = None
        except ValueError:  # a number that is too long: it alone is what is wrong
            if number := _LONG_NUMBER.search(text):
                yield text.count("\n", 0, number.start()) + 1, number[0]
            return
        if isinstance(whole, dict) and isinstance(whole.get("simulations"), list):
            whole = whole["simulations"]
        if isinstance(whole, list):
            yield from ((None, entry) for entry in whole)
            return
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _trajectory(entry: object, number: int) -> Trajectory:
    if not isinstance(entry, dict):
        raise _BadEntryError("is not an object")
    entry = {key: value for key, value in entry.items() if value is not None}  # tables write null for what is not there
    named = next((entry[key] for key in ("task_id", "id") if key in entry), None)
    # A run that does not say which task it is of is of the same one only if all of it is the same.
    task = json_digest(entry)[:16] if named is None else str(named)
    name = str(entry.get("id", f"{task}#{number}"))
    if "text" in entry:
        return Trajectory(name, task, text=_string(entry["text"], "text"), spans=_spans(entry))
    if "conversations" in entry:
        said = [_shared(turn) for turn in _list(entry, "conversations")]
        if entry.get("system"):
            said.insert(0, {"role": "system", "content": _string(entry["system"], "system")})
    else:
        key = next((key for key in ("messages", "traj") if key in entry), None)
        if key is None:
            raise _BadEntryError("has none of `messages`, `conversations`, `text`")
        said = [turn for turn in _list(entry, key) if not _is_between_user_and_tools(turn)]
    demonstrations = {index for index, turn in enumerate(said) if isinstance(turn, dict) and _is_demonstration(turn)}
    messages = tuple(_message(turn) for turn in said)
    tools, settings = _tools(entry.get("tools")), entry.get("template_kwargs") or {}
    if not isinstance(settings, dict):
        raise _BadEntryError("has `template_kwargs` that are not an object")
    return Trajectory(name, task, messages, frozenset(demonstrations), tools, settings)


def _tools(value: object) -> tuple[Mapping[str, Any], ...] | None:
    """Schemas of tools; LLaMA-Factory has them as JSON in a string, which may be empty."""
    found = _json(value or "[]", "has `tools` that are not JSON") if isinstance(value, str) else value
    if found is not None and not isinstance(found, list):
        raise _BadEntryError("has `tools` that are not a list")
    return tuple(found) if found else None


def _is_demonstration(turn: Mapping[str, Any]) -> bool:
    return turn.get("loss") is False or turn.get("train") is False or turn.get("weight") == 0


def _shared(turn: object) -> dict[str, Any]:
    """A turn as ShareGPT has it, as a message."""
    if not isinstance(turn, dict) or "from" not in turn:
        raise _BadEntryError("has a turn without `from`")
    rest = {key: turn[key] for key in ("loss", "train", "weight") if key in turn}
    return {"role": turn["from"], "content": turn.get("value")} | rest


def _message(turn: object) -> Message:
    """A message as templates want it: names of roles as usual, arguments as objects.

    Templates write arguments as JSON themselves; of a string they would make JSON within JSON.
    """
    if not isinstance(turn, dict) or str(turn.get("role")) not in _ROLES:
        raise _BadEntryError(
            f"has a message of an unknown role ({turn.get('role') if isinstance(turn, dict) else turn})"
        )
    content = turn.get("content")
    if content is not None and not isinstance(content, str | list):
        raise _BadEntryError("has a message whose `content` is neither text nor null")
    message: dict[str, Any] = {"role": _ROLES[str(turn["role"])], "content": "" if content is None else content}
    message |= {key: turn[key] for key in ("name", "tool_call_id", "reasoning_content") if turn.get(key)}
    calls = [_call(call) for call in turn.get("tool_calls") or [] if not _is_users(call)]
    return message | ({"tool_calls": calls} if calls and message["role"] == "assistant" else {})


def _is_between_user_and_tools(turn: object) -> bool:
    """What tau2-bench's simulated users do with their own tools: the agent sees neither calls nor answers."""
    if not isinstance(turn, dict):
        return False
    calls = turn.get("tool_calls")
    only_calls = isinstance(calls, list) and calls and all(map(_is_users, calls)) and not turn.get("content")
    return bool(only_calls) or (turn.get("role") == "tool" and turn.get("requestor") == "user")


def _is_users(call: object) -> bool:
    """tau2-bench's simulated users have tools of their own."""
    return isinstance(call, dict) and call.get("requestor") == "user"


def _call(call: object) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _BadEntryError("has a call of a function without a name")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = _json(arguments, f"calls `{function['name']}` with arguments that are not JSON")
    if not isinstance(arguments, dict):
        raise _BadEntryError(f"calls `{function['name']}` with arguments that have no names")
    made = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    return made | ({"id": call["id"]} if "id" in call else {})


def _spans(entry: Mapping[str, Any]) -> tuple[Span, ...]:
    length = len(entry["text"])
    found = []
    for span in _list(entry, "spans"):
        whole = isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)
        if not whole or not 0 <= span[0] < span[1] <= length:
            raise _BadEntryError(f"has a span that is not in its text: {json.dumps(span)}")
        found.append((span[0], span[1]))
    return tuple(found)


def _list(entry: Mapping[str, Any], key: str) -> list[Any]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise _BadEntryError(f"has no list of `{key}`")
    return value


def _string(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _BadEntryError(f"has a `{key}` that is no text")
    return value


def shared_tasks(calibration: Iterable[Trajectory], dev: Iterable[Trajectory]) -> list[str]:
    """Tasks that both have: a benchmark must not be judged by what its neurons were chosen on."""
    return sorted({each.task for each in calibration} & {each.task for each in dev})


def digest_of(ids: Iterable[int]) -> str:
    """Digest of a trajectory's token ids, the same for every model that may be compared."""
    return json_digest([*ids])

"""What a runner makes of what a step prints and writes: a slow reading of its protocol, for the tests.

Written from its documentation and its behaviour: a line is a command if, blanks aside, it begins with `::name`; up to
the next `::` come properties between commas, after it the data. The older `##[name]` counts anywhere in a line that is
no command of the newer form. Files of outputs hold `name=value`, or `name<<DELIMITER` and lines up to the delimiter.
"""

import re
from dataclasses import dataclass, field

KNOWN = ("add-mask", "debug", "notice", "warning", "error", "group", "endgroup", "set-output", "save-state")
KNOWN_BEFORE = (*KNOWN, "add-path", "set-env", "command", "section")


@dataclass(frozen=True)
class Command:
    """One command."""

    name: str
    data: str
    properties: dict[str, str] = field(default_factory=dict)


def commands(printed: str) -> list[Command]:
    """Every command that a runner sees in what was printed, and stops are obeyed."""
    found = []
    for line in re.split(r"\r\n|\n|\r", printed):
        command = _newer(line) or _older(line)
        if command:
            found.append(command)
    return found


def _newer(line: str) -> Command | None:
    line = line.lstrip()
    if not line.startswith("::"):
        return None
    end = line.find("::", 2)
    if end < 0:
        return None
    name, _, rest = line[2:end].partition(" ")
    properties = {}
    for part in rest.strip().split(","):
        key, equals, value = part.partition("=")
        if equals and key and value:
            properties[key.strip()] = _plain(value, {"%3A": ":", "%2C": ","})
    return Command(name.lower(), _plain(line[end + 2 :]), properties) if name else None


def _older(line: str) -> Command | None:
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name = line[start + 3 : end].partition(" ")[0]
    return Command(name, line[end + 1 :])


def _plain(text: str, more: dict[str, str] | None = None) -> str:
    for escape, character in ({"%0D": "\r", "%0A": "\n"} | (more or {}) | {"%25": "%"}).items():
        text = text.replace(escape, character)
    return text


def outputs(written: str) -> dict[str, str]:
    """The outputs that a runner reads from the file."""
    found: dict[str, str] = {}
    lines = iter(written.split("\n"))
    for line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc >= 0 and (equals < 0 or heredoc < equals):
            name, delimiter = line[:heredoc], line[heredoc + 2 :]
            assert name
            assert delimiter
            value = []
            for each in lines:
                if each == delimiter:
                    break
                value.append(each)
            else:
                raise AssertionError(f"{name}: no delimiter")
            found[name] = "\n".join(value)
        elif equals > 0:
            found[line[:equals]] = line[equals + 1 :]
        else:
            raise AssertionError(f"not an output: {line!r}")
    return found

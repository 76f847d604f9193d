"""YAML as a tree of nodes: bounded, and read on past what is wrong where that is possible.

The text is taken apart by ruamel's YAML 1.2 parser into events, and those are put together here. Its own composer
recurses without a bound and stops at the first key that is written twice.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from ramekin.text import printable

# Far above any manifest, and low enough that the parser is done with the worst text of this size in a second or two.
# The bound on lines is for its quadratic spots: tags and anchors, which end where their line ends.
MAX_BYTES: Final = 256_000
MAX_LINE: Final = 25_000
MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 16

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Flaw:
    """Something wrong at a line.

    Attributes:
        what: What is wrong, in one line.
        hint: What to write instead.
        line: Line of the file, from 1.
        path: Dotted path of the value that it is about, if there is no use in saying more about that value.
    """

    what: str
    hint: str
    line: int
    path: str | None = None


class DocumentError(Exception):
    """The text cannot be read on from here."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.what)
        self.flaw = flaw


def _too_many(line: int) -> DocumentError:
    return DocumentError(Flaw(f"the file has more than {MAX_NODES} values", "a manifest needs a few dozen", line))


def _too_deep(line: int) -> DocumentError:
    return DocumentError(Flaw(f"values are nested more than {MAX_DEPTH} deep", "a manifest needs five levels", line))


@dataclass
class Node:
    """A node of the document; aliases are references to the node that they name.

    Attributes:
        kind: `mapping`, `list` or `scalar`.
        line: Line where it starts.
        size: Nodes below it and itself, aliases counted as often as they are used.
        height: Levels below it and its own.
        faults: What is wrong with how it is written, and what to write, for every fault.
    """

    kind: str
    line: int
    size: int = 1
    height: int = 1
    text: str = ""
    plain: bool = False
    pairs: list[tuple["Node", "Node"]] = field(default_factory=list)
    items: list["Node"] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def grow(self, child: "Node") -> None:
        """Count a new child, within the limits."""
        self.size += child.size
        self.height = max(self.height, child.height + 1)
        if self.size > MAX_NODES:
            raise _too_many(child.line)
        if self.height > MAX_DEPTH:
            raise _too_deep(child.line)


def compose(text: str) -> tuple[Node, list[Flaw]]:
    """Return the root of the first document, and what is wrong with the file beside the faults of its nodes.

    Args:
        text: The file's text, without a byte order mark.

    Raises:
        DocumentError: It is not YAML, is empty, or is larger or deeper than any manifest.
    """
    _refuse_odd_text(text)
    composer = _Composer(text)
    return composer.compose(), composer.flaws


def empty_file() -> Flaw:
    """A file without any value."""
    return Flaw("the file is empty", "run `ramekin init` for a manifest to start from", 1)


def _refuse_odd_text(text: str) -> None:
    stray = _FORBIDDEN.search(text)
    if stray is not None:
        line = 1 + len(_LINE_END.findall(text, 0, stray.start()))
        what = f"the file contains the character {printable(stray[0])}"
        raise DocumentError(Flaw(what, "remove it; a manifest is plain text", line))
    for line, content in enumerate(_LINE_END.split(text), 1):
        if len(content) > MAX_LINE:
            raise DocumentError(Flaw(f"the line has more than {MAX_LINE} characters", "break the text up", line))


class _Composer:
    """Events to nodes, with the limits."""

    def __init__(self, text: str) -> None:
        self._breaks = [match.end() for match in _LINE_END.finditer(text)]
        # Where something is missing at the end, blame the last line with anything on it.
        self._last_line = 1 + len(_LINE_END.findall(text.rstrip()))
        self._anchors: dict[str, Node | None] = {}
        self._events = self._parsed(text)
        self._seen = 0
        self._read_to = 0
        self.flaws: list[Flaw] = []

    def _parsed(self, text: str) -> Iterator[Event]:
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                self._read_to = event.end_mark.index
                yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = self._line_at(mark.index) if mark is not None else 1
            raise DocumentError(_syntax_flaw(str(error.problem or error.context or ""), line)) from error
        except (YAMLError, ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF" ends in chr()
            line = self._line_at(self._read_to)
            raise DocumentError(_syntax_flaw("an escape here names no character", line)) from error

    def _line_at(self, index: int) -> int:
        return min(1 + bisect_right(self._breaks, index), self._last_line)

    def _line(self, event: Event) -> int:
        return self._line_at(event.start_mark.index)

    def _next(self) -> Event:
        event: Event = next(self._events)
        self._seen += 1
        if self._seen > 3 * MAX_NODES:
            raise _too_many(self._line(event))
        return event

    def compose(self) -> Node:
        """Return the root of the first document; what follows it is a flaw."""
        root = None
        while not isinstance(event := self._next(), StreamEndEvent):
            if isinstance(event, StreamStartEvent | DocumentEndEvent):
                continue
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self.flaws.append(
                        Flaw("the file has more than one document", "remove `---` and what follows", self._line(event))
                    )
                    return root
                self._directives(event)
                continue
            root = self._node(event, 1)
        if root is None:
            raise DocumentError(empty_file())
        return root

    def _directives(self, event: DocumentStartEvent) -> None:
        if event.tags or (event.version and tuple(event.version) != (1, 2)):
            self.flaws.append(Flaw("the file starts with a YAML directive", "remove the line with `%`", 1))

    def _node(self, event: Event, depth: int) -> Node:
        line = self._line(event)
        if isinstance(event, AliasEvent):
            return self._alias(event.anchor, line)
        if depth > MAX_DEPTH:
            raise _too_deep(line)
        assert isinstance(event, NodeEvent)  # noqa: S101 - every other event was handled by the caller
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node = self._content(event, line, depth)
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = printable(str(tag).replace("tag:yaml.org,2002:", "!!", 1))
            node.faults.append((f"the tag `{shown}` is not allowed", "write the value alone, without `!`"))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Event, line: int, depth: int) -> Node:
        if isinstance(event, ScalarEvent):
            return Node("scalar", line, text=event.value, plain=not event.style)
        if isinstance(event, SequenceStartEvent):
            node = Node("list", line)
            while not isinstance(event := self._next(), SequenceEndEvent):
                item = self._node(event, depth + 1)
                node.items.append(item)
                node.grow(item)
            return node
        assert isinstance(event, MappingStartEvent)  # noqa: S101
        node = Node("mapping", line)
        while not isinstance(event := self._next(), MappingEndEvent):
            pair = self._node(event, depth + 1), self._node(self._next(), depth + 1)
            node.pairs.append(pair)
            node.grow(pair[0])
            node.grow(pair[1])
        return node

    def _alias(self, name: str, line: int) -> Node:
        target = self._anchors.get(name)
        if target is not None:
            return replace(target, line=line, faults=[])
        known = name in self._anchors
        what = f"the alias `*{printable(name, 40)}` " + ("contains itself" if known else "names no anchor before it")
        hint = "write the value out; a text that starts with `*` needs quotes"
        return Node("scalar", line, plain=True, faults=[(what, hint)])


_SYNTAX_HINTS: Final = (
    ("\\t", "indent with spaces; YAML allows no tabs there"),
    ("mapping values", "put a value that contains `: ` in quotes, and check the indentation"),
    ("expected ':'", "write `key: value`, with a space after the colon"),
    ("block end", "line up the keys that belong together"),
    ("stream end", "close the quote or bracket that is open"),
    ("end of stream", "close the quote or bracket that is open"),
    ("escape", "use single quotes, in which a backslash is a backslash"),
    ("alias", "a text that starts with `*` needs quotes"),
    ("cannot start any token", "put a text that starts with a special character in quotes"),
)


def _syntax_flaw(problem: str, line: int) -> Flaw:
    said = printable(" ".join(problem.split()), 120) or "cannot be parsed"
    hint = next((hint for words, hint in _SYNTAX_HINTS if words in problem), "check the syntax of this line")
    return Flaw(f"the file is not valid YAML: {said}", hint, line)

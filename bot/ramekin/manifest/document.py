"""YAML as plain data with lines: bounded, without tags, and with everything wrong about it at once.

The text is taken apart by ruamel's YAML 1.2 parser into events, and those are put together here. Its own composer
recurses without a bound and stops at the first key that is written twice; its resolver follows the document's
`%YAML` directive. So: a fixed core schema (`1e-5` is a number, `no` is a text), and limits on everything.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

# Far above any manifest, and low enough that the parser is done with the worst text of this size in a second. The bound
# on lines is for its quadratic spots: tags and anchors, which end where their line ends.
MAX_BYTES: Final = 256_000
MAX_LINE: Final = 25_000
MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 16
_MAX_DIGITS: Final = 40

# The core schema of YAML 1.2.
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_FORBIDDEN: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
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


@dataclass(frozen=True)
class Document:
    """One YAML document as plain data.

    Attributes:
        data: Mappings with text keys, lists, texts, numbers, booleans and None.
        lines: Line of every key and list entry, by dotted path; the whole document is the empty path.
        written: Every scalar as it is written, by dotted path, without its quotes.
        flaws: What is wrong with the document although it could be read.
    """

    data: object
    lines: Mapping[str, int]
    written: Mapping[str, str]
    flaws: tuple[Flaw, ...]


@dataclass
class _Node:
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
    pairs: list[tuple["_Node", "_Node"]] = field(default_factory=list)
    items: list["_Node"] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def grow(self, child: "_Node") -> None:
        self.size += child.size
        self.height = max(self.height, child.height + 1)
        if self.size > MAX_NODES:
            raise DocumentError(
                Flaw(f"the file has more than {MAX_NODES} values", "a manifest needs a few dozen", child.line)
            )
        if self.height > MAX_DEPTH:
            raise DocumentError(
                Flaw(f"values are nested more than {MAX_DEPTH} deep", "a manifest needs five levels", child.line)
            )


def read_document(text: str) -> Document:
    """Read one YAML document.

    Args:
        text: The file's text, without a byte order mark.

    Raises:
        DocumentError: It is not YAML, is empty, or is larger or deeper than any manifest.
    """
    _refuse_odd_text(text)
    composer = _Composer(text)
    root = composer.compose()
    reader = _Reader(composer.flaws)
    reader.lines[""] = root.line
    data = reader.value(root, "")
    return Document(data, reader.lines, reader.written, tuple(composer.flaws))


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
        self._lines = max(text.count("\n", 0, len(text.rstrip())), 0) + 1
        self._anchors: dict[str, _Node | None] = {}
        self._events = self._parsed(text)
        self._seen = 0
        self.flaws: list[Flaw] = []

    def _parsed(self, text: str) -> Iterator[Event]:
        yaml = YAML(typ="safe", pure=True)
        try:
            yield from yaml.parse(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = self._line_at(mark.index) if mark is not None else 1
            raise DocumentError(_syntax_flaw(str(error.problem or error.context or ""), line)) from error
        except (YAMLError, ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF" ends in chr()
            line = self._line_at(yaml.reader.index)
            raise DocumentError(_syntax_flaw("something stands here that is not a character", line)) from error

    def _line_at(self, index: int) -> int:
        return min(1 + bisect_right(self._breaks, index), self._lines)

    def _line(self, event: Event) -> int:
        return self._line_at(event.start_mark.index)

    def _next(self) -> Event:
        event: Event = next(self._events)
        self._seen += 1
        if self._seen > 3 * MAX_NODES:
            raise DocumentError(
                Flaw(f"the file has more than {MAX_NODES} values", "a manifest needs a few dozen", self._line(event))
            )
        return event

    def compose(self) -> _Node:
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
        if root is None or (root.kind == "scalar" and root.plain and root.text in _NULL):
            raise DocumentError(Flaw("the file is empty", "run `ramekin init` for a manifest to start from", 1))
        return root

    def _directives(self, event: DocumentStartEvent) -> None:
        if event.tags or (event.version and tuple(event.version) != (1, 2)):
            self.flaws.append(Flaw("the file starts with a YAML directive", "remove the line with `%`", 1))

    def _node(self, event: Event, depth: int) -> _Node:
        line = self._line(event)
        if isinstance(event, AliasEvent):
            return self._alias(event.anchor, line)
        if depth > MAX_DEPTH:
            raise DocumentError(
                Flaw(f"values are nested more than {MAX_DEPTH} deep", "a manifest needs five levels", line)
            )
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

    def _content(self, event: Event, line: int, depth: int) -> _Node:
        if isinstance(event, ScalarEvent):
            return _Node("scalar", line, text=event.value, plain=not event.style)
        if isinstance(event, SequenceStartEvent):
            node = _Node("list", line)
            while not isinstance(event := self._next(), SequenceEndEvent):
                item = self._node(event, depth + 1)
                node.items.append(item)
                node.grow(item)
            return node
        assert isinstance(event, MappingStartEvent)  # noqa: S101
        node = _Node("mapping", line)
        while not isinstance(event := self._next(), MappingEndEvent):
            pair = self._node(event, depth + 1), self._node(self._next(), depth + 1)
            node.pairs.append(pair)
            node.grow(pair[0])
            node.grow(pair[1])
        return node

    def _alias(self, name: str, line: int) -> _Node:
        target = self._anchors.get(name)
        if target is not None:
            return target
        known = name in self._anchors
        what = f"the alias `*{printable(name, 40)}` " + ("contains itself" if known else "names no anchor before it")
        hint = "write the value out; a text that starts with `*` needs quotes"
        return _Node("scalar", line, plain=True, faults=[(what, hint)])


class _Reader:
    """Nodes to data. The tree is bounded by then."""

    def __init__(self, flaws: list[Flaw]) -> None:
        self._flaws = flaws
        self.lines: dict[str, int] = {}
        self.written: dict[str, str] = {}

    def value(self, node: _Node, path: str) -> object:
        self._flaws.extend(Flaw(what, hint, node.line, path) for what, hint in node.faults)
        if node.kind == "mapping":
            return self._mapping(node, path)
        if node.kind == "list":
            values = []
            for index, item in enumerate(node.items):
                below = join(path, str(index))
                self.lines[below] = item.line
                values.append(self.value(item, below))
            return values
        self.written[path] = node.text
        return self._scalar(node, path) if node.plain else node.text

    def _mapping(self, node: _Node, path: str) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in node.pairs:
            name = self._key(key, path)
            if name is None:
                continue
            below = join(path, name)
            if name in result:
                what = f"`{printable(below)}` is written twice, first on line {self.lines[below]}"
                self._flaws.append(Flaw(what, "keep one of the two", key.line))
                continue
            self.lines[below] = key.line
            result[name] = self.value(value, below)
        return result

    def _key(self, key: _Node, path: str) -> str | None:
        self._flaws.extend(Flaw(what, hint, key.line) for what, hint in key.faults)
        place = f"in `{printable(path)}`" if path else "at the top"
        if key.kind != "scalar":
            self._flaws.append(Flaw(f"a key {place} is a {key.kind}", "write a name before the `:`", key.line))
            return None
        if not key.plain:
            return key.text
        if key.text == "<<":
            what = f"the merge key `<<` {place} is not allowed"
            self._flaws.append(Flaw(what, "write the keys out where they belong", key.line))
            return None
        if not isinstance(self._scalar(key, path), str):
            what = f"the key `{printable(key.text, 40)}` {place} is not a text"
            self._flaws.append(Flaw(what, f'put it in quotes: `"{printable(key.text, 40)}":`', key.line))
            return None
        return key.text

    def _scalar(self, node: _Node, path: str) -> object:
        text = node.text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return self._integer(node, path)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _NOT_FINITE.fullmatch(text):
            return float(text.replace(".", "").lower())
        return text

    def _integer(self, node: _Node, path: str) -> int:
        if len(node.text) > _MAX_DIGITS:
            what = f"`{printable(path)}` is a number with more than {_MAX_DIGITS} digits"
            self._flaws.append(Flaw(what, "write a smaller number, or put a text in quotes", node.line, path))
            return 1
        digits = node.text
        return int(digits, 0) if digits.startswith(("0x", "0o")) else int(digits)


def join(path: str, name: str) -> str:
    """The dotted path of `name` below `path`."""
    return f"{path}.{name}" if path else name


_SYNTAX_HINTS: Final = (
    ("\\t", "indent with spaces; YAML allows no tabs there"),
    ("mapping values", "put a value that contains `: ` in quotes, and check the indentation"),
    ("expected ':'", "write `key: value`, with a space after the colon"),
    ("block end", "line up the keys that belong together"),
    ("stream end", "close the quote or bracket that is open"),
    ("end of stream", "close the quote or bracket that is open"),
    ("alias", "a text that starts with `*` needs quotes"),
    ("cannot start any token", "put a text that starts with a special character in quotes"),
)


def _syntax_flaw(problem: str, line: int) -> Flaw:
    said = printable(" ".join(problem.split()), 120) or "cannot be parsed"
    hint = next((hint for words, hint in _SYNTAX_HINTS if words in problem), "check the syntax of this line")
    return Flaw(f"the file is not valid YAML: {said}", hint, line)

"""A YAML document as plain data, with the line of every key.

Values follow the core schema of YAML 1.2, whatever the document declares: `1e-5` is a number, `no` is a text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.manifest.nodes import DocumentError, Flaw, Node, compose, empty_file
from ramekin.text import printable

_MAX_DIGITS: Final = 40

# The core schema of YAML 1.2.
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


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


def read_document(text: str) -> Document:
    """Read one YAML document.

    Args:
        text: The file's text, without a byte order mark.

    Raises:
        DocumentError: It is not YAML, is empty, or is larger or deeper than any manifest.
    """
    root, flaws = compose(text)
    reader = _Reader(flaws)
    reader.lines[""] = root.line
    data = reader.value(root, "")
    if data is None:
        raise DocumentError(empty_file())
    return Document(data, reader.lines, reader.written, tuple(flaws))


class _Reader:
    """Nodes to data. The tree is bounded by then."""

    def __init__(self, flaws: list[Flaw]) -> None:
        self._flaws = flaws
        self.lines: dict[str, int] = {}
        self.written: dict[str, str] = {}

    def value(self, node: Node, path: str) -> object:
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

    def _mapping(self, node: Node, path: str) -> dict[str, object]:
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

    def _key(self, key: Node, path: str) -> str | None:
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

    def _scalar(self, node: Node, path: str) -> object:
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

    def _integer(self, node: Node, path: str) -> int:
        if len(node.text) > _MAX_DIGITS:
            what = f"`{printable(path)}` is a number with more than {_MAX_DIGITS} digits"
            self._flaws.append(Flaw(what, "write a smaller number, or put a text in quotes", node.line, path))
            return 1
        digits = node.text
        return int(digits, 0) if digits.startswith(("0x", "0o")) else int(digits)


def join(path: str, name: str) -> str:
    """The dotted path of `name` below `path`."""
    return f"{path}.{name}" if path else name

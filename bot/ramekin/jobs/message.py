"""How a job's outcome comes back: as lines of its log between delimiters that nobody else knows.

Every line is `MARK:NUMBER/COUNT:PIECE:MARK`; the pieces together are compressed JSON. They are short, since what
collects logs cuts long lines, and the mark is made up for each job, so that nothing else that a job prints, be it by a
stranger's template or program, is taken for its outcome. Both sides use this module.
"""

import base64
import binascii
import json
import re
import secrets
import zlib
from typing import Any, Final

_PIECE: Final = 3000
_MOST_PIECES: Final = 4000
_LARGEST: Final = 64 << 20
"""Bytes of JSON that are unpacked at most."""
_MARK: Final = re.compile(r"ramekin-[0-9a-f]{32}")
_LINE: Final = re.compile(r"(\d{1,4})/(\d{1,4}):([A-Za-z0-9+/=]+)")


def new_mark() -> str:
    """A delimiter for one job."""
    return f"ramekin-{secrets.token_hex(16)}"


def is_mark(text: object) -> bool:
    """Whether a text is a delimiter as they are made here."""
    return isinstance(text, str) and _MARK.fullmatch(text) is not None


def encode(mark: str, message: dict[str, Any]) -> list[str]:
    """The lines of a message; none if it is too large."""
    data = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode()
    text = base64.b64encode(zlib.compress(data, 9)).decode()
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    if len(pieces) > _MOST_PIECES or len(data) > _LARGEST:
        return []
    return [f"{mark}:{number}/{len(pieces)}:{piece}:{mark}" for number, piece in enumerate(pieces, 1)]


class Envelope:
    """Collects the lines of a message from a log, in whatever order and however often they come.

    Args:
        mark: The job's delimiter.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._pieces: dict[int, str] = {}
        self._count = 0

    def take(self, line: str) -> bool:
        """Take a line of the log, if it is one of the message's; returns whether it was."""
        line = line.strip()
        if not (line.startswith(f"{self._mark}:") and line.endswith(f":{self._mark}")):
            return False
        found = _LINE.fullmatch(line[len(self._mark) + 1 : -len(self._mark) - 1])
        if found and 1 <= int(found[1]) <= int(found[2]) <= _MOST_PIECES:
            self._count = int(found[2])
            self._pieces[int(found[1])] = found[3]
        return True

    @property
    def message(self) -> dict[str, Any] | None:
        """The message, once all of it is there and makes sense."""
        if not self._count or any(number not in self._pieces for number in range(1, self._count + 1)):
            return None
        text = "".join(self._pieces[number] for number in range(1, self._count + 1))
        try:
            unpacking = zlib.decompressobj()
            data = unpacking.decompress(base64.b64decode(text, validate=True), _LARGEST)
            value = json.loads(data) if unpacking.eof else None
        except (binascii.Error, zlib.error, ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

"""Safetensors files that lie, one per line of the table: name, file content, words that the message must have."""

import json
from typing import Any

TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def file_of(header: bytes | dict[str, Any], data: int = 16, length: int | None = None) -> bytes:
    """A file with that header and so many bytes of data; `length` is what it claims, if not the truth."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(data)


def _with(**changes: Any) -> bytes:
    return file_of({"a": {key: value for key, value in (TENSOR | changes).items() if value is not ...}})


def _two(first: list[int], second: list[int], data: int = 32) -> bytes:
    return file_of({"a": TENSOR | {"data_offsets": first}, "b": TENSOR | {"data_offsets": second}}, data)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "too few"),
    "seven bytes": (b"\x10" * 7, "too few"),
    "length alone": ((16).to_bytes(8, "little"), "only 8"),
    "length behind the end": (file_of({"a": TENSOR}, length=10_000), "claims a header of 10,000"),
    "length beyond the bound": (file_of({"a": TENSOR}, length=100_000_001), "more than 100,000,000"),
    "length of all ones": (b"\xff" * 8 + b"{}", "more than 100,000,000"),
    "empty header": (file_of(b""), "opening brace"),
    "space before the brace": (file_of(b" {}", 0), "opening brace"),
    "byte order mark": (file_of(b"\xef\xbb\xbf{}", 0), "opening brace"),
    "a list": (file_of(b"[]", 0), "opening brace"),
    "a zip file": (b"PK\x03\x04\x00\x00\x00\x00" + bytes(100), "claims a header"),
    "no JSON": (file_of(b'{"a": }', 0), "not valid JSON"),
    "cut off": (file_of(b'{"a": {"dtype": "F32"', 0), "not valid JSON"),
    "two objects": (file_of(b"{}{}", 0), "not valid JSON"),
    "no UTF-8": (file_of(b'{"\xff": 1}', 0), "not UTF-8"),
    "duplicate tensor": (file_of(b'{"a": 1, "a": 2}', 0), "occurs twice"),
    "duplicate key inside": (
        file_of(b'{"a": {"dtype": "F32", "dtype": "F16", "shape": [0], "data_offsets": [0, 0]}}', 0),
        "occurs twice",
    ),
    "NaN": (file_of(b'{"a": NaN}', 0), "NaN is no JSON number"),
    "Infinity in a shape": (_with(shape=[float("inf")]), "Infinity is no JSON number"),
    "an endless number": (file_of(b'{"a": ' + b"9" * 5000 + b"}", 0), "not valid JSON"),
    "nested without end": (file_of(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0), "nested"),
    "nested 100 deep": (file_of(b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", 0), "nested more than 64"),
    "a lone surrogate as a name": (file_of(b'{"\\ud800": ' + json.dumps(TENSOR).encode() + b"}"), "do not print"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}, 0), "__metadata__"),
    "metadata as a list": (file_of({"__metadata__": []}, 0), "__metadata__"),
    "entry is a number": (file_of({"a": 1}, 0), "exactly `dtype`"),
    "entry is null": (file_of({"a": None}, 0), "exactly `dtype`"),
    "no dtype": (_with(dtype=...), "exactly `dtype`"),
    "no shape": (_with(shape=...), "exactly `dtype`"),
    "no offsets": (_with(data_offsets=...), "exactly `dtype`"),
    "one key more": (_with(code="import os"), "exactly `dtype`"),
    "unknown dtype": (_with(dtype="F31"), "unknown element type `F31`"),
    "lower-case dtype": (_with(dtype="f32"), "unknown element type"),
    "dtype is a number": (_with(dtype=32), "not a text"),
    "dtype with a line break": (_with(dtype="F32\n::error::x"), "unknown element type `F32\\n"),
    "shape is a text": (_with(shape="2,2"), "not a list of whole numbers"),
    "shape is null": (_with(shape=None), "not a list of whole numbers"),
    "negative dimension": (_with(shape=[-2, -2]), "not a list of whole numbers"),
    "fractional dimension": (_with(shape=[2.0, 2]), "not a list of whole numbers"),
    "true as a dimension": (_with(shape=[True, 4]), "not a list of whole numbers"),
    "nested shape": (_with(shape=[[2, 2]]), "not a list of whole numbers"),
    "17 dimensions": (_with(shape=[1] * 17), "17 dimensions"),
    "a dimension of 2**64": (_with(shape=[2**64]), "dimension beyond"),
    "a product that wraps around at 64 bits": (_with(shape=[2**32, 2**32 + 1]), "more than"),
    "a huge dimension beside a zero": (_with(shape=[0, 2**63], data_offsets=[0, 0]), "dimension beyond"),
    "shape larger than the data": (_with(shape=[2, 3]), "its shape and type need 24"),
    "shape smaller than the data": (_with(shape=[1]), "its shape and type need 4"),
    "offsets are a text": (_with(data_offsets="0:16"), "two whole numbers"),
    "one offset": (_with(data_offsets=[16]), "two whole numbers"),
    "three offsets": (_with(data_offsets=[0, 16, 32]), "two whole numbers"),
    "negative offset": (_with(data_offsets=[-16, 0]), "two whole numbers"),
    "fractional offset": (_with(data_offsets=[0, 16.0]), "two whole numbers"),
    "offsets the wrong way round": (_with(data_offsets=[16, 0]), "behind their end"),
    "offset behind the end": (_with(data_offsets=[16, 32]), "beyond the file"),
    "offset of 2**70": (_with(data_offsets=[2**70, 2**70 + 16]), "beyond the file"),
    "overlap": (_two([0, 16], [8, 24], 24), "overlaps"),
    "the same bytes twice": (_two([0, 16], [0, 16], 16), "overlaps"),
    "gap": (_two([0, 16], [32, 48], 48), "belong to no tensor"),
    "bytes at the end": (file_of({"a": TENSOR}, 32), "16 bytes at the end"),
    "bytes before the first": (_with(data_offsets=[8, 24]).ljust(200, b"\0"), "belong to no tensor"),
    "data without tensors": (file_of({}, 16), "16 bytes at the end"),
    "empty name": (file_of({"": TENSOR}), "0 characters"),
    "endless name": (file_of({"a" * 501: TENSOR}), "501 characters"),
    "name with a line break": (file_of({"a\n::error::b": TENSOR}), "do not print"),
    "name with a terminal sequence": (file_of({"a\x1b[2Jb": TENSOR}), "do not print"),
    "name that runs backwards": (file_of({"a\u202eb": TENSOR}), "do not print"),
    "name with a null": (file_of({"a\0b": TENSOR}), "do not print"),
}

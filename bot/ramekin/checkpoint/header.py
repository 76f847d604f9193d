"""The header of a safetensors file, read as what it is: a text from a stranger that says where to read.

A file is eight bytes N (little endian), N bytes of JSON, and the data. The JSON maps each tensor's name to its element
type, shape and place in the data, and `__metadata__` to texts. Nothing that is returned from here points outside the
file, overlaps, or has a size that its shape does not have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ramekin.checkpoint.jsontext import HINT, parse_object
from ramekin.checkpoint.tensors import ITEM_SIZES, Tensor
from ramekin.errors import DamagedError, IncompatibleError, Problem
from ramekin.text import printable

Reader = Callable[[str, int, int], bytes]
"""`read(file, start, stop)` gives the bytes of that range; fewer only at the end of the file."""

MAX_HEADER: Final = 100_000_000
"""Most bytes of JSON in a header; the format's own bound."""

MAX_TENSORS: Final = 150_000
MAX_PARTS: Final = 2_000_000
"""Most commas and opening brackets: enough for that many tensors. Several headers are parsed at a time."""

MAX_RANK: Final = 16
MAX_DIMENSION: Final = 2**48
MAX_NAME: Final = 500
FIRST_READ: Final = 100_000
"""Bytes asked for at first; the headers of most files fit."""

_SUB_BYTE: Final = frozenset({"F4", "F6_E2M3", "F6_E3M2"})
_MAX_PROBLEMS: Final = 20


@dataclass(frozen=True)
class Header:
    """What one safetensors file holds.

    Attributes:
        tensors: In the order of their data.
        metadata: The file's `__metadata__`.
    """

    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str]


def read_header(read: Reader, file: str, size: int, *, source: str = "") -> Header:
    """Read the header of a file, in one request or, where it is long, two.

    Args:
        read: Gives ranges of the source's files.
        file: Path of the file in its source.
        size: Bytes of the file.
        source: Name of the source, for messages.

    Raises:
        DamagedError: The file is not a safetensors file, or its header does not describe it.
        IncompatibleError: It holds elements smaller than a byte.
    """
    label = file_label(file, source)
    wanted = min(size, FIRST_READ)
    data = read(file, 0, wanted)
    _check_length(data, wanted, label)
    length = header_length(data, size, label)
    if 8 + length > len(data):
        data += read(file, len(data), 8 + length)
        _check_length(data, 8 + length, label)
    return parse_header(data[8 : 8 + length], file, size, source=source)


def header_length(data: bytes, size: int, label: str) -> int:
    """Bytes of JSON in the header, checked against the bounds.

    Args:
        data: The beginning of the file, at least eight bytes of it unless it is shorter.
        size: Bytes of the whole file.
        label: The file as messages name it.

    Raises:
        DamagedError: There is no room for a header of that length.
    """
    if len(data) < 8:
        raise DamagedError(f"{label} has {size} bytes, too few for a safetensors file", HINT)
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        raise DamagedError(f"{label} claims a header of {length:,} bytes, more than {MAX_HEADER:,}", HINT)
    if 8 + length > size:
        raise DamagedError(f"{label} claims a header of {length:,} bytes, but the file has only {size:,}", HINT)
    return length


def parse_header(text: bytes, file: str, size: int, *, source: str = "") -> Header:
    """Parse a header's JSON and check that it describes a file of that size.

    Args:
        text: The JSON, without the eight bytes of its length.
        file: Path of the file in its source.
        size: Bytes of the whole file.
        source: Name of the source, for messages.

    Raises:
        DamagedError: It does not; up to 20 problems at once.
        IncompatibleError: The file holds elements smaller than a byte.
    """
    label = file_label(file, source)
    if not text.startswith(b"{"):
        raise DamagedError(f"{label} has a header that does not begin with an opening brace", HINT)
    entries = parse_object(text, f"the header of {label}", most_parts=MAX_PARTS)
    metadata = _metadata(entries.pop("__metadata__", {}), label)
    if len(entries) > MAX_TENSORS:
        raise DamagedError(f"{label} claims {len(entries):,} tensors, more than {MAX_TENSORS:,}", HINT)
    data_size = size - 8 - len(text)
    spans: list[tuple[int, int, Tensor]] = []
    problems: list[Problem] = []
    for name, entry in entries.items():
        try:
            begin, end = _check_entry(name, entry, data_size)
        except ValueError as error:
            problems.append(Problem(f"{label}: tensor `{printable(name, 100)}` {error}", HINT))
            if len(problems) == _MAX_PROBLEMS:
                break
            continue
        spans.append((begin, end, Tensor(name, entry["dtype"], tuple(entry["shape"]), file, size - data_size + begin)))
    if not problems:
        spans.sort(key=lambda span: span[:2])
        problems = [Problem(f"{label}: {what}", HINT) for what in _gaps(spans, data_size)]
    if problems:
        raise DamagedError(problems=problems)
    small = next((tensor for _, _, tensor in spans if tensor.dtype in _SUB_BYTE), None)
    if small is not None:
        raise IncompatibleError(
            f"{label}: tensor `{small.name}` is quantised to {small.dtype}, which cannot be merged",
            "use the checkpoint in bfloat16, float16 or float32 that it was quantised from",
        )
    return Header(tuple(tensor for _, _, tensor in spans), metadata)


def file_label(file: str, source: str) -> str:
    """The file as messages name it: `source: file`, on one line."""
    name = printable(file, 200)
    return f"{printable(source, 120)}: {name}" if source else name


def _check_length(data: bytes, wanted: int, label: str) -> None:
    if len(data) != wanted:
        raise DamagedError(f"{label} ends after {len(data):,} bytes, where at least {wanted:,} should be", HINT)


def _metadata(value: Any, label: str) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise DamagedError(f"{label} has a `__metadata__` that does not map texts to texts", HINT)
    return value


def _check_entry(name: str, entry: Any, data_size: int) -> tuple[int, int]:
    """Where one tensor's data is, relative to the data; ValueError says what is wrong with the entry."""
    if not name or len(name) > MAX_NAME:
        raise ValueError(f"has a name of {len(name)} characters, where 1 to {MAX_NAME} are allowed")
    if not name.isprintable():
        raise ValueError("has a name with characters that do not print")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("is not described by exactly `dtype`, `shape` and `data_offsets`")
    bits = _bits(entry["dtype"])
    elements = _elements(entry["shape"])
    offsets = entry["data_offsets"]
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise ValueError("has `data_offsets` that are not two whole numbers")
    begin, end = offsets
    if begin > end:
        raise ValueError("has `data_offsets` whose begin is behind their end")
    if end > data_size:
        raise ValueError(f"has `data_offsets` that reach beyond the file, which holds {data_size:,} bytes of data")
    if (end - begin) * 8 != elements * bits:
        raise ValueError(f"has {end - begin:,} bytes of data, but its shape and type need {elements * bits / 8:,.0f}")
    return begin, end


def _bits(dtype: Any) -> int:
    if not isinstance(dtype, str):
        raise ValueError("has a `dtype` that is not a text")  # noqa: TRY004
    if dtype in _SUB_BYTE:
        return 4 if dtype == "F4" else 6
    if dtype not in ITEM_SIZES:
        raise ValueError(f"has the unknown element type `{printable(dtype, 20)}`")
    return ITEM_SIZES[dtype] * 8


def _elements(shape: Any) -> int:
    if not _whole_numbers(shape):
        raise ValueError("has a `shape` that is not a list of whole numbers")
    if len(shape) > MAX_RANK:
        raise ValueError(f"has {len(shape)} dimensions, more than {MAX_RANK}")
    elements = 1
    for dimension in shape:
        if dimension > MAX_DIMENSION:
            raise ValueError(f"has a dimension beyond {MAX_DIMENSION:,}")
        elements *= dimension
    if elements > MAX_DIMENSION:
        raise ValueError(f"has a shape of more than {MAX_DIMENSION:,} elements")
    return elements


def _whole_numbers(value: Any) -> bool:
    # type() and not isinstance(): true and false are integers to Python.
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _gaps(spans: list[tuple[int, int, Tensor]], data_size: int) -> list[str]:
    """What keeps the tensors, sorted by place, from covering the data exactly once."""
    problems = []
    reached = 0
    for begin, end, tensor in spans:
        if begin < reached:
            problems.append(f"tensor `{tensor.name}` overlaps the tensor before it by {reached - begin:,} bytes")
        elif begin > reached:
            problems.append(f"{begin - reached:,} bytes before tensor `{tensor.name}` belong to no tensor")
        reached = max(reached, end)
    if reached < data_size:
        problems.append(f"{data_size - reached:,} bytes at the end belong to no tensor")
    return problems[:_MAX_PROBLEMS]

"""What the Hub knows of weights without reading them: the headers of safetensors files."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

HEADER_LIMIT: Final = 25_000_000


def read_header(path: Path) -> dict[str, Any] | None:
    """The JSON header of a safetensors file; None if the file is none or its header is damaged."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= HEADER_LIMIT:
            return None
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def count_parameters(paths: Iterable[Path]) -> dict[str, Any] | None:
    """Number of elements by dtype and in all, over the shards of a checkpoint; None if a header cannot be read."""
    counts: Counter[str] = Counter()
    for path in paths:
        header = read_header(path)
        if header is None:
            return None
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            try:
                counts[str(tensor["dtype"])] += math.prod(int(side) for side in tensor["shape"])
            except (KeyError, TypeError, ValueError, OverflowError):
                return None
    return {"parameters": dict(counts), "total": counts.total()} if counts else None

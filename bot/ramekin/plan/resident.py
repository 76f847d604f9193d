"""Memory for models that are run: what merging takes has nothing to do with the size of a model, and this has."""

from typing import Final

from ramekin.methods.base import Method
from ramekin.plan.layout import Layout

_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
_TRACING: Final = 2 << 30
"""Bytes beside a model that reads: torch, transformers, activations of a batch; an estimate."""


def running(resident: int) -> int:
    """Bytes of memory for a model of so many bytes at work, libraries and all; 0 for none."""
    return resident + _TRACING if resident else 0


def watched_bytes(method: Method, layout: Layout) -> int:
    """Bytes of the model that a method watches, in the element type that it is run in; 0 where it watches none."""
    if not method.uses_benchmarks:
        return 0
    wanted = str(getattr(method, "trace_dtype", "base"))
    return layout.merged_elements * _BYTES[wanted] if wanted in _BYTES else layout.total_size

"""Kernels in Triton, and how they are started: whatever would change bits is ruled out here, for all of them."""

import threading
from collections.abc import Callable
from subprocess import CalledProcessError
from typing import Any, Final, TypeVar

import triton
import triton.language as tl

from ramekin.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])

BLOCK: Final = tl.constexpr(1024)
"""Elements of one program; that of the compiled loops, which decides in what order inner products are summed."""

_PLAIN: Final = ("count", "first", "row", "within", "threshold", "epsilon", "scale", "rescale")
"""Numbers that no kernel is compiled anew for."""

# Kernels are compiled at their first start, which takes a second; a thread that wants the same one waits for it. What
# runs kernels without a GPU, for tests, keeps its state in one place.
_ONE_AT_A_TIME: Final = threading.Lock()


def kernel(function: _F) -> _F:
    """Compile for the device when it is first started, by the types of what it is given."""
    compiled: _F = triton.jit(function, do_not_specialize=_PLAIN)
    return compiled


def start(function: Callable[..., None], programs: int, *arguments: object, **constants: int) -> None:
    """Start a kernel in the current stream.

    No product is fused into a sum: a GPU would round once where the compiled loops round twice.

    Args:
        function: The kernel.
        programs: How many of it; none is no start.
        arguments: Tensors and numbers.
        constants: What it is compiled for.

    Raises:
        UsageError: Triton cannot build what starts kernels.
    """
    if not programs:
        return
    try:
        with _ONE_AT_A_TIME:
            function[(programs,)](*arguments, **constants, enable_fp_fusion=False)  # type: ignore[index]
    except (RuntimeError, CalledProcessError) as error:
        if isinstance(error, CalledProcessError) or "find C compiler" in str(error):
            raise UsageError(
                "triton cannot build what starts kernels on the GPU: it needs a C compiler and Python's headers",
                "install them (`apt-get install gcc python3-dev`), or use `--device cpu`",
            ) from error
        raise

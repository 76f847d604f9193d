"""The loops for a device: compiled for the processor, or the same arithmetic in Triton for a GPU."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ramekin.errors import UsageError
from ramekin.merge.loops import on_processor
from ramekin.merge.loops.native import Native

if TYPE_CHECKING:
    import torch

Loop = Callable[..., None]


@dataclass(frozen=True)
class Loops:
    """One function of each name, whatever the device; the modules of this package say what each does.

    Attributes:
        begin: To be called, in the thread that works on it, before a new chunk.
    """

    begin: Callable[[], None]
    count_patterns: Loop
    merge_ram: Loop
    merge_average: Loop
    merge_sum: Loop
    multiply: Loop
    count_magnitudes: Loop
    count_equals: Loop
    merge_trimmed: Loop
    merge_dropped: Loop

    def load(self, names: Iterable[str]) -> None:
        """Have loops ready before threads want them; on a GPU they are compiled when they are first started."""
        for name in names:
            loop = getattr(self, name)
            if isinstance(loop, Native):
                loop.load()


@cache
def loops_for(device: Literal["cpu", "cuda"], local_rank: int = 0) -> Loops:
    """The loops for a device.

    Args:
        device: The kind of device.
        local_rank: This process among those of this machine: each has a GPU of its own.

    Raises:
        UsageError: There is no such GPU.
    """
    if device == "cuda":
        from ramekin.merge.loops.on_gpu import gpu_loops

        return gpu_loops(cuda_device(local_rank))
    return Loops(
        begin=lambda: None,
        count_patterns=on_processor.count_patterns,
        merge_ram=on_processor.merge_ram,
        merge_average=on_processor.merge_average,
        merge_sum=on_processor.merge_sum,
        multiply=on_processor.multiply,
        count_magnitudes=on_processor.count_magnitudes,
        count_equals=on_processor.count_equals,
        merge_trimmed=on_processor.merge_trimmed,
        merge_dropped=on_processor.merge_dropped,
    )


def cuda_device(local_rank: int) -> "torch.device":
    """A process's GPU.

    Raises:
        UsageError: torch finds none, or fewer than there are processes; or there is no Triton.
    """
    import torch

    if not torch.cuda.is_available():
        raise UsageError(
            "torch finds no GPU on this machine",
            "use `--device cpu`, or check the driver (`nvidia-smi`) and that torch is built for CUDA",
        )
    if not find_spec("triton"):
        raise UsageError(
            "triton is not installed, in which the arithmetic for GPUs is written",
            "`pip install triton` (torch's builds for CUDA on Linux bring it), or use `--device cpu`",
        )
    if local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"process {local_rank + 1} of this machine has no GPU of its own: there are {torch.cuda.device_count()}",
            "start as many processes as there are GPUs, or use `--device cpu`",
        )
    return torch.device("cuda", local_rank)

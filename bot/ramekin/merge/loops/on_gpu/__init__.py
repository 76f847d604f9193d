"""The loops in Triton, for a GPU: the same arithmetic as the compiled ones, and so the same bits.

A thread has a stream and memory of its own, so copies and kernels of different chunks overlap. Each loop is one kernel,
which takes a chunk from the device's memory once and puts its result there once. What keeps the bits: operations in the
same order, each rounded once, none fused (`launching.start`) and none approximate; conversions on the bits themselves;
no sum of floats in an order of the device's own. Only counts, which are integers, are added up in any order.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable

import torch

from ramekin.errors import ResourceError
from ramekin.merge.arrays import Bytes, Counts
from ramekin.merge.loops.choosing import Loop, Loops
from ramekin.merge.loops.on_gpu.averaging import merge_average, merge_sum
from ramekin.merge.loops.on_gpu.electing import count_equals, count_magnitudes, merge_dropped, merge_trimmed
from ramekin.merge.loops.on_gpu.lanes import Lane
from ramekin.merge.loops.on_gpu.products import multiply
from ramekin.merge.loops.on_gpu.ram import count_patterns, merge_ram

__all__ = ["gpu_loops"]


def gpu_loops(device: torch.device) -> Loops:
    """The loops on a device; torch's `cpu` does as well where Triton interprets, for comparing bits."""
    here = threading.local()
    # Threads end with each pass. What torch keeps of a stream's memory only that stream can use again.
    streams: deque[torch.cuda.Stream] = deque()

    def lane() -> Lane:
        if not hasattr(here, "lane"):
            if device.type == "cuda":
                try:
                    stream = streams.pop()
                except IndexError:
                    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
                here.lane = Lane(device, stream)
                weakref.finalize(here.lane, streams.append, stream)
            else:
                here.lane = Lane(device, None)
        own: Lane = here.lane
        return own

    def on_device(function: Callable[..., None]) -> Loop:
        def loop(places: Counts, kinds: Bytes, limits: Counts, count: int, *others: object) -> None:
            try:
                own = lane()
                with own.at_work():
                    function(own.rows(places, kinds, limits, count), *others)
            except RuntimeError as error:  # for pinned memory it is no OutOfMemoryError
                if isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
                    raise ResourceError(
                        f"the memory of {device} is used up",
                        "close other programs that use this GPU, or use --device cpu",
                    ) from error
                raise

        return loop

    return Loops(
        begin=lambda: lane().forget(),
        count_patterns=on_device(count_patterns),
        merge_ram=on_device(merge_ram),
        merge_average=on_device(merge_average),
        merge_sum=on_device(merge_sum),
        multiply=on_device(multiply),
        count_magnitudes=on_device(count_magnitudes),
        count_equals=on_device(count_equals),
        merge_trimmed=on_device(merge_trimmed),
        merge_dropped=on_device(merge_dropped),
    )

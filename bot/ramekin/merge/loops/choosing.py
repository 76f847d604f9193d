"""The loops for a device: compiled for the processor, or the same arithmetic in torch for a GPU."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ramekin.errors import UsageError

Loop = Callable[..., None]


@dataclass(frozen=True)
class Loops:
    """One function of each name, whatever the device; the modules of this package say what each does."""

    count_patterns: Loop
    merge_ram: Loop
    merge_average: Loop
    merge_sum: Loop
    multiply: Loop
    count_magnitudes: Loop
    count_equals: Loop
    merge_trimmed: Loop
    merge_dropped: Loop


@cache
def loops_for(device: Literal["cpu", "cuda"]) -> Loops:
    """The loops for a device."""
    if device == "cuda":
        raise UsageError("merging on a GPU is not supported yet", "use `--device cpu`")
    from ramekin.merge.loops import averaging, counting, electing, products, ram

    return Loops(
        count_patterns=counting.count_patterns,
        merge_ram=ram.merge_ram,
        merge_average=averaging.merge_average,
        merge_sum=averaging.merge_sum,
        multiply=products.multiply,
        count_magnitudes=electing.count_magnitudes,
        count_equals=electing.count_equals,
        merge_trimmed=electing.merge_trimmed,
        merge_dropped=electing.merge_dropped,
    )

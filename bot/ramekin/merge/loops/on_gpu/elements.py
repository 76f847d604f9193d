"""Elements of any type to float32, exactly, and back, rounded once; see `loops.conversion`.

Every kernel begins with the same arguments:

- `there`: the sources' bytes on the device, row 0 the base's, row `t + 1` those of expert `t`.
- `stride`: bytes from one row to the next.
- `limits`: `[N]`, elements that each expert has; looked at only where the constant `limited` is set.
- `count`: elements of the chunk.

And ends with the constants `kinds`, the element types of all rows, two bits each from the lowest on, `experts`, N, and
`limited`.
"""

from typing import Final

import triton.language as tl

from ramekin.merge import arrays
from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel

BF16: Final = tl.constexpr(arrays.BF16)
F16: Final = tl.constexpr(arrays.F16)
CHANGE: Final = tl.constexpr(arrays.CHANGE)
MAGNITUDE: Final = tl.constexpr(0x7FFFFFFF)
_EXPONENT: Final = tl.constexpr(0x7F800000)
_TOO_LARGE: Final = tl.constexpr(int(arrays.TOO_LARGE))
_TOO_LARGE_F16: Final = tl.constexpr(0x477FF000)  # 65520, the first that becomes infinite


@kernel
def indices() -> tl.tensor:
    """Indices, in the chunk, of this program's elements."""
    return tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)


@kernel
def bits_of(values: tl.tensor) -> tl.tensor:
    """The bits of float32 values."""
    return values.to(tl.uint32, bitcast=True)


@kernel
def load(
    there: tl.tensor, stride: tl.tensor, kind: tl.constexpr, t: tl.constexpr, i: tl.tensor, has: tl.tensor
) -> tl.tensor:
    """A row's elements as float32, 0 where it has none."""
    place = there + tl.cast(stride, tl.int64) * t
    if kind == BF16:  # the upper half of a float32
        halves = tl.load(place.to(tl.pointer_type(tl.uint16)) + i, mask=has, other=0)
        found = (halves.to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    elif kind == F16:
        found = tl.load(place.to(tl.pointer_type(tl.float16)) + i, mask=has, other=0.0).to(tl.float32)
    else:
        found = tl.load(place.to(tl.pointer_type(tl.float32)) + i, mask=has, other=0.0)
    return found


@kernel
def load_base(there: tl.tensor, stride: tl.tensor, i: tl.tensor, inside: tl.tensor, kinds: tl.constexpr) -> tl.tensor:
    """The base's weights."""
    return load(there, stride, kinds & 3, 0, i, inside)


@kernel
def load_expert(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    i: tl.tensor,
    inside: tl.tensor,
    t: tl.constexpr,
    kinds: tl.constexpr,
    limited: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """An expert's elements as they are, and which of them it has."""
    has = inside
    if limited:
        has = inside & (i < tl.load(limits + t))
    return load(there, stride, (kinds >> (2 * (t + 1))) & 3, t + 1, i, has), has


@kernel
def as_change(found: tl.tensor, has: tl.tensor, base: tl.tensor, t: tl.constexpr, kinds: tl.constexpr) -> tl.tensor:
    """`tau_t`: 0 where the expert has no element."""
    change = found
    if (kinds >> (2 * (t + 1))) & 3 != CHANGE:
        change = tl.where(has, found - base, 0.0)
    return change


@kernel
def as_weights(found: tl.tensor, has: tl.tensor, base: tl.tensor, t: tl.constexpr, kinds: tl.constexpr) -> tl.tensor:
    """`theta_t`: the base's where the expert has no element."""
    weights = found
    if (kinds >> (2 * (t + 1))) & 3 == CHANGE:
        weights = found + base
    return tl.where(has, weights, base)


@kernel
def load_change(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    base: tl.tensor,
    i: tl.tensor,
    inside: tl.tensor,
    t: tl.constexpr,
    kinds: tl.constexpr,
    limited: tl.constexpr,
) -> tl.tensor:
    """`tau_t`."""
    found, has = load_expert(there, stride, limits, i, inside, t, kinds, limited)
    return as_change(found, has, base, t, kinds)


@kernel
def begin(
    there: tl.tensor, stride: tl.tensor, count: tl.tensor, bad: tl.tensor, kinds: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """This program's indices, which of them are in the chunk, and the base's weights there, looked at for faults."""
    i = indices()
    inside = i < count
    base = load_base(there, stride, i, inside, kinds)
    check(base, bad, 0)
    return i, inside, base


@kernel
def first_change(
    there: tl.tensor,
    stride: tl.tensor,
    limits: tl.tensor,
    base: tl.tensor,
    i: tl.tensor,
    inside: tl.tensor,
    bad: tl.tensor,
    t: tl.constexpr,
    kinds: tl.constexpr,
    limited: tl.constexpr,
) -> tl.tensor:
    """`tau_t`, where the expert is loaded for the first time, and looked at for faults."""
    found, has = load_expert(there, stride, limits, i, inside, t, kinds, limited)
    check(found, bad, t + 1)
    return as_change(found, has, base, t, kinds)


@kernel
def note(bad: tl.tensor, place: tl.constexpr, wrong: tl.tensor) -> None:
    """Add to one of the counts how many elements something is wrong with."""
    found = tl.sum(wrong.to(tl.int32))
    if found > 0:
        tl.atomic_add(bad + place, found.to(tl.int64))


@kernel
def check(values: tl.tensor, bad: tl.tensor, place: tl.constexpr) -> None:
    """Count what is NaN or infinite."""
    note(bad, place, (bits_of(values) & _EXPONENT) == _EXPONENT)


@kernel
def store(
    values: tl.tensor,
    out: tl.tensor,
    i: tl.tensor,
    inside: tl.tensor,
    bad: tl.tensor,
    experts: tl.constexpr,
    kind: tl.constexpr,
) -> None:
    """Round, once and to nearest even, and count what comes out NaN or infinite."""
    bits = bits_of(values)
    if kind == BF16:
        halves = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).to(tl.uint16)
        tl.store(out.to(tl.pointer_type(tl.uint16)) + i, halves, mask=inside)
        least = _TOO_LARGE
    elif kind == F16:
        tl.store(out.to(tl.pointer_type(tl.float16)) + i, values.to(tl.float16), mask=inside)
        least = _TOO_LARGE_F16
    else:
        tl.store(out.to(tl.pointer_type(tl.float32)) + i, values, mask=inside)
        least = _EXPONENT
    note(bad, experts + 1, inside & ((bits & MAGNITUDE) >= least))

"""The loops over elements: one pass over raw buffers that counts, and one that merges.

Both work on blocks that stay in the innermost cache. Whatever the element types, a block becomes float32 first, so a
single compiled version of each loop serves every mixture of types and any number of experts. Fast-math is off: no
sum is reordered and no product is fused into a sum, so every machine gives the same bits.

A buffer of sources is `raw[N + 1, bytes]`: row 0 is the base, row `t + 1` expert `t` in manifest order. Its companions
are `kinds[N + 1]`, the element type of each row (`KINDS`), and `limits[N]`, how many of its elements each expert has:
elements beyond the limit count as unchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

_P = ParamSpec("_P")
_R = TypeVar("_R")

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint32]
Masks = npt.NDArray[np.uint16]
Counts = npt.NDArray[np.int64]

KINDS: Final[Mapping[str, int]] = {"BF16": 0, "F16": 1, "F32": 2}
"""Element types by the numbers that the loops know them by."""

_EXPONENT: Final = np.uint32(0x7F800000)  # all ones: NaN or infinite
_BLOCK: Final = 1024  # elements; the buffers of a block fit the first-level cache beside the rows that stream through
_FEW: Final = 16  # up to so many patterns, comparing a block with each is faster than a histogram


def _compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile without the interpreter lock, keeping the machine code between runs where any directory allows it.

    The code is kept in `NUMBA_CACHE_DIR`, beside this file, or in the user's cache, the first that can be written.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no such directory: compile in every process
        return numba.njit(nogil=True)(function)


@_compiled
def _load(row: Bytes, kind: int, start: int, n: int, bits: Bits) -> int:
    """Convert `n` elements of a row, exactly, to float32 bit patterns; return how many are NaN or infinite."""
    bad = np.uint32(0)
    if kind == 0:  # bfloat16 is the upper half of a float32
        halves = row.view(np.uint16)[start : start + n]
        for i in range(n):
            bits[i] = np.uint32(halves[i]) << np.uint32(16)
            bad = np.uint32(bad + np.uint32((halves[i] & np.uint16(0x7F80)) == np.uint16(0x7F80)))
    elif kind == 1:
        # Exponent and fraction moved into place denote the value times 2**-112, subnormals included; the product with
        # 2**112 is exact.
        halves = row.view(np.uint16)[start : start + n]
        values = bits.view(np.float32)
        for i in range(n):
            bits[i] = (np.uint32(halves[i]) & np.uint32(0x7FFF)) << np.uint32(13)
            bad = np.uint32(bad + np.uint32((halves[i] & np.uint16(0x7C00)) == np.uint16(0x7C00)))
        for i in range(n):
            values[i] = values[i] * np.float32(2.0**112)
        for i in range(n):
            bits[i] |= (np.uint32(halves[i]) & np.uint32(0x8000)) << np.uint32(16)
    else:
        words = row.view(np.uint32)[start : start + n]
        for i in range(n):
            bits[i] = words[i]
            bad = np.uint32(bad + np.uint32((words[i] & _EXPONENT) == _EXPONENT))
    return int(bad)


@_compiled
def _store(values: Floats, bits: Bits, kind: int, start: int, n: int, out: Bytes) -> int:
    """Round `n` float32 values, once and to nearest even, into the output; return how many came out not finite.

    Args:
        values: Shape `[block]`.
        bits: The same memory as `values`, as bit patterns.
        kind: Element type of the output.
        start: First element to write.
        n: Number of elements.
        out: The output's bytes.
    """
    bad = np.uint32(0)
    if kind == 0:
        halves = out.view(np.uint16)[start : start + n]
        for i in range(n):
            b = bits[i]
            rounded = (b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
            halves[i] = np.uint16(rounded >> np.uint32(16))
            # A NaN can wrap around while it is rounded, so what comes in is looked at as well.
            infinite = ((rounded & _EXPONENT) == _EXPONENT) | ((b & _EXPONENT) == _EXPONENT)
            bad = np.uint32(bad + np.uint32(infinite))
    elif kind == 1:
        halves = out.view(np.uint16)[start : start + n]
        for i in range(n):
            halves[i] = (bits[i] >> np.uint32(16)) & np.uint32(0x8000)
            bits[i] &= np.uint32(0x7FFFFFFF)
            bad = np.uint32(bad + np.uint32(bits[i] >= np.uint32(0x477FF000)))  # 65520 is the first to become infinite
        for i in range(n):
            # From 2**-14 up: the exponent moved by 112, the 13 surplus bits rounded away. Below: adding 0.5 makes the
            # float unit itself round to multiples of 2**-24, the spacing of subnormals.
            half = np.uint32(0xFFF) + ((bits[i] >> np.uint32(13)) & np.uint32(1))
            normal = (bits[i] - np.uint32(112 << 23) + half) >> np.uint32(13)
            small = np.uint32((values[i] + np.float32(0.5)) * np.float32(2.0**24)) - np.uint32(2**23)
            halves[i] |= np.uint16(normal if bits[i] >= np.uint32(0x38800000) else small)
    else:
        words = out.view(np.uint32)[start : start + n]
        for i in range(n):
            words[i] = bits[i]
            bad = np.uint32(bad + np.uint32((bits[i] & _EXPONENT) == _EXPONENT))
    return int(bad)


@_compiled
def _tally(masks: Masks, n: int, counts: Counts) -> None:
    """Add the patterns of a block to `counts[2**N]`."""
    if len(counts) > _FEW:
        for i in range(n):
            counts[masks[i]] += 1
        return
    # The running count is as narrow as the masks, which is what makes this fast; a block has fewer than 2**16 elements.
    rest = np.int64(n)
    for pattern in range(1, len(counts)):
        found = np.uint16(0)
        for i in range(n):
            found = np.uint16(found + np.uint16(masks[i] == np.uint16(pattern)))
        counts[pattern] += found
        rest -= found
    counts[0] += rest


@_compiled
def _combine(base: Floats, total: Floats, masks: Masks, n: int, coefficients: Floats, scale: Floats) -> None:
    """Add to a block of the base the sum of the changes, times the coefficient of their pattern, in place."""
    for i in range(n):
        scale[i] = coefficients[masks[i]]
    for i in range(n):
        # What nobody changed keeps the base's bits: adding a zero would turn -0.0 into +0.0.
        merged = base[i] + scale[i] * total[i]
        base[i] = merged if masks[i] else base[i]


@_compiled
def count_patterns(  # noqa: PLR0917
    raw: Bytes, kinds: Bytes, limits: Counts, count: int, epsilon: np.float32, counts: Counts, bad: Counts
) -> None:
    """Count which experts changed which elements (RAM, Eq. 1-2).

    Args:
        raw: `[N + 1, bytes]`, the sources.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to look at.
        epsilon: A change must be greater than this.
        counts: `[2**N]`, added to: elements by pattern, bit t set where expert t changed the element.
        bad: `[N + 1]`, added to: elements of each source that are NaN or infinite.
    """
    base_bits, expert_bits = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)
    base, expert = base_bits.view(np.float32), expert_bits.view(np.float32)
    masks = np.empty(_BLOCK, np.uint16)
    for start in range(0, count, _BLOCK):
        n = min(_BLOCK, count - start)
        bad[0] += _load(raw[0], kinds[0], start, n, base_bits)
        masks[:n] = 0
        for t in range(len(limits)):
            present = min(n, limits[t] - start)
            if present > 0:
                bad[t + 1] += _load(raw[t + 1], kinds[t + 1], start, present, expert_bits)
                bit = np.uint16(1 << t)
                for i in range(present):
                    changed = abs(expert[i] - base[i]) > epsilon
                    masks[i] |= bit if changed else np.uint16(0)
        _tally(masks, n, counts)


@_compiled
def merge_ram(  # noqa: PLR0913, PLR0917
    raw: Bytes,
    kinds: Bytes,
    limits: Counts,
    count: int,
    epsilon: np.float32,
    coefficients: Floats,
    out: Bytes,
    out_kind: int,
    counts: Counts,
    bad: Counts,
) -> None:
    """Merge as RAM does (Eq. 7), in float32, experts summed in manifest order, rounded once.

    Args:
        raw: `[N + 1, bytes]`, the sources.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        epsilon: A change must be greater than this.
        coefficients: `[2**N]`, factor on the sum of the changes, by the pattern of who changed the element.
        out: The output's bytes.
        out_kind: Its element type.
        counts: `[2**N]`, added to as by `count_patterns`; empty where the patterns are known.
        bad: `[N + 2]`, added to: elements of each source, and last of the output, that are NaN or infinite.
    """
    base_bits, expert_bits = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)
    base, expert = base_bits.view(np.float32), expert_bits.view(np.float32)
    masks, total = np.empty(_BLOCK, np.uint16), np.empty(_BLOCK, np.float32)
    for start in range(0, count, _BLOCK):
        n = min(_BLOCK, count - start)
        bad[0] += _load(raw[0], kinds[0], start, n, base_bits)
        masks[:n] = 0
        total[:n] = 0
        for t in range(len(limits)):
            present = min(n, limits[t] - start)
            if present > 0:
                bad[t + 1] += _load(raw[t + 1], kinds[t + 1], start, present, expert_bits)
                bit = np.uint16(1 << t)
                for i in range(present):
                    tau = expert[i] - base[i]
                    changed = abs(tau) > epsilon
                    total[i] += tau if changed else np.float32(0)
                    masks[i] |= bit if changed else np.uint16(0)
        _combine(base, total, masks, n, coefficients, expert)
        bad[-1] += _store(base, base_bits, out_kind, start, n, out)
        if len(counts):
            _tally(masks, n, counts)


def pattern_coefficients(lambdas: Sequence[float]) -> Floats:
    """Factor on the sum of the changes by pattern, shape `[2**N]` (Eq. 7).

    It is `lambda_t` where t alone changed an element, and `1 / c` where c experts did. Computed in float64 and rounded
    to float32 once.
    """
    experts = len(lambdas)
    exact = [0.0] + [1.0 / pattern.bit_count() for pattern in range(1, 1 << experts)]
    for t, factor in enumerate(lambdas):
        exact[1 << t] = factor
    return np.array(exact, np.float64).astype(np.float32)

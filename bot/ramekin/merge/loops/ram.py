"""RAM's merge of a chunk (arXiv 2601.13572, Eq. 7)."""

import numpy as np

from ramekin.merge.loops.compiling import BLOCK, Bytes, Counts, Floats, compiled
from ramekin.merge.loops.conversion import load_block, store
from ramekin.merge.loops.counting import tally


@compiled
def merge_ram(
    places: Counts,
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
    """`theta = theta_base + coefficient * sum_t m_t tau_t`, with the coefficient of who changed the element.

    Args:
        places: `[N + 1]`, addresses of the sources.
        kinds: `[N + 1]`, their element types.
        limits: `[N]`, elements that each expert has.
        count: Elements to merge.
        epsilon: A change must be greater than this.
        coefficients: `[2**N]`, by pattern, bit t set where expert t changed the element; that of nobody is 0.
        out: The output's bytes.
        out_kind: Its element type.
        counts: `[2**N]`, added to as by `count_patterns`; empty where nobody counts.
        bad: `[N + 2]`, added to.
    """
    rows, masks = np.empty((len(places), BLOCK), np.float32), np.empty(BLOCK, np.uint32)
    total, factor = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    base = rows[0]
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        load_block(places, kinds, limits, start, n, rows, bad)
        total[:n] = np.float32(0)
        masks[:n] = np.uint32(0)
        for t in range(len(limits)):
            change, bit = rows[t + 1], np.uint32(1 << t)
            for i in range(n):
                changed = abs(change[i]) > epsilon
                total[i] += change[i] if changed else np.float32(0)
                masks[i] |= bit if changed else np.uint32(0)
        for i in range(n):
            factor[i] = coefficients[masks[i]]
        for i in range(n):
            # What counts for nothing leaves the base's bits: adding a zero would turn -0.0 into +0.0.
            merged = np.float32(base[i] + np.float32(factor[i] * total[i]))
            base[i] = merged if factor[i] != np.float32(0) else base[i]
        bad[-1] += store(base, out_kind, start, n, out)
        if len(counts):
            tally(masks, n, counts)

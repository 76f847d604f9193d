"""Sizes that the loops are made for. Light: a plan states the memory that follows from them."""

from typing import Final

BLOCK: Final = 1024
"""Elements that a loop works on at a time: the buffers of a block fit the first-level cache."""

STRIDE: Final = 4 * BLOCK
"""Elements of 16 bits that a loop over pairs works on at a time: it has no buffers, so more of them fit that cache."""

LEAST_ROOM: Final = max(4 * BLOCK, 2 * STRIDE)
"""Bytes of a source that a loop wants to have at once."""

MAX_EXPERTS: Final = 16
"""Most experts of one merge: a pattern of who changed an element has one bit for each."""

BINS: Final = 1 << 18
"""Most bins of a histogram in which TIES looks for a cut."""

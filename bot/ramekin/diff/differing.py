"""The comparison that was asked for: both sides opened, held side by side, and their weights, where they can be had."""

from contextlib import ExitStack

from ramekin.diff.comparing import Difference, compare
from ramekin.diff.reaching import with_weights
from ramekin.diff.sides import opened_side
from ramekin.workbench import Workbench


def find_difference(bench: Workbench, a: str, b: str, *, weights: bool) -> Difference:
    """Compare two merges.

    Args:
        bench: The Hub, and where progress shows.
        a: A lock, a report, a merged directory, or a repository at a revision.
        b: Likewise.
        weights: Download published weights to compare them.

    Raises:
        DamagedError: One is none of these.
        SourceError: A repository cannot be had.
    """
    with ExitStack() as stack:
        first, second = (stack.enter_context(opened_side(bench, name)) for name in (a, b))
        return with_weights(bench, compare(first, second, bench.environment.endpoint), download=weights)

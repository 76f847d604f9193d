"""Getting at the weights of both sides, to compare them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ramekin.checkpoint.inventory import weight_files
from ramekin.diff.comparing import Difference
from ramekin.diff.sides import Side
from ramekin.errors import UsageError
from ramekin.subject import at_hand
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.diff.weights import Checkpoint


def with_weights(bench: Workbench, difference: Difference, *, download: bool) -> Difference:
    """The same with the weights compared, or why they are not.

    Args:
        bench: The Hub, and where progress shows.
        difference: All else.
        download: Whether published weights are downloaded for this.

    Raises:
        UsageError: They are to be downloaded, and cannot be compared here.
        SourceError: A file cannot be had.
        DamagedError: A file is not what it should be.
        ResourceError: There is not enough disk.
    """
    sides = (difference.a, difference.b)
    if any(side.subject is None for side in sides):
        return replace(difference, why_not="a lock or a report alone has no weights")
    if not download and not all(side.weights_here for side in sides):
        return replace(difference, why_not="--weights downloads them and compares")
    try:
        from ramekin.diff.weights import count_differing
    except ModuleNotFoundError as error:
        if download:
            raise UsageError(f"comparing weights needs {error.name}", "install `ramekin[merge]`") from error
        return replace(difference, why_not="comparing them needs `ramekin[merge]`")
    a, b = (_checkpoint(bench, side) for side in sides)
    return replace(difference, weights=count_differing(a, b, bench.terminal))


def _checkpoint(bench: Workbench, side: Side) -> "Checkpoint":
    from ramekin.diff.weights import Checkpoint

    assert side.subject is not None  # noqa: S101 - a side without one has no weights
    records = side.subject.report.output.files
    files = at_hand(bench, side.subject, weight_files(records, source=side.name))
    return Checkpoint(side.name, files, records)

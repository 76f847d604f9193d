"""Deriving the weights of a merge again, from its lock and its sources alone."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.digests import sha256_of
from ramekin.errors import DamagedError
from ramekin.lock.making import LockPolicy
from ramekin.merge.stage import merge_prepared
from ramekin.preparing import Request, prepare, unmeasured
from ramekin.report import (
    MANIFEST_COPY,
    NEURONS,
)
from ramekin.subject import Subject
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.merge.chosen import Recorded


def remerge(bench: Workbench, subject: Subject) -> dict[str, str]:
    """Merge again from the lock in an empty directory; what is wrong with each derived file, empty if nothing is.

    Local sources are looked for relative to the working directory.

    Raises:
        SourceError: A source cannot be had.
        DamagedError: What has to be known of the choice that was made is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="ramekin-remerge-", dir=_roomy(bench)) as temporary:
        out = Path(temporary) / "merged"
        manifest = subject.directory / MANIFEST_COPY
        request = Request(manifest, LockPolicy(locked=True, write=False), out=out, root=Path.cwd())
        # What was measured has decided about no weight that is not recorded, and measuring takes long.
        prepared = unmeasured(prepare(bench, request, ask_target=False))
        recorded = _recorded(subject) if prepared.loaded.manifest.method.uses_benchmarks else None
        again = merge_prepared(bench, prepared, out, recorded=recorded).output.files
        derived = [name for name in again if not name.startswith("ramekin/") or name == NEURONS]
        before = subject.report.output.files
        return {n: "" if before.get(n) == again[n] else "differs from what its sources give" for n in derived}


def _recorded(subject: Subject) -> "Recorded":
    """The choice that was made: what models do is not bit for bit the same on every machine, what is merged is."""
    from ramekin.merge.chosen import Recorded

    record = subject.report.output.files.get(NEURONS)
    if record is None:
        return Recorded(subject.report, None)
    path = subject.directory / NEURONS
    if not path.is_file() or sha256_of(path) != record.sha256:
        raise DamagedError(f"{path}: is not as the report has it", "publish or merge again")
    return Recorded(subject.report, path)


def _roomy(bench: Workbench) -> Path:
    bench.environment.state.mkdir(parents=True, exist_ok=True)
    return bench.environment.state

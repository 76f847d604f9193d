"""What a merge has its sources from, and what becomes of the files that it finishes.

In the normal mode all sources are at hand before it begins, and all of the output is there when it ends. In low-disk
mode the one are fetched and the other uploaded as it goes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ramekin.digests import sha256_of
from ramekin.download import Wanted
from ramekin.fetch import fetch_sources
from ramekin.parts import FetchedParts, Origin, lying_parts
from ramekin.plan.disk import WEIGHTS, comes_in_parts
from ramekin.plan.fitting import confirm_layout
from ramekin.plan.schedule import Terms, make_schedule
from ramekin.plan.steps import cut_into_steps, reads
from ramekin.records import FileRecord
from ramekin.room import check_disk
from ramekin.staging import Staging
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.merge.files import Supply
    from ramekin.preparing import Prepared

Files = Mapping[str, Mapping[str, Path]]
"""Local paths by role (`base`, `expert:NAME`) and name."""

_TENSORS: Final = "tensors"


class Stock(Protocol):
    """Sources, and a place for what is finished."""

    @property
    def files(self) -> Files:
        """The files that are at hand before the merge begins, and stay."""

    def supply(self, staging: Staging, finished: Collection[str], *, counted: bool) -> "Supply":
        """Where the merge has its weights from.

        Args:
            staging: Where it writes.
            finished: The output files that are done already.
            counted: Whether the statistics are.
        """

    def present(self, path: Path, record: FileRecord) -> bool:
        """Whether an output file that an earlier run finished need not be made again."""

    def take(self, path: Path, record: FileRecord) -> None:
        """Take an output file that is finished."""

    def has(self, record: FileRecord) -> bool:
        """Whether an output file that is not in its directory need not be there."""


class Shelf(Protocol):
    """Where low-disk mode puts the output files that are finished."""

    def put(self, path: Path, record: FileRecord) -> None:
        """Take a file over; it may be gone afterwards."""

    def has(self, record: FileRecord) -> bool:
        """Whether a file was taken over, and is there still."""


class InPlace:
    """Leaves them where they are."""

    def put(self, path: Path, record: FileRecord) -> None:
        """Nothing is done."""

    def has(self, record: FileRecord) -> bool:
        """Nothing was."""
        return False


@dataclass(frozen=True)
class Everything:
    """All sources at hand; the output stays where it is written."""

    files: Files

    def supply(self, staging: Staging, finished: Collection[str], *, counted: bool) -> "Supply":
        """The files."""
        from ramekin.merge.files import AtHand

        staging.clear_parts()
        return AtHand(self.files)

    def present(self, path: Path, record: FileRecord) -> bool:
        """Whether it is there, whole."""
        return _is_there(path, record)

    def take(self, path: Path, record: FileRecord) -> None:
        """Leave it."""

    def has(self, record: FileRecord) -> bool:
        """All that there is is in the directory."""
        return False


@dataclass(frozen=True)
class AsItGoes:
    """Sources that are fetched when they are needed, and an output that is uploaded file by file.

    Attributes:
        files: What is at hand: all but weights, and of those what was there before.
        bench: The Hub, and where progress shows.
        prepared: The plan.
        shelf: Where finished files go.
    """

    files: Files
    bench: Workbench
    prepared: "Prepared"
    shelf: Shelf

    def supply(self, staging: Staging, finished: Collection[str], *, counted: bool) -> "Supply":
        """Parts of files, as the room that there is now allows.

        Raises:
            ResourceError: There is not enough of it.
        """
        for path in staging.directory.glob("*.part"):  # half a file: it is begun again
            path.unlink()
        prepared, room = self.prepared, self.prepared.made.room
        layout = prepared.made.mergeable()
        origins = self._origins()
        known = {digest: digests for digest, digests in staging.journal.get(_TENSORS, {}).items() if digest in origins}
        budget = room.budget(staging.parts)
        terms = Terms(
            sizes={digest: origin.wanted.file.size for digest, origin in origins.items()},
            passes=prepared.loaded.manifest.method.passes,
            budget=budget - self._copied,
            between=not room.low_disk,
            output_stays=room.output_stays,
            finished=finished,
            counted=counted,
            known=known,
            lying=lying_parts(staging.parts),
        )
        schedule = make_schedule(cut_into_steps(layout, self._pinned), terms)
        check_disk(staging.directory, schedule.peak + self._copied, budget)
        return FetchedParts(
            staging.parts,
            schedule,
            origins,
            self.files,
            known=known,
            note=lambda found: staging.save(**{_TENSORS: found}),
            client=self.bench.client,
            progress=self.bench.terminal,
        )

    def present(self, path: Path, record: FileRecord) -> bool:
        """Whether it is there, or on the Hub; what is there yet, and should not be, is uploaded."""
        if _is_there(path, record):
            self.take(path, record)
            return True
        return self.has(record)

    def take(self, path: Path, record: FileRecord) -> None:
        """Put it where it belongs."""
        self.shelf.put(path, record)

    def has(self, record: FileRecord) -> bool:
        """Whether it is there."""
        return self.shelf.has(record)

    @property
    def _pinned(self) -> dict[str, Any]:
        return {role: source.files for role, source in self.prepared.lock.sources.items()}

    @property
    def _copied(self) -> int:
        return sum(path.stat().st_size for name, path in self.files["base"].items() if not name.endswith(WEIGHTS))

    def _origins(self) -> dict[str, Origin]:
        """The files of weights that have to be fetched, by digest, with what is read of each."""
        sources = self.prepared.lock.sources
        layout = self.prepared.made.mergeable()
        tensors: dict[tuple[str, str], set[Any]] = {}
        for task in (task for shard in layout.shards for task in shard.tensors):
            for role, tensor in reads(task, sources):
                tensors.setdefault((role, tensor.file), set()).add(tensor)
        missing = {place: found for place, found in tensors.items() if place[1] not in self.files[place[0]]}
        origins: dict[str, Origin] = {}
        for (role, name), found in missing.items():
            file = sources[role].files[name]
            described = frozenset((tensor.name, tensor.dtype, tensor.shape, tensor.start) for tensor in found)
            same = origins.get(file.digest)
            origins[file.digest] = Origin(
                wanted=same.wanted if same else Wanted(role, sources[role], name, file),
                tensors=described | (same.tensors if same else frozenset()),
                places=(*(same.places if same else ()), (role, name)),
            )
        return origins


def gather(bench: Workbench, prepared: "Prepared", shelf: Shelf) -> Stock:
    """Fetch what has to be here before the merge begins, and hold it against what the plan has seen.

    Args:
        bench: The Hub, and what is here already.
        prepared: The plan.
        shelf: Where low-disk mode puts what is finished.

    Raises:
        SourceError: A file cannot be had.
        DamagedError: A file is not what the lock says.
        ResourceError: The disk is full.
    """
    in_parts = prepared.plan.mode == "low-disk"
    fetched = fetch_sources(
        prepared.lock,
        prepared.loaded.manifest,
        prepared.sources,
        bench.store,
        lambda: bench.client,
        leave=comes_in_parts if in_parts else _nothing,
    )
    readers = {
        role: prepared.sources.open(prepared.loaded.manifest.sources[role]).reader(pinned)
        for role, pinned in prepared.lock.sources.items()
    }
    layout = prepared.made.mergeable()
    confirm_layout(layout, prepared.loaded.manifest, prepared.lock, fetched.files, readers)
    return AsItGoes(fetched.files, bench, prepared, shelf) if in_parts else Everything(fetched.files)


def _nothing(_: str) -> bool:
    return False


def _is_there(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.size and sha256_of(path) == record.sha256

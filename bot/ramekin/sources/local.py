"""Local directories."""

import hashlib
import os
from pathlib import Path

from ramekin.checkpoint.selection import files_to_read
from ramekin.digests import DigestMemory
from ramekin.errors import SourceError
from ramekin.lock.model import PinnedFile, PinnedSource
from ramekin.manifest.model import Source as Reference
from ramekin.progress import Progress
from ramekin.sources.base import ReadRange, Role
from ramekin.sources.declared import CARD_LIMIT, declared_in
from ramekin.text import printable


def local_path(name: str, root: Path) -> Path:
    """Where something local is that a manifest names, as an absolute path."""
    # Not pathlib's expanduser and resolve: both raise for a user, or a link, that leads nowhere.
    return Path(os.path.abspath(root / os.path.expanduser(name)))  # noqa: PTH100, PTH111


class LocalSource:
    """A directory with a checkpoint, as `save_pretrained` writes it."""

    def __init__(self, reference: Reference, root: Path, digests: DigestMemory, progress: Progress) -> None:
        self._name = str(reference)
        self.directory = local_path(self._name, root)
        self._digests = digests
        self._progress = progress

    def pin(self, role: Role) -> PinnedSource:
        """Take the digest of every file that a merge reads.

        The commit is the first 40 digits of a sha256 over names and digests, so that it changes when a file does.

        Raises:
            SourceError: The directory does not exist or cannot be read.
            IncompatibleError: It holds no weights that can be merged.
        """
        try:
            present = sorted(str(p.relative_to(self.directory)) for p in self._candidates())
            names = files_to_read(present, role, source=self._name)
            sizes = {name: (self.directory / name).stat().st_size for name in names}
            with self._progress.bar(f"reading {printable(self._name)}", sum(sizes.values())) as bar:
                files = {
                    name: PinnedFile(size=size, sha256=self._digests.sha256(self.directory / name, bar.advance))
                    for name, size in sizes.items()
                }
            readme = self.directory / "README.md"
            facts, parents = declared_in(readme.read_bytes()[:CARD_LIMIT] if readme.is_file() else None)
            # Nothing is asked of the Hub for a directory: only those that are sources themselves will be known.
            facts = facts.model_copy(update={"parents": dict.fromkeys(parents)})
        except OSError as error:
            raise SourceError(
                f"{printable(self._name)}: {error.strerror or error}", "check the path and its permissions"
            ) from error
        listing = "".join(f"{name}\0{pinned.digest}\n" for name, pinned in sorted(files.items()))
        commit = hashlib.sha256(listing.encode()).hexdigest()[:40]
        # Nobody else can see a local directory: its weights are not public until their owner makes them so.
        return PinnedSource(source=self._name, kind="local", commit=commit, private=True, card=facts, files=files)

    def reader(self, pinned: PinnedSource) -> ReadRange:
        """A reader of the directory as it is now; `fetch` compares it with the lock before weights are merged."""

        def read(file: str, start: int, stop: int) -> bytes:
            try:
                with (self.directory / file).open("rb") as stream:
                    stream.seek(start)
                    return stream.read(max(0, stop - start))
            except OSError as error:
                raise SourceError(
                    f"{printable(self._name)}/{printable(file)}: {error.strerror or error}",
                    "restore the file, or pin again with `ramekin lock --upgrade`",
                ) from error

        return read

    def _candidates(self) -> list[Path]:
        if not self.directory.is_dir():
            raise SourceError(
                f"{printable(self._name)}: there is no such directory", "check the path; it is relative to the manifest"
            )
        return [path for path in (*self.directory.glob("*"), *self.directory.glob("*/*.jinja")) if path.is_file()]

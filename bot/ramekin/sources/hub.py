"""Repositories on the Hub, at a revision."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from ramekin.answers import RepoEntry, RepoState
from ramekin.checkpoint.selection import files_to_read
from ramekin.errors import DamagedError, SourceError
from ramekin.licences.catalogue import known_id
from ramekin.lock.model import CardFacts, PinnedFile, PinnedSource
from ramekin.manifest.model import Source as Reference
from ramekin.sources.base import ReadRange, Role
from ramekin.sources.declared import CARD_LIMIT, declared_in
from ramekin.store import BlobStore
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.client import HubClient

_ANCESTORS: Final = 12
"""Most ancestors whose licences are looked up for one source."""


class HubSource:
    """A repository on the Hub."""

    def __init__(self, reference: Reference, client: "HubClient", store: BlobStore) -> None:
        self._repo = str(reference)
        self._revision = reference.revision
        self._client = client
        self._store = store

    def pin(self, role: Role) -> PinnedSource:
        """Resolve the revision to a commit and list the files that a merge reads.

        Raises:
            SourceError: The repository is absent, gated or private without access, or the Hub is not to be reached.
            IncompatibleError: It holds no weights that can be merged.
            DamagedError: What the Hub says of it cannot be.
        """
        state = self._client.state(self._repo, self._revision)
        if state is None:
            raise SourceError(
                f"{printable(self._repo)}: does not exist, or this token may not see it",
                self._client.access.cure_for_unseen,
            )
        entries = {entry.path: entry for entry in self._client.entries(state.repo, state.commit)}
        names = files_to_read(entries, role, source=state.repo)
        # A gated repository shows its file list to everyone: find out now, not after the other experts are here.
        self._client.read(state.repo, state.commit, names[0], 0, 1)
        card = self._card(state.repo, state.commit, has_card="README.md" in entries)
        return pinned_at(state, [entries[name] for name in names], card, called=self._repo, requested=self._revision)

    def reader(self, pinned: PinnedSource) -> ReadRange:
        """A reader of the pinned commit, by one range request a call.

        Offline it reads the files that are here already. Otherwise the Hub is asked even for those: a lock that names a
        commit which does not exist is not to be believed.
        """

        def read(file: str, start: int, stop: int) -> bytes:
            path = self._store.at_hand(pinned, file, pinned.files[file]) if self._client.offline else None
            if path is None:
                return self._client.read(pinned.source, pinned.commit, file, start, stop)
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(max(0, stop - start))

        return read

    def _card(self, repo: str, commit: str, *, has_card: bool) -> CardFacts:
        """What the card at the commit declares, with the licences of the models it descends from."""
        card = self._client.read_if_present(repo, commit, "README.md", CARD_LIMIT) if has_card else None
        facts, nearest = declared_in(card)
        parents: dict[str, str | None] = {}
        waiting = [parent for parent in nearest if parent != repo]
        while waiting and len(parents) < _ANCESTORS:
            parent = waiting.pop(0)
            if parent in parents:
                continue
            parents[parent], further = self._ancestor(parent)
            waiting += [name for name in further if name != repo]
        # Those beyond the limit are not known, which is not the same as not there.
        parents |= {parent: None for parent in waiting[:_ANCESTORS] if parent not in parents}
        return facts.model_copy(update={"parents": parents})

    def _ancestor(self, repo: str) -> tuple[str | None, tuple[str, ...]]:
        """Licence and further ancestors of a declared parent; nothing where it may not be read."""
        try:
            state = self._client.state(repo)
            card = self._client.read_if_present(repo, state.commit, "README.md", CARD_LIMIT) if state else None
        except SourceError:
            return None, ()
        facts, further = declared_in(card)
        return known_id(facts.license, facts.license_name), further


def pinned_at(
    state: RepoState,
    entries: Iterable[RepoEntry],
    card: CardFacts,
    *,
    called: str,
    requested: str | None,
    repo_type: Literal["dataset"] | None = None,
) -> PinnedSource:
    """A repository as it is pinned.

    Args:
        state: What the Hub says of it at the revision.
        entries: The files that are read.
        card: What its card declares.
        called: What the manifest calls it.
        requested: The revision that the manifest names.
        repo_type: `dataset`, if it is one.

    Raises:
        DamagedError: What the Hub says of it cannot be.
    """
    try:
        return PinnedSource(
            source=state.repo,
            named=None if state.repo == called else called,
            kind="hub",
            repo_type=repo_type,
            requested=requested,
            commit=state.commit,
            private=state.private,
            card=card,
            files={entry.path: PinnedFile(size=entry.size, sha256=entry.sha256, blob=entry.blob) for entry in entries},
        )
    except ValidationError as error:
        what = printable(error.errors()[0]["msg"], 200)
        raise DamagedError(
            f"{printable(called)}: the Hub says of it what cannot be: {what}", "check HF_ENDPOINT"
        ) from error

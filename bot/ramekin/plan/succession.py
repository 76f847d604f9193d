"""Which model is the new version of which, as cards on the Hub say: the older one's names the newer one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ramekin.manifest.parts import REPO_PATTERN
from ramekin.plan.published import published_report
from ramekin.sources.declared import CARD_LIMIT, read_front_matter

if TYPE_CHECKING:
    from ramekin.client import HubClient

NEW_VERSION: Final = "new_version"
CARD: Final = "README.md"
_LONGEST: Final = 8
"""Steps that are followed from one version to the next."""


@dataclass(frozen=True)
class Superseded:
    """An older model whose card is to name the merge as its new version.

    Attributes:
        repo: Its id.
        exists: Whether it is there.
        ours: Whether ramekin made it.
        newer: What its card leads to, the next version first.
        target_newer: What the card of the merge's own repository leads to, likewise.
    """

    repo: str
    exists: bool = False
    ours: bool = False
    newer: tuple[str, ...] = ()
    target_newer: tuple[str, ...] = ()


def look_at_superseded(client: "HubClient", old: str, target: str) -> Superseded:
    """Look at the older model, and at what both cards say.

    Args:
        client: The Hub.
        old: Repository of the older model.
        target: Repository that the merge goes to.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    state = client.state(old)
    if state is None:
        return Superseded(old)
    ours = published_report(client, state.repo, state.commit) is not None
    after, target_after = tuple(versions_after(client, state.repo)), tuple(versions_after(client, target))
    return Superseded(state.repo, exists=True, ours=ours, newer=after, target_newer=target_after)


def versions_after(client: "HubClient", repo: str) -> Iterator[str]:
    """The new version that a model's card names, then that one's, as far as they may be read.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    seen = {repo.casefold()}
    for _ in range(_LONGEST):
        state = client.state(repo)
        card = client.read_if_present(state.repo, state.commit, CARD, CARD_LIMIT + 1) if state else None
        named = named_in(card or b"")
        if named is None:
            return
        yield named
        if named.casefold() in seen:
            return
        seen.add(named.casefold())
        repo = named


def named_in(card: bytes) -> str | None:
    """The new version that a card names; None for what is no repository's id."""
    named = read_front_matter(card).get(NEW_VERSION)
    return named if isinstance(named, str) and re.fullmatch(REPO_PATTERN, named) else None

"""`new_version` on the card of an older model: one line of its front matter, and nothing else of it."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.errors import PublishError
from ramekin.plan.succession import CARD, NEW_VERSION, named_in, versions_after
from ramekin.publish.change import Change, StaleParentError
from ramekin.publish.landing import Landed, land, publishing
from ramekin.sources.declared import CARD_LIMIT, read_front_matter

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

_TRIES: Final = 3
_FRONT: Final = re.compile(r"\A(\ufeff?---[ \t]*(\r?\n))(.*?)(^---[ \t]*\r?$)", re.DOTALL | re.MULTILINE)
_LINE: Final = re.compile(rf"^{NEW_VERSION}[ \t]*:[^\r\n]*", re.MULTILINE)
_AGAIN: Final = "run the same command again: it does only what is missing"


def name_new_version(client: "HubWriter", old: str, new: str, *, replace: bool) -> None:
    """Have the card of an older model name its new version, in a commit that changes that line alone.

    Args:
        client: The Hub.
        old: Repository of the older model.
        new: Repository of the new one.
        replace: Whether another new version that the card names is replaced.

    Raises:
        PublishError: The card names another one, cannot be changed, or the Hub refuses.
    """
    for attempt in range(_TRIES):
        try:
            return _name(client, old, new, replace=replace)
        except StaleParentError:
            # Somebody has written there meanwhile: their card gets the line.
            if attempt == _TRIES - 1:
                raise
    raise AssertionError


def _name(client: "HubWriter", old: str, new: str, *, replace: bool) -> None:
    with publishing():
        state = client.state(old)
        if state is None:
            raise PublishError(f"{old}: does not exist, or this token may not see it", "check output.supersedes")
        content = client.read_if_present(state.repo, state.commit, CARD, CARD_LIMIT + 1) or b""
        named = named_in(content)
        # The Hub follows one version to the next: a way that leads there need not be made shorter.
        if named and new.casefold() in {each.casefold() for each in (named, *versions_after(client, named))}:
            return
    if named and not replace:
        raise PublishError(
            f"{old}: its card names {named} as its new version, not {new}",
            "take that line out of its card, or say --adopt to replace it",
        )
    changed = with_new_version(content, new)
    if changed is None:
        raise PublishError(
            f"{old}: its card cannot be changed by a line",
            f"write `{NEW_VERSION}: {new}` into its front matter yourself",
        )
    with tempfile.TemporaryDirectory(prefix="ramekin-card-") as name:
        path = Path(name, CARD)
        path.write_bytes(changed)
        message = f"{NEW_VERSION}: {new}"
        change = Change("", "", message, "The new version of this model.", {CARD: path}, (), {})

        def act() -> Landed:
            return Landed(*client.commit(state.repo, change, parent=state.commit))

        def landed() -> Landed | None:
            now = client.state(state.repo)
            card = client.read_if_present(now.repo, now.commit, CARD, CARD_LIMIT + 1) if now else None
            return Landed(now.commit, "") if now and card == changed else None

        with publishing():
            land(client, old, "the commit", act, landed, "all else is published")


def with_new_version(content: bytes, new: str) -> bytes | None:
    """A card with the line in its front matter, every other byte as it was; None where that cannot be done.

    Args:
        content: The card; empty for none.
        new: Repository of the new version.
    """
    if len(content) > CARD_LIMIT:
        return None
    # Surrogates stand for bytes that are no UTF-8, and are written as they were read.
    text = content.decode("utf-8", "surrogateescape")
    line = f"{NEW_VERSION}: {new}"
    found = _FRONT.match(text)
    if found is None:
        changed = f"---\n{line}\n---\n{text}"
    else:
        opening, newline, block, closing = found.groups()
        if _LINE.search(block):
            block = _LINE.sub(lambda _: line, block, count=1)
        else:
            block += line + newline
        changed = opening + block + closing + text[found.end() :]
    result = changed.encode("utf-8", "surrogateescape")
    # A front matter that is written in another way, such as in braces, would not read as meant.
    expected = {**read_front_matter(content), NEW_VERSION: new}
    return result if read_front_matter(result) == expected else None

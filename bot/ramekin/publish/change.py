"""What one commit on the Hub does, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ramekin.errors import PublishError
from ramekin.records import FileRecord


@dataclass(frozen=True)
class Change:
    """What one commit does.

    Attributes:
        key: Key of the merge that the repository then holds.
        texts: Digest of the card texts that it then shows.
        message: Title of the commit or of the pull request; the same for the same content.
        description: What stands below it.
        add: Files to write, by path in the repository.
        delete: Paths that go.
        sha256: What the files must hold, as far as it is known; checked while they are read for the upload.
        uploaded: Files to write that the Hub has already, by path in the repository.
    """

    key: str
    texts: str
    message: str
    description: str
    add: Mapping[str, Path]
    delete: tuple[str, ...]
    sha256: Mapping[str, str]
    uploaded: Mapping[str, FileRecord] = field(default_factory=dict)


class StaleParentError(PublishError):
    """The branch is no longer where the plan saw it."""


def title_of(method: str, key: str, texts: str, *, card: bool) -> str:
    """The title of a commit or pull request: the same for the same content, by which it is found again.

    Args:
        method: Name of the method.
        key: Key of the merge.
        texts: Digest of the card texts.
        card: Whether the card alone changes.
    """
    return f"{method} card {texts.removeprefix('sha256:')[:12]} of {key}" if card else f"{method} merge {key}"

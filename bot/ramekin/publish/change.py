"""What one commit on the Hub does, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ramekin.errors import PublishError
from ramekin.report import FileRecord


@dataclass(frozen=True)
class Change:
    """What one commit does.

    Attributes:
        add: Files to write, by path in the repository.
        delete: Paths that go.
        sha256: What the files must hold, as far as it is known; checked while they are read for the upload.
        uploaded: Files to write that the Hub has already, by path in the repository.
    """

    add: Mapping[str, Path]
    delete: tuple[str, ...]
    message: str
    description: str
    sha256: Mapping[str, str]
    uploaded: Mapping[str, FileRecord] = field(default_factory=dict)


class StaleParentError(PublishError):
    """The branch is no longer where the plan saw it."""

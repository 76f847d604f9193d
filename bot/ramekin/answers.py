"""What the Hub says, as data: light, for all that handles it without asking itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RepoState:
    """A repository at a revision: its canonical id, commit, and who may see it."""

    repo: str
    commit: str
    private: bool
    gated: bool


@dataclass(frozen=True)
class RepoEntry:
    """One file of a commit: size in bytes and sha256 (large files) or git blob id (files kept in git)."""

    path: str
    size: int
    sha256: str | None
    blob: str | None


class NoAnswer(Exception):  # noqa: N818 - not yet an error: whoever called decides whether to try again
    """The connection broke, or the Hub is busy.

    Attributes:
        wait: Seconds that the Hub has asked to wait, if it has.
    """

    def __init__(self, what: str, wait: float | None) -> None:
        super().__init__(what)
        self.wait = wait

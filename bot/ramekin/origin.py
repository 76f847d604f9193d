"""Which version of ramekin this is, as workflows pin it: by the commit that it was made from, where that is known."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from ramekin import __version__

REPOSITORY: Final = "ramekin-bot/ramekin"
STAMP: Final = Path(__file__).parent / "COMMIT"
"""Holds the commit of a release: written by the release's workflow right before the wheel is built."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REVISION: Final = re.compile(r"[\w./-]{1,100}", re.ASCII)


@dataclass(frozen=True)
class Origin:
    """Where this ramekin comes from.

    Attributes:
        version: Its version.
        commit: Commit of its repository that it was made from; None where nobody knows.
        revision: Tag or branch that the commit was found by.
    """

    version: str
    commit: str | None = None
    revision: str = ""

    @property
    def action(self) -> str:
        """What a workflow writes after `uses:`, with the comments that people and tools look for beside it."""
        if self.commit:
            return f"{REPOSITORY}@{self.commit} # {self.revision or f'v{self.version}'}"
        # Here is no commit to be known: an editable installation, or a wheel that was built by hand.
        why = "pin the commit of this tag as soon as you know it"
        return f"{REPOSITORY}@v{self.version} # zizmor: ignore[unpinned-uses] {why}"


def find_origin(stamp: Path = STAMP, installed: Callable[[], str | None] | None = None) -> Origin:
    """Find the commit: that of a release is stamped into it, and pip notes which commit of a repository it installed.

    Args:
        stamp: File of the former.
        installed: Reads the latter, `direct_url.json`.
    """
    stamped = stamp.read_text("utf-8").strip() if stamp.is_file() else ""
    if _COMMIT.fullmatch(stamped):
        return Origin(__version__, stamped, f"v{__version__}")
    return _of_repository((installed or _noted)() or "{}")


def _noted() -> str | None:
    try:
        return distribution("ramekin").read_text("direct_url.json")
    except PackageNotFoundError:
        return None


def _of_repository(note: str) -> Origin:
    try:
        data = json.loads(note)
        found = data.get("vcs_info") or {}
        commit, revision = str(found.get("commit_id")), str(found.get("requested_revision") or "")
        ours = str(data.get("url", "")).removesuffix("/").removesuffix(".git").endswith(f"/{REPOSITORY}")
    except (ValueError, AttributeError):
        return Origin(__version__)
    if not ours or not _COMMIT.fullmatch(commit):
        # Another repository's commit is none that ours has.
        return Origin(__version__)
    return Origin(__version__, commit, revision if _REVISION.fullmatch(revision) else "main")

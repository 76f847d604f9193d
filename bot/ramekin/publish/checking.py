"""Whether a commit on the Hub holds what a report says, file by file."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ramekin.answers import RepoEntry
from ramekin.records import FileRecord

if TYPE_CHECKING:
    from ramekin.client import HubClient


def differing_files(
    client: "HubClient", repo: str, commit: str, entries: Mapping[str, RepoEntry], files: Mapping[str, FileRecord]
) -> dict[str, str]:
    """Compare large files by the digests that the Hub has, small ones by their content.

    Args:
        client: The Hub.
        repo: Repository.
        commit: What is looked at.
        entries: All files of the commit, by path.
        files: What the report says of each.

    Returns:
        What is wrong with each file that is not as the report has it; empty if all are.

    Raises:
        SourceError: A file cannot be read.
    """
    found = {}
    for name, record in files.items():
        if what := _difference(client, repo, commit, entries.get(name), record):
            found[name] = what
    return found


def _difference(client: "HubClient", repo: str, commit: str, entry: RepoEntry | None, record: FileRecord) -> str:
    if entry is None:
        return "is missing"
    same = entry.size == record.size
    if same and entry.sha256 is None:
        content = client.read(repo, commit, entry.path, 0, record.size + 1)
        same = hashlib.sha256(content).hexdigest() == record.sha256
    elif same:
        same = entry.sha256 == record.sha256
    return "" if same else "differs from the report"

"""The repository as it was at a commit, read through GitHub's interface: for what must not depend on the checkout."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ramekin.action.job import Job


@contextmanager
def snapshot(job: Job, commit: str) -> Iterator[Path]:
    """The files of a commit, in a directory that is gone afterwards.

    Raises:
        GitHubError: GitHub does not have it, or not in a form that can be unpacked safely.
    """
    place = job.settings.temporary
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ramekin-", dir=place) as name:
        yield job.github.archive(commit, Path(name))

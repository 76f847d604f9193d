"""Whether a manifest's lock is what the Hub holds, and how its last run went if not."""

import re
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ramekin.action.proposals.context import Context
from ramekin.action.sticky import stickies
from ramekin.errors import RamekinError
from ramekin.lock.file import lock_path
from ramekin.manifest.reading import read_manifest
from ramekin.plan.standing import look_at

_RUN: Final = re.compile(r"/actions/runs/(\d{1,18})\Z")


@dataclass(frozen=True)
class Publication:
    """How a manifest stands on the Hub.

    Attributes:
        said: In a few words.
        page: Page of the last run, if that has failed; else empty.
        run: Its number, where starting it again is all that it takes.
    """

    said: str
    page: str = ""
    run: int | None = None


def publication(context: Context, manifest: Path, key: str) -> Publication:
    """Look how a manifest stands on the Hub, and at its last run if it is not what the Hub holds.

    Args:
        context: The job's surroundings.
        manifest: Path of the manifest, relative to the repository.
        key: Key of its lock on the default branch; empty where there is none.

    Raises:
        GitHubError: GitHub cannot be asked how the last run went.
    """
    try:
        with chdir(context.current.root):
            loaded = read_manifest(manifest)
        standing = look_at(context.job.bench.client, loaded.manifest)
    except RamekinError:
        return Publication("unknown")
    if key and standing.holds(key):
        return Publication("yes")
    return _unpublished(context, manifest, "an older merge" if standing.report else "no", key)


def _unpublished(context: Context, manifest: Path, said: str, key: str) -> Publication:
    """With the run of the lock that is on the default branch, if it has failed."""
    if not key:
        return Publication(said)
    github = context.job.github
    commit = github.last_change(lock_path(manifest).as_posix(), github.default_branch)
    for pull in github.pulls_with(commit) if commit else ():
        sticky = stickies(github, pull.number).get(manifest.as_posix()) if pull.merged else None
        if sticky and sticky.marker.state in {"failed", "changed", "cancelled"}:
            page = sticky.marker.run
            found = _RUN.search(page)
            # Where the plan has changed, the same run would stop again: somebody has to look, and start one by hand.
            again = found and sticky.marker.state != "changed" and page.startswith(context.job.settings.server_url)
            return Publication(said, page, int(found[1]) if found and again else None)
    return Publication(said)

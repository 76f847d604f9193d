"""Whether a manifest's lock is what the Hub holds, and how its last run went if not."""

from contextlib import chdir
from pathlib import Path

from ramekin.action.proposals.setting import Setting
from ramekin.action.sticky import stickies
from ramekin.errors import RamekinError
from ramekin.lock.file import lock_path
from ramekin.manifest.reading import read_manifest
from ramekin.plan.standing import look_at


def publication(setting: Setting, manifest: Path, key: str) -> tuple[str, str]:
    """How things stand on the Hub, in a few words, and the page of the last run if that has failed.

    Args:
        setting: The job's surroundings.
        manifest: Path of the manifest, relative to the repository.
        key: Key of its lock on the default branch; empty where there is none.

    Raises:
        GitHubError: GitHub cannot be asked how the last run went.
    """
    try:
        with chdir(setting.current.root):
            loaded = read_manifest(manifest)
        standing = look_at(setting.job.bench.client, loaded.manifest)
    except RamekinError:
        return "unknown", ""
    if key and standing.holds(key):
        return "yes", ""
    said = "an older merge" if standing.report else "no"
    return said, _last_run(setting, manifest) if key else ""


def _last_run(setting: Setting, manifest: Path) -> str:
    """The page of the run of the lock that is on the default branch, if it has failed."""
    github = setting.job.github
    commit = github.last_change(lock_path(manifest).as_posix(), github.default_branch)
    for pull in github.pulls_with(commit) if commit else ():
        sticky = stickies(github, pull.number).get(manifest.as_posix()) if pull.merged else None
        if sticky and sticky.marker.state in {"failed", "changed", "cancelled"}:
            return sticky.marker.run
    return ""

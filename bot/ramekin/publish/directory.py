"""Publishing a directory that `ramekin merge` wrote, later or elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.errors import LockError, PublishError
from ramekin.lock.file import read_lock
from ramekin.manifest.reading import read_manifest
from ramekin.plan.objections import Permissions, inherited, objections
from ramekin.plan.standing import look_at
from ramekin.publish.committing import Published, check_tag, merged_files, note_commit, publish
from ramekin.report import read_report

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

_MANIFEST: Final = Path("ramekin/merge.yaml")
_LOCK: Final = Path("ramekin/merge.lock")


def publish_directory(
    client: "HubWriter", directory: Path, allowed: Permissions, *, pull_request: bool = False
) -> Published:
    """Publish a merged directory in one commit; nothing if the Hub holds this merge already.

    Raises:
        DamagedError: The directory is not as its report has it.
        PublishError: It may not be published there, the Hub refuses, or a race was lost.
    """
    report = read_report(directory)
    loaded, lock = read_manifest(directory / _MANIFEST), read_lock(directory / _LOCK)
    if lock is None or lock.key != report.key:
        raise LockError(f"{directory / _LOCK}: is not the lock of this merge", "merge again into an empty directory")
    files = merged_files(directory, report)
    standing = look_at(client, loaded.manifest)
    if standing.holds(report.key):
        url = f"{client.endpoint}/{standing.target.repo}/commit/{standing.target.head}"
        return Published(standing.target.repo, standing.target.head, url, fresh=False)
    against = objections(loaded.manifest, lock, standing, inherited(loaded.manifest, lock), allowed)
    if against:
        raise PublishError(problems=against)
    tag = loaded.manifest.output.tag
    if not pull_request:
        client.check_write(standing.target.repo, exists=standing.target.exists, private=loaded.manifest.output.private)
        check_tag(client, standing, tag)
    published = publish(client, loaded.manifest, standing, files, pull_request=pull_request, tag=tag)
    if published.commit:
        note_commit(directory, published.commit, 0.0)
    return published

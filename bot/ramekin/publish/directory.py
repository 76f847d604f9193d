"""Publishing a directory that `ramekin merge` wrote, later or elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.errors import LockError, PublishError
from ramekin.evaluation.gate import check_gate
from ramekin.lock.file import read_lock
from ramekin.manifest.reading import read_manifest
from ramekin.plan.objections import Permissions, inherited, objections
from ramekin.plan.standing import look_around
from ramekin.publish.attesting import publish_attestation
from ramekin.publish.committing import Published, merged_files, note_commit, publish
from ramekin.publish.following import Followed, check_ahead, follow_up
from ramekin.publish.landing import Landed
from ramekin.publish.telling import Background
from ramekin.report import (
    LOCK_COPY,
    MANIFEST_COPY,
    read_report,
)

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter


def publish_directory(
    client: "HubWriter", directory: Path, allowed: Permissions, *, pull_request: bool = False
) -> Published:
    """Publish a merged directory in one commit; nothing, or its attestation alone, if the Hub holds it already.

    Raises:
        DamagedError: The directory is not as its report has it.
        GateError: Its scores are not what its manifest demands.
        PublishError: It may not be published there, the Hub refuses, or a race was lost.
    """
    report = read_report(directory)
    loaded, lock = read_manifest(directory / MANIFEST_COPY), read_lock(directory / LOCK_COPY)
    if lock is None or lock.key != report.key:
        raise LockError(
            f"{directory / LOCK_COPY}: is not the lock of this merge", "merge again into an empty directory"
        )
    files = merged_files(directory, report)
    manifest, standing = loaded.manifest, look_around(client, loaded.manifest)
    against = objections(manifest, lock, standing, inherited(manifest, lock), allowed)
    if against:
        raise PublishError(problems=against)
    target = standing.target
    if standing.holds(report.key):
        added = None if pull_request else publish_attestation(client, manifest, standing, directory, report)
        landed = added or Landed.at(client.endpoint, target.repo, target.head or "")
        published = Published(target.repo, landed.commit, landed.url, fresh=added is not None)
    else:
        check_gate(manifest, report, directory)
        background = Background(manifest, lock, standing.report) if pull_request else None
        if not pull_request:
            client.check_write(target.repo, exists=target.exists, private=manifest.output.private)
            check_ahead(client, manifest, standing, report.key)
        published = publish(client, manifest, standing, files, background=background)
        note_commit(directory, published.commit, 0.0)
    if not pull_request:
        follow_up(client, manifest, standing, Followed(report.key, published.commit), adopt=allowed.adopt)
    return published

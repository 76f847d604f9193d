"""Publishing an attestation for a merge that is published already."""

from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.attestation.statement import ATTESTATION, MOST_BYTES, Statement, lies_in
from ramekin.manifest.model import Manifest
from ramekin.plan.standing import Standing
from ramekin.publish.change import Change
from ramekin.publish.landing import Landed, commit, publishing
from ramekin.report import Report

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter


def publish_attestation(
    client: "HubWriter", manifest: Manifest, standing: Standing, directory: Path, report: Report
) -> Landed | None:
    """Add a merged directory's attestation to the same merge on the Hub; nothing where there is none, or it has it.

    Args:
        client: The Hub.
        manifest: What is published, and where to.
        standing: The repository, which holds this merge.
        directory: The directory.
        report: Its report.

    Raises:
        PublishError: The Hub refuses, or cannot be reached.
    """
    target, held = standing.target, standing.report
    if held is None or not lies_in(directory, report) or Statement.of(held) != Statement.of(report):
        return None
    path, head = directory / ATTESTATION, target.head or ""
    with publishing():
        there = ATTESTATION in standing.files and client.read(target.repo, head, ATTESTATION, 0, MOST_BYTES)
        if there == path.read_bytes():
            return None
        client.check_write(target.repo, exists=True, private=manifest.output.private)
        change = Change(
            key=report.key,
            texts=held.texts,
            message=f"{report.method.name} attestation of {report.key}",
            description="Who vouches for the key, the lock and the files of this merge.",
            add={ATTESTATION: path},
            delete=(),
            sha256={},
        )
        return commit(client, manifest, standing, change)

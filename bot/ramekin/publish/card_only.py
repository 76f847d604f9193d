"""Publishing new card texts for weights that are published already."""

import tempfile
from pathlib import Path
from typing import Final

from ramekin.atomic import write_atomically
from ramekin.errors import PublishError
from ramekin.lock.file import read_lock
from ramekin.manifest.reading import LoadedManifest
from ramekin.plan.standing import Standing
from ramekin.publish.committing import Published, plots_in, publish
from ramekin.publish.telling import Background
from ramekin.records import FileRecord
from ramekin.report import CARD_TEMPLATE, LOCK_COPY, MANIFEST_COPY, REPORT_NAME, redacted
from ramekin.workbench import Workbench

_LIMIT: Final = 32 << 20


def publish_card(
    bench: Workbench, loaded: LoadedManifest, standing: Standing, background: Background | None = None
) -> Published:
    """Render the card of the published merge with the manifest's new texts, and publish nothing but that.

    Args:
        bench: The tools.
        loaded: The manifest.
        standing: The repository as the plan saw it.
        background: What a pull request tells; given if one is to be opened instead of committing to the branch.

    Raises:
        PublishError: The Hub refuses, or somebody else has written to the repository since the plan.
    """
    from ramekin.card.template import find_template
    from ramekin.card.writing import write_card
    from ramekin.digests import sha256_of

    target, report = standing.target, standing.report
    if report is None or target.head is None:
        raise PublishError(f"{target.repo}: holds no merge of ours", "publish the merge first, with `ramekin run`")
    with tempfile.TemporaryDirectory(prefix="ramekin-card-") as name:
        directory = Path(name)
        write_atomically(directory / LOCK_COPY, bench.writer.read(target.repo, target.head, LOCK_COPY, 0, _LIMIT))
        write_atomically(directory / MANIFEST_COPY, loaded.text.encode())
        manifest = directory / MANIFEST_COPY
        files = dict(report.output.files)
        files[MANIFEST_COPY] = FileRecord(size=manifest.stat().st_size, sha256=sha256_of(manifest))
        files.pop(CARD_TEMPLATE, None)
        if template := find_template(loaded):
            write_atomically(directory / CARD_TEMPLATE, template.content)
            files[CARD_TEMPLATE] = template.record
        output = report.output.model_copy(update={"files": files})
        changed = report.model_copy(update={"texts": loaded.manifest.card.digest, "output": output})
        lock = read_lock(directory / LOCK_COPY)
        if lock:
            changed = redacted(changed, lock, samples=loaded.manifest.card.samples)
        write_atomically(directory / REPORT_NAME, changed.to_json().encode())
        write_card(directory, bench.environment.endpoint, template)
        names = ["README.md", REPORT_NAME, MANIFEST_COPY, *plots_in(directory), *([CARD_TEMPLATE] if template else [])]
        content = {path: directory / path for path in names}
        return publish(bench.writer, loaded.manifest, standing, content, background=background)

"""The one commit that publishes a merge: all lands together, against the parent that the plan saw, or nothing."""

import json
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.atomic import write_atomically
from ramekin.attestation.statement import ATTESTATION, Statement, lies_in
from ramekin.errors import DamagedError, PublishError
from ramekin.manifest.model import Manifest
from ramekin.plan.standing import Standing, look_at
from ramekin.publish.change import Change, StaleParentError, title_of
from ramekin.publish.eval_results import results_of
from ramekin.publish.landing import commit, publishing
from ramekin.publish.proposing import go_on, propose
from ramekin.publish.telling import Background
from ramekin.records import FileRecord
from ramekin.report import REPORT_NAME, Report

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

# A repository with the weights of two models loads as neither.
_WEIGHTS: Final = re.compile(r"(pytorch_)?model(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")
# Written with the card, and like it not named by the report.
_OF_THE_CARD: Final = ("ramekin/plots/", ".eval_results/ramekin.")


@dataclass(frozen=True)
class Published:
    """Where the merge is now.

    Attributes:
        repo: Repository.
        commit: Commit that holds it.
        url: Address of the commit or pull request.
        fresh: Whether this run made it; otherwise it was there already.
        pull_request: Whether it is in a pull request.
        notes: What of it was left out, and why.
    """

    repo: str
    commit: str
    url: str
    fresh: bool
    pull_request: bool = False
    notes: tuple[str, ...] = ()


def publish(
    client: "HubWriter",
    manifest: Manifest,
    standing: Standing,
    files: Mapping[str, Path],
    *,
    uploaded: Mapping[str, FileRecord] | None = None,
    background: Background | None = None,
) -> Published:
    """Publish a merged directory, or the changed card alone.

    Args:
        client: The Hub.
        manifest: What is published, and where to.
        standing: The repository as the plan saw it.
        files: What to write, by path in the repository; the report is among them.
        uploaded: What to write beside them, and the Hub has already.
        background: What a pull request tells; given if one is to be opened instead of committing to the branch.

    Raises:
        StaleParentError: Somebody else has written to the repository since the plan.
        PublishError: The Hub refuses, or cannot be reached; or a pull request does not hold what it should.
    """
    report = Report.model_validate_json(files[REPORT_NAME].read_bytes())
    with publishing(), tempfile.TemporaryDirectory(prefix="ramekin-results-") as name:
        standing = _made_ready(client, manifest, standing)
        repo, results = standing.target.repo, results_of(client, manifest, report)
        content = {**files, **results.write(Path(name))}
        if background is None:
            landed = commit(client, manifest, standing, _change(report, standing, content, uploaded or {}))
            return Published(repo, landed.commit, landed.url, fresh=True, notes=results.notes)
        ready = propose(client, background, standing, lambda there: _change(report, there, content, uploaded or {}))
        return Published(repo, ready.commit, ready.url, fresh=ready.fresh, pull_request=True, notes=results.notes)


def waiting(client: "HubWriter", background: Background, standing: Standing) -> Published | None:
    """The pull request of an earlier run that holds what is to be published, verified and ready, if there is one.

    Raises:
        PublishError: The Hub refuses, or what it holds is not what was sent; the pull request then stays a draft.
    """
    manifest, lock = background.manifest, background.lock
    card = standing.holds(lock.key)
    ready = go_on(
        client, background, standing, title_of(manifest.method.name, lock.key, manifest.card.digest, card=card)
    )
    if ready is None:
        return None
    return Published(standing.target.repo, ready.commit, ready.url, fresh=ready.fresh, pull_request=True)


def _made_ready(client: "HubWriter", manifest: Manifest, standing: Standing) -> Standing:
    """The target with a branch to commit to; it is created if need be."""
    if standing.target.exists:
        return standing
    client.create_repo(standing.target.repo, private=manifest.output.private)
    created = look_at(client, manifest)
    if created.target.state not in {"absent", "empty"}:
        raise StaleParentError(
            f"{standing.target.repo}: somebody else has just created and filled it",
            "nothing was published; run the same command again to plan against the new state",
        )
    if created.target.head is None:
        raise PublishError(f"{standing.target.repo}: was created and cannot be seen", "check what HF_TOKEN may read")
    if manifest.output.private and not created.target.private:
        raise PublishError(
            f"{standing.target.repo}: is public, and was to be created private",
            "nothing was published; make it private, or run the same command again to plan against the new state",
        )
    return created


def _change(
    report: Report, standing: Standing, files: Mapping[str, Path], uploaded: Mapping[str, FileRecord]
) -> Change:
    """Everything that the commit does. Files of the previous merge that this one lacks go, and so do other weights."""
    previous = set(standing.report.output.files) if standing.report else set()
    previous |= {name for name in standing.files if _WEIGHTS.fullmatch(name) or name.startswith(_OF_THE_CARD)}
    if standing.report is None or Statement.of(standing.report) != Statement.of(report):
        previous.add(ATTESTATION)  # it would be taken for one of this merge, and found false
    gone = sorted((previous & standing.files) - set(report.output.files) - set(files))
    # The card alone is published where what else the report names is there already.
    card = not report.output.files.keys() <= files.keys() | uploaded.keys()
    sources = "\n".join(
        f"- {label}: {source.source} at {source.commit}"
        for label, source in [("base", report.base), *((expert.name, expert) for expert in report.experts)]
    )
    return Change(
        key=report.key,
        texts=report.texts,
        message=title_of(report.method.name, report.key, report.texts, card=card),
        description=f"Merged and published by ramekin {report.ramekin} from\n\n{sources}",
        add=dict(files),
        delete=tuple(gone),
        sha256={name: record.sha256 for name, record in report.output.files.items()},
        uploaded=uploaded,
    )


def merged_files(directory: Path, report: Report, uploaded: Collection[str] = ()) -> dict[str, Path]:
    """What of a merged directory is published, by path in the repository; but for what was uploaded already.

    Raises:
        DamagedError: A file is missing or has another size than the report says, or the attestation is another's.
    """
    here = {name: record for name, record in report.output.files.items() if name not in uploaded}
    for name, record in here.items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != record.size:
            raise DamagedError(f"{path}: is not as the report has it", "merge again into an empty directory")
    signed = [ATTESTATION] if lies_in(directory, report) else []
    names = [*here, "README.md", REPORT_NAME, *signed, *plots_in(directory)]
    return {name: directory / name for name in names}


def plots_in(directory: Path) -> list[str]:
    """Paths of a merged directory's plots, relative to it."""
    return sorted(str(path.relative_to(directory)) for path in (directory / "ramekin" / "plots").glob("*.svg"))


def uploaded_files(directory: Path, report: Report, elsewhere: Callable[[FileRecord], bool]) -> dict[str, FileRecord]:
    """What of a merge is not in its directory any more, since it was uploaded as soon as it was finished."""
    return {
        name: record
        for name, record in report.output.files.items()
        if not (directory / name).is_file() and elsewhere(record)
    }


def note_commit(directory: Path, commit: str, seconds: float) -> None:
    """Write the published commit, and how long publishing took, into the local copy of the report."""
    path = directory / REPORT_NAME
    report = json.loads(path.read_text())
    report["output"]["commit"] = commit
    report["cost"]["seconds"]["publish"] = round(seconds, 3)
    write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())

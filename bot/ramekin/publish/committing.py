"""The one commit that publishes a merge: all lands together, against the parent that the plan saw, or nothing."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.answers import NoAnswer
from ramekin.atomic import write_atomically
from ramekin.errors import DamagedError, PublishError, SourceError
from ramekin.manifest.model import Manifest
from ramekin.plan.standing import Standing, look_at
from ramekin.publish.change import Change, StaleParentError
from ramekin.report import REPORT_NAME, FileRecord, Report
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

_TRIES: Final = 3
# A repository with the weights of two models loads as neither.
_WEIGHTS: Final = re.compile(r"(pytorch_)?model(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")


@dataclass(frozen=True)
class Published:
    """Where the merge is now.

    Attributes:
        repo: Repository.
        commit: Commit that holds it; None where it was there already in a pull request.
        url: Address of the commit or pull request.
        fresh: Whether this run made it; otherwise it was there already.
    """

    repo: str
    commit: str | None
    url: str
    fresh: bool


def publish(
    client: "HubWriter",
    manifest: Manifest,
    standing: Standing,
    files: Mapping[str, Path],
    *,
    uploaded: Mapping[str, FileRecord] | None = None,
    pull_request: bool = False,
    tag: str | None = None,
) -> Published:
    """Publish a merged directory, or the changed card alone.

    Args:
        client: The Hub.
        manifest: What is published, and where to.
        standing: The repository as the plan saw it.
        files: What to write, by path in the repository; the report is among them.
        uploaded: What to write beside them, and the Hub has already.
        pull_request: Open a pull request instead of committing to the branch.
        tag: Tag to put on the commit.

    Raises:
        StaleParentError: Somebody else has written to the repository since the plan.
        PublishError: The Hub refuses, or cannot be reached.
    """
    report = Report.model_validate_json(files[REPORT_NAME].read_bytes())
    with _publishing():
        standing = _made_ready(client, manifest, standing)
        change = _change(report, standing, files, uploaded or {})
        if pull_request and (waiting := client.open_pull_requests(standing.target.repo, change.message)):
            return Published(standing.target.repo, None, waiting[0], fresh=False)
        published = _commit(client, manifest, standing, change, pull_request=pull_request)
    if tag and published.commit and not pull_request:
        put_tag(client, published.repo, tag, published.commit)
    return published


@contextmanager
def _publishing() -> Iterator[None]:
    """What cannot be read while publishing is no missing source."""
    try:
        yield
    except SourceError as error:
        raise PublishError(problems=error.problems) from error


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
    return created


def _change(
    report: Report, standing: Standing, files: Mapping[str, Path], uploaded: Mapping[str, FileRecord]
) -> Change:
    """Everything that the commit does. Files of the previous merge that this one lacks go, and so do other weights."""
    previous = set(standing.report.output.files) if standing.report else set()
    previous |= {name for name in standing.files if _WEIGHTS.fullmatch(name)}
    gone = sorted((previous & standing.files) - set(report.output.files))
    sources = "\n".join(
        f"- {label}: {source.source} at {source.commit}"
        for label, source in [("base", report.base), *((expert.name, expert) for expert in report.experts)]
    )
    return Change(
        add=dict(files),
        delete=tuple(gone),
        message=f"{report.method.name} merge {report.key}",
        description=f"Merged and published by ramekin {report.ramekin} from\n\n{sources}",
        sha256={name: record.sha256 for name, record in report.output.files.items()},
        uploaded=uploaded,
    )


def _commit(
    client: "HubWriter", manifest: Manifest, standing: Standing, change: Change, *, pull_request: bool
) -> Published:
    """Commit; where no answer comes, look whether the commit has landed before trying again."""
    target = standing.target
    key = change.message.rpartition(" ")[2]
    for attempt in range(_TRIES):
        try:
            commit, url = client.commit(target.repo, change, parent=target.head or "", pull_request=pull_request)
        except NoAnswer as error:
            if landed := _landed(client, manifest, target.head, key, pull_request=change.message * pull_request):
                return landed
            if attempt == _TRIES - 1:
                raise PublishError(
                    f"{target.repo}: the network gave up while publishing ({printable(str(error))})",
                    "nothing was published; run the same command again, it goes on where it stopped",
                ) from error
            client.pause(attempt, error.wait)
        else:
            return Published(target.repo, commit, url, fresh=True)
    raise AssertionError


def _landed(
    client: "HubWriter", manifest: Manifest, parent: str | None, key: str, *, pull_request: str
) -> Published | None:
    """The commit whose answer was lost, if it was made all the same."""
    if pull_request:
        waiting = client.open_pull_requests(manifest.output.repo, pull_request)
        return Published(manifest.output.repo, None, waiting[0], fresh=True) if waiting else None
    try:
        now = look_at(client, manifest)
    except SourceError as error:
        raise PublishError(
            f"{manifest.output.repo}: the Hub did not say whether the commit has landed, and does not say now",
            "run the same command again: it looks what the Hub holds before it does anything",
        ) from error
    if now.target.head != parent and now.holds(key):
        url = f"{client.endpoint}/{now.target.repo}/commit/{now.target.head}"
        return Published(now.target.repo, now.target.head, url, fresh=True)
    return None


def put_tag(client: "HubWriter", repo: str, tag: str, commit: str) -> None:
    """Put the tag on the commit, unless it is there already.

    Raises:
        PublishError: It is on another commit, or may not be made.
    """
    with _publishing():
        if client.tags(repo).get(tag) == commit:
            return
        client.tag(repo, tag, commit)
        if client.tags(repo).get(tag) != commit:
            raise PublishError(
                f"{repo}: has a tag {tag} already, on another commit",
                "choose another output.tag; tags are never moved, and all else is published",
            )


def check_tag(client: "HubWriter", standing: Standing, tag: str | None) -> None:
    """Find out before the work whether the tag is free.

    Raises:
        PublishError: It is on a commit already.
    """
    if tag and standing.target.exists and tag in client.tags(standing.target.repo):
        raise PublishError(
            f"{standing.target.repo}: has a tag {tag} already", "choose another output.tag; tags are never moved"
        )


def merged_files(directory: Path, report: Report, uploaded: Collection[str] = ()) -> dict[str, Path]:
    """What of a merged directory is published, by path in the repository; but for what was uploaded already.

    Raises:
        DamagedError: A file is missing or has another size than the report says.
    """
    here = {name: record for name, record in report.output.files.items() if name not in uploaded}
    for name, record in here.items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != record.size:
            raise DamagedError(f"{path}: is not as the report has it", "merge again into an empty directory")
    plots = sorted((directory / "ramekin" / "plots").glob("*.svg"))
    names = [*here, "README.md", REPORT_NAME, *(str(p.relative_to(directory)) for p in plots)]
    return {name: directory / name for name in names}


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

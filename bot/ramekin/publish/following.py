"""What comes after the commit: its tag, a collection, a word on the card of an older model.

What is there already is left as it is, so that a run with nothing else to do makes up for what is missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ramekin.errors import Problem, PublishError
from ramekin.manifest.model import Manifest
from ramekin.plan.quantities import plural
from ramekin.plan.standing import Standing
from ramekin.publish.collections import add_to_collection, check_collection
from ramekin.publish.eval_results import add_results
from ramekin.publish.superseding import name_new_version
from ramekin.publish.tags import check_tag, put_tag

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter


@dataclass(frozen=True)
class Followed:
    """What is followed up: the merge of this key, at this commit."""

    key: str
    commit: str


def check_ahead(client: "HubWriter", manifest: Manifest, standing: Standing, key: str) -> None:
    """Find out before the work what would keep it from being followed up.

    Args:
        client: The Hub.
        manifest: What is to be published.
        standing: The repository as the plan saw it.
        key: Key of the merge.

    Raises:
        PublishError: The tag is taken, there is no such collection, or the token is for the repository alone.
    """
    for name, value in (("collection", manifest.output.collection), ("supersedes", manifest.output.supersedes)):
        if value is not None:
            client.check_elsewhere(standing.target.repo, f"output.{name}")
    if manifest.output.tag:
        check_tag(client, standing, manifest.output.tag, key)
    if manifest.output.collection:
        check_collection(client, manifest.output.collection)


def follow_up(client: "HubWriter", manifest: Manifest, standing: Standing, at: Followed, *, adopt: bool) -> None:
    """Do what is missing after a commit; what fails does not keep the rest from being done.

    Args:
        client: The Hub.
        manifest: What was published.
        standing: The repository as the plan saw it.
        at: What is there now.
        adopt: Whether the card of an older model may be changed though it was not ours, or names another new version.

    Raises:
        PublishError: With everything that could not be done.
    """
    problems: list[Problem] = []
    for step in _steps(client, manifest, standing, at, adopt=adopt):
        try:
            step()
        except PublishError as error:
            problems += error.problems
    if problems:
        raise PublishError(problems=problems)


def _steps(
    client: "HubWriter", manifest: Manifest, standing: Standing, at: Followed, *, adopt: bool
) -> Iterator[Callable[[], None]]:
    output, repo = manifest.output, standing.target.repo
    if (tag := output.tag) is not None:
        fresh = standing.target.key != at.key
        yield lambda: put_tag(client, repo, tag, at.commit, fresh=fresh)
    if (collection := output.collection) is not None:
        note = f"{manifest.method.name} merge of {plural(len(manifest.experts), 'expert')}, made by ramekin"
        yield lambda: add_to_collection(client, collection, repo, note)
    if at.commit == standing.target.head and manifest.evaluate:
        yield lambda: add_results(client, manifest, standing)
    if (old := output.supersedes) is not None:
        yield lambda: name_new_version(client, old, repo, replace=adopt)

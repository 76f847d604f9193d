"""The tag on a published commit. It is put once, and never moved."""

from typing import TYPE_CHECKING

from ramekin.errors import PublishError
from ramekin.plan.standing import Standing
from ramekin.publish.landing import publishing

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter


def check_tag(client: "HubWriter", standing: Standing, tag: str, key: str) -> None:
    """Find out before the work whether the tag is free.

    Args:
        client: The Hub.
        standing: The repository as the plan saw it.
        tag: The tag.
        key: Key of the merge. Where the repository holds it already, the tag may be on the commit that brought it.

    Raises:
        PublishError: It is on a commit already, or a branch has that name.
    """
    if not standing.target.exists or standing.target.key == key:
        return
    if tag in client.tags(standing.target.repo):
        raise PublishError(
            f"{standing.target.repo}: has a tag {tag} already", "choose another output.tag; tags are never moved"
        )
    if tag in client.branches(standing.target.repo):
        raise PublishError(
            f"{standing.target.repo}: has a branch {tag}", "choose another output.tag: nobody could tell the two apart"
        )


def put_tag(client: "HubWriter", repo: str, tag: str, commit: str, *, fresh: bool) -> None:
    """Put the tag on the commit, unless it is there already.

    Args:
        client: The Hub.
        repo: Repository.
        tag: The tag.
        commit: What it is put on.
        fresh: Whether the merge was not in the repository before; otherwise the tag may be on an earlier commit, such
            as the one whose card was changed since.

    Raises:
        PublishError: It is on another commit, or may not be made.
    """
    with publishing():
        before = client.tags(repo).get(tag)
        if before == commit or (before and not fresh):
            return
        client.tag(repo, tag, commit)
        if client.tags(repo).get(tag) != commit:
            raise PublishError(
                f"{repo}: has a tag {tag} already, on another commit",
                "choose another output.tag; tags are never moved, and all else is published",
            )

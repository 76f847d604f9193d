"""The payloads of webhooks, as GitHub sends them, and what else a workflow is told of its event."""

from dataclasses import dataclass
from typing import Any

from tests.github.gitdir import ZERO
from tests.github.state import Comment, Issue, Repository
from tests.github.world import World


@dataclass(frozen=True)
class Event:
    """An event that starts workflows.

    Attributes:
        name: Such as `pull_request`.
        repository: Where.
        payload: What GitHub sends.
        sha: Commit that workflows run for, `GITHUB_SHA`.
        ref: `GITHUB_REF`.
        actor: Who has caused it.
    """

    name: str
    repository: str
    payload: dict[str, Any]
    sha: str
    ref: str
    actor: str


def pull_request(world: World, name: str, issue: Issue, action: str = "opened", by: str | None = None) -> Event:
    """A pull request was `opened`, `synchronize`d, `reopened` or `closed`, as it is now."""
    repository = world.repository(name)
    pull = issue.pull
    assert pull
    data = world.shapes.pull(repository, issue)
    payload = {"action": action, "number": issue.number, "pull_request": data}
    if action == "synchronize":
        payload["after"] = pull.head
    ref = f"refs/pull/{issue.number}/merge"
    sha = repository.git.ref(ref) or pull.head
    return _event(world, repository, "pull_request", payload, sha, ref, by or issue.author)


def push(world: World, name: str, branch: str = "main", before: str = ZERO, by: str = "ana") -> Event:
    """A branch was pushed to; it is at what the push has brought."""
    repository = world.repository(name)
    git, after = repository.git, world.head(name, branch)
    assert after
    commits = git.between(before, after) if git.has(before) else [git.commit(after)]
    described = [
        {
            "id": each.sha,
            "tree_id": each.tree,
            "message": each.message,
            "timestamp": each.committed.isoformat(),
            "author": {"name": each.author.name, "email": each.author.email},
            "committer": {"name": each.committer.name, "email": each.committer.email},
        }
        for each in commits
    ]
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": after,
        "created": before == ZERO,
        "deleted": False,
        "forced": False,
        "commits": described,
        "head_commit": described[-1],
        "pusher": {"name": by},
    }
    return _event(world, repository, "push", payload, after, f"refs/heads/{branch}", by)


def issue_comment(
    world: World, name: str, issue: Issue, comment: Comment, action: str = "created", was: str | None = None
) -> Event:
    """A comment was `created`, `edited` (from what it `was`) or `deleted`."""
    repository = world.repository(name)
    payload = {
        "action": action,
        "issue": world.shapes.issue(repository, issue),
        "comment": world.shapes.comment(repository, issue, comment),
    }
    if was is not None:
        payload["changes"] = {"body": {"from": was}}
    return _on_default(world, repository, "issue_comment", payload, comment.author)


def issues(world: World, name: str, issue: Issue, action: str = "edited", by: str = "ana") -> Event:
    """An issue was `opened` or `edited`."""
    repository = world.repository(name)
    payload = {"action": action, "issue": world.shapes.issue(repository, issue)}
    return _on_default(world, repository, "issues", payload, by)


def workflow_dispatch(
    world: World, name: str, branch: str = "main", inputs: dict[str, Any] | None = None, by: str = "ana"
) -> Event:
    """Somebody has started a workflow by hand."""
    repository, sha = world.repository(name), world.head(name, branch)
    assert sha
    payload = {"inputs": inputs, "ref": f"refs/heads/{branch}", "workflow": ".github/workflows/ramekin.yml"}
    return _event(world, repository, "workflow_dispatch", payload, sha, f"refs/heads/{branch}", by)


def schedule(world: World, name: str, cron: str = "17 4 * * *") -> Event:
    """It was time."""
    return _on_default(world, world.repository(name), "schedule", {"schedule": cron}, world.repository(name).owner)


def _on_default(world: World, repository: Repository, kind: str, payload: dict[str, Any], by: str) -> Event:
    sha = world.head(repository.name, repository.default)
    assert sha
    return _event(world, repository, kind, payload, sha, f"refs/heads/{repository.default}", by)


def _event(
    world: World, repository: Repository, kind: str, payload: dict[str, Any], sha: str, ref: str, by: str
) -> Event:
    whole = payload | {
        "repository": world.shapes.repository(repository),
        "sender": world.shapes.user(world.state.user(by)),
    }
    return Event(kind, repository.name, whole, sha, ref, by)

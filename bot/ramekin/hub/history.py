"""Refs and history: branches, tags, commits, and squashing them."""

from typing import Final

from starlette.responses import Response

from ramekin.hub import access
from ramekin.hub.calls import Call, answer, paged
from ramekin.hub.records import Commit
from ramekin.hub.refusal import Refusal, revision_not_found
from ramekin.hub.repository import Note, Repository

_BRANCH: Final = "refs/heads/"
_TAG: Final = "refs/tags/"
_PULL: Final = "refs/pr/"


def list_refs(call: Call) -> Response:
    """`GET …/refs`."""
    repository = call.repository()
    listed = {"branches": _rows(repository, _BRANCH), "converts": [], "tags": _rows(repository, _TAG)}
    if call.flag("include_prs"):
        listed["pullRequests"] = _rows(repository, _PULL)
    return answer(listed)


def _rows(repository: Repository, prefix: str) -> list[dict[str, str]]:
    return [
        {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": commit}
        for ref, commit in sorted(repository.refs().items())
        if ref.startswith(prefix)
    ]


def list_commits(call: Call) -> Response:
    """`GET …/commits/{rev}`, newest first, one page of it."""
    repository = call.repository()
    rows = [
        {
            "id": commit.id,
            "title": commit.title,
            "message": commit.message,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for commit in repository.history(call.commit(repository))
    ]
    page, headers = paged(call, rows, call.hub.options.page_size)
    return answer(page, headers=headers)


def create_branch(call: Call) -> Response:
    """`POST …/branch/{rev}`, from the head of the default branch or `startingPoint`."""
    repository = call.writable()
    start = repository.resolve(call.text(call.json(), "startingPoint", "main"))
    _create(repository, _BRANCH, call.params["rev"], start)
    return answer({})


def delete_branch(call: Call) -> Response:
    """`DELETE …/branch/{rev}`."""
    if call.params["rev"] == "main":
        raise Refusal(403, "The default branch cannot be deleted.")
    return _delete(call, _BRANCH)


def create_tag(call: Call) -> Response:
    """`POST …/tag/{rev}` puts the tag of the body at the revision of the path."""
    repository = call.writable()
    _create(repository, _TAG, call.text(call.json(), "tag"), call.commit(repository))
    return answer({})


def delete_tag(call: Call) -> Response:
    """`DELETE …/tag/{rev}`."""
    return _delete(call, _TAG)


def squash(call: Call) -> Response:
    """`POST …/super-squash/{rev}`: the branch becomes one commit without parents."""
    repository = call.writable()
    user = access.check_known(call.viewer, repository.info)
    ref = f"{_BRANCH}{call.params['rev']}"
    if ref not in repository.refs():
        raise revision_not_found(call.params["rev"])
    message = call.text(call.json(), "message", f"Super-squash branch '{call.params['rev']}' using huggingface_hub")
    with repository.lock:
        tree = repository.tree(repository.resolve(ref))
        repository.graft(ref, tree, (), Note(message, author=user.name))
    return answer({})


def _create(repository: Repository, prefix: str, name: str, commit: Commit) -> None:
    with repository.lock:
        ref = f"{prefix}{name.removeprefix(prefix)}"
        if not name or name.startswith("refs/pr/"):
            raise Refusal(400, f"Invalid reference name: {name}")
        if ref in repository.refs():
            raise Refusal(409, f"Reference already exists: {name}")
        repository.set_ref(ref, commit.id)


def _delete(call: Call, prefix: str) -> Response:
    repository = call.writable()
    ref = f"{prefix}{call.params['rev']}"
    if ref not in repository.refs():
        raise revision_not_found(call.params["rev"])
    repository.delete_ref(ref)
    return answer({})

"""The interface's part about people: pull requests, issues, comments, who may do what; and what starts workflows."""

import re
from typing import Any

from tests.github import rules
from tests.github.calls import Call
from tests.github.gitdir import ZERO
from tests.github.rules import RefusedError
from tests.github.state import BOT, Issue, Repository

_REACTIONS = frozenset({"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"})


def get_repository(call: Call) -> Any:
    return call.shapes.repository(call.repository())


def permission(call: Call) -> Any:
    repository = call.repository()
    login = call.params["login"]
    if login not in call.state.users:
        raise RefusedError(404, f"{login} is not a user")
    role = repository.role(login)
    shown = repository.custom_roles.get(login, (role, ""))[0]
    coarse = {"maintain": "write", "triage": "read"}.get(role, role)
    return {"permission": coarse, "role_name": shown, "user": call.shapes.user(call.state.user(login))}


# Pull requests


def get_pull(call: Call) -> Any:
    repository = call.repository("pull-requests")
    return call.shapes.pull(repository, _pull(call, repository))


def _pull(call: Call, repository: Repository) -> Issue:
    issue = call.issue(repository)
    if issue.pull is None:
        raise RefusedError(404, "Not Found")
    return issue


def list_pulls(call: Call) -> Any:
    repository = call.repository("pull-requests")
    state, head, base = (call.query.get(name) for name in ("state", "head", "base"))
    found = []
    for issue in repository.pulls():
        pull = issue.pull
        assert pull
        label = f"{(pull.head_repository or '').partition('/')[0]}:{pull.branch}"
        if (
            (state or "open") in {"all", issue.state}
            and base in {None, pull.base}
            # A head without an owner is not understood, and then everything fits.
            and (head is None or ":" not in head or head == label)
        ):
            found.append(issue)
    if call.query.get("sort") == "updated":
        found.sort(key=lambda issue: issue.updated)
    if call.query.get("direction", "desc" if call.query.get("sort", "created") == "created" else "asc") == "desc":
        found.reverse()
    return call.page(call.shapes.pull(repository, each, whole=False) for each in found)


def create_pull(call: Call) -> Any:
    repository = call.repository("pull-requests", "write", role="read")
    if call.login == BOT and not repository.jobs_may_open_pulls:
        raise RefusedError(403, "GitHub Actions is not permitted to create or approve pull requests.")
    owner, _, branch = call.text("head").rpartition(":")
    source = repository
    if owner and owner != repository.owner:
        forks = (each for each in call.state.repositories.values() if each.parent == repository.name)
        found = next((each for each in forks if each.owner == owner), None)
        if found is None:
            raise RefusedError(422, "Validation Failed", fields={"field": "head"})
        source = found
    texts = (call.text("title"), call.data.get("body") or "")
    issue = rules.open_pull(call.state, repository, call.login, (source, branch), call.text("base"), texts)
    return call.shapes.pull(repository, issue)


def edit_pull(call: Call) -> Any:
    repository = call.repository("pull-requests", "write")
    issue = _pull(call, repository)
    _edit(call, issue)
    return call.shapes.pull(repository, issue)


def _edit(call: Call, issue: Issue) -> None:
    if "body" in call.data:
        rules.check_length(call.data["body"] or "")
        issue.body = call.data["body"] or ""
    issue.title = call.data.get("title") or issue.title
    issue.updated = call.state.at()
    state = call.data.get("state", issue.state)
    if state == "closed" and issue.state == "open":
        rules.close(call.state, issue)
    elif state == "open" and issue.state == "closed":
        rules.reopen(call.state, issue)


def pull_files(call: Call) -> Any:
    repository = call.repository("pull-requests")
    pull = _pull(call, repository).pull
    assert pull
    return call.page(call.shapes.files(repository, rules.fork_point(repository, pull), pull.head)[:3000])


def merge_pull(call: Call) -> Any:
    repository = call.repository("contents", "write")
    issue = _pull(call, repository)
    assert issue.pull
    if call.data.get("sha") not in {None, issue.pull.head}:
        raise RefusedError(409, "Head branch was modified. Review and try the merge again.")
    sha = rules.merge(call.state, repository, issue, call.login, call.data.get("merge_method") or "merge")
    return {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


# Issues and comments


def _scope(issue: Issue) -> str:
    return "issues|pull-requests" if issue.pull else "issues"


def list_issues(call: Call) -> Any:
    repository = call.repository("issues")
    state, creator = call.query.get("state", "open"), call.query.get("creator")
    if creator is not None and creator not in call.state.users:
        raise RefusedError(422, "Validation Failed", fields={"field": "creator"})
    found = [
        each
        for each in reversed(repository.issues.values())
        if state in {"all", each.state} and creator in {None, each.author}
    ]
    return call.page(call.shapes.issue(repository, each) for each in found)


def get_issue(call: Call) -> Any:
    repository = call.repository("issues|pull-requests")
    return call.shapes.issue(repository, call.issue(repository))


def create_issue(call: Call) -> Any:
    repository = call.repository("issues", "write", role="read")
    body = call.data.get("body") or ""
    return call.shapes.issue(repository, rules.open_issue(call.state, repository, call.login, call.text("title"), body))


def edit_issue(call: Call) -> Any:
    repository = call.repository()
    issue = call.issue(repository)
    call.need(repository, _scope(issue), "write")
    _edit(call, issue)
    return call.shapes.issue(repository, issue)


def list_comments(call: Call) -> Any:
    repository = call.repository("issues|pull-requests")
    issue = call.issue(repository)
    return call.page(call.shapes.comment(repository, issue, each) for each in issue.comments)


def create_comment(call: Call) -> Any:
    repository = call.repository()
    issue = call.issue(repository)
    call.need(repository, _scope(issue), "write", role="read")
    made = rules.comment(call.state, issue, call.login, call.text("body"))
    return call.shapes.comment(repository, issue, made)


def _comment(call: Call, level: str) -> Any:
    repository = call.repository()
    found = rules.find_comment(repository, int(call.params["id"]))
    if found is None:
        raise RefusedError(404, "Not Found")
    issue, comment = found
    own = call.token is not None and comment.author == call.token.user.login
    call.need(repository, _scope(issue), level, role="read" if own else "write")
    return repository, issue, comment


def get_comment(call: Call) -> Any:
    return call.shapes.comment(*_comment(call, "read"))


def edit_comment(call: Call) -> Any:
    repository, issue, comment = _comment(call, "write")
    rules.edit_comment(call.state, comment, call.text("body"))
    return call.shapes.comment(repository, issue, comment)


def delete_comment(call: Call) -> None:
    _, issue, comment = _comment(call, "write")
    issue.comments.remove(comment)


def react(call: Call) -> Any:
    repository = call.repository()
    found = rules.find_comment(repository, int(call.params["id"]))
    content = call.text("content")
    if found is None or content not in _REACTIONS:
        raise RefusedError(404 if found is None else 422, "Not Found")
    issue, comment = found
    call.need(repository, _scope(issue), "write", role="read")
    comment.reactions.append((call.login, content))
    return {
        "id": call.state.id(),
        "node_id": "REA",
        "user": call.shapes.user(call.state.user(call.login)),
        "content": content,
        "created_at": "2026-01-01T00:00:00Z",
    }


# Workflows


def rerun_workflow(call: Call) -> Any:
    repository = call.repository("actions", "write")
    run = int(call.params["run"])
    if run not in repository.runs:
        raise RefusedError(404, "Not Found")
    if repository.runs[run] != "completed":
        raise RefusedError(403, "This workflow is already running")
    repository.runs[run] = "queued"
    return {}


def dispatch_repository(call: Call) -> None:
    repository = call.repository("contents", "write")
    repository.dispatched.append((call.text("event_type"), call.data.get("client_payload")))


def get_user(call: Call) -> Any:
    if call.token and call.token.permissions is not None:
        raise RefusedError(403, "Resource not accessible by integration")
    return call.shapes.user(call.state.user(call.login))


def graphql(call: Call) -> Any:
    """Not the whole of GraphQL, but what our client asks for. Errors come with the status of success."""
    query = re.sub(r"\s+", " ", call.text("query")).strip()
    if query in {"query { viewer { login } }", "{ viewer { login } }"}:
        return {"data": {"viewer": {"login": call.login}}}
    if "updateRefs(input: $input)" in query:
        return _update_refs(call, call.data["variables"]["input"])
    return _failed("undefinedField", "This GitHub does not know that")


def _failed(kind: str, message: str) -> dict[str, Any]:
    return {"data": None, "errors": [{"type": kind, "message": message, "path": ["updateRefs"]}]}


def _update_refs(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    found = (each for each in call.state.repositories.values() if f"R_{each.id}" == given["repositoryId"])
    repository = next(found, None)
    if repository is None:
        return _failed("NOT_FOUND", "Could not resolve to a node with the global id of that")
    try:
        call.need(repository, "contents", "write")
    except RefusedError as error:
        return _failed("FORBIDDEN", error.message)
    for update in given["refUpdates"]:
        name, after = update["name"], update["afterOid"]
        now = repository.git.ref(name)
        if update.get("beforeOid", now or ZERO) != (now or ZERO):
            return _failed("UNPROCESSABLE", f"Reference update failed: {name} is not at the expected object")
        if after != ZERO and not repository.git.has(after):
            return _failed("UNPROCESSABLE", "Object does not exist")
        try:
            if now and after != ZERO:
                rules.check_update(repository, name, after, force=update.get("force") is True)
        except RefusedError as error:
            return _failed("UNPROCESSABLE", error.message)
    for update in given["refUpdates"]:
        after = update["afterOid"]
        rules.set_ref(call.state, repository, update["name"], None if after == ZERO else after)
    return {"data": {"updateRefs": {"clientMutationId": None}}}

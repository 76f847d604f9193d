"""The interface's part about git: references, commits, trees, blobs, contents, comparisons and archives."""

import base64
import binascii
from typing import Any

from starlette.responses import RedirectResponse, Response

from tests.github import rules
from tests.github.calls import Call
from tests.github.gitdir import EMPTY_TREE, GitError, Identity
from tests.github.rules import RefusedError
from tests.github.shapes import LARGEST_INLINE
from tests.github.state import Repository
from tests.leaks import WATCH

_COMPARED = 250
_LINKS = 8


def _named(call: Call, repository: Repository, name: str) -> str:
    found = repository.git.resolve(name)
    if found is None:
        raise RefusedError(422 if len(name) == 40 else 404, f"No commit found for SHA: {name}")
    return found


def _not_empty(repository: Repository) -> None:
    if not repository.git.refs("refs/heads/"):
        raise RefusedError(409, "Git Repository is empty.")


def get_commit(call: Call) -> Any:
    repository = call.repository("contents")
    _not_empty(repository)
    sha = _named(call, repository, call.params["ref"])
    return call.shapes.commit(repository, repository.git.commit(sha), files=True)


def list_commits(call: Call) -> Any:
    repository = call.repository("contents")
    _not_empty(repository)
    sha = repository.git.resolve(call.query.get("sha", repository.default))
    if sha is None:
        raise RefusedError(404, "Not Found")
    path = call.query.get("path")
    found = repository.git.commits(sha, *(["--topo-order", "--", path] if path else []))
    return call.page(call.shapes.commit(repository, each) for each in found)


def commit_pulls(call: Call) -> Any:
    repository = call.repository("pull-requests|contents")
    sha = _named(call, repository, call.params["ref"])
    return call.page(call.shapes.pull(repository, each, whole=False) for each in rules.pulls_with(repository, sha))


def compare(call: Call) -> Any:
    repository = call.repository("contents")
    base, dots, head = call.params["basehead"].partition("...")
    one, other = repository.git.resolve(base), repository.git.resolve(head)
    if not dots or one is None or other is None:
        raise RefusedError(404, "Not Found")
    git = repository.git
    ahead, behind = git.between(one, other), git.between(other, one)
    common = git.merge_base(one, other)
    if common is None:
        raise RefusedError(404, f"No common ancestor between {base} and {head}.")
    states = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    return {
        "url": call.url,
        "html_url": f"{call.shapes.url}/{repository.name}/compare/{base}...{head}",
        "status": states[bool(ahead), bool(behind)],
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "base_commit": call.shapes.commit(repository, git.commit(one)),
        "merge_base_commit": call.shapes.commit(repository, git.commit(common)),
        "commits": [call.shapes.commit(repository, each) for each in ahead[:_COMPARED]],
        "files": call.shapes.files(repository, common, other),
    }


def get_ref(call: Call) -> Any:
    repository = call.repository("contents")
    _not_empty(repository)
    name = f"refs/{call.params['ref']}"
    sha = repository.git.ref(name)
    if sha is None:
        raise RefusedError(404, "Not Found")
    return call.shapes.ref(repository, name, sha)


def matching_refs(call: Call) -> Any:
    repository = call.repository("contents")
    found = repository.git.refs(f"refs/{call.params['ref']}")
    return call.page(call.shapes.ref(repository, name, sha) for name, sha in found.items())


def create_ref(call: Call) -> Any:
    repository = call.repository("contents", "write")
    name, sha = call.text("ref"), call.text("sha")
    if not name.startswith("refs/") or name.count("/") < 2:
        raise RefusedError(422, "Reference name must start with 'refs/' and have at least two slashes.")
    if repository.git.ref(name):
        raise RefusedError(422, "Reference already exists")
    if not repository.git.has(sha):
        raise RefusedError(422, "Object does not exist")
    try:
        repository.git.git("check-ref-format", name)
        rules.set_ref(call.state, repository, name, sha)
    except GitError:
        raise RefusedError(422, "Reference cannot be created") from None
    return call.shapes.ref(repository, name, sha)


def update_ref(call: Call) -> Any:
    repository = call.repository("contents", "write")
    name, sha = f"refs/{call.params['ref']}", call.text("sha")
    rules.check_update(repository, name, sha, force=call.data.get("force") is True)
    rules.set_ref(call.state, repository, name, sha)
    return call.shapes.ref(repository, name, sha)


def delete_ref(call: Call) -> Any:
    repository = call.repository("contents", "write")
    name = f"refs/{call.params['ref']}"
    if repository.git.ref(name) is None:
        raise RefusedError(422, "Reference does not exist")
    if name.removeprefix("refs/heads/") in repository.protected:
        raise RefusedError(422, "Cannot delete this protected branch")
    rules.set_ref(call.state, repository, name, None)


def get_git_commit(call: Call) -> Any:
    repository = call.repository("contents")
    if not repository.git.has(call.params["sha"]):
        raise RefusedError(404, "Not Found")
    return call.shapes.git_commit(repository, repository.git.commit(call.params["sha"]))


def create_commit(call: Call) -> Any:
    repository = call.repository("contents", "write")
    tree, parents, message = call.text("tree"), call.data.get("parents", []), call.text("message")
    if not repository.git.has(tree, "tree") or not all(repository.git.has(each) for each in parents):
        raise RefusedError(422, "Tree SHA does not exist")
    who = _author(call)
    sha = repository.git.write_commit(tree, parents, message, who, rules.WEB, call.state.at())
    return call.shapes.git_commit(repository, repository.git.commit(sha))


def _author(call: Call) -> Any:
    given = call.data.get("author")
    if isinstance(given, dict):
        return Identity(str(given.get("name")), str(given.get("email")))
    return call.state.user(call.login).identity


def create_blob(call: Call) -> Any:
    repository = call.repository("contents", "write")
    content = call.text("content")
    data = base64.b64decode(content) if call.data.get("encoding") == "base64" else content.encode()
    WATCH.text("a file on GitHub", data)
    return _blob(call, repository, repository.git.write_blob(data))


def get_blob(call: Call) -> Any:
    repository = call.repository("contents")
    sha = call.params["sha"]
    if not repository.git.has(sha, "blob"):
        raise RefusedError(404, "Not Found")
    content = base64.encodebytes(repository.git.blob(sha)).decode()
    return _blob(call, repository, sha) | {"content": content, "encoding": "base64", "size": len(content)}


def _blob(call: Call, repository: Repository, sha: str) -> dict[str, Any]:
    return {"sha": sha, "url": f"{call.shapes.api}/repos/{repository.name}/git/blobs/{sha}"}


def get_tree(call: Call) -> Any:
    repository = call.repository("contents")
    sha = call.params["sha"]
    found = sha if repository.git.has(sha, "tree") else None
    if found is None:
        commit = repository.git.resolve(sha)
        if commit is None:
            raise RefusedError(404, "Not Found")
        found = repository.git.commit(commit).tree
    return call.shapes.tree(repository, found, recursive="recursive" in call.query)


def create_tree(call: Call) -> Any:
    repository = call.repository("contents", "write")
    base = call.data.get("base_tree")
    if base is not None and not repository.git.has(base, "tree"):
        raise RefusedError(404, "Not Found")
    entries = []
    for each in call.data["tree"]:
        path = str(each.get("path", ""))
        if path.startswith("/") or not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise RefusedError(422, "tree.path contains a malformed path component")
        sha = each.get("sha") if "sha" in each else repository.git.write_blob(str(each["content"]).encode())
        if sha is not None and each.get("type") == "blob" and not repository.git.has(sha, "blob"):
            raise RefusedError(422, f"tree.sha {sha} is not a valid blob")
        entries.append((each["mode"], path, sha))
    return call.shapes.tree(repository, repository.git.write_tree(base or EMPTY_TREE, entries), recursive=False)


def get_contents(call: Call) -> Any:
    repository = call.repository("contents")
    ref = call.query.get("ref", repository.default)
    path = call.params.get("path", "").strip("/")
    commit = repository.git.resolve(ref)
    if commit is None:
        raise RefusedError(404, f"No commit found for the ref {ref}")
    entry = repository.git.entry(commit, path)
    for _ in range(_LINKS):
        if entry is None or entry.mode != "120000":
            break
        target = repository.git.blob(entry.sha).decode()
        entry = repository.git.entry(commit, _joined(path, target)) or None
    if entry is None:
        raise RefusedError(404, "Not Found")
    if "raw" in call.query.get("accept", ""):
        return Response(repository.git.blob(entry.sha))
    if entry.type == "tree":
        return [
            call.shapes.content(repository, each, f"{path}/{each.path}".lstrip("/"), ref, whole=False)
            for each in repository.git.entries(entry.sha)
        ]
    return call.shapes.content(repository, entry, path, ref, whole=True)


def _joined(path: str, target: str) -> str:
    parts = path.split("/")[:-1]
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in {"", "."}:
            parts.append(step)
    return "/".join(parts)


def put_contents(call: Call) -> Any:
    repository = call.repository("contents", "write")
    branch, path = call.data.get("branch", repository.default), call.params["path"]
    tip = repository.git.ref(f"refs/heads/{branch}")
    if tip is None:
        raise RefusedError(404, f"Branch {branch} not found")
    before = repository.git.entry(tip, path)
    given = call.data.get("sha")
    if before and given is None:
        raise RefusedError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if (before.sha if before else None) != given:
        raise RefusedError(409, f"{path} does not match {given}")
    try:
        data = base64.b64decode(call.text("content"), validate=False)
    except binascii.Error:
        raise RefusedError(422, "content is not valid Base64") from None
    WATCH.text("a file on GitHub", data)
    files = {path: data}
    sha = rules.commit_files(call.state, repository, tip, call.text("message"), files, _author(call))
    rules.check_update(repository, f"refs/heads/{branch}", sha, force=False)
    rules.set_ref(call.state, repository, f"refs/heads/{branch}", sha)
    entry = repository.git.entry(sha, path)
    assert entry
    content = call.shapes.content(repository, entry, path, branch, whole=(entry.size or 0) < LARGEST_INLINE)
    return {"content": content, "commit": call.shapes.git_commit(repository, repository.git.commit(sha))}


def tarball(call: Call) -> Any:
    repository = call.repository("contents")
    sha = repository.git.resolve(call.params.get("ref", "") or repository.default)
    if sha is None:
        raise RefusedError(404, "Not Found")
    # Whoever has the address may fetch it, for a while: no token goes there.
    pass_ = f"?token={call.state.passes(repository.name, sha)}" if repository.private else ""
    return RedirectResponse(f"{call.shapes.url}/_codeload/{repository.name}/legacy.tar.gz/{sha}{pass_}", 302)


def codeload(call: Call) -> Any:
    name, sha = f"{call.params['owner']}/{call.params['repo']}", call.params["sha"]
    repository = call.state.repository(name)
    if repository is None or not repository.git.has(sha):
        raise RefusedError(404, "Not Found")
    if repository.private and call.query.get("token") != call.state.passes(repository.name, sha):
        raise RefusedError(404, "Not Found")
    prefix = f"{repository.name.replace('/', '-')}-{sha[:7]}"
    return Response(repository.git.archive(sha, prefix), media_type="application/x-gzip")

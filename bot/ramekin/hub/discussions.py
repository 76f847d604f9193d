"""Discussions and pull requests over HTTP."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from starlette.responses import Response

from ramekin.hub import access, threads
from ramekin.hub.access import User
from ramekin.hub.calls import Call, answer
from ramekin.hub.records import DEFAULT_BRANCH, Entry
from ramekin.hub.refusal import Refusal
from ramekin.hub.repos import read_text
from ramekin.hub.repository import Note, Repository
from ramekin.hub.store import Store
from ramekin.hub.threads import Thread

_PAGE: Final = 10


def list_threads(call: Call) -> Response:
    """`GET …/discussions`, by type, status and author, ten to a page."""
    repository = call.repository()
    wanted = call.query.get("type", "all")
    status = call.query.get("status", "all")
    author = call.query.get("author")
    rows = [
        _summary(repository, thread)
        for thread in threads.all_threads(repository)
        if wanted == "all" or (wanted == "pull_request") == thread.pull
        if status == "all" or (status == "open") == (thread.status in ("open", "draft"))
        if author in (None, thread.author)
    ]
    page = call.query.get("p", "0")
    start = int(page) * _PAGE if page.isdecimal() else 0
    return answer({"discussions": rows[start : start + _PAGE], "count": len(rows), "start": start})


def create_thread(call: Call) -> Response:
    """`POST …/discussions`. A pull request made this way is a draft, without commits of its own yet."""
    repository = call.repository()
    user = access.check_known(call.viewer, repository.info)
    fields = call.json()
    note = Note(_title(call, fields), call.text(fields, "description", ""), user.name)
    if fields.get("pullRequest"):
        thread = threads.open_thread(repository, note, status="draft", base=repository.resolve(DEFAULT_BRANCH))
    else:
        thread = threads.open_thread(repository, note)
    url = f"{call.base}{repository.info.web}/discussions/{thread.num}"
    return answer({"num": thread.num, "pullRequest": thread.pull, "url": url})


def read_thread(call: Call) -> Response:
    """`GET …/discussions/{num}`, with the differences if `diff` is asked for."""
    repository, thread = _found(call)
    facts: dict[str, Any] = {**_summary(repository, thread), "events": list(thread.events)}
    if thread.pull:
        facts["changes"] = {"base": DEFAULT_BRANCH, **({"mergeCommitId": thread.merged} if thread.merged else {})}
        settled = thread.status in ("merged", "closed")
        facts["filesWithConflicts"] = [] if settled else threads.conflicts(repository, thread)
        if call.flag("diff"):
            facts["diff"] = "".join(differences(call.store, repository, thread))
    return answer(facts)


def add_comment(call: Call) -> Response:
    """`POST …/comment`."""
    repository, thread = _found(call)
    user = access.check_known(call.viewer, repository.info)
    said = threads.comment(call.text(call.json(), "comment"), user.name)
    with repository.lock:
        threads.save(repository, threads.happened(threads.read_thread(repository, call.params["num"]), said))
    return answer({"newMessage": said, "num": thread.num})


def edit_comment(call: Call) -> Response:
    """`POST …/comment/{id}/edit`."""
    text = call.text(call.json(), "content")

    def edited(data: dict[str, Any], user: User) -> dict[str, Any]:
        latest = threads.comment_text(text, user.name)
        return {**data, "edited": True, "latest": latest, "history": [*data["history"], latest]}

    return _revise(call, edited)


def hide_comment(call: Call) -> Response:
    """`POST …/comment/{id}/hide`: its text is gone for good."""

    def hidden(data: dict[str, Any], user: User) -> dict[str, Any]:
        latest = threads.comment_text("This comment has been hidden", user.name)
        return {**data, "hidden": True, "latest": latest, "history": []}

    return _revise(call, hidden)


def change_title(call: Call) -> Response:
    """`POST …/title`."""
    repository, _ = _found(call)
    title = _title(call, call.json())
    with repository.lock:
        thread, user = _own(call, repository)
        said = threads.event("title-change", user.name, {"from": thread.title, "to": title})
        threads.save(repository, threads.happened(thread, said, title=title))
    return answer({"newTitle": said})


def change_status(call: Call) -> Response:
    """`POST …/status`: close, open again, or publish a draft."""
    repository, _ = _found(call)
    fields = call.json()
    status = call.text(fields, "status")
    if status not in ("open", "closed"):
        raise Refusal(400, '"status" must be one of [open, closed]')
    with repository.lock:
        thread, user = _own(call, repository)
        if thread.status == "merged":
            raise Refusal(400, "A merged pull request cannot change its status")
        said = threads.event("status-change", user.name, {"status": status})
        remarks = [threads.comment(call.text(fields, "comment"), user.name)] if fields.get("comment") else []
        threads.save(repository, threads.happened(thread, *remarks, said, status=cast("threads.Status", status)))
    return answer({"newStatus": said})


def merge(call: Call) -> Response:
    """`POST …/merge`."""
    repository = call.writable()
    user = access.check_known(call.viewer, repository.info)
    with repository.lock:
        thread = threads.read_thread(repository, call.params["num"])
        if not thread.pull:
            raise Refusal(400, "A discussion cannot be merged")
        text = call.text(call.json(), "comment", "")
        if text:
            thread = threads.happened(thread, threads.comment(text, user.name))
        commit = threads.merge(repository, thread, user.name)
    return answer({"mergeCommitId": commit.id})


def _title(call: Call, fields: Mapping[str, Any]) -> str:
    title = call.text(fields, "title").strip()
    if not 3 <= len(title) <= 200:
        raise Refusal(400, '"title" length must be between 3 and 200 characters long')
    return title


def _found(call: Call) -> tuple[Repository, Thread]:
    repository = call.repository()
    return repository, threads.read_thread(repository, call.params["num"])


def _own(call: Call, repository: Repository) -> tuple[Thread, User]:
    """The thread, if the viewer opened it or may write to the repository."""
    user = access.check_known(call.viewer, repository.info)
    thread = threads.read_thread(repository, call.params["num"])
    if thread.author != user.name:
        access.check_write(user, repository.info)
    return thread, user


def _revise(call: Call, change: Callable[[dict[str, Any], User], dict[str, Any]]) -> Response:
    """Change a comment that is the viewer's own, or any in a repository that the viewer may write to."""
    repository, _ = _found(call)
    user = access.check_known(call.viewer, repository.info)
    with repository.lock:
        thread = threads.read_thread(repository, call.params["num"])
        said = next((one for one in thread.events if one["id"] == call.params["event"]), None)
        if said is None or said["type"] != "comment":
            raise Refusal(404, "Comment not found")
        if said["author"]["name"] != user.name:
            access.check_write(user, repository.info)
        new = {**said, "data": change(dict(said["data"]), user)}
        events = tuple(new if one["id"] == new["id"] else one for one in thread.events)
        threads.save(repository, replace(thread, events=events))
    return answer({"updatedComment": new})


def _summary(repository: Repository, thread: Thread) -> dict[str, Any]:
    return {
        "num": thread.num,
        "title": thread.title,
        "status": thread.status,
        "isPullRequest": thread.pull,
        "createdAt": thread.created,
        "author": {"name": thread.author, "type": "user"},
        "repo": {"name": repository.info.id, "type": repository.info.type},
        "numComments": sum(1 for one in thread.events if one["type"] == "comment"),
    }


def differences(store: Store, repository: Repository, thread: Thread) -> Iterator[str]:
    """What a pull request changes, in git's form; of large files the pointers are compared."""
    old = repository.tree(repository.read_commit(thread.base or ""))
    new = repository.tree(repository.resolve(thread.ref))
    return tree_differences(store, old, new)


def tree_differences(store: Store, old: Mapping[str, Entry], new: Mapping[str, Entry]) -> Iterator[str]:
    """The differences of two trees in git's form."""
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        yield f"diff --git a/{path} b/{path}\n"
        names = (f"a/{path}" if before else "/dev/null", f"b/{path}" if after else "/dev/null")
        lines = difflib.unified_diff(_lines(store, before), _lines(store, after), *names)
        yield from (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(store: Store, entry: Entry | None) -> list[str]:
    text = entry.pointer.decode() if entry and entry.lfs else read_text(store, entry)
    return text.splitlines(keepends=True)

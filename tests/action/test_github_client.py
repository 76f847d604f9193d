"""Our client for GitHub, through PyGithub as it is, against the loopback GitHub."""

import contextlib
import io
import itertools
import json
import logging
import os
import tarfile
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from tests.github.clients import client, settings
from tests.github.gitdir import Identity
from tests.github.loopback import Loopback, serve
from tests.github.world import World

from ramekin.errors import UsageError
from ramekin.github import archive, calls, pulls
from ramekin.github.client import GitHub
from ramekin.github.records import Comment
from ramekin.github.refusals import ConflictError, ForbiddenError, GitHubError, RateLimitError
from ramekin.hub.faults import Fault

BOT = "github-actions[bot]"
ALL = {"contents": "write", "pull_requests": "write", "issues": "write", "actions": "write"}
NAMES = itertools.count(1)
NONE = "0" * 40


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with serve(tmp_path_factory.mktemp("github")) as github:
        yield github


class Place:
    """A repository of its own for every test, with our client for it."""

    def __init__(self, loopback: Loopback) -> None:
        self.server = loopback
        self.world: World = loopback.world
        self.name = f"team/models-{next(NAMES)}"
        self.repository = self.world.create(self.name, {"merge.yaml": "a: 1\n", "docs/note.txt": "hello\n"})
        self.token = self.world.job_token(self.name, **ALL)
        self.github = client(loopback, self.token, self.name)
        self.begun = len(loopback.requests)
        self.slept: list[float] = []
        self.github._calls._sleep = self.slept.append

    @property
    def first(self) -> str:
        return self.head("main")

    def head(self, branch: str) -> str:
        found = self.world.head(self.name, branch)
        assert found
        return found

    def push(self, files: dict[str, Any], **more: Any) -> str:
        return self.world.push(self.name, files, **more)

    def pull(self, branch: str = "topic", **more: Any) -> int:
        self.push({"topic.txt": branch}, branch=branch)
        return self.world.open_pull(self.name, branch, **more).number

    def may(self, **permissions: str) -> GitHub:
        """The client of a job that may do only this."""
        return client(self.server, self.world.job_token(self.name, **permissions), self.name)

    def asked(self) -> list[str]:
        """Requests of this test, as `METHOD path`."""
        start = f"/repos/{self.name}"
        return [f"{each.method} {each.path.removeprefix(start)}" for each in self.server.requests[self.begun :]]


@pytest.fixture
def place(loopback: Loopback) -> Iterator[Place]:
    yield Place(loopback)
    assert not loopback.faults.pending(), "a fault has not struck"
    loopback.faults.clear()
    loopback.limit(None)


# Who we are


def test_a_job_and_a_person_learn_who_they_are_with_one_request(place: Place) -> None:
    assert place.github.login == BOT
    assert place.github.login == BOT
    assert place.github.default_branch == place.github.default_branch == "main"
    assert place.asked() == ["POST /api/graphql", "GET "]
    assert client(place.server, place.world.person("ana"), place.name).login == "ana"


def test_without_a_token_it_says_what_to_do(place: Place) -> None:
    with pytest.raises(UsageError, match="there is no token for GitHub"):
        GitHub.of(settings(place.server, None).access, 0.01)


def test_time_is_githubs(place: Place) -> None:
    place.world.clock.move(days=3)
    assert abs((place.github.now() - place.world.clock.now()).total_seconds()) <= 2


# Pull requests


def test_a_pull_request_is_read_as_it_is(place: Place) -> None:
    number = place.pull(by="ana", title="Better", body="For reasons.\n")
    pull = place.github.pull(number)
    assert pull
    assert (pull.author, pull.title, pull.body, pull.state, pull.merged) == (
        "ana",
        "Better",
        "For reasons.\n",
        "open",
        False,
    )
    assert (pull.head, pull.branch, pull.source, pull.base) == (place.head("topic"), "topic", place.name, "main")
    assert pull.url == f"{place.server.url}/{place.name}/pull/{number}"
    assert pull.merge_commit is None
    merged = place.world.merge(place.name, number)
    after = place.github.pull(number)
    assert after
    assert (after.state, after.merged, after.merge_commit) == ("closed", True, merged)
    assert place.github.pull(99) is None
    assert place.github.pull(place.world.open_issue(place.name, "No pull request").number) is None


def test_pull_requests_from_a_branch_are_those_of_this_repository_and_of_this_name(place: Place) -> None:
    first = place.pull("ramekin/update/a")
    place.world.close(place.name, first)
    place.push({"x": "2"}, branch="ramekin/update/a")
    second = place.world.open_pull(place.name, "ramekin/update/a").number
    place.pull("ramekin/update/ab")
    place.world.fork(place.name, "eve")
    place.world.push(f"eve/{place.name.partition('/')[2]}", {"y": "3"}, branch="ramekin/update/a")
    fork = place.world.open_pull(
        place.name, "ramekin/update/a", by="eve", source=f"eve/{place.name.partition('/')[2]}"
    ).number
    assert [pull.number for pull in place.github.pulls_from("ramekin/update/a")] == [second]
    assert [pull.number for pull in place.github.pulls_from("ramekin/update/a", "closed")] == [first]
    assert [pull.number for pull in place.github.pulls_from("ramekin/update/a", "all")] == [second, first]
    assert place.github.pulls_from("ramekin/update") == ()
    theirs = place.github.pull(fork)
    assert theirs
    assert theirs.source == f"eve/{place.name.partition('/')[2]}"


def test_a_pull_request_whose_repository_was_deleted_is_read(place: Place) -> None:
    fork = place.world.fork(place.name, "gone")
    place.world.push(fork.name, {"y": "3"}, branch="b")
    issue = place.world.open_pull(place.name, "b", by="gone", source=fork.name)
    assert issue.pull
    issue.pull.head_repository = None
    found = place.github.pull(issue.number)
    assert found
    assert found.source is None
    assert place.github.pulls_from("b") == ()


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_pull_requests_are_found_by_the_commit_they_were_merged_as(place: Place, method: str) -> None:
    number = place.pull()
    assert [pull.number for pull in place.github.pulls_with(place.head("topic"))] == [number]
    place.push({"other": "1"})
    merged = place.world.merge(place.name, number, method=method)
    assert [(pull.number, pull.merged) for pull in place.github.pulls_with(merged)] == [(number, True)]
    assert place.github.pulls_with(place.push({"direct": "1"})) == ()
    assert place.github.pulls_with(NONE) == ()


def test_files_of_a_pull_request_with_their_former_names(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a long enough text to be known again\n" * 9
    place.push({"old.txt": text, "gone.txt": "x"})
    place.push({"old.txt": None, "new.txt": text, "gone.txt": None, "added.txt": "1"}, branch="topic")
    number = place.world.open_pull(place.name, "topic").number
    place.push({"unrelated": "1"})
    found = place.github.files_of(number)
    assert found
    assert sorted(found) == ["added.txt", "gone.txt", "new.txt", "old.txt"]
    monkeypatch.setattr(pulls, "_MOST_FILES", 3)
    assert place.github.files_of(number) is None


def test_opening_a_pull_request_that_is_there_gives_that_one(place: Place) -> None:
    place.push({"x": "1"}, branch="topic")
    pull = place.github.open_pull("topic", "main", "Title", "Body")
    assert (pull.author, pull.title, pull.body) == (BOT, "Title", "Body")
    assert place.github.open_pull("topic", "main", "Another", "text") == pull
    place.github.edit_pull(pull.number, body="New")
    changed = place.github.pull(pull.number)
    assert changed
    assert (changed.title, changed.body) == ("Title", "New")
    place.github.edit_pull(pull.number, title="Newer")
    place.github.close_pull(pull.number)
    closed = place.github.pull(pull.number)
    assert closed
    assert (closed.title, closed.body, closed.state, closed.merged) == ("Newer", "New", "closed", False)


def test_a_pull_request_that_cannot_be_opened_says_why(place: Place) -> None:
    place.world.move_branch(place.name, "same", place.first)
    with pytest.raises(GitHubError, match="No commits between main and same"):
        place.github.open_pull("same", "main", "T", "B")
    with pytest.raises(GitHubError, match="GitHub answered 422"):
        place.github.open_pull("nowhere", "main", "T", "B")
    place.push({"x": "1"}, branch="topic")
    place.repository.jobs_may_open_pulls = False
    with pytest.raises(ForbiddenError, match="GitHub Actions is not permitted to create"):
        place.github.open_pull("topic", "main", "T", "B")
    assert place.world.pulls(place.name) == []


# Comments


def test_comments_come_from_all_pages_oldest_first(place: Place) -> None:
    number = place.pull()
    for each in range(230):
        place.world.comment(place.name, number, f"comment {each}")
    found = place.github.comments(number)
    assert [comment.body for comment in found] == [f"comment {each}" for each in range(230)]
    assert len([each for each in place.asked() if each.startswith("GET")]) == 3


def test_a_comment_is_written_changed_and_deleted(place: Place) -> None:
    number = place.pull()
    made = place.github.write_comment(number, "Plan")
    assert made.author == BOT
    assert made.url.endswith(f"/pull/{number}#issuecomment-{made.id}")
    place.world.clock.move(minutes=5)
    place.github.edit_comment(made.id, "Another")
    now = place.github.comment(made.id)
    assert now
    assert (now.body, now.created) == ("Another", made.created)
    assert (now.updated - now.created).total_seconds() >= 300
    place.github.react(made.id, "eyes")
    assert place.world.comments(place.name, number)[0].reactions == [(BOT, "eyes")]
    place.github.delete_comment(made.id)
    place.github.delete_comment(made.id)
    assert place.github.comment(made.id) is None
    assert place.github.comments(number) == ()
    with pytest.raises(GitHubError, match="404"):
        place.github.edit_comment(made.id, "Too late")


def test_what_is_too_long_for_a_comment_is_refused(place: Place) -> None:
    number = place.pull()
    assert place.github.write_comment(number, "ß" * 65_536).id
    with pytest.raises(GitHubError, match="body is too long"):
        place.github.write_comment(number, "x" * 65_537)


def test_a_reaction_fails_nothing(place: Place) -> None:
    made = place.github.write_comment(place.pull(), "Plan")
    place.may(contents="read").react(made.id, "eyes")
    place.github.react(1, "eyes")
    place.github.react(made.id, "no such picture")
    assert place.world.comments(place.name, 1)[0].reactions == []


def test_who_may_do_what(place: Place) -> None:
    for role in ("admin", "maintain", "write", "triage", "read"):
        place.world.person(f"user-{role}")
        place.repository.roles[f"user-{role}"] = role
        assert place.github.permission(f"user-{role}") == role
    place.world.person("releaser")
    place.repository.custom_roles["releaser"] = ("release-manager", "write")
    assert place.github.permission("releaser") == "write"
    place.world.person("stranger")
    assert place.github.permission("stranger") == "read"
    place.repository.private = True
    assert place.github.permission("stranger") == "none"
    assert place.github.permission("nobody-at-all") == "none"


@pytest.mark.parametrize("login", ["", "../../../user", "a/b", "a b", "-a", "a\n", "ä"])
def test_what_is_no_login_is_not_asked_for(place: Place, login: str) -> None:
    assert place.github.permission(login) == "none"
    assert place.asked() == []


# Git


@pytest.mark.parametrize("branch", ["topic", "ramekin/update/a-1b2c3d", "odd#name%41;x", "ümlaut"])
def test_branches_are_made_moved_and_deleted(place: Place, branch: str) -> None:
    assert place.github.head(branch) is None
    first = place.github.make_commit(place.first, "One", {"merge.lock": b"1"})
    other = place.github.make_commit(place.first, "Two", {"merge.lock": b"2"})
    place.github.set_branch(branch, first, None)
    assert place.github.head(branch) == first
    place.github.set_branch(branch, other, first)  # not forward
    assert place.github.head(branch) == place.head(branch) == other
    place.github.set_branch(branch, other, first)  # is there already
    with pytest.raises(ConflictError, match="no longer where"):
        place.github.set_branch(branch, first, first)
    with pytest.raises(ConflictError, match="no longer where"):
        place.github.set_branch(branch, first, None)
    assert place.github.head(branch) == other
    with pytest.raises(ConflictError, match="no longer where"):
        place.github.delete_branch(branch, first)
    assert place.github.head(branch) == other
    place.github.delete_branch(branch, other)
    place.github.delete_branch(branch, other)
    assert place.github.head(branch) is None


def test_a_branch_moves_forward_only(place: Place) -> None:
    base = place.first
    ahead = place.github.make_commit(base, "Lock", {"merge.lock": b"1"})
    beside = place.github.make_commit(base, "Other", {"merge.lock": b"2"})
    place.github.advance_branch("main", ahead)
    place.github.advance_branch("main", ahead)
    place.github.advance_branch("main", base)  # contained: nothing to do
    assert place.head("main") == ahead
    with pytest.raises(ConflictError, match="has moved meanwhile"):
        place.github.advance_branch("main", beside)
    with pytest.raises(ConflictError):
        place.github.advance_branch("nowhere", beside)
    place.repository.protected.add("main")
    with pytest.raises(ForbiddenError, match="Changes must be made through a pull request"):
        place.github.set_branch("main", beside, ahead)
    with pytest.raises(ForbiddenError, match="Changes must be made through a pull request"):
        place.github.advance_branch("main", place.github.make_commit(ahead, "More", {"x": b""}))
    assert place.head("main") == ahead


def test_a_commit_changes_only_what_it_says_and_is_ours(place: Place) -> None:
    data = bytes(range(256)) * 4
    sha = place.github.make_commit(place.first, "Pin\n\nRamekin-State: {}", {"merge.lock": b"x\n", "deep/er/b": data})
    git = place.repository.git
    assert git.files(sha) == {
        "merge.yaml": b"a: 1\n",
        "docs/note.txt": b"hello\n",
        "merge.lock": b"x\n",
        "deep/er/b": data,
    }
    found = place.github.commit(sha)
    assert found
    assert (found.parents, found.author, found.message) == ((place.first,), BOT, "Pin\n\nRamekin-State: {}")
    assert found.tree == git.commit(sha).tree
    empty = place.github.commit(place.github.make_commit(place.first, "Nothing", {}))
    first = place.github.commit(place.first)
    assert empty
    assert first
    assert empty.tree == first.tree
    assert first.author == "team"
    assert place.github.commit(NONE) is None
    assert place.github.commit("main") is None


def test_an_author_whom_github_does_not_know_is_nobody(place: Place) -> None:
    who = Identity(BOT, "bot@example.org")  # anybody can write this name
    git = place.repository.git
    sha = git.write_commit(git.commit(place.first).tree, [place.first], "Mine", who, who, place.world.clock.now())
    found = place.github.commit(sha)
    assert found
    assert found.author is None


def test_the_last_change_of_a_file_and_what_a_branch_contains(place: Place) -> None:
    first = place.first
    number = place.pull()
    changed = place.head("topic")
    merged = place.world.merge(place.name, number)
    place.push({"merge.yaml": "a: 2\n"}, branch="elsewhere", base=first)
    assert place.github.last_change("merge.yaml", "main") == first
    assert place.github.last_change("topic.txt", merged) == changed
    assert place.github.last_change("topic.txt", first) is None
    assert place.github.last_change("merge.yaml", "no-such-branch") is None
    assert place.github.contains("main", changed)
    assert place.github.contains("main", merged)
    assert not place.github.contains("main", place.head("elsewhere"))
    assert not place.github.contains("main", NONE)
    assert not place.github.contains("main", "topic")
    assert not place.github.contains("no-such-branch", first)


def test_files_are_read_whatever_their_size(place: Place) -> None:
    large = os.urandom(1_200_000)
    at = place.push({"large.bin": large, "empty": b"", "sub dir/a#b?.txt": "odd", "crlf": b"a\r\nb\xff"})
    assert place.github.read("large.bin", at) == large
    assert place.github.read("empty", "main") == b""
    assert place.github.read("sub dir/a#b?.txt", "main") == b"odd"
    assert place.github.read("crlf", "main") == b"a\r\nb\xff"
    assert place.github.read("docs", "main") is None
    assert place.github.read("no/such/file", "main") is None
    assert place.github.read("merge.yaml", "no-such-branch") is None
    asked = len(place.asked())
    for path in ("", "/etc/passwd", "../models/merge.yaml", "docs/../merge.yaml", "./merge.yaml"):
        assert place.github.read(path, "main") is None
    assert len(place.asked()) == asked


def test_a_repository_without_commits_is_no_trouble(place: Place) -> None:
    name = f"team/empty-{next(NAMES)}"
    place.world.state.add(name)
    github = client(place.server, place.world.job_token(name, **ALL), name)
    assert github.head("main") is None
    assert github.commit(NONE) is None
    assert github.last_change("merge.yaml", "main") is None
    assert github.read("merge.yaml", "main") is None


# Issues and workflows


def test_issues_are_our_own_open_ones_and_no_pull_requests(place: Place) -> None:
    place.world.open_issue(place.name, "Dashboard", by="eve")
    place.push({"x": "1"}, branch="topic")
    place.github.open_pull("topic", "main", "Dashboard", "")
    first = place.github.open_issue("Dashboard", "one")
    second = place.github.open_issue("Dashboard", "two")
    place.github.edit_issue(first.number, "changed")
    assert [(each.number, each.body, each.author) for each in place.github.issues()] == [
        (first.number, "changed", BOT),
        (second.number, "two", BOT),
    ]
    place.world.close(place.name, first.number)
    assert [each.number for each in place.github.issues()] == [second.number]
    place.repository.has_issues = False
    with pytest.raises(GitHubError, match="Issues has been disabled"):
        place.github.open_issue("Dashboard", "three")


def test_workflows_are_started(place: Place) -> None:
    place.repository.runs[7] = "completed"
    place.github.rerun(7)
    place.github.dispatch_event("ramekin", {"repo": "demo/base"})
    assert place.repository.runs == {7: "queued"}
    assert place.repository.dispatched == [("ramekin", {"repo": "demo/base"})]
    with pytest.raises(ForbiddenError, match="already running"):
        place.github.rerun(7)
    with pytest.raises(GitHubError, match="404"):
        place.github.rerun(8)


# Archives


def _linked(place: Place, links: dict[str, str]) -> str:
    git = place.repository.git
    entries = [("120000", path, git.write_blob(target.encode())) for path, target in links.items()]
    who = Identity("ana", "ana@example.org")
    tree = git.write_tree(git.commit(place.first).tree, entries)
    return git.write_commit(tree, [place.first], "Links", who, who, place.world.clock.now())


def test_an_archive_holds_the_commits_tree_and_is_fetched_without_the_token(place: Place, tmp_path: Path) -> None:
    sha = place.push({"bin/tool": b"\0\1", "docs/deep/x.md": "x"})
    place.repository.private = True
    root = place.github.archive(sha, tmp_path)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files == place.repository.git.files(sha)
    assert root.is_relative_to(tmp_path)
    (fetched,) = [each for each in place.server.requests[place.begun :] if each.path.startswith("/_codeload/")]
    assert not fetched.authorized
    assert place.github.archive(sha, tmp_path) == root  # what is there is replaced
    with pytest.raises(GitHubError):
        place.github.archive("main", tmp_path)
    with pytest.raises(GitHubError, match="404"):
        place.github.archive(NONE, tmp_path)


def test_links_in_an_archive_stay_inside(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no")
    links = {
        "inside": "merge.yaml",
        "docs/up": "../merge.yaml",
        "to-docs": "docs",
        "chain": "inside",
        "absolute": "/etc/passwd",
        "outside": "../../secret",
        "a-chain-out": "b-out",
        "b-out": "docs/../../../secret",
        "through": "to-docs/../../../secret",
        "loop": "loop",
        "dangling": "nothing",
        "long": "/".join(["docs/.."] * 300) + "/../../secret",
    }
    root = place.github.archive(_linked(place, links), tmp_path / "out")
    kept = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink()}
    assert kept == {"inside", "docs/up", "to-docs", "chain"}
    assert (root / "chain").read_text() == "a: 1\n"


def _packed(*members: tuple[str, bytes, str | bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            data = content if isinstance(content, bytes) else b""
            member.size = len(data)
            member.linkname = content if isinstance(content, str) else ""
            packed.addfile(member, io.BytesIO(data))
    stream.seek(0)
    return stream


def test_a_hostile_archive_writes_nothing_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "victim").write_text("whole")
    hostile = _packed(
        ("top/fine.txt", tarfile.REGTYPE, b"fine"),
        ("top/../../up.txt", tarfile.REGTYPE, b"bad"),
        ("/absolute.txt", tarfile.REGTYPE, b"bad"),
        ("top//etc/passwd", tarfile.REGTYPE, b"inside"),
        ("top/door", tarfile.SYMTYPE, ".."),
        ("top/door/through.txt", tarfile.REGTYPE, b"bad"),
        ("top/hard", tarfile.LNKTYPE, "../victim"),
        ("top/device", tarfile.CHRTYPE, b""),
        ("top/pipe", tarfile.FIFOTYPE, b""),
        ("top", tarfile.SYMTYPE, "/"),
    )
    archive._extract(hostile, root)  # type: ignore[arg-type]
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if not path.is_dir()}
    assert found == {"victim", "root/fine.txt", "root/etc/passwd", "root/door/through.txt"}
    assert (tmp_path / "victim").read_text() == "whole"


STEPS = st.sampled_from(["..", ".", "a", "b", "c", ""])
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(STEPS, min_size=1, max_size=5).map("/".join)


@settings_of_hypothesis(max_examples=60, deadline=None)
@example({"a": "..", "a/a": "../c/..", "c": None})
@given(st.dictionaries(PATHS, TARGETS | st.none(), max_size=8))
def test_whatever_the_links_none_leads_out(tree: dict[str, str | None]) -> None:
    members = [
        (f"top/{path}", tarfile.REGTYPE if to is None else tarfile.SYMTYPE, to or b"x") for path, to in tree.items()
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "out").resolve()
        root.mkdir()
        with contextlib.suppress(OSError):  # a file in the place of a directory: `unpack` says so
            archive._extract(_packed(*members), root)  # type: ignore[arg-type]
        assert [path.name for path in Path(name).iterdir()] == ["out"]
        for folder, folders, files in os.walk(root):
            for path in (Path(folder, each) for each in (*folders, *files)):
                assert path.resolve().is_relative_to(root)
                assert not path.is_symlink() or path.exists()


def test_an_archive_is_fetched_over_https_alone_where_github_is(place: Place, tmp_path: Path) -> None:
    with pytest.raises(requests.RequestException, match="over https alone"):
        archive.unpack(f"{place.server.url}/_codeload/x/y/legacy.tar.gz/{NONE}", tmp_path / "out", secure=True)
    assert place.asked() == []


def test_an_archive_is_bounded(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = place.push({"big.bin": os.urandom(300_000)})
    for name, most in (("_MOST_PACKED", 100_000), ("_MOST_BYTES", 200_000), ("_MOST_ENTRIES", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, most)
            with pytest.raises(GitHubError, match="large") as caught:
                place.github.archive(sha, tmp_path)
        assert "repository of their own" in caught.value.problems[0].hint
    place.server.drop("_codeload", done=False)
    assert (place.github.archive(sha, tmp_path) / "big.bin").stat().st_size == 300_000


# What GitHub refuses


def test_refusals_say_what_github_said_and_what_to_do(place: Place) -> None:
    number = place.pull()
    stranger = client(place.server, place.world.person("stranger"), place.name)
    with pytest.raises(ForbiddenError, match="Resource not accessible by integration") as caught:
        place.may(contents="read").write_comment(number, "x")
    assert "permissions" in caught.value.problems[0].hint
    with pytest.raises(ForbiddenError):
        place.may(pull_requests="read").open_pull("topic", "main", "T", "B")
    with pytest.raises(ForbiddenError):
        stranger.set_branch("mine", place.first, None)
    with pytest.raises(GitHubError, match="401: Bad credentials") as caught_401:
        client(place.server, "ghs_" + "A" * 36, place.name).pull(number)
    assert "github-token" in caught_401.value.problems[0].hint
    place.repository.private = True
    with pytest.raises(GitHubError, match="404"):
        stranger.comments(number)
    assert stranger.pull(number) is None
    assert all(error.value.exit_code == 7 for error in (caught, caught_401))


def test_what_is_not_github_is_said(place: Place) -> None:
    for body in ("<html>Please log in</html>", '{"truncated": ', "[1]", '"text"', "{}", ""):
        place.server.faults.add(Fault("status", "/comments", status=200, body=body))
        with pytest.raises(GitHubError, match="not GitHub's interface"):
            place.github.write_comment(1, "x")
        for question in (lambda: place.github.pull(1), lambda: place.github.head("main")):
            place.server.faults.add(Fault("status", "/(pulls|git)/", status=200, body=body))
            with pytest.raises(GitHubError, match="not GitHub's interface"):
                question()


def test_a_server_that_is_not_there(place: Place) -> None:
    nowhere = settings(place.server, place.token, api_url="http://127.0.0.1:9/api/v3")
    github = GitHub.of(nowhere.access, 0.001)
    with pytest.raises(GitHubError, match="cannot be reached") as caught:
        github.head("main")
    assert "start the job again" in caught.value.problems[0].hint


# Patience


def test_what_reads_is_repeated_while_github_is_busy(place: Place) -> None:
    place.server.fail("/git/ref/", status=502, times=2)
    assert place.github.head("main") == place.first
    place.server.drop("/git/ref/", done=False, times=3)
    assert place.github.head("main") == place.first
    assert place.slept == [0.01, 0.02, 0.01, 0.02, 0.04]
    place.server.fail("/git/ref/", status=503, times=5)
    with pytest.raises(GitHubError, match="GitHub answered 503"):
        place.github.head("main")


def _made(place: Place, kind: str) -> int:
    """How many of what is created are there."""
    counts: dict[str, Callable[[], int]] = {
        "comment": lambda: len(place.world.comments(place.name, 1)),
        "pull": lambda: len(place.world.pulls(place.name, by=BOT)),
        "issue": lambda: len(place.world.issues(place.name)),
        "branch": lambda: len(place.repository.git.refs("refs/heads/new")),
        "move": lambda: int(place.head("topic") == place.head("other")),
        "advance": lambda: int(place.head("main") == place.head("other")),
    }
    return counts[kind]()


ACTS: dict[str, tuple[str, str, Callable[[Place], Any]]] = {
    "comment": ("POST", "/issues/1/comments", lambda p: p.github.write_comment(1, "Plan\r\n")),
    "pull": ("POST", "/pulls", lambda p: p.github.open_pull("other", "main", "T", "B")),
    "issue": ("POST", "/issues", lambda p: p.github.open_issue("T", "B")),
    "branch": ("POST", "/api/graphql", lambda p: p.github.set_branch("new", p.head("other"), None)),
    "move": ("POST", "/api/graphql", lambda p: p.github.set_branch("topic", p.head("other"), p.head("topic"))),
    "advance": ("PATCH", "/git/refs", lambda p: p.github.advance_branch("main", p.head("other"))),
}


@pytest.mark.parametrize("loss", ["before", "after", "status", "twice"])
@pytest.mark.parametrize("kind", list(ACTS))
def test_what_was_lost_is_there_once(place: Place, kind: str, loss: str) -> None:
    method, path, act = ACTS[kind]
    place.pull()
    place.push({"other.txt": "1"}, branch="other")
    if loss == "status":
        place.server.fail(path, method)
    else:
        place.server.drop(path, method, done=loss != "before", times=2 if loss == "twice" and kind == "advance" else 1)
    made = act(place)
    assert _made(place, kind) == 1
    if kind in {"comment", "pull", "issue"}:
        assert made.author == BOT
    sent = [each for each in place.asked() if each == f"{method} {path}" or each.startswith(f"{method} /git/refs/")]
    landed = loss in {"after", "twice"} and kind != "advance"
    assert len(sent) == (1 if landed else 3 if loss == "twice" else 2)


def test_a_lost_comment_is_ours_only_if_we_wrote_it(place: Place) -> None:
    number = place.pull()
    place.world.comment(place.name, number, "Plan", by="eve")
    place.server.drop("/comments", "POST", done=False)
    made = place.github.write_comment(number, "Plan")
    assert (made.author, len(place.world.comments(place.name, number))) == (BOT, 2)


def test_what_cannot_be_looked_for_is_not_sent_twice(place: Place) -> None:
    place.server.drop("/dispatches", "POST", done=True)
    with pytest.raises(GitHubError, match="nobody can tell"):
        place.github.dispatch_event("ramekin", {})
    assert len(place.repository.dispatched) == 1


def test_a_person_who_pushes_while_an_answer_is_lost_is_not_overwritten(place: Place) -> None:
    place.pull()
    ours, before = place.push({"o": "1"}, branch="ours"), place.head("topic")
    theirs = place.push({"t": "1"}, branch="theirs")
    place.server.drop("graphql", "POST", done=False)
    place.github._calls._sleep = lambda _: place.world.move_branch(place.name, "topic", theirs)
    with pytest.raises(ConflictError):
        place.github.set_branch("topic", ours, before)
    assert place.head("topic") == theirs


def test_a_push_between_the_look_and_the_move_is_not_overwritten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.pull()
    ours, before = place.push({"o": "1"}, branch="ours"), place.head("topic")
    theirs = place.push({"t": "1"}, branch="theirs")
    assert place.github._repo.node_id
    real = place.github._graphql

    def late(*given: Any) -> Any:
        place.world.move_branch(place.name, "topic", theirs)
        return real(*given)

    monkeypatch.setattr(place.github, "_graphql", late)
    with pytest.raises(ConflictError, match="no longer where"):
        place.github.set_branch("topic", ours, before)
    assert place.head("topic") == theirs


@pytest.mark.parametrize("status", [403, 429])
def test_short_waits_that_github_asks_for_are_kept(place: Place, status: int) -> None:
    number = place.pull()
    place.server.refuse("/comments", wait=7, times=2, status=status)
    place.github.write_comment(number, "Plan")
    assert place.slept == [7, 7]
    assert len(place.world.comments(place.name, number)) == 1


def test_long_waits_are_left_to_the_next_run(place: Place) -> None:
    number = place.pull()
    place.server.refuse("/comments", wait=900)
    with pytest.raises(RateLimitError, match=r"for 900 s, until \d\d:\d\d UTC") as caught:
        place.github.write_comment(number, "Plan")
    assert "the next run goes on" in caught.value.problems[0].hint
    place.server.refuse("/comments", wait=25, times=3)
    with pytest.raises(RateLimitError, match="for 25 s"):
        place.github.write_comment(number, "Plan")
    assert place.slept == [25, 25]


def test_graphql_tells_its_limits_in_its_own_way(place: Place) -> None:
    def limited(wait: int) -> Fault:
        body = json.dumps({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]})
        return Fault("status", "graphql", status=200, body=body, headers={"Retry-After": str(wait)})

    place.server.faults.add(limited(120))
    with pytest.raises(RateLimitError, match="for 120 s"):
        _ = place.github.login
    place.server.faults.add(limited(30))
    assert place.github.login == BOT
    assert place.slept == [30]


def test_a_secondary_limit_without_a_time_is_waited_out_once(place: Place) -> None:
    said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    place.server.faults.add(Fault("status", "/git/ref/", times=1, status=403, message=said))
    assert place.github.head("main") == place.first
    assert place.slept == [60]


def test_the_hourly_limit_in_the_middle_of_a_list(place: Place) -> None:
    number = place.pull()
    for each in range(201):
        place.world.comment(place.name, number, f"comment {each}")
    place.server.limit(2, wait=1800)
    with pytest.raises(RateLimitError, match=r"for 1(79\d|80\d) s"):
        place.github.comments(number)
    assert place.slept == []
    place.server.limit(2, wait=20)
    place.github._calls._sleep = lambda _: place.world.clock.move(seconds=22)
    assert len(place.github.comments(number)) == 201


def test_writes_are_sent_no_faster_than_github_likes(place: Place) -> None:
    given = settings(place.server, place.token, place.name)
    requester = GitHub.of(given.access)._client.requester
    assert requester._Requester__seconds_between_writes == 1.0  # type: ignore[attr-defined]


# Secrets


def test_no_token_is_in_a_log_an_error_or_a_traceback(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        place.github.write_comment(place.pull(), "Plan")
        errors: list[BaseException] = []
        nowhere = GitHub.of(settings(place.server, place.token, api_url="http://127.0.0.1:9").access, 0.001)
        attempts: tuple[Callable[[], Any], ...] = (lambda: place.github.comments(77), lambda: nowhere.head("a"))
        for attempt in attempts:
            with pytest.raises(GitHubError) as caught:
                attempt()
            errors.append(caught.value)
    shown = caplog.text + "".join("".join(traceback.format_exception(error)) + repr(error) for error in errors)
    assert "127.0.0.1" in shown
    assert place.token[4:] not in shown
    assert place.token not in repr(place.github) + repr(place.github.__dict__)


def test_what_a_server_says_is_shortened_and_harmless(place: Place) -> None:
    said = f"::set-output name=a::b\n\x1b[31m{'x' * 400} {place.token}"
    place.server.fail("/git/ref", status=418)
    place.server.faults.clear()
    place.server.faults.add(Fault("status", "/git/ref", status=400, message=said))
    with pytest.raises(GitHubError) as caught:
        place.github.head("main")
    what = caught.value.problems[0].what
    assert what.startswith("GitHub answered 400: ")
    assert len(what) < 350
    assert what.isprintable()
    assert place.token[-12:] not in what


def test_numbers_in_headers_are_not_believed() -> None:
    assert [calls._number(text) for text in ("7", "-3", "soon", None, "1e3")] == [7, 0, None, None, 1000]


def test_records_are_values(place: Place) -> None:
    made = place.github.write_comment(place.pull(), "Plan")
    assert isinstance(made, Comment)
    assert place.github.comments(1) == (made,)

"""The loopback GitHub does as GitHub does: looked at through plain requests, PyGithub and git."""

import base64
import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from github import Auth, Github, GithubException

from ramekin.action.event import read_event
from ramekin.github.records import Comment
from tests.github import events
from tests.github.clients import client
from tests.github.loopback import Loopback, serve
from tests.github.world import World

NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with serve(tmp_path_factory.mktemp("github")) as served:
        yield served


@pytest.fixture
def name(github: Loopback) -> str:
    made = f"team/kept-{next(NAMES)}"
    github.world.create(made, {"merge.yaml": "a: 1\n"})
    return made


@pytest.fixture
def world(github: Loopback) -> World:
    return github.world


class Asking:
    """Plain requests with a token."""

    def __init__(self, github: Loopback, name: str, token: str | None) -> None:
        self._base = f"{github.api_url}/repos/{name}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        answer = self.raw(method, path, data)
        return answer.status_code, answer.json() if answer.content else None

    def raw(self, method: str, path: str, data: Any = None) -> requests.Response:
        return requests.request(method, self._base + path, json=data, headers=self._headers, timeout=10)


@pytest.fixture
def writer(github: Loopback, name: str) -> Asking:
    permissions = {"contents": "write", "pull_requests": "write", "issues": "write", "actions": "write"}
    return Asking(github, name, github.world.job_token(name, **permissions))


def tip(world: World, name: str, branch: str = "main") -> str:
    found = world.head(name, branch)
    assert found
    return found


# Git


def test_what_is_pushed_is_what_git_clones(world: World, name: str, tmp_path: Path) -> None:
    world.push(name, {"docs/a.txt": "text", "merge.yaml": "a: 2\n"})
    world.push(name, {"docs/a.txt": None}, branch="topic")
    bare = world.repository(name).git.path
    subprocess.run(["git", "clone", "--quiet", str(bare), str(tmp_path / "clone")], check=True)
    assert (tmp_path / "clone/merge.yaml").read_text() == "a: 2\n"
    assert (
        subprocess.run(["git", f"--git-dir={bare}", "fsck", "--strict"], check=True, capture_output=True).returncode
        == 0
    )
    assert world.read(name, "docs/a.txt") == b"text"
    assert world.read(name, "docs/a.txt", "topic") is None


def test_references_refuse_as_githubs_do(world: World, name: str, writer: Asking) -> None:
    first, second = tip(world, name), world.push(name, {"x": "1"})
    new = {"ref": "refs/heads/new", "sha": first}
    assert writer("POST", "/git/refs", new)[0] == 201
    assert writer("POST", "/git/refs", new) == (422, _says("Reference already exists"))
    assert writer("POST", "/git/refs", {**new, "ref": "new"})[0] == 422
    assert writer("POST", "/git/refs", {"ref": "refs/heads/b", "sha": "1" * 40}) == (
        422,
        _says("Object does not exist"),
    )
    assert writer("PATCH", "/git/refs/heads/new", {"sha": second})[0] == 200
    moved_back = writer("PATCH", "/git/refs/heads/new", {"sha": first})
    assert moved_back == (422, _says("Update is not a fast forward"))
    assert writer("PATCH", "/git/refs/heads/new", {"sha": first, "force": True})[0] == 200
    assert tip(world, name, "new") == first
    assert writer("PATCH", "/git/refs/heads/none", {"sha": first}) == (422, _says("Reference does not exist"))
    assert writer("DELETE", "/git/refs/heads/new")[0] == 204
    assert writer("DELETE", "/git/refs/heads/new") == (422, _says("Reference does not exist"))
    assert writer("GET", "/git/ref/heads/new")[0] == 404
    world.repository(name).protected.add("main")
    status, said = writer("PATCH", "/git/refs/heads/main", {"sha": first, "force": True})
    assert (status, said["message"].split("\n")[0]) == (422, "Repository rule violations found")


def _says(message: str) -> dict[str, str]:
    return {"message": message, "documentation_url": "https://docs.github.com/rest"}


def test_contents_are_changed_against_what_was_seen(world: World, name: str, writer: Asking) -> None:
    _, seen = writer("GET", "/contents/merge.yaml")
    assert base64.b64decode(seen["content"]) == b"a: 1\n"
    change = {"message": "Two", "content": base64.b64encode(b"a: 2\n").decode(), "branch": "main"}
    assert writer("PUT", "/contents/merge.yaml", change)[0] == 422
    status, made = writer("PUT", "/contents/merge.yaml", {**change, "sha": seen["sha"]})
    assert (status, made["commit"]["sha"]) == (200, tip(world, name))
    assert writer("PUT", "/contents/merge.yaml", {**change, "sha": seen["sha"]})[0] == 409
    assert world.read(name, "merge.yaml") == b"a: 2\n"
    assert [each["name"] for each in writer("GET", "/contents/")[1]] == ["merge.yaml"]
    assert [each["path"] for each in writer("GET", "/git/trees/main?recursive=1")[1]["tree"]] == ["merge.yaml"]


def test_comparisons_say_who_is_ahead(world: World, name: str, writer: Asking) -> None:
    first = tip(world, name)
    world.push(name, {"t": "1"}, branch="topic")
    states = {}
    for base, head in ((first, "topic"), ("topic", first), ("main", "main")):
        states[base[:4], head[:4]] = writer("GET", f"/compare/{base}...{head}")[1]["status"]
    world.push(name, {"m": "1"})
    _, apart = writer("GET", "/compare/main...topic")
    assert list(states.values()) == ["ahead", "behind", "identical"]
    assert (apart["status"], apart["ahead_by"], apart["behind_by"]) == ("diverged", 1, 1)
    assert [each["filename"] for each in apart["files"]] == ["t"]
    assert apart["merge_base_commit"]["sha"] == first


# Pull requests


def test_a_pull_request_follows_its_branch(world: World, name: str, writer: Asking) -> None:
    git = world.repository(name).git
    first = world.push(name, {"t": "1"}, branch="topic")
    number = world.open_pull(name, "topic").number
    assert git.ref(f"refs/pull/{number}/head") == first
    second = world.push(name, {"t": "2"}, branch="topic")
    _, pull = writer("GET", f"/pulls/{number}")
    assert (pull["head"]["sha"], pull["mergeable"], pull["commits"]) == (second, True, 2)
    assert git.commit(pull["merge_commit_sha"]).parents == (tip(world, name), second)
    world.push(name, {"t": "other"})
    _, pull = writer("GET", f"/pulls/{number}")
    assert (pull["mergeable"], pull["merge_commit_sha"]) == (False, None)
    assert writer("PUT", f"/pulls/{number}/merge")[0] == 405
    assert writer("PUT", f"/pulls/{number}/merge", {"sha": first})[0] == 409
    world.delete_branch(name, "topic")
    _, pull = writer("GET", f"/pulls/{number}")
    assert (pull["state"], pull["merged"], pull["head"]["sha"]) == ("closed", False, second)


def test_a_branch_that_is_set_to_its_base_closes_its_pull_request(world: World, name: str, writer: Asking) -> None:
    world.push(name, {"t": "1"}, branch="topic")
    number = world.open_pull(name, "topic").number
    assert writer("PATCH", "/git/refs/heads/topic", {"sha": tip(world, name), "force": True})[0] == 200
    _, pull = writer("GET", f"/pulls/{number}")
    assert (pull["state"], pull["merged"]) == ("closed", False)


def test_a_base_that_gets_the_commits_has_merged_them(world: World, name: str, writer: Asking) -> None:
    commit = world.push(name, {"t": "1"}, branch="topic")
    number = world.open_pull(name, "topic").number
    assert writer("PATCH", "/git/refs/heads/main", {"sha": commit})[0] == 200
    _, pull = writer("GET", f"/pulls/{number}")
    assert (pull["state"], pull["merged"], pull["merge_commit_sha"]) == ("closed", True, commit)


@pytest.mark.parametrize(("method", "parents", "new"), [("merge", 2, 3), ("squash", 1, 1), ("rebase", 1, 2)])
def test_three_ways_to_merge(world: World, name: str, writer: Asking, method: str, parents: int, new: int) -> None:
    git = world.repository(name).git
    for text in ("1", "2"):
        world.push(name, {"t": text}, branch="topic")
    before = world.push(name, {"m": "1"})
    number = world.open_pull(name, "topic").number
    status, answer = writer("PUT", f"/pulls/{number}/merge", {"merge_method": method})
    assert (status, answer["sha"]) == (200, tip(world, name))
    assert len(git.commit(answer["sha"]).parents) == parents
    assert len(git.between(before, answer["sha"])) == new
    assert git.files(answer["sha"]) == {"merge.yaml": b"a: 1\n", "m": b"1", "t": b"2"}
    assert [each["number"] for each in writer("GET", f"/commits/{answer['sha']}/pulls")[1]] == [number]
    assert writer("PATCH", f"/pulls/{number}", {"state": "open"})[0] == 422


def test_a_fork_proposes_and_is_not_written_to(github: Loopback, world: World, name: str, writer: Asking) -> None:
    fork = world.fork(name, "eve")
    world.push(fork.name, {"t": "1"}, branch="topic", by="eve")
    eve = Asking(github, name, world.person("eve"))
    request = {"title": "T", "head": "eve:topic", "base": "main"}
    status, pull = eve("POST", "/pulls", request)
    assert (status, pull["head"]["repo"]["full_name"], pull["user"]["login"]) == (201, fork.name, "eve")
    status, said = eve("POST", "/pulls", request)
    assert (status, said["errors"][0]["message"]) == (422, "A pull request already exists for eve:topic.")
    status, said = eve("POST", "/pulls", {**request, "base": "nowhere"})
    assert (status, said["errors"][0]["field"]) == (422, "base")
    assert eve("POST", "/git/refs", {"ref": "refs/heads/x", "sha": tip(world, name)})[0] == 403
    assert world.repository(name).git.has(pull["head"]["sha"])
    assert [each["number"] for each in writer("GET", "/pulls?head=eve:topic")[1]] == [pull["number"]]
    assert writer("GET", "/pulls?head=team:topic")[1] == []
    there = Asking(github, fork.name, world.job_token(name, contents="write"))
    assert there("POST", "/git/refs", {"ref": "refs/heads/x", "sha": pull["head"]["sha"]})[0] == 403


# Who may


def test_a_token_may_what_it_may(github: Loopback, world: World, name: str) -> None:
    number = world.open_issue(name, "I").number
    world.push(name, {"t": "1"}, branch="topic")
    pull = world.open_pull(name, "topic").number
    comment = {"body": "x"}
    for permissions, on_issue, on_pull in (
        ({"contents": "write"}, 403, 403),
        ({"issues": "write"}, 201, 201),
        ({"pull_requests": "write"}, 403, 201),
        ({"issues": "read", "pull_requests": "read"}, 403, 403),
    ):
        asking = Asking(github, name, world.job_token(name, **permissions))
        assert asking("POST", f"/issues/{number}/comments", comment)[0] == on_issue
        assert asking("POST", f"/issues/{pull}/comments", comment)[0] == on_pull
    assert Asking(github, name, None)("POST", f"/issues/{number}/comments", comment)[0] == 401
    assert Asking(github, name, "ghp_wrong")("GET", "") == (401, _says("Bad credentials"))
    assert Asking(github, name, world.person("visitor"))("POST", f"/issues/{number}/comments", comment)[0] == 201


def test_what_is_private_is_not_there_for_others(github: Loopback, world: World, name: str) -> None:
    world.repository(name).private = True
    world.person("member", **{name.replace("/", "__"): "read"})
    member = Asking(github, name, next(t for t, each in world.state.tokens.items() if each.user.login == "member"))
    elsewhere = world.create(f"{name}-b", {"x": "1"}).name
    for token in (None, world.person("outsider"), world.job_token(elsewhere, contents="write")):
        assert Asking(github, name, token)("GET", "")[0] == 404
    assert member("GET", "/contents/merge.yaml")[0] == 200
    assert member("POST", "/git/refs", {"ref": "refs/heads/x", "sha": tip(world, name)})[0] == 404
    assert Asking(github, name, world.job_token(name, issues="read"))("GET", "/contents/merge.yaml")[0] == 403
    link = member.raw("GET", "/tarball/main").url
    assert "token=" in link
    assert requests.get(link.partition("?")[0], timeout=10).status_code == 404


# Lists, limits, faults


def test_lists_come_in_pages_with_links(world: World, name: str, writer: Asking) -> None:
    number = world.open_issue(name, "I").number
    for each in range(7):
        world.comment(name, number, str(each))
    answer = writer.raw("GET", f"/issues/{number}/comments?per_page=3&page=2")
    assert [each["body"] for each in answer.json()] == ["3", "4", "5"]
    assert set(answer.links) == {"next", "last", "prev", "first"}
    last = requests.get(answer.links["last"]["url"], headers=writer._headers, timeout=10)
    assert ([each["body"] for each in last.json()], set(last.links)) == (["6"], {"prev", "first"})


def test_limits_are_told_and_kept(github: Loopback, world: World, name: str, writer: Asking) -> None:
    github.limit(1, wait=30)
    answer = writer.raw("GET", "")
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (200, "0")
    refused = writer.raw("GET", "")
    assert refused.status_code == 403
    assert refused.json()["message"].startswith("API rate limit exceeded")
    assert int(refused.headers["x-ratelimit-reset"]) >= world.clock.now().timestamp()
    world.clock.move(seconds=31)
    assert writer.raw("GET", "").status_code == 200
    github.refuse("/issues", wait=3)
    secondary = writer.raw("GET", "/issues")
    assert (secondary.status_code, secondary.headers["retry-after"]) == (403, "3")
    assert writer.raw("GET", "/issues").status_code == 200


def test_connections_are_cut_before_or_after(github: Loopback, world: World, name: str, writer: Asking) -> None:
    number = world.open_issue(name, "I").number
    for done, made in ((False, 0), (True, 1)):
        github.drop("/comments", "POST", done=done)
        with pytest.raises(requests.ConnectionError):
            writer.raw("POST", f"/issues/{number}/comments", {"body": "x"})
        assert len(world.comments(name, number)) == made
    assert [each.status for each in github.asked("POST", f"{name}/issues")] == [0, 0]


# Workflows and events


def test_runs_are_started_again_once(world: World, name: str, writer: Asking) -> None:
    world.repository(name).runs[7] = "completed"
    path = "/actions/runs/{}/rerun-failed-jobs"
    assert [writer("POST", path.format(run), {})[0] for run in (7, 7, 8)] == [201, 403, 404]
    assert world.repository(name).runs == {7: "queued"}


def test_payloads_are_what_our_reader_of_events_reads(world: World, name: str, tmp_path: Path) -> None:
    fork = world.fork(name, "eve")
    world.push(fork.name, {"t": "1"}, branch="topic")
    issue = world.open_pull(name, "topic", by="eve", source=fork.name)
    comment = world.comment(name, issue.number, "/ramekin plan", by="eve")
    assert issue.pull

    def read(event: events.Event) -> Any:
        path = tmp_path / "event.json"
        path.write_text(json.dumps(event.payload))
        return read_event(event.name, path)

    opened = events.pull_request(world, name, issue)
    found = read(opened)
    assert (found.pull_request.number, found.pull_request.head, found.pull_request.fork) == (1, issue.pull.head, True)
    assert opened.sha == world.repository(name).git.ref("refs/pull/1/merge")
    said = read(events.issue_comment(world, name, issue, comment)).comment
    assert (said.id, said.body, said.author, said.on_pull_request) == (comment.id, "/ramekin plan", "eve", True)
    before = tip(world, name)
    world.push(name, {"m": "1"})
    pushed = events.push(world, name, before=before)
    assert [each["id"] for each in pushed.payload["commits"]] == [tip(world, name)] == [pushed.sha]
    assert read(pushed).default_branch == "main"
    for event in (
        events.schedule(world, name),
        events.workflow_dispatch(world, name),
        events.issues(world, name, issue),
    ):
        assert (event.sha, event.ref) == (tip(world, name), "refs/heads/main")
        assert read(event).default_branch == "main"


def test_people_do_things_by_hand(github: Loopback, world: World, name: str) -> None:
    ours = client(github, world.job_token(name, issues="write"), name)
    board = ours.open_issue("Dashboard", "- [ ] retry a\n- [ ] retry b\n")
    world.tick(name, board.number, "retry b")
    assert world.issues(name)[0].body == "- [ ] retry a\n- [x] retry b\n"
    made = ours.write_comment(board.number, "plan")
    world.clock.move(minutes=1)
    world.edit_comment(name, made.id, "/ramekin run --pr")
    now = ours.comment(made.id)
    assert isinstance(now, Comment)
    assert (now.body, now.updated > now.created) == ("/ramekin run --pr", True)
    world.delete_comment(name, made.id)
    assert ours.comment(made.id) is None


# Over https, and through PyGithub itself


def test_https_with_an_authority_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(tmp_path, tls=True) as github:
        github.world.create("team/models", {"merge.yaml": "a: 1\n"}, private=True)
        token = github.world.job_token("team/models", contents="read")
        assert github.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{github.api_url}/repos/team/models", timeout=10)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(github.certificate))
        ours = client(github, token)
        root = ours.archive(tip(github.world, "team/models"), tmp_path / "out")
        assert (root / "merge.yaml").read_text() == "a: 1\n"
        github.drop("/git/ref", done=True)
        assert ours.head("main") == tip(github.world, "team/models")


def test_pygithub_without_any_of_ours(github: Loopback, world: World, name: str) -> None:
    auth = Auth.Token(world.person("team"))
    with Github(base_url=github.api_url, auth=auth, seconds_between_requests=0, seconds_between_writes=0) as hub:
        assert hub.get_user().login == "team"
        repository = hub.get_repo(name)
        branch = repository.create_git_ref("refs/heads/topic", repository.get_commit("main").sha)
        made = repository.create_file("new.txt", "Add", "text", branch="topic")
        assert repository.get_contents("new.txt", ref=made["commit"].sha).decoded_content == b"text"  # type: ignore[union-attr]
        branch.edit(made["commit"].sha, force=False)
        pull = repository.create_pull(base="main", head="topic", title="T", body="B")
        assert (pull.merged, pull.mergeable, [each.filename for each in pull.get_files()]) == (False, True, ["new.txt"])
        pull.create_issue_comment("hello")
        assert pull.merge(merge_method="squash").merged
        pull.update()
        assert (pull.merged, pull.merged_by.login) == (True, "team")
        with pytest.raises(GithubException) as caught:
            repository.create_pull(base="main", head="none", title="T", body="B")
        assert caught.value.status == 422

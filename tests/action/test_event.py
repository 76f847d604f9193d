"""What is read of an event's payload."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.action.event import CommentEvent, Event, PullRequestEvent, read_event
from ramekin.errors import UsageError

REPOSITORY = {"full_name": "acme/agents", "default_branch": "main"}
PULL = {
    "number": 7,
    "head": {"sha": "5e" * 20, "repo": {"full_name": "acme/agents"}},
    "base": {"ref": "main", "repo": REPOSITORY},
}
COMMENT = {
    "action": "created",
    "comment": {"id": 12, "body": "/ramekin plan", "user": {"login": "mona"}, "created_at": "2026-03-04T05:06:07Z"},
    "issue": {"number": 7, "pull_request": {"url": "x"}},
    "repository": REPOSITORY,
}


def event(tmp_path: Path, name: str, data: Any) -> Event:
    path = tmp_path / "event.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return read_event(name, path)


def test_a_pull_request(tmp_path: Path) -> None:
    found = event(tmp_path, "pull_request", {"pull_request": PULL, "repository": REPOSITORY})
    assert found == Event("pull_request", "main", PullRequestEvent(7, "5e" * 20, "main", fork=False))


@pytest.mark.parametrize("repo", [{"full_name": "eve/agents"}, None])
def test_a_pull_request_of_a_fork_or_of_a_repository_that_is_gone(tmp_path: Path, repo: Any) -> None:
    pull = PULL | {"head": {"sha": "5e" * 20, "repo": repo}}
    found = event(tmp_path, "pull_request", {"pull_request": pull, "repository": REPOSITORY}).pull_request
    assert found
    assert found.fork


def test_a_comment(tmp_path: Path) -> None:
    found = event(tmp_path, "issue_comment", COMMENT)
    expected = CommentEvent(12, "created", "/ramekin plan", "mona", "2026-03-04T05:06:07Z", 7, on_pull_request=True)
    assert found == Event("issue_comment", "main", comment=expected)


def test_a_comment_on_an_issue_whose_author_is_gone(tmp_path: Path) -> None:
    data = COMMENT | {"issue": {"number": 3}, "comment": {"id": 1, "body": None, "user": None}}
    found = event(tmp_path, "issue_comment", data).comment
    assert found == CommentEvent(1, "created", "", "", "", 3, on_pull_request=False)


def test_other_events_need_no_payload(tmp_path: Path) -> None:
    assert read_event("schedule", None) == Event("schedule")
    assert read_event("push", tmp_path / "absent.json") == Event("push")
    # What is in the payload of another event is no pull request of this one.
    assert event(tmp_path, "push", {"pull_request": PULL, "comment": {}}) == Event("push")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pull_request", {}),
        ("pull_request", {"pull_request": PULL | {"head": None}}),
        ("pull_request", {"pull_request": PULL | {"number": "seven"}}),
        ("issue_comment", {"comment": {"id": 1}}),
        ("issue_comment", {"comment": [], "issue": []}),
        ("push", "[]"),
        ("push", "{"),
        ("push", "[" * 100_000),
        ("push", {"repository": "acme"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_github_does_not_write_is_refused(tmp_path: Path, name: str, data: Any) -> None:
    with pytest.raises(UsageError, match="GITHUB_EVENT_PATH holds no"):
        event(tmp_path, name, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["head", "repo", "id"]), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["pull_request", "issue_comment", "push"]),
    st.dictionaries(st.sampled_from(["pull_request", "comment", "issue", "repository", "action"]), JSON),
)
def test_any_payload_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any-event.json"
    path.write_text(json.dumps(data))
    with contextlib.suppress(UsageError):
        assert read_event(name, path).name == name


def test_an_issue(tmp_path: Path) -> None:
    payload = {"action": "edited", "issue": {"number": 4}, "repository": REPOSITORY}
    assert event(tmp_path, "issues", payload) == Event("issues", "main", issue=4)
    with pytest.raises(UsageError):
        event(tmp_path, "issues", {"issue": None})

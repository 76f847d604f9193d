"""A merge in a pull request: a draft until it is verified, ready once, whatever happens in between."""

from typing import Any

import pytest
from publish_samples import KEY
from shops import GUEST, Shop

from ramekin.errors import PublishError
from ramekin.hub import Fault
from ramekin.hub import threads as hub_threads
from ramekin.hub.records import DEFAULT_BRANCH
from ramekin.hub.repository import Note

TITLE = f"ram+ merge {KEY}"


def assert_ready(shop: Shop, num: int = 1) -> None:
    """Opened, committed to, commented on and set ready, in this order and once each."""
    thread = next(one for one in shop.threads() if one.num == num)
    assert (thread.title, thread.status) == (TITLE, "open")
    (comment,) = shop.said(num)
    assert comment.startswith(f"<!-- ramekin: {KEY} -->\n**Verified.**")
    kinds = [(one["type"], one["data"].get("status")) for one in thread.events]
    assert kinds == [("comment", None), ("commit", None), ("comment", None), ("status-change", "open")]
    assert shop.commits() == []
    published = shop.files(thread.ref)
    records = shop.report["output"]["files"]
    assert {name: published[name] for name in records} == {name: record["sha256"] for name, record in records.items()}


def refused(shop: Shop, **options: Any) -> str:
    with pytest.raises(PublishError) as error:
        shop.publish(pr=True, **options)
    assert all(problem.hint for problem in error.value.problems)
    return str(error.value)


def test_a_pull_request_is_a_draft_until_it_is_verified(shop: Shop) -> None:
    first = shop.publish(pr=True)
    assert (first.fresh, first.pull_request, first.url) == (True, True, f"{shop.hub.url}/{shop.repo}/discussions/1")
    assert_ready(shop)
    assert first.commit == shop.hub.store.get(shop.repo).resolve("refs/pr/1").id
    (comment,) = shop.said()
    for words in (KEY, "demo/coder", "apache-2.0", f"`{first.commit[:7]}`", f"ramekin verify {shop.repo}@refs/pr/1\n"):
        assert words in comment
    again = shop.publish(pr=True)
    assert (again.fresh, again.url, again.commit) == (False, first.url, first.commit)
    assert_ready(shop)


STEPS = {
    "open": ("POST", "/discussions$"),
    "hear that it is open": ("GET", r"/discussions/1\b"),
    "commit": ("POST", "/commit/refs"),
    "comment": ("POST", "/discussions/1/comment"),
    "set ready": ("POST", "/discussions/1/status"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_pull_request_is_gone_on_with_where_it_was_left(shop: Shop, step: str) -> None:
    method, path = STEPS[step]
    shop.hub.faults.add(Fault("status", method=method, path=path, status=403, times=None))
    assert "the Hub answered 403" in refused(shop)
    assert all(one.status == "draft" for one in shop.threads())
    shop.hub.faults.clear()
    assert shop.publish(pr=True).fresh
    assert len(shop.threads()) == 1
    assert_ready(shop)


@pytest.mark.parametrize("step", ["open", "commit", "comment", "set ready"])
def test_an_answer_that_is_lost_doubles_nothing(shop: Shop, step: str) -> None:
    method, path = STEPS[step]
    shop.hub.faults.add(Fault("drop-after", method=method, path=path))
    assert shop.publish(pr=True).fresh
    assert not shop.hub.faults.pending()
    assert len(shop.threads()) == 1
    assert_ready(shop)


def test_what_does_not_verify_stays_a_draft(shop: Shop) -> None:
    shop.hub.faults.add(Fault("status", method="POST", path="/comment", status=403))
    assert "could not comment on pull request 1" in refused(shop)
    shop.hub.store.commit(shop.repo, {"config.json": b"{}", "model.safetensors": b"x"}, revision="refs/pr/1")
    for _ in range(2):
        said = refused(shop)
        assert "2 of 5 files are not as they were merged" in said
        assert "model.safetensors differs from the report" in said
        assert [one.status for one in shop.threads()] == ["draft"]
        (comment,) = shop.said()
        assert "**Not verified.** 2 of 5 files" in comment
        assert "| `config.json` | differs from the report |" in comment
    # Closed, it is in nobody's way.
    hub_threads.save(shop.hub.store.get(shop.repo), hub_threads.happened(shop.threads()[0], status="closed"))
    assert shop.publish(pr=True).url.endswith("/discussions/2")
    assert_ready(shop, 2)


def test_a_hub_that_keeps_a_draft_a_draft(shop: Shop) -> None:
    shop.hub.faults.add(Fault("status", method="POST", path="/status", status=400, times=None))
    with pytest.raises(PublishError, match="could not set pull request 1 ready") as error:
        shop.publish(pr=True)
    assert f"by hand at {shop.hub.url}/{shop.repo}/discussions/1" in error.value.problems[0].hint
    assert "**Verified.**" in shop.said()[0]


def test_a_draft_that_was_left_behind_is_closed(shop: Shop) -> None:
    shop.hub.faults.add(Fault("status", method="POST", path="/commit/refs", status=403))
    refused(shop)
    shop.hub.store.commit(shop.repo, {"notes.txt": b"moved on"})
    assert "was not made by ramekin" in refused(shop)
    assert shop.publish(pr=True, adopt=True).url.endswith("/discussions/2")
    assert [one.status for one in shop.threads()] == ["closed", "open"]
    assert "the branch has moved on" in shop.said(1)[-1]


def test_a_branch_that_moves_while_the_draft_is_opened(shop: Shop) -> None:
    shop.hub.store.create_repo(shop.repo)
    shop.hub.faults.add(Fault("status", method="POST", path="/discussions$", status=503, times=2))
    shop.hub.faults.add(Fault("delay", method="POST", path="/discussions$"))
    found = shop.hub.store.get(shop.repo)
    original = hub_threads.open_thread

    def moving(*args: Any, **options: Any) -> Any:
        shop.hub.store.commit(shop.repo, {"notes.txt": b"moved on"})
        return original(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_threads, "open_thread", moving)
        assert "the branch has moved on since the plan" in refused(shop)
    assert [one.status for one in shop.threads()] == ["closed"]
    assert found.resolve("refs/pr/1").title == "initial commit"


def test_a_pull_request_of_somebody_else_is_none_of_ours(shop: Shop) -> None:
    """Whoever knows the key can open one of the same title, with another model in it."""
    found = shop.hub.store.create_repo(shop.repo)
    hub_threads.open_thread(found, Note(TITLE, "Mine is better", "guest"), base=found.resolve(DEFAULT_BRANCH))
    shop.hub.store.commit(shop.repo, {"model.safetensors": b"bad"}, revision="refs/pr/1")
    assert shop.publish(pr=True).url.endswith("/discussions/2")
    assert_ready(shop, 2)


def test_a_comment_of_somebody_else_does_not_pass_for_ours(shop: Shop) -> None:
    shop.hub.faults.add(Fault("status", method="POST", path="/comment", status=403))
    refused(shop)
    found = shop.hub.store.get(shop.repo)
    forged = hub_threads.comment(f"<!-- ramekin: {KEY} -->\nAll is well", "guest")
    hub_threads.save(found, hub_threads.happened(shop.threads()[0], forged))
    assert shop.publish(pr=True).fresh
    assert [text.splitlines()[1][:13] for text in shop.said()] == ["All is well", "**Verified.**"]


def test_a_guest_may_propose(shop: Shop) -> None:
    shop.hub.store.create_repo(shop.repo)
    assert shop.publish(pr=True, token=GUEST.token).fresh
    assert [(one.author, one.status) for one in shop.threads()] == [("guest", "open")]
    with pytest.raises(PublishError, match="could not write there"):
        shop.publish(token=GUEST.token)


def test_new_texts_reach_the_pull_request_that_waits(shop: Shop) -> None:
    first = shop.publish(pr=True)
    shop.place(card="card:\n  title: Better\n")
    again = shop.publish(pr=True)
    assert (again.fresh, again.url) == (True, first.url)
    assert "# Better" in shop.text("README.md", "refs/pr/1")
    assert len(shop.threads()) == len(shop.said()) == 1
    assert shop.publish(pr=True).fresh is False

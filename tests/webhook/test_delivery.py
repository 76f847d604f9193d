"""What the Hub sends is news only where a manifest merges from what has moved."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramekin.webhook.delivery import NoDelivery, judge
from ramekin.webhook.watched import Source, Watch, what_to_watch
from tests.webhook.sent import NEW, delivery, manifest, raw

CODER = Source("model", "org/coder")
WATCH = Watch({CODER: frozenset({"refs/heads/main", "refs/tags/main"})}, frozenset({"me/agent"}))


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return what_to_watch([manifest(tmp_path), manifest(tmp_path, "other.yaml", "other")])


def test_what_can_move_is_watched(watch: Watch) -> None:
    assert [(source.kind, source.name) for source in watch.refs] == [
        ("model", "Org/Tool"),
        ("model", "org/base"),
        ("model", "org/coder"),
    ]
    assert watch.refs[Source("model", "org/base")] == {"refs/heads/main", "refs/tags/main"}
    assert watch.refs[Source("model", "Org/Tool")] == {"refs/heads/dev", "refs/tags/dev"}
    assert watch.outputs == {"me/agent", "me/other"}


@pytest.mark.parametrize(
    ("body", "news"),
    [
        (raw(), (("refs/heads/main", NEW),)),
        (raw("ORG/Coder"), (("refs/heads/main", NEW),)),
        (raw("org/tool", {"refs/heads/dev": NEW, "refs/heads/main": "c" * 40}), (("refs/heads/dev", NEW),)),
        (raw(event={"action": "update", "scope": "repo.content.new"}), (("refs/heads/main", NEW),)),
        (raw(updatedRefs=None), ()),
    ],
)
def test_what_a_manifest_merges_from_is_news(body: bytes, news: tuple[Any, ...], watch: Watch) -> None:
    found = judge(body, watch)
    assert found.source is not None
    assert found.news == news


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (raw("me/agent"), "it is published to, not merged from"),
        (raw("me/agent", {"refs/heads/main": NEW, "refs/pr/1": NEW}), "it is published to, not merged from"),
        (raw("someone/else"), "no manifest names it"),
        (raw("org/fixed"), "no manifest names it"),
        (raw(repo=delivery()["repo"] | {"type": "dataset"}), "no manifest names it"),
        (raw(repo=delivery()["repo"] | {"type": "kernel"}), "no manifest names it"),
        (raw(refs={"refs/pr/3": NEW}), "no manifest names a branch or tag of it that has moved"),
        (raw("Org/Tool"), "no manifest names a branch or tag of it that has moved"),
        (raw(event={"action": "create", "scope": "discussion"}), "it is not about the content of a repository"),
        (raw(event={"action": "update", "scope": "repo.config"}), "it is not about the content of a repository"),
        (raw(event={"action": "update", "scope": "repo.contents"}), "it is not about the content of a repository"),
        (raw(event={"action": "delete", "scope": "repo.content"}), "nothing was pushed"),
    ],
)
def test_all_else_is_ignored_with_a_reason(body: bytes, why: str, watch: Watch) -> None:
    found = judge(body, watch)
    assert (found.source, found.why) == (None, why)


def test_what_is_published_and_merged_from_again_is_news() -> None:
    chained = Watch(WATCH.refs, frozenset({"org/coder"}))
    assert judge(raw(), chained).source == CODER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        raw(event="update"),
        raw(repo={"type": "model"}),
        raw(updatedRefs=[{}]),
        raw(updatedRefs=[{"ref": f"refs/heads/{n}"} for n in range(1001)]),
        raw("x" * 301),
        b"[" * 100_000,
    ],
)
def test_what_the_hub_never_sends_is_no_delivery(body: bytes) -> None:
    with pytest.raises(NoDelivery):
        judge(body, WATCH)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["event", "repo", "updatedRefs"]), _JSON))
def test_anything_is_either_judged_or_none(changes: dict[str, Any]) -> None:
    try:
        found = judge(json.dumps(delivery() | changes).encode(), WATCH)
    except NoDelivery:
        return
    assert found.source in {None, CODER}

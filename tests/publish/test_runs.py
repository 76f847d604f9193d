"""`run` where the merge is published already, or waits in a pull request: nothing is merged again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from publish_samples import EXPERTS, manifest_text, place
from shops import Shop
from tests.integration.conftest import family_files

from ramekin.errors import PublishError
from ramekin.hub import threads as hub_threads
from ramekin.lock.file import read_lock
from ramekin.pipeline import Outcome, run
from ramekin.plan.objections import Permissions
from ramekin.preparing import Request, prepare


@dataclass
class Street:
    """A shop whose merge has sources that can be planned with."""

    shop: Shop
    manifest: Path

    def write(self, more: str = "", card: str = "") -> None:
        self.manifest.write_text(manifest_text(self.shop.repo, more, card))

    def publish(self, *, pr: bool = False) -> Any:
        """What a run would have merged, published."""
        prepare(self.shop.bench(), Request(self.manifest))
        lock = read_lock(self.manifest.with_name("merge.lock"))
        assert lock is not None
        place(self.shop.directory, self.manifest.read_text(), lock)
        return self.shop.publish(pr=pr)

    def run(self, *, pr: bool = False, **allowed: Any) -> Outcome:
        self.shop.forget()
        return run(self.shop.bench(), Request(self.manifest, allowed=Permissions(**allowed), pull_request=pr))

    def written(self) -> list[str]:
        """What was asked of the Hub but to look."""
        return [
            one.path for one in self.shop.hub.log.requests() if one.method != "GET" and "paths-info" not in one.path
        ]


@pytest.fixture(scope="module")
def family() -> dict[str, dict[str, bytes]]:
    return {name: family_files(name) for name in ("base", *EXPERTS)}


@pytest.fixture
def street(shop: Shop, family: dict[str, dict[str, bytes]], tmp_path: Path) -> Iterator[Street]:
    for name, files in family.items():
        if shop.hub.store.find(f"demo/{name}") is None:
            shop.hub.store.create_repo(f"demo/{name}")
            shop.hub.store.commit(f"demo/{name}", files)
    made = Street(shop, tmp_path / "merge.yaml")
    made.write()
    return made


def test_a_run_with_nothing_else_to_do_does_what_is_missing(street: Street) -> None:
    first = street.publish()
    assert street.run().published == first.__class__(first.repo, first.commit, first.url, fresh=False)
    assert street.written() == []
    street.write("  collection: Afterwards\n")
    outcome = street.run()
    assert outcome.plan.action == "nothing"
    assert len(street.shop.commits()) == 1
    assert street.shop.collected("Afterwards") == [street.shop.repo]
    street.run()
    assert street.written() == []


def test_what_is_missing_is_not_done_where_it_may_not_be(street: Street) -> None:
    street.publish()
    street.write("  collection: Never\n")
    street.run(pr=True)
    assert street.written() == []
    with pytest.raises(PublishError, match="is in no namespace"):
        street.run(namespaces=frozenset({"others"}))
    assert street.written() == []


def test_a_tag_outlives_a_change_of_the_card(street: Street) -> None:
    street.write("  tag: v1\n")
    first = street.publish().commit
    street.write("  tag: v1\n", "card:\n  title: Better\n")
    assert street.run().plan.action == "card"
    assert street.run().plan.action == "nothing"
    assert street.shop.hub.store.get(street.shop.repo).refs()["refs/tags/v1"] == first
    assert "# Better" in street.shop.text("README.md")


def test_a_run_finds_the_pull_request_that_waits(street: Street) -> None:
    first = street.publish(pr=True)
    outcome = street.run(pr=True)
    assert outcome.published is not None
    assert (outcome.published.url, outcome.published.fresh) == (first.url, False)
    assert street.written() == []


def test_the_card_alone_goes_by_a_pull_request_too(street: Street) -> None:
    street.publish()
    before = street.shop.files()
    street.write(card="card:\n  title: Better\n")
    done = street.run(pr=True).published
    assert done is not None
    assert (done.fresh, done.pull_request) == (True, True)
    assert street.shop.files() == before
    (thread,) = street.shop.threads()
    assert thread.title.startswith("ram+ card ")
    assert thread.status == "open"
    assert "<summary>The plan</summary>" in street.shop.said()[0]
    now = street.shop.files("refs/pr/1")
    changed = {name for name in {*now, *before} if now.get(name) != before.get(name)}
    assert {name for name in changed if "plots" not in name} == {
        "README.md",
        "ramekin/report.json",
        "ramekin/merge.yaml",
    }
    again = street.run(pr=True).published
    assert again is not None
    assert again.fresh is False
    assert street.written() == []
    # Merged by a person, it is what the Hub holds.
    hub_threads.merge(street.shop.hub.store.get(street.shop.repo), thread, "demo")
    assert street.run().plan.action == "nothing"

"""What comes after a commit: tags, collections, the word on the card of an older model; and what must not be."""

import json
from typing import Any

import pytest
from shops import Shop

from ramekin.errors import ManifestError, PublishError
from ramekin.hub import Fault, Hub


def refused(shop: Shop, **options: Any) -> str:
    with pytest.raises(PublishError) as error:
        shop.publish(**options)
    assert all(problem.hint for problem in error.value.problems)
    return str(error.value)


def push(hub: Hub, repo: str, card: str) -> None:
    hub.store.create_repo(repo)
    hub.store.commit(repo, {"README.md": card.encode()})


# Namespaces


def test_only_allowed_namespaces_are_written_to(shop: Shop) -> None:
    allowed = frozenset({"others", "ours"})
    said = f"{shop.repo}: is in no namespace that may be written to (allowed: others, ours)"
    assert said in refused(shop, namespaces=allowed)
    assert said in refused(shop, namespaces=allowed, pr=True)
    assert [one for one in shop.hub.log.requests() if one.method != "GET"] == []
    # To the Hub, upper case is lower case.
    assert shop.publish(namespaces=frozenset({"DEMO"})).fresh


def test_a_namespace_counts_where_the_hub_leads_to(shop: Shop) -> None:
    shop.hub.store.create_repo(shop.repo)
    shop.hub.store.move_repo(shop.repo, shop.repo.replace("demo/", "moved/"))
    assert "moved/" in refused(shop, namespaces=frozenset({"demo"}))
    assert shop.publish(namespaces=frozenset({"moved"})).repo.startswith("moved/")


# Tags


def tags(shop: Shop) -> dict[str, str]:
    refs = shop.hub.store.get(shop.repo).refs()
    return {name.removeprefix("refs/tags/"): commit for name, commit in refs.items() if name.startswith("refs/tags/")}


def test_a_missing_tag_is_put_by_the_next_publishing(shop: Shop) -> None:
    shop.place("  tag: v1\n")
    shop.hub.faults.add(Fault("status", method="POST", path="/tag/", status=403))
    assert "could not put the tag v1" in refused(shop)
    again = shop.publish()
    assert again.fresh is False
    assert tags(shop) == {"v1": again.commit}


def test_a_tag_is_never_moved(shop: Shop) -> None:
    shop.place("  tag: v1\n")
    first = shop.publish().commit
    # The same merge again, after somebody has written to the repository.
    shop.hub.store.commit(shop.repo, {"config.json": b"{}"})
    assert shop.publish().fresh
    assert tags(shop) == {"v1": first}
    # Another merge.
    shop.place("  tag: v1\n", key="sha256:" + "cd" * 32)
    assert f"{shop.repo}: has a tag v1 already" in refused(shop)
    assert len(shop.commits()) == 3


def test_a_tag_that_a_branch_has_is_refused_before_anything_is_written(shop: Shop) -> None:
    shop.hub.store.create_repo(shop.repo)
    shop.place("  tag: main\n")
    assert "has a branch main" in refused(shop)
    assert shop.commits() == []


# Collections


def collection(shop: Shop, title: str) -> Any:
    rows = [json.loads(path.read_bytes()) for path in (shop.hub.store.root / "collections").glob("*/*.json")]
    (found,) = [one for one in rows if one["title"] == title]
    return found


def test_a_collection_by_title_is_made_once_and_as_private_as_the_repository(shop: Shop) -> None:
    shop.place("  collection: Merged agents\n")
    shop.publish()
    found = collection(shop, "Merged agents")
    assert found["private"] is True
    assert [(item["id"], item["type"]) for item in found["items"]] == [(shop.repo, "model")]
    assert found["items"][0]["note"]["text"] == "ram+ merge of 3 experts, made by ramekin"
    shop.forget()
    assert shop.publish().fresh is False
    assert [one for one in shop.hub.log.requests() if one.method != "GET"] == []
    # Another one joins it, by its slug; and by its title, if the Hub lets several have one.
    for number, named in enumerate((found["slug"], "Merged agents")):
        shop.place(f"  collection: {named}\n  private: false\n", repo=f"{shop.repo}-{number}")
        shop.publish()
    assert [item["id"] for item in collection(shop, "Merged agents")["items"]][1:] == [
        f"{shop.repo}-0",
        f"{shop.repo}-1",
    ]


def test_a_public_repository_gets_a_public_collection(shop: Shop) -> None:
    shop.place("  collection: Public ones\n  private: false\n")
    shop.publish()
    assert collection(shop, "Public ones")["private"] is False


@pytest.mark.parametrize("path", ["/api/collections$", "/items$"])
def test_a_collection_that_cannot_be_had_undoes_nothing(shop: Shop, path: str) -> None:
    shop.place("  collection: Later on\n")
    shop.hub.faults.add(Fault("status", method="POST", path=path, status=403, times=None))
    said = refused(shop)
    assert "collection" in said
    assert "though it is published" in said
    assert len(shop.commits()) == 1
    shop.hub.faults.clear()
    shop.hub.faults.add(Fault("drop-after", method="POST", path=path))
    assert shop.publish().fresh is False
    assert len(shop.commits()) == 1
    assert shop.repo in [item["id"] for item in collection(shop, "Later on")["items"]]


def test_a_collection_that_is_not_there_is_told_before_anything_is_written(shop: Shop) -> None:
    shop.place(f"  collection: demo/none-{'0' * 24}\n")
    assert "could not look at the collection" in refused(shop)
    shop.place(f"  collection: elsewhere/none-{'0' * 24}\n")
    assert "elsewhere/none" in refused(shop, namespaces=frozenset({"demo"}))
    assert shop.commits() == []


def test_a_pull_request_is_followed_up_by_nothing(shop: Shop) -> None:
    shop.place(f"  collection: demo/none-{'0' * 24}\n  tag: v1\n")
    assert shop.publish(pr=True).fresh
    assert tags(shop) == {}


# Superseded models

CARD = "\ufeff---\r\nlicense: mit\r\ntags:\r\n- x # a remark\r\n---\r\n# Old\r\n\r\nnew_version: not here\r\n"


def test_an_older_model_names_its_new_version(shop: Shop) -> None:
    old = f"{shop.repo}-old"
    shop.place(repo=old)
    shop.publish()
    before = shop.text("README.md", repo=old)
    shop.place(f"  supersedes: {old}\n")
    shop.publish()
    line, after = f"new_version: {shop.repo}\n", shop.text("README.md", repo=old)
    assert after == before.replace("\n---\n# ", f"\n{line}---\n# ", 1)
    assert shop.commits(old)[0] == f"new_version: {shop.repo}"
    shop.forget()
    assert shop.publish().fresh is False
    assert [one for one in shop.hub.log.requests() if one.method != "GET"] == []
    # It is still the merge that it was, and is not published again for that line.
    shop.place(repo=old)
    assert shop.publish().fresh is False
    # The other way round it would be a circle.
    shop.place(f"  supersedes: {shop.repo}\n", repo=old)
    assert "each cannot be the other's" in refused(shop)


def test_whose_card_may_be_changed(shop: Shop) -> None:
    old, third = f"{shop.repo}-old", f"{shop.repo}-third"
    shop.place(f"  supersedes: {old}\n")
    assert f"{old}: does not exist" in refused(shop)
    push(shop.hub, old, CARD)
    assert "was not made by ramekin, and its card would be changed" in refused(shop)
    assert "is in no namespace" in refused(shop, adopt=True, namespaces=frozenset({"other"}))
    assert shop.commits() == []
    shop.publish(adopt=True)
    assert shop.text("README.md", repo=old) == CARD.replace("---\r\n# Old", f"new_version: {shop.repo}\r\n---\r\n# Old")
    # What a card says already is somebody's word.
    shop.place(f"  supersedes: {old}\n", repo=third)
    assert f"its card names {shop.repo} as its new version, not {third}" in refused(shop)
    shop.publish(adopt=True)
    assert f"\r\nnew_version: {third}\r\n---" in shop.text("README.md", repo=old)


def test_a_chain_of_versions_is_not_made_shorter(shop: Shop) -> None:
    first, second = f"{shop.repo}-1", f"{shop.repo}-2"
    push(shop.hub, first, f"---\nnew_version: {second}\n---\n")
    push(shop.hub, second, f"---\nnew_version: {shop.repo}\n---\n")
    shop.place(f"  supersedes: {first}\n")
    shop.publish(adopt=True)
    assert len(shop.commits(first)) == 1


def test_itself_is_refused_by_the_manifest(shop: Shop) -> None:
    shop.place()
    manifest = shop.directory / "ramekin/merge.yaml"
    manifest.write_text(manifest.read_text() + f"  supersedes: {shop.repo.upper().replace('DEMO', 'Demo')}\n")
    with pytest.raises(ManifestError, match="is the output itself"):
        shop.publish()


@pytest.mark.parametrize("card", ["# No front matter\n", ""])
def test_a_card_without_front_matter_gets_one(shop: Shop, card: str) -> None:
    old = f"{shop.repo}-old"
    push(shop.hub, old, card)
    shop.place(f"  supersedes: {old}\n")
    shop.publish(adopt=True)
    assert shop.text("README.md", repo=old) == f"---\nnew_version: {shop.repo}\n---\n{card}"


@pytest.mark.parametrize("front", ["{license: mit}", "license: [mit", "new_version: >\n  a\n  b", "a: &x 1\nb: *x"])
def test_a_card_that_cannot_be_changed_by_a_line_is_left_alone(shop: Shop, front: str) -> None:
    old = f"{shop.repo}-old"
    push(shop.hub, old, f"---\n{front}\n---\n# Old\n")
    shop.place(f"  supersedes: {old}\n")
    assert f"write `new_version: {shop.repo}` into its front matter yourself" in _hints(shop)
    assert len(shop.commits()) == 1
    assert shop.text("README.md", repo=old) == f"---\n{front}\n---\n# Old\n"


def _hints(shop: Shop) -> str:
    with pytest.raises(PublishError) as error:
        shop.publish(adopt=True)
    return " ".join(problem.hint for problem in error.value.problems)


def test_somebody_else_writes_to_the_older_model_meanwhile(shop: Shop) -> None:
    old = f"{shop.repo}-old"
    push(shop.hub, old, CARD)
    shop.place(f"  supersedes: {old}\n")
    shop.hub.faults.add(Fault("status", method="POST", path=f"{old}/commit/main", status=412))
    shop.publish(adopt=True)
    assert f"new_version: {shop.repo}" in shop.text("README.md", repo=old)
    shop.place(f"  supersedes: {old}\n", repo=f"{shop.repo}-2")
    shop.hub.faults.add(Fault("drop-after", method="POST", path=f"{old}/commit/main"))
    shop.publish(adopt=True)
    assert len(shop.commits(old)) == 3


def test_everything_that_could_not_be_done_is_told_at_once(shop: Shop) -> None:
    old = f"{shop.repo}-old"
    push(shop.hub, old, CARD)
    shop.place(f"  supersedes: {old}\n  collection: All of them\n  tag: v2\n")
    for path in ("/tag/", "/api/collections", f"{old}/commit"):
        shop.hub.faults.add(Fault("status", method="POST", path=path, status=403, times=None))
    with pytest.raises(PublishError) as error:
        shop.publish(adopt=True)
    assert len(error.value.problems) == 3
    shop.hub.faults.clear()
    assert shop.publish(adopt=True).fresh is False
    assert tags(shop).keys() == {"v2"}
    assert f"new_version: {shop.repo}" in shop.text("README.md", repo=old)
    assert collection(shop, "All of them")["items"]

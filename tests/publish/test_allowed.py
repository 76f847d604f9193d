"""What may be published where, as options, environment and licences have it."""

from typing import Any

import pytest
from publish_samples import KEY, lock_of, manifest_text, place
from shops import Shop

from ramekin.cli.allowing import permissions
from ramekin.environment import Environment
from ramekin.errors import PublishError, UsageError
from ramekin.hub.store import Store
from ramekin.lock.model import CardFacts, Lock
from ramekin.plan.objections import Permissions
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench


def allowed(option: str | None, variable: str | None = None) -> Permissions:
    env = {} if variable is None else {"RAMEKIN_ALLOWED_NAMESPACES": variable}
    bench = Workbench(Environment.read(env), Terminal())
    return permissions(bench, adopt=True, allow_private_sources=False, allowed_namespaces=option)


@pytest.mark.parametrize(
    ("option", "variable", "namespaces"),
    [
        (None, None, None),
        (None, "", None),
        (None, " ", None),
        (None, "my-org", {"my-org"}),
        ("a", None, {"a"}),
        (" a , B.c_d,, ", None, {"a", "B.c_d"}),
        ("a", "b", {"a"}),
    ],
)
def test_namespaces_by_option_or_variable(
    option: str | None, variable: str | None, namespaces: set[str] | None
) -> None:
    found = allowed(option, variable)
    assert found.namespaces == (None if namespaces is None else frozenset(namespaces))
    assert (found.adopt, found.private_sources) == (True, False)
    assert found.excludes("elsewhere") == (namespaces is not None)
    assert not namespaces or not any(found.excludes(name.upper()) for name in namespaces)


@pytest.mark.parametrize(
    ("option", "variable", "words"),
    [
        ("", None, "no namespace is named"),
        (" , ", "a", "no namespace is named"),
        (None, ",", "no namespace is named"),
        ("a/b", None, "`a/b` is no namespace"),
        (None, "a,../b", "`../b` is no namespace"),
        ("a b", None, "`a b` is no namespace"),
        ("::x", None, "`::x` is no namespace"),
    ],
)
def test_what_is_no_list_of_namespaces_allows_nothing(option: str | None, variable: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        allowed(option, variable)


def under(**card: Any) -> Lock:
    """A lock whose base has that card."""
    lock = lock_of(KEY)
    return lock.model_copy(update={"base": lock.base.model_copy(update={"card": CardFacts(**card)})})


def refused(shop: Shop, lock: Lock, more: str) -> str:
    place(shop.directory, manifest_text(shop.repo, more), lock)
    with pytest.raises(PublishError) as error:
        shop.publish()
    assert shop.commits() == []
    return str(error.value)


def test_a_name_that_a_licence_asks_for(shop: Shop) -> None:
    lock = under(license="llama3.1")
    said = "its name does not begin with “Llama”, as a source's licence asks"
    assert said in refused(shop, lock, "  private: false\n")
    for name in ("llama-agent", "Llama_3.1-agent"):
        place(shop.directory, manifest_text(f"demo/{name}", "  private: false\n"), lock)
        assert shop.publish().fresh
    # Nobody else sees a private one.
    place(shop.directory, manifest_text(shop.repo), lock)
    assert shop.publish().fresh


def test_unknown_terms_stay_private(shop: Shop) -> None:
    said = "is public, and the licence of a source is not known"
    for card in ({}, {"license": "unknown"}, {"license": "other", "license_name": "house rules"}, {"license": "a, b"}):
        assert said in refused(shop, under(**card), "  private: false\n")
    assert said in refused(shop, under(license="mit", parents={"org/lost": None}), "  private: false\n")
    assert said in refused(shop, under(), "  private: false\ncard:\n  license: other\n")
    place(shop.directory, manifest_text(shop.repo, "  private: false\ncard:\n  license: mit\n"), under())
    assert shop.publish().fresh


def test_what_was_to_be_private_is_not_published_where_all_can_see(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else creates the repository, for all to see, after the plan."""
    original = Store.create_repo

    def public(self: Store, repo_id: str, **options: Any) -> Any:
        return original(self, repo_id, **{**options, "private": False})

    monkeypatch.setattr(Store, "create_repo", public)
    with pytest.raises(PublishError, match="is public, and was to be created private"):
        shop.publish()
    assert shop.commits() == []

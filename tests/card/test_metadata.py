"""What the Hub makes of a card's front matter."""

import pytest
import yaml
from card_samples import Sample, sample

from ramekin.card.rendering import render_card
from ramekin.hub.cards import base_model_relation, derived_tags, judge, read_card
from ramekin.lock.model import CardFacts
from ramekin.manifest.model import CardTexts

MIT = CardFacts(license="mit", language=("en", "de"), datasets=("org/data",), pipeline_tag="text-classification")


def local(made: Sample, *roles: str) -> Sample:
    """The same with some sources as directories."""
    lock = made.lock
    experts = {
        name: pinned.model_copy(update={"kind": "local", "source": f"./{name}"}) if name in roles else pinned
        for name, pinned in lock.experts.items()
    }
    base = lock.base.model_copy(update={"kind": "local", "source": "./base"}) if "base" in roles else lock.base
    return Sample(made.report, lock.model_copy(update={"base": base, "experts": experts}))


def front(made: Sample, texts: CardTexts | None = None) -> dict:
    card = render_card(made.report, texts or CardTexts(license="mit"), made.lock)
    assert judge(card).errors == judge(card).warnings == ()
    return read_card(card).data


def test_one_expert_is_a_merge_too() -> None:
    found = front(sample({"a": "org/a"}, (5, 1), cards={"a": MIT}))
    assert found["base_model"] == ["Qwen/Qwen2.5-7B-Instruct", "org/a"]
    assert found["base_model_relation"] == "merge"
    assert "base_model:merge:org/a" in derived_tags(found)


@pytest.mark.parametrize(
    ("roles", "parents"),
    [
        (("base",), ["org/a", "org/b"]),
        (("base", "a"), ["org/b"]),
        (("a", "b"), ["Qwen/Qwen2.5-7B-Instruct"]),
        (("base", "a", "b"), None),
    ],
)
def test_directories_are_nobodys_parents(roles: tuple[str, ...], parents: list[str] | None) -> None:
    made = local(sample({"a": "org/a", "b": "org/b"}, (5, 1, 1, 1), cards={"a": MIT, "b": MIT}), *roles)
    found = front(made)
    assert found.get("base_model") == parents
    # Said outright: what the Hub concludes from one parent alone is another relation.
    assert found.get("base_model_relation") == ("merge" if parents else None)
    assert base_model_relation(found) == ("merge" if parents else None)
    assert "./" not in yaml.safe_dump(found)


def test_what_is_inherited_and_what_is_said_outright() -> None:
    other = CardFacts(license="mit", language=("de", "fr"), datasets=("org/data", "org/more"))
    made = sample({"a": "org/a", "b": "org/b"}, (5, 1, 1, 1), cards={"a": MIT, "b": other})
    found = front(made)
    assert found["library_name"] == "transformers"
    assert found["pipeline_tag"] == "text-generation"
    assert found["tags"] == ["merge", "ramekin", "ram-plus"]
    assert found["language"] == ["en", "de", "fr"]
    assert found["datasets"] == ["org/data", "org/more"]
    assert front(made, CardTexts(license="mit", language=("pt-BR",)))["language"] == ["pt-BR"]
    assert "language" not in front(made, CardTexts(license="mit", language=()))
    assert {"new_version", "model-index"}.isdisjoint(found)

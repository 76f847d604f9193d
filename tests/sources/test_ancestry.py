"""The licences of the models that a source descends from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from ramekin.answers import RepoState
from ramekin.digests import DigestMemory
from ramekin.errors import SourceError
from ramekin.licences.inheritance import Claim, inherit
from ramekin.lock.model import CardFacts
from ramekin.manifest.model import Source
from ramekin.progress import Silence
from ramekin.sources.hub import HubSource
from ramekin.sources.local import LocalSource


@dataclass
class Cards:
    """A Hub of which only the front matter of cards is asked."""

    fronts: dict[str, str]
    asked: list[str] = field(default_factory=list)

    def state(self, repo: str) -> RepoState | None:
        self.asked.append(repo)
        if self.fronts.get(repo) == "gated":
            raise SourceError(f"{repo}: is gated", "ask")
        return RepoState(repo, "0" * 40, private=False, gated=False) if repo in self.fronts else None

    def read_if_present(self, repo: str, *_: Any) -> bytes:
        return f"---\n{self.fronts[repo]}\n---\n".encode()

    def facts(self, repo: str) -> CardFacts:
        source = HubSource(Source(repo=repo), cast("Any", self), cast("Any", None))
        return source._card(repo, "0" * 40, has_card=True)


def test_parents_are_walked_to_the_first_of_them() -> None:
    cards = Cards(
        {
            "org/expert": "license: mit\nbase_model: org/parent",
            "org/parent": "license: apache-2.0\nbase_model: [org/first, org/expert]",
            "org/first": "license: cc-by-nc-4.0",
        }
    )
    facts = cards.facts("org/expert")
    assert facts.parents == {"org/parent": "apache-2.0", "org/first": "cc-by-nc-4.0"}
    assert inherit([Claim("base", "org/expert", facts.license, parents=facts.parents)]).license == "cc-by-nc-4.0"


def test_the_name_of_a_parents_licence_counts() -> None:
    cards = Cards(
        {
            "org/expert": "license: apache-2.0\nbase_model: [org/qwen, org/house]",
            "org/qwen": "license: other\nlicense_name: Tongyi Qianwen",
            "org/house": "license: other\nlicense_name: House Rules",
        }
    )
    assert cards.facts("org/expert").parents == {"org/qwen": "qwen", "org/house": "other"}


@pytest.mark.parametrize("parent", ["gated", None])
def test_a_parent_that_cannot_be_read_is_not_known(parent: str | None) -> None:
    cards = Cards({"org/expert": "license: mit\nbase_model: org/parent"} | ({"org/parent": parent} if parent else {}))
    facts = cards.facts("org/expert")
    assert facts.parents == {"org/parent": None}
    result = inherit([Claim("base", "org/expert", facts.license, parents=facts.parents)])
    assert result.private_only
    assert "org/parent (from which org/expert descends) declares no licence that could be read" in result.notices[-1]


def test_a_row_of_parents_too_long_to_walk_hides_nothing() -> None:
    cards = Cards(
        {f"org/m{n}": f"license: mit\nbase_model: org/m{n + 1}" for n in range(40)}
        | {"org/m40": "license: cc-by-nc-4.0"}
    )
    facts = cards.facts("org/m0")
    assert len(cards.asked) < 20
    assert None in facts.parents.values()
    assert inherit([Claim("base", "org/m0", facts.license, parents=facts.parents)]).private_only


def test_the_parents_of_a_directory_are_known_where_they_are_sources(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (tmp_path / "README.md").write_text("---\nlicense: mit\nbase_model: org/base\n---\n")
    source = LocalSource(Source(path=str(tmp_path)), Path("/"), DigestMemory(tmp_path / "digests"), Silence())
    facts = source.pin("expert").card
    assert facts.parents == {"org/base": None}
    expert = Claim("expert:a", str(tmp_path), facts.license, parents=facts.parents)
    assert inherit([Claim("base", "org/base", "apache-2.0"), expert]).license == "apache-2.0"
    assert inherit([Claim("base", "org/other", "apache-2.0"), expert]).private_only

"""A card template of the user's own, from the manifest to the published card and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.integration.conftest import World
from tests.integration.scenes import Stage, stage

MINE = '{% extends "card/README.md.jinja" %}\n{% block use %}## Mine\n\nNumber ONE.\n\n{% endblock %}\n'


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("templates")) as made:
        yield made


@pytest.fixture
def world(set_up: Stage, tmp_path: Path) -> World:
    """A directory with a manifest; one process, with its imports done, runs all commands."""
    return World(set_up.hub, tmp_path, {"HF_HOME": str(set_up.home)})


def published(world: World, name: str = "README.md") -> str:
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    place = world.directory / f"cache-{len(world.commits())}"
    return Path(api.hf_hub_download("demo/agent", name, cache_dir=place)).read_text()


def test_a_template_goes_with_the_merge_and_publishes_the_card_alone(world: World) -> None:
    world.manifest(card="card:\n  template: cards/mine.jinja\n")
    template = world.directory / "cards/mine.jinja"
    done = world.ramekin("run", "merge.yaml")
    assert (done.code, len(done.error_lines)) == (2, 2)
    assert "merge.yaml:12: the card template" in done.error_lines[0]

    # What is found out at the end costs no second merge.
    template.parent.mkdir()
    template.write_text(MINE.replace("ONE", "{{ one }}"))
    done = world.ramekin("run", "merge.yaml", "--out", "out")
    assert done.code == 2
    assert "mine.jinja:4: the card template does not fit: 'one' is undefined" in done.error_lines[0]
    assert not (world.directory / "out").exists()
    weights = world.directory / ".out.partial/model.safetensors"
    before = weights.stat().st_mtime_ns
    template.write_text(MINE)
    world.ok("run", "merge.yaml", "--out", "out")
    out = world.directory / "out"
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    assert (out / "ramekin/card.md.jinja").read_text() == MINE == published(world, "ramekin/card.md.jinja")
    card = (out / "README.md").read_bytes()
    assert published(world).encode() == card
    assert b"## Mine\n\nNumber ONE.\n" in card
    assert b"## Use it" not in card
    assert card.startswith(b"---\nlicense: apache-2.0\n")

    template.write_text("what is beside the manifest plays no part any more")
    world.ok("card", "out")
    assert (out / "README.md").read_bytes() == card

    # No plan reads it: it may be of a stranger's pull request. A run does.
    template.write_text(MINE.replace("ONE", "TWO"))
    planned = world.ok("plan", "merge.yaml", "--format", "json").data
    assert planned["action"] == "nothing"
    assert "card.template" in planned["reason"]
    done = world.ok("run", "merge.yaml", "--json")
    assert (done.data["plan"]["action"], done.data["changed"]) == ("card", True)
    assert len(world.commits()) == 2
    assert "Number TWO." in published(world)
    assert world.ok("verify", "demo/agent", "--remerge", "--json").data["ok"]

    world.manifest()
    assert world.ok("run", "merge.yaml", "--json").data["plan"]["action"] == "card"
    assert "## Use it" in published(world)
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    assert "ramekin/card.md.jinja" not in api.list_repo_files("demo/agent")
    assert len(world.commits()) == 3

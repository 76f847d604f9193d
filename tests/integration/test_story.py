"""The road from a manifest to a published merge, through the real command line, client and protocol."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from tests.integration.conftest import EXPERTS, World, family_files, push


def digests(world: World, repo: str = "demo/agent") -> dict[str, str]:
    """sha256 of the weights on the Hub."""
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    files = api.list_repo_tree(repo, recursive=True)
    return {file.path: file.lfs.sha256 for file in files if getattr(file, "lfs", None)}


def report_of(directory: Path) -> Any:
    return json.loads((directory / "ramekin" / "report.json").read_text())


def test_one_commit_then_none_then_one_for_new_weights(world: World) -> None:
    first = world.ok("run", "merge.yaml", "--json").data
    assert first["changed"] is True
    assert world.commits() == [f"ram+ merge {first['key']}"]

    again = world.ok("run", "merge.yaml", "--json").data
    assert again["changed"] is False
    assert again["commit"] == first["commit"]
    assert len(world.commits()) == 1

    weights = digests(world)
    push(world.hub, "coder", {"README.md": b"---\nlicense: apache-2.0\n---\n# coder, described better\n"})
    edited = world.ok("check", "merge.yaml", "--exit-code", "--json").data["manifests"][0]
    assert edited["drift"] is False
    assert [source["moved"] for source in edited["sources"]] == [False, True, False, False]
    world.ok("lock", "merge.yaml", "--upgrade")
    assert world.ok("run", "merge.yaml", "--json").data["changed"] is False

    push(world.hub, "coder", family_files("coder", seed=77))
    moved = world.ramekin("check", "merge.yaml", "--exit-code", "--json")
    assert moved.code == 1
    assert moved.data["manifests"][0]["sources"][1]["changed"] == ["model.safetensors"]
    # The lock pins the old weights until it is told otherwise.
    assert world.ok("run", "merge.yaml", "--json").data["changed"] is False
    world.ok("lock", "merge.yaml", "--upgrade")
    second = world.ok("run", "merge.yaml", "--json").data
    assert second["changed"] is True
    assert second["key"] != first["key"]
    assert len(world.commits()) == 2
    assert digests(world) != weights
    verdict = world.ok("verify", "demo/agent", "--remerge", "--json").data
    assert verdict["ok"]
    assert verdict["remerged"] >= 5


def test_the_published_files_and_their_report(world: World) -> None:
    out = world.directory / "out"
    new = world.fresh("run", "merge.yaml", "--out", "out", "--json")
    assert new.code == 0, new.err
    done = new.data
    report = report_of(out)
    assert report["schema"] == 1
    assert report["key"] == done["key"]
    assert report["method"] == {"name": "ram+", "epsilon": 1e-05, "r": 0.1, "alpha": 2.0}
    assert report["output"]["commit"] == done["commit"]
    assert [expert["name"] for expert in report["experts"]] == [*EXPERTS]
    overlap = report["overlap"]
    assert sum(overlap["patterns"].values()) == overlap["elements"]
    assert set(overlap["patterns"]) == {f"{n:03b}" for n in range(8)}
    for expert in overlap["experts"].values():
        assert expert["unique"] == expert["shared_with"][0]
        assert expert["changed"] == sum(expert["shared_with"]) == expert["unique"] + expert["shared"]
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    published = {file for file in api.list_repo_files("demo/agent") if file != ".gitattributes"}
    local = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert published == local
    named = set(report["output"]["files"])
    plots = {f"ramekin/plots/{name}.svg" for name in ("density", "modules", "overlap")}
    assert local - named == {"README.md", "ramekin/report.json", *plots}
    modules = overlap["modules"].values()
    assert sum(sum(module["elements"]) for module in modules) == overlap["elements"]
    assert sum(sum(module["anyone"]) for module in modules) == overlap["elements"] - overlap["patterns"]["000"]
    base = family_files("base")
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ):
        assert (out / name).read_bytes() == base[name]
    # The report on the Hub does not know its own commit; all else is as in the local copy.
    remote = json.loads(Path(api.hf_hub_download("demo/agent", "ramekin/report.json", cache_dir=out / "c")).read_text())
    assert remote["output"]["commit"] is None
    assert remote["overlap"] == overlap


def test_card_texts_alone_publish_the_card_alone(world: World) -> None:
    world.ok("run", "merge.yaml")
    before = digests(world)
    world.manifest(card="card:\n  title: A better title\n")
    done = world.ok("run", "merge.yaml", "--json").data
    assert done["changed"] is True
    assert done["plan"]["action"] == "card"
    assert digests(world) == before
    assert len(world.commits()) == 2
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    card = Path(api.hf_hub_download("demo/agent", "README.md", cache_dir=world.directory / "c")).read_text()
    assert "# A better title" in card
    assert world.ok("run", "merge.yaml", "--json").data["changed"] is False
    assert world.ok("verify", "demo/agent", "--json").data["ok"]


def test_merge_then_publish_is_the_same_as_run(world: World) -> None:
    world.ok("merge", "merge.yaml", "--out", "merged")
    assert world.hub.store.find("demo/agent") is None
    assert report_of(world.directory / "merged")["output"]["commit"] is None
    published = world.ok("publish", "merged", "--json").data
    assert published["changed"] is True
    assert world.ok("publish", "merged", "--json").data["changed"] is False
    assert world.ok("run", "merge.yaml", "--json").data["changed"] is False
    assert len(world.commits()) == 1
    assert report_of(world.directory / "merged")["output"]["commit"] == published["commit"]


def test_pull_request_leaves_the_branch_alone_and_is_made_once(world: World) -> None:
    first = world.ok("run", "merge.yaml", "--pr", "--json").data
    assert "/discussions/" in first["url"]
    again = world.ok("run", "merge.yaml", "--pr", "--json").data
    assert again["changed"] is False
    assert again["url"] == first["url"]
    assert world.commits() == []
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    assert len(list(api.get_repo_discussions("demo/agent"))) == 1


def test_tag_is_put_once_and_never_moved(world: World) -> None:
    world.manifest(more="  tag: v1\n")
    done = world.ok("run", "merge.yaml", "--json").data
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    assert {tag.name: tag.target_commit for tag in api.list_repo_refs("demo/agent").tags} == {"v1": done["commit"]}
    assert world.ok("run", "merge.yaml", "--json").data["changed"] is False
    push(world.hub, "coder", family_files("coder", seed=78))
    world.ok("lock", "merge.yaml", "--upgrade")
    refused = world.ramekin("run", "merge.yaml")
    assert refused.code == 7
    assert "has a tag v1 already" in refused.err
    assert len(world.commits()) == 1


def test_a_repository_of_others_is_left_alone_unless_adopted(world: World) -> None:
    push(world.hub, "agent", {"README.md": b"# Mine\n", "model-00001-of-00002.safetensors": b"x" * 100})
    refused = world.ramekin("run", "merge.yaml")
    assert refused.code == 7
    assert "was not made by ramekin" in refused.err
    world.ok("run", "merge.yaml", "--adopt")
    api = HfApi(endpoint=world.hub.url, token=world.hub.token)
    assert "model-00001-of-00002.safetensors" not in api.list_repo_files("demo/agent")
    assert world.ok("run", "merge.yaml", "--json").data["changed"] is False


def test_local_directories_offline(world: World) -> None:
    for name in ("base", *EXPERTS):
        for file, content in family_files(name).items():
            path = world.directory / "models" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    local = world.manifest().read_text().replace("demo/base", "./models/base")
    for name in EXPERTS:
        local = local.replace(f"demo/{name}", f"./models/{name}")
    world.manifest(local)
    world.ok("merge", "merge.yaml", "--out", "local", env={"HF_HUB_OFFLINE": "1"})
    world.manifest()
    (world.directory / "merge.lock").unlink()
    world.ok("merge", "merge.yaml", "--out", "remote")
    weights = "model.safetensors"
    assert (world.directory / "local" / weights).read_bytes() == (world.directory / "remote" / weights).read_bytes()
    assert world.ok("verify", "local", "--remerge", env={"HF_HUB_OFFLINE": "1"}).code == 0


def test_offline_with_everything_at_hand(world: World) -> None:
    world.ok("merge", "merge.yaml", "--out", "online")
    new = world.fresh("merge", "merge.yaml", "--out", "offline", "--locked", env={"HF_HUB_OFFLINE": "1"})
    assert new.code == 0, new.err
    first, second = (world.directory / name / "model.safetensors" for name in ("online", "offline"))
    assert first.read_bytes() == second.read_bytes()
    refused = world.fresh("plan", "merge.yaml", env={"HF_HUB_OFFLINE": "1"})
    assert refused.code == 4
    assert "HF_HUB_OFFLINE" in refused.err


def test_stats_and_dry_run_write_nothing_to_the_hub(world: World) -> None:
    stats = world.ok("stats", "merge.yaml", "--json").data
    plan = world.ok("run", "merge.yaml", "--dry-run", "--json").data["plan"]
    assert plan["action"] == "publish"
    assert world.hub.store.find("demo/agent") is None
    world.ok("merge", "merge.yaml", "--out", "out")
    assert report_of(world.directory / "out")["overlap"] == stats


def test_locked_and_ci(world: World) -> None:
    absent = world.ramekin("run", "merge.yaml", "--locked")
    assert absent.code == 3
    assert world.ramekin("lock", "merge.yaml", "--check").code == 3
    world.ok("plan", "merge.yaml", env={"CI": "true"})
    assert not (world.directory / "merge.lock").exists()
    world.ok("lock", "merge.yaml")
    assert world.ok("lock", "merge.yaml", "--check").code == 0
    world.manifest(method="ram")
    assert world.ramekin("plan", "merge.yaml", "--locked").code == 3

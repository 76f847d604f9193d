"""The unmodified client takes the whole road against the embedded Hub, with xet storage and without."""

from pathlib import Path
from typing import Any

import pytest
from hub_drive import drive

from ramekin.hub import Hub, Options, serve

Road = tuple[bool, dict[str, dict[str, Any]], list[Any]]


@pytest.fixture(scope="module", params=[False, True], ids=["lfs", "xet"])
def road(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Road:
    """Whether xet was on, what came of each step, and the requests that the Hub saw."""
    xet = request.param
    options = Options(xet=xet, multipart_above=1_000_000, part_size=400_000, page_size=3)
    with serve(tmp_path_factory.mktemp("hub"), options=options) as hub:
        return xet, drive(hub.env(tmp_path_factory.mktemp("home")), "scenario_whole_road"), hub.log.requests()


def value(road: Road, step: str) -> Any:
    _, steps, _ = road
    assert "value" in steps[step], steps[step]
    return steps[step]["value"]


def refused(road: Road, step: str) -> tuple[str, int | None]:
    _, steps, _ = road
    assert "error" in steps[step], steps[step]
    return steps[step]["error"][0], steps[step]["status"]


def test_identity_and_creation(road: Road) -> None:
    assert value(road, "whoami") == "demo"
    assert value(road, "create").endswith("/demo/model")
    assert value(road, "create_again") == value(road, "create")
    assert refused(road, "create_twice") == ("HfHubHTTPError", 409)
    assert value(road, "first_commit") == [["system"]]


def test_commits_are_made_against_their_parent(road: Road) -> None:
    assert value(road, "commit")["url"].endswith(f"/demo/model/commit/{value(road, 'commit')['oid']}")
    assert value(road, "commit_short_parent")["files"] == [
        ".gitattributes",
        "README.md",
        "copy.safetensors",
        "model.safetensors",
    ]
    assert refused(road, "commit_stale") == ("HfHubHTTPError", 412)
    assert value(road, "commit_nothing") == {"oid": value(road, "commit_short_parent")["oid"], "pull": None}
    assert refused(road, "commit_delete_missing") == ("RemoteEntryNotFoundError", 404)


def test_large_files_take_the_road_that_is_offered(road: Road) -> None:
    xet, _, requests = road
    assert value(road, "preupload") is True
    by_lfs = [one for one in requests if one.path.startswith("/_upload/")]
    by_xet = [one for one in requests if "/xet-write-token/" in one.path]
    assert bool(by_xet) == xet
    assert any("/complete" in one.path for one in by_lfs) == (not xet)
    assert sum("/part/" in one.path for one in by_lfs) == (0 if xet else 4)
    assert all(one.user is None for one in by_lfs)
    assert any("/xet-read-token/" in one.path for one in requests) == xet


def test_upload_folder(road: Road) -> None:
    assert value(road, "upload_folder") == {"new": True, "again": True}
    assert value(road, "upload_pull") == {"status": "draft" if road[0] else "open", "there": True}


def test_pull_requests(road: Road) -> None:
    assert value(road, "open_pull") == {"num": 1, "revision": "refs/pr/1", "read": "from a pull request"}
    life = value(road, "pull_life")
    assert life["opened"] == ["open", True, "refs/heads/main", []]
    assert "+from a pull request" in life["diff"]
    assert life["events"] == [
        "commit",
        "comment",
        "title-change",
        "comment",
        "status-change",
        "status-change",
        "comment",
        "status-change",
    ]
    assert life["edited"] == ["An edited comment", True]
    assert life["hidden"] is True
    assert life["renamed"] == "Another title"
    assert life["closed"] == "closed"
    assert life["merged"] == ["merged", True]
    assert life["has"] is True
    assert refused(road, "draft_merge") == ("BadRequestError", 400)


def test_discussions(road: Road) -> None:
    found = value(road, "discussion")
    assert found["content"] == "Why?"
    assert found["all"][0] == "A question"
    assert "Another title" in found["all"]
    assert all(found["pulls"])


def test_what_is_known_of_a_model(road: Road) -> None:
    info = value(road, "model_info")
    assert info["id"] == "demo/model"
    assert info["license"] == "apache-2.0"
    assert {"merge", "transformers", "base_model:merge:org/a", "license:apache-2.0"} <= set(info["tags"])
    assert list(info["lfs"]) == ["model.safetensors"]
    assert info["sizes"]["sub/empty.safetensors"] == 0
    assert info["parameters"] == {"F32": 50_000}
    sha, gated, total, tags = info["expanded"]
    assert (len(sha), gated, total, tags) == (40, False, 100_000, None)


def test_trees_come_in_pages(road: Road) -> None:
    found = value(road, "tree")
    assert found["deep"] == [
        ["sub", None, "Weights"],
        [".gitattributes", 1518, "initial commit"],
        ["README.md", 104, "Weights"],
        ["model.safetensors", 200_083, "Weights"],
        ["sub/empty.safetensors", 0, "Weights"],
        ["sub/ü & b.json", 2, "Weights"],
    ]
    assert found["inside"] == ["sub/empty.safetensors", "sub/ü & b.json"]
    assert found["paths"] == ["sub", "model.safetensors"]
    assert found["xet"] == road[0]
    assert any("cursor=3" in one.query for one in road[2] if "/tree/" in one.path)


def test_refs_and_history(road: Road) -> None:
    found = value(road, "refs")
    assert found["branches"] == ["dev/x", "main"]
    assert found["tags"] == ["v1"]
    assert found["pulls"][0] == "refs/pr/1"
    assert found["at_tag"]
    assert found["moved"]
    assert found["squashed"] == [1, True]
    titles = [title for title, _, _ in value(road, "commits")]
    assert titles[-2:] == ["Weights", "initial commit"]
    assert value(road, "commits")[-2][2] == "and a body"


def test_snapshots_are_exact(road: Road) -> None:
    found = value(road, "snapshot")
    assert found["weights"]
    assert found["name"]
    assert found["verified"] == len(found["files"]) == 5


def test_ranges(road: Road) -> None:
    found = value(road, "ranges")
    size = found["size"]
    assert found["found"] == {
        "bytes=0-9": [206, True, f"bytes 0-9/{size}"],
        "bytes=100-": [206, True, f"bytes 100-{size - 1}/{size}"],
        "bytes=-7": [206, True, f"bytes {size - 7}-{size - 1}/{size}"],
        f"bytes={size - 3}-{size + 50}": [206, True, f"bytes {size - 3}-{size - 1}/{size}"],
        "bytes=5-2": [200, True, None],
        "bytes=0-1,4-5": [200, True, None],
        "lines=1-2": [200, True, None],
    }
    assert found["beyond"] == [416, f"bytes */{size}"]
    assert found["head"] == [200, size, 0]
    assert found["raw"].startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")


def test_cards_and_weights_are_read(road: Road) -> None:
    assert value(road, "safetensors") == {"sharded": False, "parameters": {"F32": 50_000}}
    assert value(road, "card") == ["merge"]
    assert refused(road, "card_with_wrong_license")[0] == "ValueError"
    assert value(road, "listed") == ["demo/model"]


def test_collections_datasets_and_renaming(road: Road) -> None:
    assert value(road, "collection") == {"same": True, "items": [["demo/model", "The first"]]}
    assert value(road, "dataset")["same"] is True
    assert value(road, "moved") == {"read": "x", "named": "demo/new", "settings": ["manual", True], "left": False}


def test_what_is_missing_is_told_apart(road: Road) -> None:
    assert refused(road, "missing_revision") == ("RevisionNotFoundError", 404)
    assert refused(road, "missing_file") == ("RemoteEntryNotFoundError", 404)
    assert refused(road, "missing_repo") == ("RepositoryNotFoundError", 404)


def test_no_request_met_a_defect(road: Road) -> None:
    assert [one for one in road[2] if one.status >= 500 or one.status == 0] == []


def test_a_client_by_another_name_of_the_host(hub: Hub, tmp_path: Path) -> None:
    env = hub.env(tmp_path / "home") | {"HF_ENDPOINT": hub.url.replace("127.0.0.1", "localhost")}
    assert drive(env, "scenario_other_host")["commit"]["value"] is True

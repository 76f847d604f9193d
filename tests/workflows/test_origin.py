"""Which commit a ramekin was made from: what a release has stamped into it, or what pip has noted."""

import json
from pathlib import Path
from typing import Any

import pytest

from ramekin import __version__
from ramekin.origin import Origin, find_origin

COMMIT = "0123456789abcdef0123456789abcdef01234567"
URL = "https://github.com/ramekin-bot/ramekin"


def noted(url: str = URL, **found: Any) -> str:
    return json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": COMMIT} | found})


def test_a_release_knows_its_commit(tmp_path: Path) -> None:
    stamp = tmp_path / "COMMIT"
    stamp.write_text(f"{COMMIT}\n")
    origin = find_origin(stamp, lambda: noted(commit_id="f" * 40))
    assert origin == Origin(__version__, COMMIT, f"v{__version__}")
    assert origin.action == f"ramekin-bot/ramekin@{COMMIT} # v{__version__}"


@pytest.mark.parametrize("url", [URL, f"{URL}.git", f"{URL}/", "ssh://git@github.com/ramekin-bot/ramekin.git"])
def test_pip_knows_the_commit_of_a_repository(url: str, tmp_path: Path) -> None:
    origin = find_origin(tmp_path / "none", lambda: noted(url, requested_revision="v9.9.9"))
    assert origin.action == f"ramekin-bot/ramekin@{COMMIT} # v9.9.9"


def test_a_revision_that_is_none_does_not_show(tmp_path: Path) -> None:
    origin = find_origin(tmp_path / "none", lambda: noted(requested_revision="a\n- run: evil"))
    assert origin.action == f"ramekin-bot/ramekin@{COMMIT} # main"


@pytest.mark.parametrize(
    "note",
    [
        None,
        "",
        "not json",
        "[]",
        "{}",
        json.dumps({"url": "file:///here", "dir_info": {"editable": True}}),
        noted("https://github.com/someone/ramekin"),
        noted(commit_id="main"),
        noted(commit_id=f"{COMMIT}\n- run: evil"),
    ],
)
def test_otherwise_nobody_knows(note: str | None, tmp_path: Path) -> None:
    stamp = tmp_path / "COMMIT"
    stamp.write_text("$Format:%H$")
    origin = find_origin(stamp, lambda: note)
    assert origin == Origin(__version__)
    assert origin.action.startswith(f"ramekin-bot/ramekin@v{__version__} # zizmor: ignore[unpinned-uses] ")

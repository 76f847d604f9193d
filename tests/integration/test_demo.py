"""`ramekin demo`, as `make demo` runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def demo(directory: Path, work: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ramekin", "demo", "--dir", str(directory), "--json"]
    return subprocess.run(command, cwd=work, env=os.environ | {"CI": ""}, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_demonstration_shows_where_everything_is(tmp_path: Path) -> None:
    done = demo(tmp_path / "shown", tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(set(told["commits"])) == 2
    card = Path(told["card"]).read_text()
    report = json.loads((Path(told["card"]).parent / "ramekin" / "report.json").read_text())
    assert report["output"]["commit"] == told["commits"][-1]
    assert report["key"] in card
    assert [Path(plot).name for plot in told["plots"]] == ["density.svg", "modules.svg", "overlap.svg"]
    page = Path(told["page"]).read_text()
    assert "data:image/svg+xml;base64," in page
    assert "Demo agent" in page
    assert 'href="/_style.css"' not in page


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "thesis.txt").write_text("years of work")
    done = demo(tmp_path / "shown", tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["reason"] == "usage"
    assert (tmp_path / "shown" / "thesis.txt").read_text() == "years of work"

"""docs/arm.md says what the program does."""

import re
from pathlib import Path

from ramekin.arm.repair import LIKELIHOOD_GAP, SCORE_GAP
from ramekin.arm.roles.looking import LONGEST
from ramekin.arm.roles.parsers import PARSERS
from ramekin.arm.roles.trajectories import read_trajectories

TEXT = (Path(__file__).parents[2] / "docs" / "arm.md").read_text()


def test_all_roles_are_listed() -> None:
    table = TEXT.partition("\n## Roles")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [*PARSERS]


def test_the_examples_are_trajectories(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(TEXT.partition("```json\n")[2].partition("```")[0])
    found = read_trajectories(path)
    assert [each.name for each in found] == ["tau-17-2", "b", "c"]
    assert [len(each.messages) for each in found] == [1, 3, 0]


def test_figures() -> None:
    assert f"the limit of {LONGEST:,} tokens" in TEXT
    assert f"more than {SCORE_GAP:.0%} of its expert's score".replace("%", " %") in TEXT
    assert f"needs {LIKELIHOOD_GAP} nats a token more" in " ".join(TEXT.split())


def test_the_parts_exist() -> None:
    package = Path(__file__).parents[2] / "bot" / "ramekin"
    for name in re.findall(r"`(arm/[a-z/]+\.py)`", TEXT):
        assert (package / name).exists(), name

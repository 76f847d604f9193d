"""Card and plots of a merged directory."""

import pytest
from card_samples import sample

from ramekin.card.writing import write_card
from ramekin.errors import DamagedError, ManifestError
from ramekin.report import REPORT_NAME

MANIFEST = """\
version: 1
base: Qwen/Qwen2.5-7B-Instruct
experts:
  coder: Gen-Verse/ReasonFlux-Coder-7B
  tool: emrecanacikgoz/Qwen2.5-7B-Instruct-ToolRL-grpo-cold
  memory: BytedTsinghua-SIA/RL-MemoryAgent-7B
method:
  name: ram+
output:
  repo: my-org/agent-7b
card:
  title: {title}
"""


@pytest.fixture
def merged(tmp_path):
    made = sample()
    (tmp_path / "ramekin").mkdir()
    (tmp_path / REPORT_NAME).write_text(made.report.to_json())
    (tmp_path / "ramekin/merge.lock").write_text(made.lock.to_json())
    (tmp_path / "ramekin/merge.yaml").write_text(MANIFEST.format(title="First"))
    return tmp_path


def test_a_card_and_its_plots_are_written(merged):
    assert write_card(merged) == merged / "README.md"
    card = (merged / "README.md").read_text()
    assert "\n# First\n" in card
    plots = sorted((merged / "ramekin/plots").iterdir())
    assert [plot.name for plot in plots] == ["density.svg", "overlap.svg"]
    for plot in plots:
        assert card.count(f"](ramekin/plots/{plot.name})") == 1
        assert plot.read_text().startswith("<svg")
    before = {path: path.read_bytes() for path in merged.rglob("*") if path.is_file()}
    write_card(merged)
    assert {path: path.read_bytes() for path in merged.rglob("*") if path.is_file()} == before


def test_new_texts_change_the_card(merged):
    write_card(merged)
    (merged / "ramekin/merge.yaml").write_text(MANIFEST.format(title="Second"))
    assert "\n# Second\n" in write_card(merged).read_text()


@pytest.mark.parametrize("name", ["report.json", "merge.lock"])
def test_without_a_part_there_is_no_card(merged, name):
    (merged / "ramekin" / name).unlink()
    with pytest.raises(DamagedError, match="does not exist"):
        write_card(merged)
    assert not (merged / "README.md").exists()


def test_without_a_manifest_there_is_no_card(merged):
    (merged / "ramekin/merge.yaml").unlink()
    with pytest.raises(ManifestError):
        write_card(merged)

"""The manifest that `ramekin init` writes is right, and nothing is written over what is there."""

import re
from pathlib import Path

import pytest

from ramekin.errors import UsageError
from ramekin.manifest.reading import read_manifest
from ramekin.manifest.schema import SCHEMA_ID
from ramekin.starter import write_starter

NAMES = (
    "merge.yaml",
    ".github/workflows/ramekin-plan.yml",
    ".github/workflows/ramekin-run.yml",
    ".github/workflows/ramekin-update.yml",
)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("starter") / "new" / "one"
    written = write_starter(directory)
    assert [path.relative_to(directory).as_posix() for path in written] == [*NAMES]
    return directory


def test_the_starter_is_a_manifest(starter: Path) -> None:
    manifest = read_manifest(starter / "merge.yaml").manifest
    assert len(manifest.experts) == 3
    assert manifest.output.private
    assert SCHEMA_ID in (starter / "merge.yaml").read_text("utf-8").splitlines()[0]


def test_what_is_commented_out_in_the_starter_is_right_too(starter: Path, tmp_path: Path) -> None:
    text = re.sub(r"^  # (\w+: )", r"  \1", (starter / "merge.yaml").read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / "merge.yaml").write_text(text)
    manifest = read_manifest(tmp_path / "merge.yaml").manifest
    assert manifest.output.dtype == "bfloat16"
    assert manifest.output.tag == "v1.0"
    assert manifest.card.license == "apache-2.0"
    assert manifest.card.language == ("en",)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_over(name: str, tmp_path: Path) -> None:
    there = tmp_path / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="is there already") as caught:
        write_starter(tmp_path)
    assert caught.value.exit_code == 2
    assert len(caught.value.problems) == 1
    assert there.read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == before


def test_all_that_is_in_the_way_is_named(tmp_path: Path) -> None:
    write_starter(tmp_path)
    with pytest.raises(UsageError) as caught:
        write_starter(tmp_path)
    assert all(name in problem.what for name, problem in zip(NAMES, caught.value.problems, strict=True))


def test_a_dangling_link_is_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "merge.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        write_starter(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / ".github").write_text("a file where a directory is needed")
    with pytest.raises(UsageError, match="cannot be written"):
        write_starter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".github"]


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_starter(tmp_path / "file")

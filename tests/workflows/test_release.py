"""What a release is held to: tag, version and changelog agree, and its commit is in what was built."""

import io
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from ramekin.origin import find_origin

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "bot" / "ramekin").mkdir(parents=True)
    (tmp_path / "bot" / "ramekin" / "__init__.py").write_text('"""…"""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- a\n\n## 1.2.3 - today\n\n- b\n\n## 1.2.2\n\n- c\n"
    )
    return tmp_path


def test_notes_are_the_versions_own(releasing: ModuleType, tree: Path) -> None:
    assert releasing.notes("v1.2.3", tree) == "- b"


@pytest.mark.parametrize("tag", ["v1.2.2", "1.2.3", "v1.2.30"])
def test_another_tag_is_no_release(tag: str, releasing: ModuleType, tree: Path) -> None:
    with pytest.raises(SystemExit, match=r"the version 1\.2\.3"):
        releasing.notes(tag, tree)


def test_a_version_that_the_changelog_knows_nothing_of(releasing: ModuleType, tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text("## Unreleased\n\n- a\n")
    with pytest.raises(SystemExit, match="no section"):
        releasing.notes("v1.2.3", tree)


def test_what_is_stamped_is_what_init_pins(releasing: ModuleType, tree: Path) -> None:
    releasing.stamp(COMMIT, tree / "bot" / "ramekin")
    assert find_origin(tree / "bot" / "ramekin" / "COMMIT").commit == COMMIT
    with pytest.raises(SystemExit, match="is no commit"):
        releasing.stamp("main", tree)


def build(directory: Path, *, wheel: str, source: str) -> None:
    with zipfile.ZipFile(directory / "ramekin-1-py3-none-any.whl", "w") as file:
        file.writestr("ramekin/__init__.py", "")
        if wheel:
            file.writestr("ramekin/COMMIT", wheel)
    with tarfile.open(directory / "ramekin-1.tar.gz", "w:gz") as archive:
        data = source.encode()
        member = tarfile.TarInfo("ramekin-1/bot/ramekin/COMMIT")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def test_what_was_built_has_the_commit(releasing: ModuleType, tmp_path: Path) -> None:
    build(tmp_path, wheel=f"{COMMIT}\n", source=f"{COMMIT}\n")
    releasing.check(COMMIT, tmp_path)


@pytest.mark.parametrize(("wheel", "source"), [("", COMMIT), (COMMIT, "f" * 40)])
def test_what_was_built_without_it_is_not_released(
    wheel: str, source: str, releasing: ModuleType, tmp_path: Path
) -> None:
    build(tmp_path, wheel=wheel, source=source)
    with pytest.raises(SystemExit, match="has the commit"):
        releasing.check(COMMIT, tmp_path)


def test_half_a_release_is_none(releasing: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="were to be built"):
        releasing.check(COMMIT, tmp_path)


def test_the_major_version_moves_along(releasing: ModuleType) -> None:
    assert releasing.major("v1.20.3") == "v1"
    for tag in ("v1", "1.2.3", "v1.2.3-rc1"):
        with pytest.raises(SystemExit, match="is no release"):
            releasing.major(tag)

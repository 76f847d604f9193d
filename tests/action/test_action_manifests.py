"""Which manifests a job is about, and that none is outside of the checkout."""

from pathlib import Path

import pytest

from ramekin.action.manifests import MOST, find_manifests, inside, touched
from ramekin.errors import UsageError

TEXT = (
    "version: 1\nbase: {base}\nexperts:\n  coder: {coder}\n  tool: org/tool\nmethod:\n  name: {method}\n"
    "output:\n  repo: org/agent\n{more}"
)
ARM = "benchmarks:\n  tau:\n    expert: coder\n    role: tool-call\n    calibration: ./runs/a.jsonl\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "merges" / "deep").mkdir(parents=True)
    for name in ("merge.yaml", "merges/b.yaml", "merges/a.yml", "merges/deep/c.yaml"):
        write(root / name)
    (root / "merges/b.lock").write_text("{}")
    (root / "merges/notes.md").write_text("x")
    (tmp_path / "outside.yaml").write_text("x")
    return root


def write(path: Path, base: str = "org/base", coder: str = "org/coder", method: str = "ram+", more: str = "") -> None:
    path.write_text(TEXT.format(base=base, coder=coder, method=method, more=more))


def names(workspace: Path, pattern: str) -> list[str]:
    return [path.as_posix() for path in find_manifests(workspace, pattern)]


class TestFinding:
    def test_paths_and_globs(self, workspace: Path) -> None:
        assert names(workspace, "merge.yaml") == ["merge.yaml"]
        assert names(workspace, "./merges//b.yaml") == ["merges/b.yaml"]
        assert names(workspace, "merges/*") == ["merges/a.yml", "merges/b.yaml"]
        assert names(workspace, "**/*.yaml") == ["merge.yaml", "merges/b.yaml", "merges/deep/c.yaml"]
        assert names(workspace, "merges/[ab].y*") == ["merges/a.yml", "merges/b.yaml"]

    def test_a_name_with_a_star_is_a_name(self, workspace: Path) -> None:
        write(workspace / "merges/[x]*.yaml")
        assert names(workspace, "merges/[x]*.yaml") == ["merges/[x]*.yaml"]

    @pytest.mark.parametrize(
        "pattern", ["absent.yaml", "absent/*.yaml", "merges", "**x/*.yaml", "merges/*.md", "a\0b", ""]
    )
    def test_none_is_an_error(self, workspace: Path, pattern: str) -> None:
        with pytest.raises(UsageError, match="the input `manifest`"):
            find_manifests(workspace, pattern)

    def test_too_many_are_an_error(self, workspace: Path) -> None:
        for number in range(MOST + 1):
            (workspace / f"merges/deep/{number}.yaml").touch()
        with pytest.raises(UsageError, match="names 102 manifests"):
            find_manifests(workspace, "merges/deep/*.yaml")

    def test_nothing_outside_is_found(self, workspace: Path) -> None:
        (workspace / "link.yaml").symlink_to("../outside.yaml")
        (workspace / "up").symlink_to("..")
        (workspace / ".git").mkdir()
        write(workspace / ".git/config.yaml")
        (workspace / "loop.yaml").symlink_to("loop.yaml")
        for pattern in ("link.yaml", "up/outside.yaml", ".git/config.yaml", "../outside.yaml", "loop.yaml"):
            with pytest.raises(UsageError):
                find_manifests(workspace, pattern)
        assert names(workspace, "*.yaml") == ["merge.yaml"]
        assert "outside" not in "".join(names(workspace, "**/*.yaml"))

    def test_a_link_within_is_as_good_as_a_file(self, workspace: Path) -> None:
        (workspace / "now.yaml").symlink_to("merges/b.yaml")
        assert names(workspace, "now.yaml") == ["now.yaml"]


def test_inside(workspace: Path) -> None:
    assert inside(workspace, Path("a/b"))
    assert inside(workspace, workspace / "a")
    assert not inside(workspace, Path("a/../../b"))
    assert not inside(workspace, Path("/etc"))
    assert not inside(workspace, Path("a/.git/config"))


class TestTouched:
    def about(self, workspace: Path, *files: str) -> list[str]:
        return [path.as_posix() for path in touched(workspace, find_manifests(workspace, "**/*.yaml"), files)]

    def test_a_manifest_and_its_lock(self, workspace: Path) -> None:
        assert self.about(workspace, "merges/b.lock", "README.md") == ["merges/b.yaml"]
        assert self.about(workspace, "merge.yaml") == ["merge.yaml"]
        assert self.about(workspace, "README.md", "merges", "merges/deep/c.yml") == []

    def test_all_if_that_cannot_be_told(self, workspace: Path) -> None:
        manifests = find_manifests(workspace, "**/*.yaml")
        assert touched(workspace, manifests, None) == manifests

    def test_what_a_manifest_names_locally(self, workspace: Path) -> None:
        write(workspace / "merges/b.yaml", base="../models/base", more="card:\n  template: cards/own.md.jinja\n")
        assert self.about(workspace, "models/base/config.json") == ["merges/b.yaml"]
        assert self.about(workspace, "models/base") == ["merges/b.yaml"]
        assert self.about(workspace, "merges/cards/own.md.jinja") == ["merges/b.yaml"]
        assert self.about(workspace, "models/base2/config.json", "cards/own.md.jinja") == []

    def test_recorded_runs(self, workspace: Path) -> None:
        write(workspace / "merges/b.yaml", method="arm", more=ARM)
        assert self.about(workspace, "merges/runs/a.jsonl") == ["merges/b.yaml"]

    def test_through_links(self, workspace: Path) -> None:
        (workspace / "real").mkdir()
        (workspace / "models").symlink_to("real")
        write(workspace / "merges/b.yaml", base="../models/base")
        assert self.about(workspace, "real/base/config.json") == ["merges/b.yaml"]

    def test_the_whole_repository_as_a_source(self, workspace: Path) -> None:
        write(workspace / "merge.yaml", base="./")
        assert self.about(workspace, "anything") == ["merge.yaml"]

    def test_a_manifest_that_cannot_be_read_is_touched_by_itself_alone(self, workspace: Path) -> None:
        (workspace / "merges/b.yaml").write_text("{")
        assert self.about(workspace, "models/base/config.json") == []
        assert self.about(workspace, "merges/b.yaml") == ["merges/b.yaml"]

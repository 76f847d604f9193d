"""A stranger's manifest is kept to its own repository."""

import contextlib
from pathlib import Path

import pytest

from ramekin.action.confining import check_confined
from ramekin.errors import ManifestError
from ramekin.manifest.reading import read_manifest

TEXT = (
    "version: 1\nbase: {base}\nexperts:\n  coder: org/coder\n  tool: org/tool\nmethod:\n  name: ram+\n"
    "output:\n  repo: org/agent\nbenchmarks:\n  tau:\n    expert: tool\n    role: tool-call\n    calibration: {data}\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "checkout"
    (made / "models/base").mkdir(parents=True)
    (made / "models/base/config.json").write_text("{}")
    (made / "runs.jsonl").write_text("")
    (made / ".git").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.json").write_text("{}")
    monkeypatch.chdir(made)
    return made


def lines(root: Path, base: str = "./models/base", data: str = "./runs.jsonl") -> list[int | None]:
    """Lines of the problems, none if there are none."""
    Path("merge.yaml").write_text(TEXT.format(base=base, data=data))
    with contextlib.suppress(ManifestError):
        check_confined(root, loaded := read_manifest(Path("merge.yaml")))
        return []
    with pytest.raises(ManifestError, match="leads out of the repository") as error:
        check_confined(root, loaded)
    return [problem.line for problem in error.value.problems]


def test_what_is_within_may_be_read(root: Path) -> None:
    assert lines(root) == []
    assert lines(root, "org/base", "hf://datasets/org/runs/a.jsonl") == []
    assert lines(root, "./models/absent") == []
    (root / "models/base/tokenizer.json").symlink_to("config.json")
    assert lines(root) == []


@pytest.mark.parametrize(
    "base", ["../outside", "/etc", "~/models", "./models/../../outside", "./.git", "./models/../.git/x"]
)
def test_what_is_without_may_not(root: Path, base: str) -> None:
    assert lines(root, base) == [2]
    assert lines(root, data=base if base != "~/models" else "~/x.jsonl") == [14]


def test_nor_where_links_lead(root: Path) -> None:
    (root / "linked").symlink_to("../outside")
    assert lines(root, "./linked") == [2]
    (root / "models/base/tokenizer.json").symlink_to("../../../outside/secret.json")
    assert lines(root) == [2]
    (root / "models/base/tokenizer.json").unlink()
    (root / "models/base/extra").mkdir()
    (root / "models/base/extra/chat.jinja").symlink_to("/etc/hostname")
    assert lines(root) == [2]
    (root / "models/base/extra/chat.jinja").unlink()
    (root / "runs.jsonl").unlink()
    (root / "runs.jsonl").symlink_to("/etc/hostname")
    assert lines(root) == [14]


def test_nor_the_lock(root: Path) -> None:
    (root / "merge.lock").symlink_to("../outside/secret.json")
    assert lines(root) == [None]

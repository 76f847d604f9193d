"""Problems stand on the line of the manifest that they are about."""

from pathlib import Path

import pytest

from ramekin.action.placing import lines_of, placed
from ramekin.errors import IncompatibleError, Problem, PublishError, RamekinError, SourceError
from ramekin.manifest.reading import LoadedManifest, read_manifest

TEXT = """version: 1
base: org/base
experts:
  coder: org/coder
  tool:
    repo: org/tool
  coder2: ./local/model
method:
  name: ram+
benchmarks:
  tau:
    expert: tool
    role: tool-call
    calibration: hf://datasets/org/runs/a.jsonl
output:
  private: true
  repo: org/coder-merged
  supersedes: org/old
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedManifest:
    monkeypatch.chdir(tmp_path)
    Path("merge.yaml").write_text(TEXT)
    return read_manifest(Path("merge.yaml"))


@pytest.mark.parametrize(
    ("kind", "what", "line"),
    [
        (IncompatibleError, "base: hidden_size: is `1` here", 2),
        (IncompatibleError, "coder: model.norm.weight: is missing", 4),
        (IncompatibleError, "coder2: tokenizer: differs", 7),
        (SourceError, "org/base: does not exist", 2),
        (SourceError, "org/tool: there is no revision `x`", 5),
        (SourceError, "org/coder/model.safetensors: cannot be read", 4),
        (SourceError, "./local/model: there is no such directory", 7),
        (SourceError, "org/runs: does not exist", 14),
        (PublishError, "org/coder-merged: was not made by ramekin and holds 3 files", 17),
        (PublishError, "org/old: does not exist, or this token may not see it", 18),
        (SourceError, "org/coder-other: is something else", None),
        (SourceError, "the Hub cannot be reached", None),
    ],
)
def test_by_what_they_begin_with(loaded: LoadedManifest, kind: type[RamekinError], what: str, line: int | None) -> None:
    (found,) = placed(kind(what, "hint"), loaded).problems
    assert found == Problem(what, "hint", Path("merge.yaml"), line)


def test_what_has_a_place_keeps_it_and_what_is_of_the_lock_gets_it(loaded: LoadedManifest) -> None:
    own = Problem("x", "y", Path("other.yaml"), 3)
    lock = Problem("merge.lock: the lock does not fit the manifest", "run `ramekin lock` again")
    found = placed(SourceError(problems=[own, lock]), loaded).problems
    assert found == (own, Problem("the lock does not fit the manifest", lock.hint, Path("merge.lock")))


def test_lines_of_all_sources(loaded: LoadedManifest) -> None:
    assert lines_of(loaded) == {"base": 2, "coder": 4, "tool": 5, "coder2": 7}

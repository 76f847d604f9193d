"""Every wrong manifest is refused with exit code 2, the right line, and words that say what to write."""

import time
import unicodedata
from pathlib import Path

import pytest
from wrong_manifests import PARTS, WRONG, Wrong, whole

from ramekin.errors import ManifestError
from ramekin.manifest.reading import read_manifest
from ramekin.methods import method_names

_PLANNED = ("arm", "best-of", "tuned")


def refused(content: bytes, directory: Path) -> ManifestError:
    path = directory / "merge.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    return caught.value


def assert_showable(error: ManifestError) -> None:
    for problem in error.problems:
        for text in (problem.what, problem.hint):
            assert text
            assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text)
            assert len(text) < 500
            assert "pydantic" not in text
            assert "Input should" not in text


def test_there_are_enough_of_them() -> None:
    assert len(WRONG) >= 100
    assert len({wrong.name for wrong in WRONG}) == len(WRONG)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_wrong_manifest(wrong: Wrong, tmp_path: Path) -> None:
    begin = time.perf_counter()
    error = refused(wrong.content, tmp_path)
    seconds = time.perf_counter() - begin

    assert error.exit_code == 2
    assert_showable(error)
    found = [(problem.line, problem.what, problem.hint) for problem in error.problems]
    assert any(wrong.line == line and wrong.what in what and wrong.hint in hint for line, what, hint in found), found
    assert all(problem.path == tmp_path / "merge.yaml" for problem in error.problems)
    if wrong.only:
        assert len(found) == 1, found
    assert seconds < 2  # generous: a busy machine; the worst takes a third of a second on an idle one


@pytest.mark.parametrize("name", _PLANNED)
def test_a_method_that_is_not_built_yet_is_said_to_be_so(name: str, tmp_path: Path) -> None:
    if name in method_names():
        pytest.skip("it is built")
    (problem,) = refused(whole(method=f"method:\n  name: {name}\n  top_k: 1\n").encode(), tmp_path).problems
    assert problem.what == f"`method.name: {name}` is not available in this version"
    assert all(f"`{each}`" in problem.hint for each in method_names())
    assert problem.line == 7


def test_all_problems_of_all_kinds_are_reported_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """\
version: "1"
base: org
experts:
  Bad: org/a
  b: org/b
  c: org/b
  b: org/d
method: !!map
  name: ram
  epsilom: 1
  r: 2
output:
  private: 0
  <<: {}
card:
  language: 7
extra: 1
"""
    error = refused(text.encode(), tmp_path)
    assert [problem.line for problem in error.problems] == [1, 2, 4, 6, 7, 8, 12, 13, 14, 16, 17]
    assert str(error).count(str(tmp_path / "merge.yaml")) == 11


def test_what_is_blamed_for_its_tag_is_not_blamed_again_for_its_value(tmp_path: Path) -> None:
    (problem,) = refused(whole(card="card:\n  license: !!str NOT one\n").encode(), tmp_path).problems
    assert "tag" in problem.what


def test_the_number_of_problems_is_bounded(tmp_path: Path) -> None:
    error = refused((whole() + "".join(f"key{i}: 1\n" for i in range(2000))).encode(), tmp_path)
    assert len(error.problems) <= 51
    assert "more" in error.problems[-1].what


@pytest.mark.parametrize("removed", [name for name, text in PARTS.items() if text])
def test_each_part_is_needed(removed: str, tmp_path: Path) -> None:
    (problem,) = refused(whole(**{removed: ""}).encode(), tmp_path).problems
    assert problem.what == f"`{removed}` is missing"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / "merge.yaml")
    assert "there is no manifest" in caught.value.problems[0].what
    assert "ramekin init" in caught.value.problems[0].hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["", "a\0b", "merge.yaml/x", "x" * 5000, "new\nline\x1b[31m"])
def test_no_readable_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "merge.yaml").touch()
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / name)
    assert_showable(caught.value)
    assert "ramekin init" in caught.value.problems[0].hint

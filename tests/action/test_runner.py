"""What is told to a runner: no value can end a command, begin another, name a property or set an output."""

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from acted_samples import TRAPS
from hypothesis import given
from hypothesis import strategies as st
from runner_protocol import Command, commands, outputs

from ramekin.action.runner import Runner
from ramekin.errors import Problem

SECRET = "hf_" + "Z9y8X7w6V5u4T3s2R1q0" * 2
PIECES = ["::", "##[", "]", "%", "%0A", "%3A", "\n", "\r", ",", "=", "error", "set-output", " ", "`", "ramekin-", "<<"]
VALUES = st.one_of(
    st.lists(st.one_of(st.sampled_from(PIECES), st.characters()), max_size=30).map("".join), st.sampled_from(TRAPS)
)


def runner(tmp_path: Path | None = None) -> tuple[Runner, io.StringIO]:
    stream = io.StringIO()
    place = tmp_path or Path("/nowhere")
    return Runner(stream, place, place / "output", place / "summary"), stream


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Directories, each an empty one."""
    root = tmp_path_factory.mktemp("outputs")

    def made() -> Iterator[Path]:
        for number in itertools.count():
            (root / str(number)).mkdir()
            yield root / str(number)

    return made()


@given(VALUES, VALUES, VALUES, VALUES)
def test_an_annotation_is_one_command_whatever_it_says(what: str, hint: str, path: str, title: str) -> None:
    made, stream = runner()
    place = Path(path.replace("\0", "")) if path.replace("\0", "") else None
    made.annotate("error", Problem(what, hint, place, 3), title)
    (found,) = commands(stream.getvalue())
    assert found.name == "error"
    assert found.properties.keys() <= {"title", "file", "line"}
    assert stream.getvalue().count("\n") == 1
    if "file" in found.properties:
        assert found.properties["line"] == "3"
    # All of it is there: what was printable is as it was.
    if what.isprintable() and what.strip(". ") and "##[" not in what and len(what) < 300:
        assert found.data.startswith(what.rstrip(". "))


@given(VALUES)
def test_a_group_is_begun_and_ended_once(title: str) -> None:
    made, stream = runner()
    with made.group(title):
        stream.write("between\n")
    assert [each.name for each in commands(stream.getvalue())] == ["group", "endgroup"]
    assert [line for line in stream.getvalue().split("\n") if not line.startswith("::")] == ["between", ""]


def test_a_group_ends_with_an_error() -> None:
    made, stream = runner()
    with pytest.raises(ValueError, match="x"), made.group("g"):
        raise ValueError("x")
    assert [each.name for each in commands(stream.getvalue())] == ["group", "endgroup"]


@given(VALUES)
def test_every_line_of_a_secret_is_masked_and_nothing_else_is_told(secret: str) -> None:
    made, stream = runner()
    made.mask(secret)
    assert commands(stream.getvalue()) == [Command("add-mask", line) for line in secret.splitlines() if line.strip()]


@given(st.dictionaries(st.sampled_from(["key", "url", "report"]), VALUES, min_size=1))
def test_outputs_are_what_they_were_set_to(places: Iterator[Path], values: dict[str, str]) -> None:
    place = next(places)
    made, _ = runner(place)
    made.outputs(values)
    read = outputs((place / "output").read_bytes().decode())
    assert read == {name: value.encode(errors="replace").decode() for name, value in values.items()}


def test_delimiters_are_new_every_time(tmp_path: Path) -> None:
    made, _ = runner(tmp_path)
    made.outputs({"key": "a", "url": "b"})
    made.outputs({"key": "c"})
    found = re.findall(r"<<(ramekin-[0-9a-f]{32})\n", (tmp_path / "output").read_text())
    assert len(set(found)) == 3


def test_outputs_and_summary_go_nowhere_outside_of_a_runner() -> None:
    made = Runner(io.StringIO(), Path())
    made.outputs({"key": "a"})
    made.summarize("x")


class TestPlaces:
    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            ("merge.yaml", "merge.yaml"),
            ("a/../b,c:d%.yaml", "b,c:d%.yaml"),
            ("../outside.yaml", None),
            ("/etc/passwd", None),
            ("loop/x", None),
            ("a\0b", None),
        ],
    )
    def test_a_file_is_named_relative_to_the_workspace_or_not_at_all(
        self, tmp_path: Path, path: str, shown: str | None
    ) -> None:
        (tmp_path / "loop").symlink_to("loop")
        made, stream = runner(tmp_path)
        made.annotate("warning", Problem("what", "hint", Path(path), 7))
        (found,) = commands(stream.getvalue())
        assert found.properties.get("file") == shown
        assert found.properties.get("line") == ("7" if shown else None)
        assert found.data == "what. hint"


class TestSecrets:
    def test_are_in_nothing_that_is_told_afterwards(self, tmp_path: Path) -> None:
        made, stream = runner(tmp_path)
        made.mask(SECRET)
        made.mask("plain-word-secret")
        stream.truncate(0)
        made.annotate("error", Problem(f"said {SECRET}", "and plain-word-secret"), f"t {SECRET}")
        with made.group(f"g {SECRET}"):
            pass
        made.summarize(f"s {SECRET} plain-word-secret")
        told = stream.getvalue() + (tmp_path / "summary").read_text()
        assert "***" in told
        assert SECRET[:12] not in told
        assert "plain-word" not in told

    def test_what_looks_like_a_token_is_one(self, tmp_path: Path) -> None:
        made, stream = runner(tmp_path)
        made.annotate("error", Problem("said ghs_" + "a" * 36, ""))
        assert "ghs_" not in stream.getvalue()


class TestSummary:
    def test_is_added_to(self, tmp_path: Path) -> None:
        made, _ = runner(tmp_path)
        made.summarize("one")
        made.summarize("two \ud800")
        assert (tmp_path / "summary").read_text() == "one\ntwo ?\n"

    def test_is_cut_between_lines_before_a_runner_refuses_it(self, tmp_path: Path) -> None:
        made, _ = runner(tmp_path)
        made.summarize("<details>\n" + "line é\n" * 200_000 + "</details>\n")
        made.summarize("more\n" * 100)
        text = (tmp_path / "summary").read_text()
        assert len(text.encode()) < 1 << 20
        assert len(text.encode()) > 990_000
        assert text.count("<details>") == text.count("</details>") == 1
        assert text.count("a summary holds no more") == 2
        assert set(text.splitlines()) == {
            "<details>",
            "</details>",
            "line é",
            "",
            "… cut: a summary holds no more.",
        }

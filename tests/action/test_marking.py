"""Marks: what was written is read again, and nothing that others wrote is."""

import pytest
from acted_samples import TRAPS
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ramekin.action.marking import LONGEST, MOST, mark, marks, unmarked
from ramekin.errors import InternalError

TEXTS = st.sampled_from(TRAPS) | st.text(max_size=30)
DATA = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(DATA, TEXTS)
def test_what_is_written_is_read_again_and_shows_nothing(data: dict[str, object], rest: str) -> None:
    written = mark("plan", data)
    assert marks("plan", written + rest)[0] == data
    assert marks("plan", written.replace("\n", "\r\n")) == (data,)
    assert marks("state", written) == ()
    # One comment of HTML, which ends at its own end.
    assert written.count("-->") == 1
    assert written.endswith(" -->\n")
    assert "--" not in written[4:-4]
    (token,) = MarkdownIt("commonmark").parse(written)
    assert token.type == "html_block"


@given(DATA, st.text(max_size=20).filter(lambda text: text.strip()))
def test_only_marks_at_the_beginning_count(data: dict[str, object], before: str) -> None:
    assert marks("plan", before + "\n" + mark("plan", data)) == ()
    assert marks("plan", " " + mark("plan", data)) == ()


def test_several_marks() -> None:
    text = mark("plan", {"a": 1}) + mark("state", {"b": 2}) + mark("plan", {"c": 3}) + "body\n" + mark("plan", {"d": 4})
    assert marks("plan", text) == ({"a": 1}, {"c": 3})
    assert marks("state", text) == ({"b": 2},)
    assert unmarked(text) == "body\n" + mark("plan", {"d": 4})
    assert len(marks("plan", mark("plan", {}) * 20)) == MOST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- ramekin:plan -->",
        "<!-- ramekin:plan {} -->x",
        "<!-- ramekin:plan {]} -->",
        '<!-- ramekin:plan {"a":NaN} -->',
        "<!-- ramekin:plan [1] -->",
        "<!-- ramekin:plan {" + '"a":[' * 3_000 + "]" * 3_000 + "} -->",
        '<!-- ramekin:plan {"a":"' + "x" * LONGEST + '"} -->',
        '<!-- ramekin:plan {"a":"\n"} -->',
        '<!-- ramekin:plan {"a":' + "9" * 5_000 + "} -->",
        "<!-- ramekin:PLAN {} -->",
    ],
    ids=lambda text: text[:40],
)
def test_what_is_malformed_is_absent(text: str) -> None:
    assert marks("plan", text) == ()


@given(st.text(alphabet='<!-> ramekin:pl{}"\n\r', max_size=80))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(marks("plan", text), tuple)
    assert text.endswith(unmarked(text))


def test_too_much_is_a_defect() -> None:
    with pytest.raises(InternalError):
        mark("plan", {"a": "-" * LONGEST})
    with pytest.raises(InternalError):
        mark("no kind", {})

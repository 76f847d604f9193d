"""Strangers' text in messages: one line, nothing hidden, not too long."""

from hypothesis import given
from hypothesis import strategies as st

from ramekin.text import printable


@given(text=st.text(st.characters(), max_size=300), limit=st.integers(2, 100))
def test_it_is_one_line_of_what_can_be_seen(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    shown.encode("utf-8")


@given(text=st.text(st.characters(codec="utf-8"), max_size=80).filter(str.isprintable))
def test_what_is_printable_and_short_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_is_not() -> None:
    assert printable("a\nb\x1b[31m\u202ec\ud800\x00") == r"a\nb\x1b[31m\u202ec\ud800\x00"


def test_both_ends_of_a_long_text_are_kept() -> None:
    shown = printable("model.layers.0." + "x" * 1000 + ".weight", 40)
    assert shown.startswith("model.layers.0.x")
    assert shown.endswith(".weight")
    assert len(shown) == 40


def test_other_values_are_shown_by_their_text() -> None:
    assert printable(17) == "17"
    assert printable(None) == "None"


def test_endless_text_costs_nothing() -> None:
    assert len(printable("\x1b" * 10**7)) == 80

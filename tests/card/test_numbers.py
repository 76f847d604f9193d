"""Numbers as a card shows them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.card.numbers import grouped, percent, ratio, rough_percent, short


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (12_345_678, "12.3 M"),
        (7_615_616_512, "7.62 B"),
        (9_999_999, "10.0 M"),
        (10**15, "1000 T"),
    ],
)
def test_short(count, shown):
    assert short(count) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.5, "50.0 %"),
        (0.0999, "9.99 %"),
        (0.012345, "1.23 %"),
        (0.0012345, "0.123 %"),
        (0.00012345, "0.0123 %"),
        (0.000001, "0.0001 %"),
        (0.0000009, "< 0.0001 %"),
        (0.99999, "> 99.9 %"),
    ],
)
def test_percent(share, shown):
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0%"), (0.0001, "<0.1%"), (0.0123, "1.2%"), (0.0996, "10%"), (1, "100%")]
)
def test_rough_percent(share, shown):
    assert rough_percent(share) == shown


def test_ratio():
    assert ratio(None) == "∞"
    assert ratio(0.0) == "0"
    assert ratio(1.0225) == "1.0225"


@given(st.integers(0, 10**16), st.floats(0, 1))
def test_what_is_shown_is_near_what_is_meant(count, share):
    units = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    number, _, unit = short(count).partition(" ")
    assert float(number) * units.get(unit, 1) == pytest.approx(count, rel=6e-3)
    assert int(grouped(count).replace(",", "")) == count
    text = percent(share)
    if text[0] not in "<>":
        assert float(text.removesuffix(" %")) == pytest.approx(100 * share, rel=6e-3, abs=6e-5)

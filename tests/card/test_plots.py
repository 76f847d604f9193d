"""The overlap plot: well-formed, to scale, without anything active, and the same every time."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from card_samples import many, sample

from ramekin.card.numbers import percent, short
from ramekin.card.patterns import MOST_SHOWN, patterns_of
from ramekin.card.plots import render_plots
from ramekin.methods.ram import Overlap
from ramekin.records import report_overlap

GOLDEN = Path(__file__).parent / "golden"
NAMESPACE = "{http://www.w3.org/2000/svg}"
HOSTILE = {"<script>alert(1)</script>": "a/b", 'x" onload="y': "c/d", "\u202e&amp;\x00\x1b": "e/f"}


def draw(made) -> ET.Element:
    return ET.fromstring(render_plots(made.report)["overlap.svg"])  # noqa: S314  drawn here


def texts(root) -> list[str]:
    return [element.text for element in root.iter(f"{NAMESPACE}text")]


def bars(root) -> list[ET.Element]:
    return [group.find(f"{NAMESPACE}rect") for group in root.iter(f"{NAMESPACE}g")]


def test_the_plot_is_as_it_was():
    path = GOLDEN / "overlap.svg"
    drawn = render_plots(sample().report)["overlap.svg"]
    if "UPDATE_GOLDEN" in os.environ:
        path.write_text(drawn)
    assert drawn == path.read_text(), "look at it in a browser, then run the test with UPDATE_GOLDEN=1"


@pytest.mark.parametrize(
    "made",
    [
        sample(),
        sample({"solo": "org/solo"}, (1000, 234)),
        sample(counts=(1000,) + (0,) * 7),
        sample(counts=(0,) * 8),
        sample(counts=(10**13, 10**12, 5, 0, 0, 7, 0, 1)),
        sample(HOSTILE),
        many(5),
        many(16),
    ],
    ids=["three", "one", "unchanged", "empty", "huge", "hostile", "five", "sixteen"],
)
def test_every_plot_is_well_formed_and_passive(made):
    root = draw(made)
    known = {"svg", "title", "desc", "style", "rect", "text", "line", "circle", "g"}
    assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= known
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]
    assert "url(" not in "".join(root.itertext())
    assert "@import" not in "".join(root.itertext())
    assert root.find(f"{NAMESPACE}title").text
    assert root.find(f"{NAMESPACE}desc").text
    width, height = map(int, root.get("viewBox").split()[2:])
    for element in root.iter(f"{NAMESPACE}rect"):
        x, y, w, h = (float(element.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height


def test_bars_are_to_scale_and_sorted():
    made = sample()
    heights = [float(bar.get("height")) for bar in bars(draw(made))]
    counts = sorted((n for code, n in made.report.overlap.patterns.items() if "1" in code), reverse=True)
    assert heights == sorted(heights, reverse=True)
    assert heights[:3] == pytest.approx([170 * count / counts[0] for count in counts[:3]], abs=0.06)


def test_labels_are_the_report_s_numbers():
    made = sample()
    shown = texts(draw(made))
    for expert in made.report.experts:
        overlap = made.report.overlap.experts[expert.name]
        assert expert.name in shown
        assert f"{short(overlap.changed)} · {percent(overlap.density)}" in shown
    for code, count in made.report.overlap.patterns.items():
        assert (short(count) in shown) == ("1" in code)


def test_dots_are_the_patterns():
    made = sample()
    found = []
    for group in draw(made).iter(f"{NAMESPACE}g"):
        dots = sorted(group.iter(f"{NAMESPACE}circle"), key=lambda dot: float(dot.get("cy")))
        found.append("".join("0" if dot.get("class") == "dot" else "1" for dot in dots))
    patterns = patterns_of(made.report.overlap, tuple(e.name for e in made.report.experts))
    assert found == [pattern.code for pattern in patterns.shown]


def test_what_is_left_out_is_told():
    made = many(16)
    root = draw(made)
    assert len(bars(root)) == MOST_SHOWN
    names = tuple(expert.name for expert in made.report.experts)
    patterns = patterns_of(made.report.overlap, names)
    assert sum(p.count for p in patterns.shown) + patterns.left_out_count == patterns.changed
    assert any(f"{patterns.left_out:,} more combinations" in text for text in texts(root))


def test_a_bar_that_is_not_nothing_is_seen():
    heights = [float(bar.get("height")) for bar in bars(draw(sample(counts=(10**9, 10**9, 1, 0, 0, 0, 0, 0))))]
    assert heights[1] > 1
    assert heights[2] == 0


def test_patterns_sum_up():
    overlap = Overlap((5, 4, 3, 2))
    patterns = patterns_of(report_overlap(overlap, ("a", "b"), (1.0, 1.0)), ("a", "b"))
    assert (patterns.elements, patterns.untouched, patterns.alone, patterns.together) == (14, 5, 7, 2)
    assert [(p.code, p.names, p.count) for p in patterns.shown] == [
        ("10", ("a",), 4),
        ("01", ("b",), 3),
        ("11", ("a", "b"), 2),
    ]
    assert patterns.shown[0].share == 4 / 14
    assert patterns.shown[0].share_of_changed == 4 / 9


def test_long_names_are_cut_before_the_numbers():
    names = [
        t for t in texts(draw(sample({"w" * 64: "a/b", "i" * 12: "c/d"}, (10, 3, 0, 1)))) if re.match(r"[wi]+…?$", t)
    ]
    assert names == ["w" * 8 + "…", "i" * 12]


def test_plots_are_the_same_every_time():
    assert render_plots(many(5).report) == render_plots(many(5).report)

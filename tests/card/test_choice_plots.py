"""The plots of a choice among candidates: only those that there is something for, true, passive, of bounded size."""

import os
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from card_samples import sample
from choice_samples import DONORS, arm_sample, best_of_sample, crowded
from plot_reading import NAMESPACE, draw, of_class, texts

from ramekin.card.axes import beside, steps_to
from ramekin.card.contest import contest_of
from ramekin.card.numbers import decimal, score
from ramekin.card.plots import render_plots
from ramekin.methods import Arm

GOLDEN = Path(__file__).parent / "golden"
NEW = ["aos.svg", "candidates.svg", "aos-layers.svg", "roles.svg", "transplant.svg"]
HOSTILE = {
    "<script>alert(1)</script>": "coder",
    'x" onload="y': "tool",
    "\u202e&amp;\x00\x1b]]>": "memory",
    "w" * 64: "coder",
}
LONG = Arm(pool=["average", {"name": "task-arithmetic", "weight": {"coder": 0.123, "tool": 0.456, "memory": 0.789}}])
MADE = {
    "arm": arm_sample(),
    "arm-scores": arm_sample(rule="scores", scores=True),
    "arm-bare": arm_sample(weak=(), rule="none", agnostic=False),
    "arm-one-layer": arm_sample(layers=1),
    "arm-many-layers": arm_sample(layers=160),
    "arm-one-benchmark": arm_sample({"tau-bench": "tool"}, ("tau-bench",)),
    "arm-two": arm_sample({"a": "tool", "b": "coder"}, ("b",), method=LONG),
    "hostile": arm_sample(HOSTILE, tuple(HOSTILE)),
    "best-of": best_of_sample(),
    "best-of-likelihood": best_of_sample(scores=False, aos=False),
    "best-of-scores": best_of_sample(likelihood=False, decided_by="scores"),
    "best-of-aos": best_of_sample(likelihood=False, scores=False, decided_by="aos"),
    "crowded": crowded(),
}


@pytest.mark.parametrize("name", NEW)
def test_the_plots_are_as_they_were(name):
    path = GOLDEN / name
    drawn = render_plots(MADE["arm-scores"].report)[name]
    if "UPDATE_GOLDEN" in os.environ:
        path.write_text(drawn)
    assert drawn == path.read_text(), "look at it in a browser, then run the test with UPDATE_GOLDEN=1"


@pytest.mark.parametrize(
    ("name", "plots"),
    [
        ("arm", NEW),
        ("arm-bare", ["aos.svg", "aos-layers.svg", "roles.svg"]),
        ("arm-one-benchmark", ["aos.svg", "candidates.svg", "aos-layers.svg", "transplant.svg"]),
        ("best-of", ["aos.svg", "candidates.svg"]),
        ("best-of-likelihood", ["candidates.svg"]),
        ("best-of-aos", ["aos.svg"]),
    ],
)
def test_only_what_there_is_something_for_is_drawn(name, plots):
    assert [*render_plots(MADE[name].report)] == ["overlap.svg", "density.svg", *plots]


def test_other_methods_have_no_such_plot():
    assert [*render_plots(sample().report)] == ["overlap.svg", "density.svg"]


@pytest.mark.parametrize("name", MADE)
def test_every_plot_is_well_formed_passive_and_small(name):
    drawn = {plot: text for plot, text in render_plots(MADE[name].report).items() if plot in NEW}
    assert drawn
    for text in drawn.values():
        assert_well_formed_passive_and_small(text)


def assert_well_formed_passive_and_small(text):
    assert len(text) < 100_000
    root = ET.fromstring(text)  # noqa: S314  drawn here
    known = {"svg", "title", "desc", "style", "rect", "text", "line", "circle", "g", "polyline"}
    assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= known
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]
    assert "url(" not in "".join(root.itertext())
    assert "@import" not in "".join(root.itertext())
    assert root.find(f"{NAMESPACE}title").text
    assert len(root.find(f"{NAMESPACE}desc").text) < 1_500
    assert "\u202e" not in text
    width, height = map(int, root.get("viewBox").split()[2:])
    assert width <= 1400
    assert height <= 1200
    for element in root.iter(f"{NAMESPACE}rect"):
        x, y, w, h = (float(element.get(key)) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width + 0.05
        assert y + h <= height
    for element in root.iter(f"{NAMESPACE}circle"):
        assert 0 < float(element.get("cx")) < width
        assert 0 < float(element.get("cy")) < height
    for element in root.iter(f"{NAMESPACE}polyline"):
        points = [tuple(map(float, point.split(","))) for point in element.get("points").split()]
        assert all(0 < x < width and 0 < y < height for x, y in points)
    for element in root.iter(f"{NAMESPACE}text"):
        assert 0 <= float(element.get("x")) <= width
        assert 0 < float(element.get("y")) < height
        if not element.get("class", "").count("end") and not element.get("transform"):
            # Six units a character is less than most take: what is longer is cut off by the edge for certain.
            middle = any(word in element.get("class", "").split() for word in ("cell", "centred"))
            assert float(element.get("x")) + len(element.text) * (3 if middle else 6) <= width + 40


def test_cells_are_the_report_s_scores_and_the_best_is_marked():
    made = MADE["arm"]
    root, found = draw(made, "aos.svg"), made.report.comparison
    cells = of_class(root, "text", "cell")
    ranked = sorted(found.candidates.values(), key=lambda each: -each.mean_aos)
    wanted = [
        label for each in ranked for label in [*(decimal(v, 3) for v in each.aos.values()), decimal(each.mean_aos)]
    ]
    assert [cell.text for cell in cells] == wanted
    assert {cell.text for cell in cells if "strong" in cell.get("class")} >= {decimal(ranked[0].mean_aos)}
    assert [text.text for text in of_class(root, "text", "chosen")] == [found.selected]
    assert len(of_class(root, "rect", "frame")) == 1
    depths = [float(r.get("fill-opacity")) for r in of_class(root, "rect", "heat")][: len(cells)]
    first = sorted(zip([float(c.text) for c in cells], depths, strict=True))
    assert [depth for _, depth in first] == sorted(depths)
    assert f"by chance: {decimal(1 / 19, 3)}" in texts(root)


def test_who_was_chosen_is_shown_where_many_are_left_out():
    made = crowded()
    contest = contest_of(made.report)
    last = contest.ranked("aos")[-1].name
    parts = {
        part: getattr(made.report, part).model_copy(update={"selected": last}) for part in ("comparison", "activation")
    }
    root = draw(type(made)(made.report.model_copy(update=parts), made.lock), "aos.svg")
    assert last in texts(root)
    assert len(of_class(root, "rect", "frame")) == 1
    assert "And 40 candidates and 52 benchmarks more; the mean is over all benchmarks." in texts(root)


def test_bars_are_to_scale():
    made = MADE["arm"]
    transplanted = made.report.activation.transplanted
    bars = [group.find(f"{NAMESPACE}rect") for group in draw(made, "transplant.svg").iter(f"{NAMESPACE}g")]
    heights = [float(bar.get("height")) for bar in bars[: 2 * 28]]
    counts = [transplanted[name].per_layer[layer] for layer in range(28) for name in ("tau-bench", "officebench")]
    scale = heights[0] / counts[0]
    assert heights == pytest.approx([scale * count for count in counts], abs=0.2)


def test_lines_are_the_report_s_layers():
    made = MADE["arm"]
    lines = of_class(draw(made, "aos-layers.svg"), "polyline", "series")
    assert len(lines) == len(DONORS)
    for line, values in zip(lines, made.report.activation.per_layer.values(), strict=True):
        heights = [float(point.partition(",")[2]) for point in line.get("points").split()]
        assert (heights[0] - heights[14]) * (values[0] - values[14]) < 0
        assert len(heights) == len(values)


def test_a_benchmark_has_one_colour():
    made = MADE["arm"]
    found = {}
    for plot in ("aos-layers.svg", "transplant.svg"):
        for group in draw(made, plot).iter(f"{NAMESPACE}g"):
            label = group.find(f"{NAMESPACE}text")
            if label is not None:
                assert found.setdefault(label.text, group.get("class")) == group.get("class")
    assert len({*found.values()}) == len(found) == len(DONORS)


def test_what_the_experts_have_in_common_stands_beside_what_they_say():
    shown = texts(draw(MADE["arm"], "roles.svg"))
    assert {"in their roles", "in all that is said", "41.0 %", "61.0 %"} <= {*shown}
    assert "in all that is said" not in texts(draw(MADE["arm-bare"], "roles.svg"))


def test_candidates_stand_in_the_order_of_their_scores():
    made = MADE["best-of"]
    root, found = draw(made, "candidates.svg"), made.report.comparison.candidates
    labels = texts(root)
    ranked = sorted(found.values(), key=lambda each: -each.mean_score)
    assert [text for text in labels if text in {score(each.mean_score) for each in ranked}][: len(ranked)] == [
        score(each.mean_score) for each in ranked
    ]
    assert sum("pairs in this order" in text for text in labels) == 2
    assert len(of_class(root, "circle", "chosen")) == 3
    assert len(of_class(root, "line", "dashed")) == 2


def test_agreement_counts_pairs():
    contest = contest_of(MADE["best-of"].report)
    assert contest.agreement("scores", "scores")[0] == contest.agreement("scores", "scores")[1] <= 36
    assert contest.agreement("aos", "likelihood") == contest.agreement("likelihood", "aos")
    assert contest_of(MADE["best-of-aos"].report).agreement("aos", "scores") == (0, 0)


@pytest.mark.parametrize("highest", [1e-9, 0.03, 0.41, 1.0, 7, 99, 12345, 10**12])
def test_steps_are_round_and_enough(highest):
    steps = steps_to(highest)
    assert steps[0] == 0
    assert steps[-1] >= highest * (1 - 1e-9)
    assert 2 <= len(steps) <= 7


def test_labels_keep_their_distance():
    heights = {str(n): 100.0 for n in range(8)}
    labels = beside(heights, dict.fromkeys(heights, 0), 80, 280)
    places = [label.y for label in labels]
    assert all(80 <= y <= 280 for y in places)
    assert all(b - a >= 17.9 for a, b in pairwise(places))


@pytest.mark.parametrize("name", ["arm", "hostile", "best-of", "crowded"])
def test_plots_are_the_same_every_time(name):
    report = MADE[name].report
    again = type(report).model_validate_json(report.to_json())
    assert render_plots(again) == render_plots(report)

"""The plots of what experts changed, and of scores: well-formed, to scale, passive, and the same every time."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from card_samples import many, sample
from plot_reading import NAMESPACE, draw, of_class, texts
from scored_samples import KINDS, SCORES, evaluation, modules, with_modules, with_scores
from test_plots import HOSTILE

from ramekin.card.density_plot import describe_density
from ramekin.card.module_panels import LEVELS, Scale
from ramekin.card.modules import describe_changes, in_order
from ramekin.card.modules_plot import describe_modules
from ramekin.card.numbers import percent, score, times
from ramekin.card.plots import PLOTS, render_plots
from ramekin.card.scores_plot import describe_scores
from ramekin.card.scoring import scoring_of
from ramekin.methods import Average, Ram, RamPlusSmooth

GOLDEN = Path(__file__).parent / "golden"
FULL = with_scores(with_modules(sample()))
LONG = {f"{'w' * 60}-{n}": f"org/{n}" for n in range(3)}
MANY_TASKS = {model: {f"task-{n}": value for n in range(40)} for model, value in (("base", 0.1), ("merge", 0.3))}
MADE = {
    "full": FULL,
    "smooth": with_modules(sample(method=RamPlusSmooth()), layers=80),
    "average": with_modules(sample(method=Average()), layers=1),
    "one": with_modules(sample({"solo": "org/solo"}, (1000, 234)), layers=3),
    "two": with_modules(sample({"a": "org/a", "b": "org/b"}, (10, 3, 4, 1)), layers=200),
    "nine": with_modules(many(9), layers=12),
    "deep": with_modules(sample(), layers=999, kinds=[f"kind.{n}" for n in range(41)]),
    "no-layers": with_modules(sample(), kinds=("embed_tokens", "norm")),
    "hostile": with_modules(sample(HOSTILE), kinds=(*HOSTILE, "a" * 120)),
    "long": with_modules(sample(LONG)),
    "backbone": with_scores(found=evaluation({**SCORES, "backbone": SCORES["base"]})),
    "percent": with_scores(
        found=evaluation({m: {t: 100 * v for t, v in s.items()} for m, s in SCORES.items()}, less=("bfcl",))
    ),
    "mixed": with_scores(found=evaluation({"merge": {"a": 0.5, "b": 1600.0, "c": -3.0, "d": 0.0}}, {})),
    "tasks": with_scores(found=evaluation(MANY_TASKS, {})),
    "hostile-tasks": with_scores(
        found=evaluation({"merge": dict.fromkeys(HOSTILE, 0.5)}, {}, harness='"><script>alert(1)</script>')
    ),
}
NEW = ("density.svg", "modules.svg", "scores.svg")


@pytest.mark.parametrize("name", NEW)
def test_the_plots_are_as_they_were(name):
    path = GOLDEN / name
    drawn = render_plots(FULL.report)[name]
    if "UPDATE_GOLDEN" in os.environ:
        path.write_text(drawn)
    same = drawn == path.read_text()  # a difference of such long lines takes minutes to show
    assert same, "look at it in a browser, then run the test with UPDATE_GOLDEN=1"


@pytest.mark.parametrize("name", MADE)
def test_every_plot_is_well_formed_passive_and_small(name):
    drawn = {plot: text for plot, text in render_plots(MADE[name].report).items() if plot in NEW}
    assert drawn
    for text in drawn.values():
        assert_well_formed_passive_and_small(text)


def assert_well_formed_passive_and_small(text):
    assert len(text) < 150_000
    root = ET.fromstring(text)  # noqa: S314  drawn here
    known = {"svg", "title", "desc", "style", "rect", "text", "line", "circle", "g", "path"}
    assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= known
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]
    assert "url(" not in "".join(root.itertext())
    assert "@import" not in "".join(root.itertext())
    assert root.find(f"{NAMESPACE}title").text
    assert len(root.find(f"{NAMESPACE}desc").text) < 1_500
    assert "\u202e" not in text
    width, height = map(int, root.get("viewBox").split()[2:])
    assert width <= 830
    for element in root.iter(f"{NAMESPACE}rect"):
        x, y, w, h = (float(element.get(side)) for side in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    for element in root.iter(f"{NAMESPACE}path"):
        for x, y, length in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", element.get("d")):
            assert 0 <= float(x) <= float(x) + float(length) <= width
            assert 0 <= float(y) <= height


def test_only_what_there_is_something_for_is_drawn():
    assert [*render_plots(FULL.report)] == ["overlap.svg", "density.svg", "modules.svg", "scores.svg"]
    assert [*render_plots(sample().report)] == ["overlap.svg", "density.svg"]
    assert [*render_plots(sample(counts=(9,) + (0,) * 7).report)] == ["overlap.svg"]
    assert [*render_plots(sample({"solo": "org/solo"}, (6, 4), method=Ram()).report)] == ["overlap.svg"]
    assert [*render_plots(with_scores(found=evaluation({"base": {"a": 0.5}}, {})).report)] == [
        "overlap.svg",
        "density.svg",
    ]
    assert {name for made in MADE.values() for name in render_plots(made.report)} <= PLOTS


@pytest.mark.parametrize("name", ["full", "hostile", "deep", "tasks"])
def test_plots_are_the_same_every_time(name):
    report = MADE[name].report
    again = type(report).model_validate(report.model_dump(by_alias=True))
    assert render_plots(again) == render_plots(report)


def test_density_is_to_scale():
    root, overlap = draw(FULL, "density.svg"), FULL.report.overlap
    rows = [group for group in root.iter(f"{NAMESPACE}g") if group.find(f"{NAMESPACE}circle") is not None]
    lengths = [[float(bar.get("width")) for bar in row.iter(f"{NAMESPACE}rect")] for row in rows]
    scale = sum(lengths[0]) / overlap.experts["coder"].changed
    for (alone, shared), expert in zip(lengths, overlap.experts.values(), strict=True):
        assert alone == pytest.approx(scale * expert.unique, abs=0.6)
        assert shared == pytest.approx(max(scale * expert.shared, 1.0), abs=0.6)
    stems = [float(row.find(f"{NAMESPACE}circle").get("cx")) - 550 for row in rows]
    factors = [expert.factor - 1 for expert in overlap.experts.values()]
    assert [stem / stems[1] for stem in stems] == pytest.approx([each / factors[1] for each in factors], abs=0.01)
    shown = texts(root)
    assert all(percent(each.density) in shown and times(each.factor) in shown for each in overlap.experts.values())


def test_density_without_factors_has_no_axis_for_them():
    shown = texts(draw(with_modules(sample(method=Average())), "density.svg"))
    assert not [text for text in shown if "multiplied" in text or text.startswith("\N{MULTIPLICATION SIGN}")]
    assert "lambda" not in describe_density(sample(method=Average()).report)
    assert "rho 0.339, lambda 1.034" in describe_density(sample().report)


def levels(root) -> dict[tuple[float, float], int]:
    """The colour of every cell, by its left end and its middle."""
    found = {}
    for path in root.iter(f"{NAMESPACE}path"):
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)h", path.get("d")):
            found[float(x), float(y)] = int(path.get("class").removeprefix("q"))
    return found


def test_every_cell_has_the_colour_of_its_share():
    made = MADE["full"].report
    names, layers = [expert.name for expert in made.experts], 28
    kinds = [kind for kind in in_order(made.overlap.modules) if made.overlap.modules[kind].layers != (None,)]
    found = levels(draw(MADE["full"], "modules.svg"))
    assert len(found) == 4 * layers * len(kinds)
    columns = sorted({x for x, _ in found})
    rows = sorted({y for _, y in found})
    assert (len(columns), len(rows)) == (2 * layers, 2 * len(kinds))
    shares = {
        (name, kind, layer): module.experts[name][layer] / module.elements[layer]
        for name in names
        for kind, module in made.overlap.modules.items()
        for layer in range(len(module.layers))
    }
    scale = Scale.of(shares.values())
    for number, name in enumerate(names):
        for row, kind in enumerate(kinds):
            for layer in range(layers):
                x, y = columns[layers * (number % 2) + layer], rows[len(kinds) * (number // 2) + row]
                assert found[x, y] == scale.level(shares[name, kind, layer])
    for row, kind in enumerate(kinds):
        module = made.overlap.modules[kind]
        darker = [module.several[n] / module.anyone[n] for n in range(layers)]
        shown = [found[columns[layers + n], rows[len(kinds) + row]] for n in range(layers)]
        assert [darker.index(max(darker))] == [n for n in range(layers) if darker[n] == max(darker)][:1]
        assert shown[darker.index(max(darker))] == max(shown)


@pytest.mark.parametrize("values", [[0.1, 0.2, 0.9], [0.4, 0.41], [0.3], [0.0, 0.0], [1e-9, 1.0], [None, 0.5]])
def test_a_scale_tells_all_that_is_there(values):
    scale = Scale.of(values)
    known = [value for value in values if value]
    assert scale.level(0.0) == 0
    assert all(1 <= scale.level(value) <= LEVELS for value in known)
    assert sorted(map(scale.level, known)) == [scale.level(value) for value in sorted(known)]
    bounds = [scale.bound(level) for level in range(LEVELS + 1)]
    assert bounds == sorted(bounds)
    assert all(bounds[0] <= value <= bounds[-1] * 1.0001 for value in known)
    for value in known:
        level = scale.level(value)
        assert bounds[level - 1] * 0.9999 <= value <= bounds[level] * 1.0001


def test_what_is_in_no_layer_stands_below_with_its_share():
    made = MADE["full"].report
    shown = texts(draw(MADE["full"], "modules.svg"))
    embedding = made.overlap.modules["embed_tokens"]
    assert all(percent(each[0] / embedding.elements[0]) in shown for each in embedding.experts.values())
    assert shown.count("embed_tokens") == 2


def test_many_experts_have_two_panels():
    shown = texts(draw(MADE["nine"], "modules.svg"))
    assert "any expert" in shown
    assert "expert-0" not in shown
    assert "one each for any expert, several experts" in describe_modules(MADE["nine"].report)


def test_many_modules_are_told_to_be_left_out():
    assert "21 smaller kinds of module are not shown." in texts(draw(MADE["deep"], "modules.svg"))


def test_modules_are_in_the_order_in_which_a_layer_computes():
    assert in_order(dict(modules(("a",), 2))) == [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
        "input_layernorm",
        "post_attention_layernorm",
        "embed_tokens",
        "norm",
    ]


def test_what_the_modules_show_is_told():
    told = describe_changes(FULL.report)
    assert re.match(r"Most was changed in [\w.]+, [\d.]+ % of its weights, least in [\w.]+, [\d.]+ %", told)
    even = {
        "x": modules(("a", "b"), 1, ("x",))["x"].model_copy(
            update={
                "layers": (0, 1),
                "elements": (100, 100),
                "anyone": (50, 51),
                "several": (0, 0),
                "experts": {"a": (25, 25), "b": (25, 26)},
            }
        )
    }
    even["y"] = even["x"]
    report = sample({"a": "org/a", "b": "org/b"}, (10, 3, 4, 1)).report
    report = report.model_copy(update={"overlap": report.overlap.model_copy(update={"modules": even})})
    assert describe_changes(report) == (
        "All kinds of module were changed alike, 50.5 % to 50.5 %. "
        "Depth plays no part: 50.0 % to 51.0 % in every layer. Nowhere did experts change the same weight."
    )


def test_scores_are_to_scale_with_the_best_expert_beside_them():
    root = draw(FULL, "scores.svg")
    bars = [float(bar.get("width")) for bar in of_class(root, "rect", "merge")][1:]  # the first is the legend's
    assert bars == pytest.approx([440 * value for value in SCORES["merge"].values()], abs=0.06)
    best = [max(SCORES[f"expert:{name}"][task] for name in ("coder", "tool", "memory")) for task in SCORES["merge"]]
    oracle = [float(line.get("x1")) - 196 for line in of_class(root, "line", "oracle")][1:]
    assert oracle == pytest.approx([440 * value for value in best], abs=0.06)
    shown = texts(root)
    assert f"{score(0.82)} coder" in shown
    assert score(0.79) in shown
    assert "backbone" not in shown
    assert "backbone" in texts(draw(MADE["backbone"], "scores.svg"))


def test_what_less_is_better_of_is_marked():
    shown = texts(draw(MADE["percent"], "scores.svg"))
    assert "exact match, less is better" in shown
    assert len(of_class(draw(MADE["percent"], "scores.svg"), "line", "oracle")) == 3


def test_scores_of_several_scales_have_no_common_axis():
    assert of_class(draw(MADE["mixed"], "scores.svg"), "line", "grid") == []
    assert len(of_class(draw(FULL, "scores.svg"), "line", "grid")) == 6


def test_more_tasks_than_there_is_room_for_are_counted():
    assert "The first 12 of 40 tasks are shown." in texts(draw(MADE["tasks"], "scores.svg"))
    scoring = scoring_of(MADE["tasks"].report)
    assert "and 34 more." in describe_scores(scoring)


def test_kinds_are_known():
    assert {*KINDS} == {*modules(("a",), 1)}

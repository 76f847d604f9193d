"""How the card compares the merge with its parents: the report's scores, and nothing where there is none."""

import os
import re
from pathlib import Path

import pytest
from card_samples import many, sample
from choice_samples import arm_sample
from scored_samples import OWN, SCORES, evaluation, with_modules, with_scores
from test_card import HOSTILE, JUDGE, TEXTS, elements, split, structure, tables

from ramekin.card.numbers import score
from ramekin.card.plots import render_plots
from ramekin.card.rendering import render_card
from ramekin.card.scoring import scoring_of
from ramekin.errors import DamagedError
from ramekin.hub.cards import judge
from ramekin.report import Report
from ramekin.scores import ReportedBar, sum_up

GOLDEN = Path(__file__).parent / "golden"
FULL = with_scores(with_modules(sample()))
NAMES = ("base", "expert:coder", "expert:tool", "expert:memory", "merge")


def render(made) -> str:
    return render_card(made.report, TEXTS, made.lock)


def section(made) -> str:
    """How it compares."""
    return render(made).partition("## How it compares\n")[2].partition("\n## ")[0]


def shown(made) -> dict[str, list[str]]:
    """The table of scores: cells by the name of their row, the best ones with stars."""
    (table,) = re.findall(r"(?:^\|.*\n)+", section(made), re.MULTILINE)[:1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name.strip("*"): cells for name, *cells in rows}


def test_the_card_is_as_it_was():
    card = render(FULL)
    path = GOLDEN / "scores.md"
    if "UPDATE_GOLDEN" in os.environ:
        path.write_text(card)
    assert card == path.read_text(), "read it, then run the test with UPDATE_GOLDEN=1"


def test_the_card_is_whole():
    card = render(FULL)
    assert render_card(Report.model_validate_json(FULL.report.to_json()), TEXTS, FULL.lock) == card
    assert judge(card).errors == judge(card).warnings == ()
    body = split(card)[1]
    assert sorted(re.findall(r"\]\(ramekin/plots/(.*?)\)", body)) == sorted(render_plots(FULL.report))
    assert (
        body.index("(ramekin/plots/scores.svg)") < body.index("## Use it") < body.index("(ramekin/plots/overlap.svg)")
    )
    assert body.index("## What the merge did") < body.index("## How it compares") < body.index("## Limits and risks")
    for table in tables(body):
        assert len({len(row) for row in table}) == 1
    assert "\n\n\n\n" not in body
    assert "No task score" not in card


def test_nothing_measured_nothing_said():
    for made in (sample(), with_scores(found=evaluation({"base": {"humaneval": 0.5}}, {}))):
        card = render(made)
        assert "How it compares" not in card
        assert "scores.svg" not in card
        assert "**No task score was measured**" in card


def test_every_number_is_the_report_s():
    found = shown(FULL)
    for task in SCORES["merge"]:
        best = max(SCORES[model][task] for model in NAMES)
        expected = [f"**{score(v)}**" if (v := SCORES[model][task]) == best else score(v) for model in NAMES]
        assert found[task] == expected
    oracle = {task: SCORES[f"expert:{expert}"][task] for task, expert in OWN.items()}
    sums = [sum_up(SCORES[model], oracle) for model in NAMES]
    for row, values in (
        ("average", [each.average for each in sums]),
        ("worst", [each.worst for each in sums]),
        ("RHM", [each.harmonic for each in sums]),
    ):
        assert [cell.strip("*") for cell in found[row]] == [score(value) for value in values]
        assert [cell.startswith("**") for cell in found[row]] == [False] * 4 + [True]
    card = render(FULL)
    assert (
        "On 3 tasks it has **0.787 on average**; the best single expert, `memory`, has 0.570, the base 0.337." in card
    )
    assert "with lm-evaluation-harness 0.4.9 on 2026-11-23" in card.replace("\\", "")
    assert "- batch: 8" in card


def test_a_command_is_called_one():
    made = with_scores(found=evaluation(harness="command"))
    assert "Measured by a command of the author's on 2026-11-23" in section(made)


@pytest.mark.parametrize(
    ("found", "rows", "columns"),
    [
        (evaluation(), ["average", "worst", "RHM"], 5),
        (evaluation({"base": {"a": 0.1}, "merge": {"a": 0.2}}, {}), [], 2),
        (evaluation({"merge": {"a": 0.2, "b": 0.3}}, {}), ["average", "worst"], 1),
        (evaluation({"merge": {"a": 0.2, "b": 1500.0}, "expert:coder": {"a": 0.2, "b": 1600.0}}, {}), ["RHM"], 2),
        (
            evaluation({"merge": {"a": 0.2, "b": 0.3}, "expert:coder": {"a": 0.0, "b": 0.0}}, {}),
            ["average", "worst"],
            2,
        ),
        (evaluation({**SCORES, "backbone": SCORES["merge"]}), ["average", "worst", "RHM"], 6),
        (evaluation(less=("humaneval", "bfcl")), [], 5),
    ],
)
def test_only_what_can_be_summed_up_is(found, rows, columns):
    table = shown(with_scores(found=found))
    assert [name for name in table if name in {"average", "worst", "RHM"}] == rows
    assert len(table["task"]) == columns


def test_less_can_be_better():
    made = with_scores(found=evaluation(less=("ruler",)))
    table = shown(made)
    least = min(SCORES[model]["ruler"] for model in NAMES)
    assert table["ruler (less is better)"] == [
        f"**{score(v)}**" if (v := SCORES[model]["ruler"]) == least else score(v) for model in NAMES
    ]
    assert table["average"][-1] == "**0.750**"
    assert "over 2 tasks" in section(made)


def test_who_was_measured_on_some_tasks_has_no_average():
    scores = {**SCORES, "expert:tool": {"bfcl": 0.75}}
    table = shown(with_scores(found=evaluation(scores)))
    assert table["humaneval"][2] == ""
    assert table["average"][2] == ""
    assert table["average"][-1] == "**0.787**"
    assert (
        "the best single expert"
        not in render(with_scores(found=evaluation(scores))).split("## Use it")[0].split("![")[0]
    )


def test_many_experts_have_one_column():
    made = many(7)
    scores = {f"expert:expert-{n}": {"a": n / 10, "b": 0.5} for n in range(7)} | {"merge": {"a": 0.55, "b": 0.4}}
    table = shown(with_scores(made, evaluation(scores, {})))
    assert table["task"] == ["best expert", "this model"]
    assert table["a"] == ["**0.600**", "0.550"]
    assert scoring_of(with_scores(made, evaluation(scores, {})).report).expert_of("a") == ("expert-6", 0.6)


@pytest.mark.parametrize("met", [True, False])
def test_the_gate_is_told(met):
    bars = (
        ReportedBar(task="bfcl", demand="0.95 of tool", least=0.7125, found=0.71, met=met),
        ReportedBar(task="ruler", demand="at least 0.5", least=0.5, found=0.86, met=True),
    )
    told = section(with_scores(found=evaluation(gate=False).model_copy(update={"gate": bars})))
    assert ("| bfcl | 0.95 of tool | 0.713 | 0.710 | **not met** |" in told) == (not met)
    words = "was published it had to meet 2 demands, and did:"
    assert words in told if met else "is published it had to meet 2 demands, and does not meet 1 of them:" in told
    assert "had to meet" not in section(with_scores(found=evaluation(gate=False)))


def test_an_arm_merge_is_compared_with_its_backbone():
    made = with_scores(arm_sample(), evaluation({**SCORES, "backbone": SCORES["base"]}))
    body = split(render(made))[1]
    assert shown(made)["task"] == ["base", "coder", "tool", "memory", "backbone", "this model"]
    assert body.count("(ramekin/plots/aos.svg)") == 1
    assert body.index("(ramekin/plots/scores.svg)") < body.index("(ramekin/plots/aos.svg)")


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_scores_stay_scores(value):
    def made(word: str):
        found = evaluation({"base": {word: 0.1, "b": 0.2}, "merge": {word: 0.2, "b": 0.1}}, {}, harness=word)
        task = found.tasks[word].model_copy(update={"metric": word, "details": {word: word}})
        bar = ReportedBar(task=word, demand=word, least=0.1, found=0.2, met=True)
        update = {"tasks": found.tasks | {word: task}, "settings": {word: word}, "gate": (bar,)}
        return with_scores(found=found.model_copy(update=update))

    body, calm = split(render(made(value)))[1], split(render(made("a")))[1]
    assert structure(body) == structure(calm)
    assert elements(body) <= elements(calm) | {"html_inline"}
    assert "<script" not in JUDGE.render(body)
    assert all(len({len(row) for row in table}) == 1 for table in tables(body))


WRONG_MODULE = {"anyone": (10**12,)}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (with_scores(found=evaluation({"expert:cook": {"a": 0.5}, "merge": {"a": 0.5}}, {})), "of other models"),
        (with_scores(found=evaluation({"merge": {"a": 0.5}}, {"a": "cook"}, gate=False)), "of other models"),
        (with_scores(found=evaluation(tasks={})), "of other tasks"),
        (
            with_scores(
                found=evaluation().model_copy(
                    update={"gate": (ReportedBar(task="x", demand="", least=0, found=0, met=True),)}
                )
            ),
            "gate is",
        ),
    ],
)
def test_scores_that_do_not_fit_together_are_refused(made, words):
    with pytest.raises(DamagedError, match=words):
        render(made)


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"experts": {"cook": (1,)}}, "of other experts"),
        ({"anyone": (1, 2)}, "layers are missing"),
        ({"layers": (0, 0), "elements": (9, 9)}, "layers are missing"),
        ({"anyone": (10**12,)}, "more was changed"),
        ({"several": (10**12,)}, "more was changed"),
        ({"elements": (-1,)}, "more was changed"),
    ],
)
def test_modules_that_do_not_fit_together_are_refused(update, words):
    made = with_modules(sample())
    found = dict(made.report.overlap.modules)
    found["norm"] = found["norm"].model_copy(update=update)
    overlap = made.report.overlap.model_copy(update={"modules": found})
    with pytest.raises(DamagedError, match=words):
        render_card(made.report.model_copy(update={"overlap": overlap}), TEXTS, made.lock)


def test_a_report_from_before_modules_were_counted_has_its_card():
    made = with_modules(sample())
    data = made.report.model_dump(by_alias=True)
    del data["overlap"]["modules"]
    card = render_card(Report.model_validate(data), TEXTS, made.lock)
    assert card == render_card(sample().report, TEXTS, made.lock)
    assert "modules.svg" not in card

"""The card's part of a choice among candidates: what it says is what the report says, and nothing that is not known."""

import os
import re
from pathlib import Path

import pytest
from card_samples import commit, sample
from choice_samples import DONORS, PIECES, arm_sample, best_of_sample, crowded, with_runs
from test_card import HOSTILE, JUDGE, TEXTS, elements, split, structure, tables

from ramekin.card.citations import citations_of
from ramekin.card.numbers import decimal, grouped, percent, score
from ramekin.card.plots import render_plots
from ramekin.card.rendering import render_card
from ramekin.choice import ReportedData, ReportedSample, ReportedTuning
from ramekin.errors import DamagedError
from ramekin.hub.cards import judge
from ramekin.methods import Arm, BestOf, RamPlus, Tuned
from ramekin.report import Report, redacted

GOLDEN = Path(__file__).parent / "golden"


def render(made) -> str:
    return render_card(made.report, TEXTS, made.lock)


def changed(made, part="comparison", **update):
    """A sample of which a part of the report is another."""
    other = getattr(made.report, part).model_copy(update=update)
    return type(made)(made.report.model_copy(update={part: other}), made.lock)


def candidate(made, name=None, **update):
    """A sample of which one candidate, the first if none is named, is another."""
    candidates = dict(made.report.comparison.candidates)
    name = name or next(iter(candidates))
    return changed(made, candidates=candidates | {name: candidates[name].model_copy(update=update)})


def tuned_sample(**update):
    """A search, as far as the card knows it."""
    made = best_of_sample(
        scores=False, aos=False, method=BestOf(pool=["ram", "ties", {"name": "ties", "density": 0.3}])
    )
    values = {"start": "ties", "tried": ("ties (density 0.3)",), "budget": 24, "kept": {"os": 7}}
    tuning = ReportedTuning(**values | {"before": {"os": 0.5}, "after": {"os": 0.4321}} | update)
    made = changed(made, tuned=tuning)
    return type(made)(made.report.model_copy(update={"method": Tuned()}), made.lock)


MADE = {
    "arm": arm_sample(),
    "arm-scores": arm_sample(rule="scores", scores=True),
    "arm-none": arm_sample(weak=(), rule="none", agnostic=False, samples=()),
    "arm-strong": arm_sample(weak=()),
    "arm-all": arm_sample(weak=tuple(DONORS), rule="all", method=Arm(repair="all", collisions="skip", protect=False)),
    "arm-one": arm_sample({"tau-bench": "tool"}, ("tau-bench",)),
    "best-of": best_of_sample(),
    "best-of-ram+": best_of_sample(selected="ram+", scores=False, aos=False),
    "best-of-aos": best_of_sample(likelihood=False, scores=False, decided_by="aos"),
    "tuned": tuned_sample(),
    "crowded": crowded(),
}


@pytest.mark.parametrize(
    ("file", "name"), [("arm.md", "arm"), ("arm-scores.md", "arm-scores"), ("best-of.md", "best-of")]
)
def test_the_card_is_as_it_was(file, name):
    card = render(MADE[name])
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / file).write_text(card)
    assert card == (GOLDEN / file).read_text(), "read it, then run the test with UPDATE_GOLDEN=1"


@pytest.mark.parametrize("name", MADE)
def test_every_report_has_its_card(name):
    made = MADE[name]
    report = Report.model_validate_json(made.report.to_json())
    card = render_card(report, TEXTS, made.lock)
    assert card == render(made)
    assert judge(card).errors == judge(card).warnings == ()
    body = split(card)[1]
    assert f"without any training by `{report.method.name}`: {report.method.deed}; that is `" in body.replace("\\", "")
    assert sorted(re.findall(r"\]\(ramekin/plots/(.*?)\)", body)) == sorted(render_plots(report))
    assert body.count("<details>") == body.count("</details>")
    assert "\n\n\n\n" not in body
    for table in tables(body):
        assert len({len(row) for row in table}) == 1
    assert all(entry in body for entry in citations_of(report.method.reference))
    assert len(card) < 90_000


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            {"saliency": "contrast"},
            "by the magnitude of a neuron in the role less that in all that the assistant says:",
        ),
        ({"shift": -1}, "by the magnitude of a neuron in the role, at the token before each of the role's:"),
        ({"saliency": "abs_wout", "shift": -1}, "in the output projection, at the token before each of the role's:"),
    ],
)
@pytest.mark.parametrize("name", ["arm", "best-of"])
def test_how_neurons_were_watched_is_told_where_it_is_not_as_in_the_paper(name, how, words):
    plain, told = render(MADE[name]), "What a neuron does is told here"
    assert told not in plain
    assert not {"saliency", "shift"} & MADE[name].report.model_dump()["comparison"].keys()
    made = changed(MADE[name], **how)
    card = render(made)
    (line,) = [line for line in card.splitlines() if told in line]
    assert words in line
    again = Report.model_validate_json(made.report.to_json())
    assert again.model_dump()["comparison"].items() >= how.items()
    assert render_card(again, TEXTS, made.lock) == card
    assert judge(card).errors == judge(card).warnings == ()


def test_the_picture_stands_first():
    for name, plot in (("arm", "aos.svg"), ("best-of", "candidates.svg"), ("best-of-aos", "aos.svg")):
        body = split(render(MADE[name]))[1]
        assert (
            body.index(f"(ramekin/plots/{plot})") < body.index("## Use it") < body.index("(ramekin/plots/overlap.svg)")
        )


def test_who_was_chosen_and_repaired_is_told_at_once():
    lines = split(render(MADE["arm"]))[1].split("## Use it")[0]
    assert "that is `ties`, with neurons of `coder` for `officebench` and of `tool` for `tau-bench`." in lines
    assert "that is `ties`, with nothing transplanted." in render(MADE["arm-none"])
    assert "that is `ram`." in render(MADE["best-of"])
    assert "for `benchmark-5-with-a-rather-long-name` and for 26 more." in render(MADE["crowded"])


def test_every_number_is_the_report_s():
    made = MADE["arm-scores"]
    comparison, activation = made.report.comparison, made.report.activation
    found = {table[0][0]: table for table in tables(split(render(made))[1])}
    for name, *shown in found["AOS"][1:-1]:
        each = comparison.candidates[name]
        assert shown == [decimal(v) for v in (each.mean_aos, each.aos_layer_mean, *each.aos.values())]
    assert found["AOS"][-1][:2] == ["by chance", "0.0526"]
    for name, *shown in found["candidate"][1:-1]:
        each = comparison.candidates[name]
        assert shown[:3] == [score(each.mean_score), decimal(each.mean_aos), grouped(each.changed)]
    assert found["candidate"][-1][1] == score(0.9)
    for name, *shown in found["score"][1:-1]:
        assert shown == [score(value) for value in comparison.candidates[name].scores.values()]
    for name, expert, *shown in found["weak"][1:]:
        each = activation.transplanted[name]
        counts = [grouped(each.salient), grouped(each.protected), grouped(each.neurons), percent(each.fraction)]
        assert [expert, *shown] == [each.expert, *counts, grouped(each.applied), percent(each.gap)]
    (overlaps,) = (table for table in tables(split(render(made))[1]) if "others have too, in its role" in table[0])
    for name, _, own, agnostic in overlaps[1:]:
        assert own == percent(activation.overlap.of_own[name])
        assert agnostic == percent(activation.overlap_agnostic.of_own[name])
    body = render(made)
    for place, (name, runs) in enumerate(comparison.calibration.items()):
        row = next(line for line in body.splitlines() if line.startswith(f"| {name} |") and runs.role + "`" in line)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        skipped = runs.without + runs.dropped + runs.twice
        assert cells[-4:-1] == [grouped(runs.trajectories), grouped(skipped), grouped(runs.role_tokens)]
        assert cells[-1] == ("" if runs.split_half is None else decimal(runs.split_half, 3))
        assert cells[5] == (runs.license or "none declared")
        assert (f"/datasets/org/{name}-runs/tree/{commit(place + 3)}" in row) == runs.on_hub
    applied = sum(each.applied for each in activation.transplanted.values())
    assert f"**{grouped(applied)} of {grouped(activation.neurons)} neurons" in body
    assert f"{grouped(activation.weights_replaced)} weights" in body


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (MADE["arm"], "**No task score was measured**"),
        (MADE["arm-scores"], "was made by are the backbone's, before neurons were put into it;"),
        (MADE["best-of-ram+"], "that a model finds an expert's words likely does not say that it solves the tasks."),
        (MADE["best-of"], "Likelihood of the roles puts 33 of 36 pairs of candidates in the order of their score."),
        (MADE["arm"], "needs over 0.02 nats a token more than its expert"),
        (MADE["arm-scores"], "loses over 5.00 % of its expert's score"),
        (MADE["arm-none"], "The manifest has no benchmark repaired.\nNothing was transplanted"),
        (MADE["arm-strong"], "on development data.\nIt is weak in none.\nNothing was transplanted"),
        (MADE["arm-all"], "several experts: they stayed as they were."),
        (MADE["arm-all"], "Neurons that other benchmarks need were not protected."),
        (MADE["arm"], "the benchmark that was repaired last got them"),
        (MADE["arm"], "Not weak: `webshop` (0.0071 nats), `os` (0.0071 nats)."),
        (MADE["best-of"], "By overlap alone, `ram` is 0.0270 behind the best other."),
        (MADE["best-of-ram+"], "| coder | 867,160,490 | 11.4 % |"),
        (MADE["best-of-ram+"], "factor on what is alone (λ)"),
        (MADE["crowded"], "52 more benchmarks are in"),
        (MADE["crowded"], "32 more candidates are in"),
        (MADE["tuned"], "| os | 7 | 0.5000 | 0.4321 |"),
        (tuned_sample(before={}, after={}), "No runs were kept to judge what it was worth."),
        (
            changed(MADE["arm"], signals=("aos", "likelihood")),
            "in order, overlap of neurons, then likelihood of the roles",
        ),
        (changed(MADE["best-of"], margin=-0.25), "0.2500 behind `dare`"),
        (changed(MADE["best-of"], margin=0.0), "level with `dare`"),
        (changed(MADE["arm"], warnings=("it is *so*",)), "- **Note:** it is \\*so\\*\n"),
    ],
)
def test_what_is_concluded(made, words):
    assert words in render(made)


def test_a_close_choice_is_warned_of_once():
    made = MADE["arm"]
    close = {name: dict.fromkeys(DONORS, 0.4) for name in made.report.comparison.candidates}
    update = {"aos": dict.fromkeys(DONORS, 0.404), "mean_aos": 0.404}
    for name, values in close.items():
        made = candidate(made, name, aos=values, mean_aos=0.4)
    made = candidate(made, "ties", **update)
    means = dict.fromkeys(close, 0.4) | {"ties": 0.404}
    made = changed(made, "activation", aos=close | {"ties": update["aos"]}, mean_aos=means)
    words = "the best two candidates are 0.0040 apart in mean AOS"
    assert render(made).count(words) == 1
    assert render(changed(made, warnings=(f"{words}, which is little",))).count("apart in mean AOS") == 1
    assert "apart in mean AOS" not in render(changed(made, decided_by="likelihood"))
    assert "apart in mean AOS" not in render(MADE["arm"])


def test_what_is_replaced_is_not_called_whole():
    made = best_of_sample(selected="ram")
    assert "; here it is whole." in render(made)
    assert "; here it is whole." not in render(MADE["arm"])
    assert "(arXiv 2601.13572" in render(made)
    assert "yuan2026behavior" in render(made)
    assert "yadav2023ties" in render(MADE["arm"])


def test_the_backbone_s_parameters_are_shown():
    pool = ["average", {"name": "ties", "density": 0.37}]
    made = arm_sample(method=Arm(pool=pool), selected="ties (density 0.37)")
    assert "was merged by `ties`" in render(made)
    assert "rounded once, with density 0.37, weight 1.0, lambda 1.0:" in render(made)


def test_samples_show_the_role_as_code():
    body = split(render(MADE["arm"]))[1]
    inline = [token for token in JUDGE.parse(body) if token.type == "inline" and "find_user" in token.content]
    (sampled,) = inline
    codes = [child.content for child in sampled.children if child.type == "code_inline"]
    assert codes == [" ".join(text.split()) for text, inside in PIECES if inside]
    assert "Samples" not in render(MADE["arm-none"])


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_samples_stay_samples(value):
    calm = arm_sample(
        samples=(ReportedSample(benchmark="os", trajectory="t", pieces=(("a", False), ("b", True))),), warnings=("w",)
    )
    pieces = ((value, False), (value, True))
    runs = calm.report.comparison.calibration
    loud = {name: runs[name].model_copy(update={"warnings": (value,) if runs[name].warnings else ()}) for name in runs}
    loud["os"] = loud["os"].model_copy(update={"role": value, "license": value, "file": value})
    elsewhere = ReportedData(source=value, commit=value, file=value, on_hub=True)
    loud["webshop"] = loud["webshop"].model_copy(update={"source": value, "commit": value, "dev": elsewhere})
    samples = (ReportedSample(benchmark="os", trajectory=value, pieces=pieces),)
    made = changed(calm, samples=samples, warnings=(value,), calibration=loud, dtype=value, template=value)
    made = changed(made, decided_by=value, signals=(value,))
    body, still = split(render(made))[1], split(render(calm))[1]
    assert structure(body) == structure(still)
    assert elements(body) <= elements(still) | {"html_inline"}
    page = JUDGE.render(body)
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert page.count("<details>") == page.count("</details>") == JUDGE.render(still).count("<details>")
    assert "\u202e" not in body
    assert all(len({len(row) for row in table}) == 1 for table in tables(body))


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_names_stay_names(value):
    names = {"tau-bench": "tool", value: "coder"}
    made = arm_sample(names, (value,), samples=())
    body, still = (
        split(render(made))[1],
        split(render(arm_sample({"tau-bench": "tool", "b": "coder"}, ("b",), samples=())))[1],
    )
    assert structure(body) == structure(still)
    assert "<script" not in JUDGE.render(body)
    assert all(len({len(row) for row in table}) == 1 for table in tables(body))
    candidates = {(value if name == "dare" else name): each for name, each in made.report.comparison.candidates.items()}
    by = {
        part: {
            (value if name == "dare" else name): each for name, each in getattr(made.report.activation, part).items()
        }
        for part in ("aos", "mean_aos", "aos_layer_mean")
    }
    made = changed(changed(made, candidates=candidates), "activation", **by)
    assert structure(split(render(made))[1]) == structure(body)


def test_samples_are_bounded():
    pieces = tuple((f"{'x' * 5000} {n}", n % 2 == 1) for n in range(24))
    samples = tuple(ReportedSample(benchmark=b, trajectory=f"t{n}", pieces=pieces) for b in DONORS for n in range(50))
    card = render(arm_sample(samples=samples))
    assert card.count(", run `t") == 24
    assert "176 more are in" in card
    assert len(card) < 90_000


SHARES = dict.fromkeys(DONORS, 0.5)
ACTIVATION = MADE["arm"].report.activation
TAU = ACTIVATION.transplanted["tau-bench"]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (sample(method=Arm()), "only methods that choose"),
        (sample(method=BestOf()), "only methods that choose"),
        (changed(MADE["best-of"], selected="cook"), "no candidate"),
        (changed(MADE["best-of"], calibration={}), "no benchmark"),
        (candidate(MADE["best-of"], method=BestOf()), "itself a choice"),
        (candidate(MADE["best-of"], aos={"cooking": 0.5}), "of other benchmarks"),
        (candidate(MADE["best-of"], mean_aos=None), "has no mean"),
        (candidate(MADE["best-of"], aos={}, mean_aos=None), "some candidates is missing"),
        (candidate(MADE["best-of"], aos=SHARES | {"os": 1.5}), "no share"),
        (candidate(MADE["best-of"], mean_aos=float("nan")), "no share"),
        (candidate(MADE["best-of"], scores={"os": float("inf")}), "not finite"),
        (candidate(MADE["best-of"], likelihood={"cooking": 1.0}), "on other benchmarks"),
        (changed(MADE["arm"], "activation", selected="average"), "two candidates"),
        (changed(MADE["arm"], "activation", aos=ACTIVATION.aos | {"cook": SHARES}), "other candidates"),
        (changed(MADE["arm"], "activation", aos=ACTIVATION.aos | {"ties": SHARES}), "two values"),
        (changed(MADE["arm"], "activation", weak=("cooking",)), "other benchmarks"),
        (changed(MADE["arm"], "activation", weak=("os", "os")), "weak twice"),
        (changed(MADE["arm"], "activation", weak=("os",)), "not weak"),
        (changed(MADE["arm"], "activation", per_layer=ACTIVATION.per_layer | {"os": (0.5,)}), "layers differ"),
        (changed(MADE["arm"], "activation", gaps={"os": float("nan")}), "not finite"),
        (
            changed(MADE["arm"], "activation", overlap=ACTIVATION.overlap.model_copy(update={"of_own": {"os": 0.5}})),
            "overlap is of other benchmarks",
        ),
        (
            changed(
                MADE["arm"],
                "activation",
                overlap=ACTIVATION.overlap.model_copy(update={"pairwise": {name: {} for name in DONORS}}),
            ),
            "lacks a pair",
        ),
        *(
            (
                changed(MADE["arm"], "activation", transplanted={"tau-bench": TAU.model_copy(update=update)}),
                words,
            )
            for update, words in (
                ({"expert": "coder"}, "not the benchmark's"),
                ({"expert": "cook"}, "not the benchmark's"),
                ({"neurons": TAU.neurons + 1}, "not all neurons"),
                ({"per_layer": (TAU.neurons,)}, "not all neurons"),
                ({"applied": TAU.neurons + 1}, "more neurons"),
                ({"protected": 0}, "do not add up"),
            )
        ),
        (
            changed(
                MADE["arm"],
                calibration={
                    n: r.model_copy(update={"expert": "cook"})
                    for n, r in MADE["arm"].report.comparison.calibration.items()
                },
            ),
            "none of the experts",
        ),
        (changed(MADE["arm"], samples=(ReportedSample(benchmark="cooking", trajectory="", pieces=()),)), "samples"),
        (tuned_sample(start="cook"), "the search tried"),
        (tuned_sample(after={"cooking": 1.0}), "the search was judged"),
    ],
)
def test_what_does_not_fit_together_is_refused(made, words):
    with pytest.raises(DamagedError, match=words):
        render(made)


def test_a_choice_that_no_method_made_is_refused():
    other = MADE["best-of"].report.model_copy(update={"method": RamPlus()})
    with pytest.raises(DamagedError, match="only methods that choose"):
        render_card(other, TEXTS, MADE["best-of"].lock)


@pytest.mark.parametrize(
    ("private", "samples", "shown"),
    [(False, None, True), (False, False, False), (True, None, False), (True, True, True), (True, False, False)],
)
def test_runs_are_shown_where_they_may_be(private: bool, samples: bool | None, shown: bool) -> None:
    made = MADE["arm"]
    assert made.report.comparison
    lock = with_runs(made.lock, made.report.comparison, private=private)
    card = render_card(made.report, TEXTS.model_copy(update={"samples": samples}), lock)
    assert ("find_user" in card) == shown
    kept = redacted(made.report, lock, samples=samples).comparison
    assert kept
    assert bool(kept.samples) == shown


def calibrated(made, **update):
    """A sample in which the recorded runs of all benchmarks are others."""
    runs = {
        name: each.model_copy(update={key: value[place % len(value)] for key, value in update.items()})
        for place, (name, each) in enumerate(made.report.comparison.calibration.items())
    }
    return changed(made, calibration=runs)


def test_what_models_read_is_told_by_digest():
    """Also where benchmarks have different chat templates."""
    made = calibrated(MADE["arm"], template=["aa" * 32, "bb" * 32, None])
    (table,) = (table for table in tables(split(render(made))[1]) if "chat template" in table[0])
    for name, ids, dev, template in table[1:]:
        runs = made.report.comparison.calibration[name]
        assert (ids, dev) == (f"sha256:{runs.data_sha256}", f"sha256:{runs.dev_sha256}")
        assert template == (f"sha256:{runs.template}" if runs.template else "none: texts were given")
    older = changed(calibrated(MADE["arm"], template=[None], data_sha256=[None], dev_sha256=[None]), template="ef" * 32)
    card = render(older)
    assert "token ids of the runs used" not in card
    assert f"with one chat template, `sha256:{'ef' * 32}`" in card


def test_what_models_were_run_on_is_told():
    assert "Models were run in bfloat16 on NVIDIA H200, torch 2.13.0, transformers 5.23.0." in render(MADE["arm"])
    older = changed(MADE["arm"], device=None, torch=None, transformers=None)
    assert "Models were run in bfloat16. Skipped are" in render(older)


@pytest.mark.parametrize(
    ("halves", "words"),
    [
        ([0.95, 0.99], "The halves agree on at least 0.95 everywhere, so more runs would change little."),
        (
            [0.97, 0.94, None],
            "1 of 3 benchmarks have less, so more runs are worth it there, first for officebench, with",
        ),
        (
            [0.5, 0.4, 0.6],
            "4 of 4 benchmarks have less, so more runs are worth it there, first for officebench, with 0.40.",
        ),
    ],
)
def test_whether_more_runs_are_worth_it_is_told(halves, words):
    assert words in render(calibrated(MADE["arm"], split_half=halves))


def test_whether_more_runs_are_worth_it_is_told_where_it_is_known():
    one = calibrated(MADE["arm-one"], split_half=[0.8])
    assert "From 0.95 on more runs would change little; 0.80 is less, so more runs are worth it." in render(one)
    card = render(calibrated(MADE["arm"], split_half=[None]))
    assert "more runs" not in card
    with pytest.raises(DamagedError, match="an agreement of halves is no share"):
        render(calibrated(MADE["arm"], split_half=[1.5]))

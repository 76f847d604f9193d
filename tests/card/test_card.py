"""The model card: what it says is what the report says, whatever strangers wrote into their part of it."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from card_samples import KEY, commit, many, sample
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from ramekin.card.front_matter import dump_front_matter, method_tag
from ramekin.card.numbers import grouped, percent, ratio
from ramekin.card.rendering import render_card
from ramekin.errors import DamagedError, IncompatibleError
from ramekin.hub.cards import judge
from ramekin.lock.model import CardFacts
from ramekin.manifest.model import CardTexts
from ramekin.markdown import plain
from ramekin.methods import METHODS, Average, Choosing, Dare, DareTies, ModelStock, Ram, RamPlusSmooth, RamUnique, Ties
from ramekin.methods.base import show_value
from ramekin.methods.ram import RamFamily
from ramekin.records import FileRecord
from ramekin.report import Report

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("coder", "tool", "memory")
WEIGHTS = {"coder": 0.5, "tool": 1.0, "memory": 0.25}
WEIGHING = [method for method in METHODS if method is not RamUnique and not issubclass(method, Choosing)]
MADE = {method.title(): method() for method in WEIGHING} | {
    "ram-unique": RamUnique(expert="tool"),
    "ties-weighted": Ties(weight=WEIGHTS),
    "dare-ties-seeded": DareTies(drop_rate=0.9, seed=7, **{"lambda": 0.5}),
    "model-stock-filter-wise": ModelStock(filter_wise=True),
    "ram-unique-diluted": RamUnique(expert="coder", scale=0.25),
}
JUDGE = MarkdownIt("commonmark", {"html": True}).enable("table")
TEXTS = CardTexts(title="Agent 7B", summary="One generalist\nfrom three RL agents.\n\nMade to show.", language=("en",))
HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1)) ![y](https://evil.example/p.png)",
    "---\nlicense: mit\n---\n# Other card",
    "a | b\n|---|---|\n| c | d |",
    "```\n</details>\n# gone",
    "\u202egnp.exe\u2066 \x1b[31m",
    "@everyone #1 GH-2 https://evil.example www.evil.example",
    "${{ secrets.HF_TOKEN }} {{ 7*7 }} {% include 'x' %}",
    "::set-output name=a::b",
    "!!python/object/apply:os.system [id]",
    "*a: &b {c: d} # e",
    "no",
    "1e5",
    "null",
    "👩‍👩‍👧‍👦 ünï",
    "x" * 5000,
    "'\"\\",
    "- item",
]


def split(card: str) -> tuple[dict, str]:
    """Front matter as read by both versions of YAML, and the body."""
    match = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    front = yaml.safe_load(match[1])
    assert YAML(typ="safe", pure=True).load(match[1]) == front
    return front, card[match.end() :]


def structure(body: str) -> list[str]:
    """Block elements in order, with what sort of heading, table or fence they are."""
    return [token.type + token.info for token in JUDGE.parse(body) if token.type != "inline"]


def elements(body: str) -> set[str]:
    """Inline elements that are not text."""
    inline = [child for token in JUDGE.parse(body) for child in token.children or []]
    return {child.type for child in inline} - {"text", "text_special", "softbreak"}


def tables(body: str) -> list[list[list[str]]]:
    """All tables as rows of cells, as they are read."""
    found, row = [], []
    for token in JUDGE.parse(body):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            row = []
            found[-1].append(row)
        elif token.type == "inline" and found and token.level and row is not None:
            row.append("".join(child.content for child in token.children if child.type != "html_inline"))
        elif token.type == "table_close":
            row = None
    return found


@pytest.mark.parametrize(
    ("file", "method"),
    [
        ("README.md", "ram+"),
        ("ties.md", "ties-weighted"),
        ("dare-ties.md", "dare-ties-seeded"),
        ("average.md", "average"),
        ("ram-unique.md", "ram-unique-diluted"),
    ],
)
def test_the_card_is_as_it_was(file, method):
    notes = ("the vocabulary of `tool` is padded to 152064 rows, the base's 151936 are kept",)
    made = sample(notes=notes, method=MADE[method])
    card = render_card(made.report, TEXTS, made.lock)
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / file).write_text(card)
    assert card == (GOLDEN / file).read_text(), "read it, then run the test with UPDATE_GOLDEN=1"


@pytest.mark.parametrize("name", MADE)
def test_every_method_has_its_card(name):
    method = MADE[name]
    made = sample(method=method)
    report = Report.model_validate_json(made.report.to_json())
    card = render_card(report, TEXTS, made.lock)
    front, body = split(card)
    assert method_tag(method.name) in front["tags"]
    assert f"without any training by `{method.name}`: {method.deed}." in body.replace("\\", "")
    assert method.formula in body
    references = re.findall(r"\d{4}\.\d{5}", method.reference)
    assert references
    assert all(f"eprint        = {{{number}}}" in body for number in references)
    assert ("(λ)" in body) == isinstance(method, RamFamily)
    assert ("and are the base's" in body) == (method.overlap == "defines")
    assert ("a diagnostic" in body) == (method.name == "ram-unique")
    assert judge(card).errors == judge(card).warnings == ()


def test_what_was_random_says_its_seed_and_how_much_was_dropped():
    for method in (Dare(seed=41, drop_rate=0.75), DareTies(seed=41, drop_rate=0.75)):
        made = sample(method=method)
        body = split(render_card(made.report, TEXTS, made.lock))[1]
        assert "dropped with probability 0.75 (by masks from the seed 41)" in body
        assert "| `drop_rate` | `0.75` |" in body
        assert "| `seed` | `41` |" in body
    assert "| `weight` | `1.0` |" in body


def test_a_method_that_does_not_fit_the_experts_is_refused():
    made = sample()
    for method in (RamUnique(expert="cook"), Ties(weight={"coder": 1.0}), Ties()):
        with pytest.raises(DamagedError, match="does not fit its experts"):
            render_card(made.report.model_copy(update={"method": method}), TEXTS, made.lock)


def test_front_matter():
    made = sample(
        {"a": "org/a", "b": "./local/b"},
        (5, 1, 1, 1),
        cards={
            "a": CardFacts(license="mit", language=("en", "de"), datasets=("org/data",)),
            "b": CardFacts(license="apache-2.0", datasets=("org/more", "org/data")),
        },
    )
    front, _ = split(render_card(made.report, CardTexts(), made.lock))
    assert front == {
        "license": "apache-2.0",
        "base_model": ["Qwen/Qwen2.5-7B-Instruct", "org/a"],
        "base_model_relation": "merge",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["merge", "ramekin", "ram-plus"],
        "language": ["en", "de"],
        "datasets": ["org/data", "org/more"],
    }


def test_what_is_empty_is_left_out_of_the_front_matter():
    local = {"base": CardFacts(license="mit")}
    made = sample({"a": "./a"}, (5, 1), base="./base", cards=local | {"a": CardFacts(license="mit")})
    front, body = split(render_card(made.report, CardTexts(), made.lock))
    assert front == {"license": "mit", "library_name": "transformers", "tags": ["merge", "ramekin", "ram-plus"]}
    assert "have to be there" in body
    assert "](https://huggingface.co" not in body


def test_another_licence_has_its_name_and_link():
    facts = CardFacts(license="other", license_name="qwen-research", license_link="https://example.org/licence")
    made = sample(cards={"base": facts})
    front, body = split(render_card(made.report, CardTexts(), made.lock))
    assert (front["license"], front["license_name"]) == ("other", "qwen-research")
    assert front["license_link"].startswith("https://huggingface.co/Qwen/")
    assert "Not for commercial use" in body
    assert "not legal advice" in body


def test_licences_that_cannot_be_met_stop_the_card():
    made = sample(cards={"tool": CardFacts(license="cc-by-nd-4.0")})
    with pytest.raises(IncompatibleError, match="cc-by-nd"):
        render_card(made.report, CardTexts(), made.lock)


@pytest.mark.parametrize(("name", "tag"), [("ram", "ram"), ("ram+", "ram-plus"), ("ram+s", "ram-plus-s")])
def test_method_tags(name, tag):
    assert method_tag(name) == tag


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_texts_stay_texts(value):
    made = sample()
    plain_card = render_card(made.report, CardTexts(title="T", summary="S", language=("en",)), made.lock)
    texts = CardTexts.model_construct(title=value, summary=value.replace("\n\n", "\n"), license=None, language=(value,))
    front, body = split(render_card(made.report, texts, made.lock))
    assert structure(body) == structure(split(plain_card)[1])
    assert elements(body) == elements(plain_card)
    assert front["language"] == [plain(value)]
    heading = next(t for i, t in enumerate(JUDGE.parse(body)) if JUDGE.parse(body)[i - 1].type == "heading_open")
    seen = "".join(child.content for child in heading.children).replace("\u200b", "")
    assert seen == plain(value, 200)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_sources_stay_sources(value):
    made = sample(
        {"a": "org/a", "b": "org/b"},
        (5, 1, 1, 1),
        cards={"a": CardFacts(license="mit"), "b": CardFacts(license="mit")},
        notes=("note",),
    )
    calm = split(render_card(made.report, CardTexts(), made.lock))[1]
    facts = CardFacts(
        license="other",
        license_name=value,
        license_link=value,
        language=(value,),
        datasets=(value,),
        pipeline_tag=value,
    )
    hostile = sample(
        {"a": "org/a", "b": value},
        (5, 1, 1, 1),
        cards={"a": CardFacts(license="mit"), "b": facts},
        notes=(value,),
        files={name: FileRecord(size=1, sha256="0" * 64) for name in ("a", "b", "c", value)},
    )
    report = hostile.report.model_copy(update={"ramekin": value})
    front, body = split(render_card(report, CardTexts(license="mit"), hostile.lock))
    assert [kind for kind in structure(body) if "list" not in kind and "paragraph" not in kind] == [
        kind for kind in structure(calm) if "list" not in kind and "paragraph" not in kind
    ]
    assert elements(body) <= elements(calm) | {"html_inline"}
    assert front["datasets"] == [plain(value)]
    assert front["base_model"] == ["Qwen/Qwen2.5-7B-Instruct", "org/a"]
    assert front["license"] == "mit"
    page = JUDGE.render(body)
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert page.count("<details>") == page.count("</details>") == 3
    assert "\u202e" not in body


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["license", "language"]), st.text(min_size=1, max_size=40), min_size=1))
def test_front_matter_reads_back(values):
    values = {key: plain(value) for key, value in values.items()}
    text = dump_front_matter({key: [value, value] for key, value in values.items()})
    assert yaml.safe_load(text.strip("-\n")) == {key: [value, value] for key, value in values.items()}
    assert text.count("\n---\n") == 1


@pytest.mark.parametrize("name", MADE)
def test_every_number_is_the_report_s(name):
    made = sample(method=MADE[name])
    body = split(render_card(made.report, TEXTS, made.lock))[1]
    overlap = made.report.overlap
    sources, experts, patterns, *parameters, files = tables(body)
    assert [sources[1][0], *sources[1][3:]] == ["base", "what all were trained from", "apache-2.0"]
    for row, other, expert in zip(sources[2:], experts[1:], made.report.experts, strict=True):
        counted = overlap.experts[expert.name]
        changed, density = grouped(counted.changed), percent(counted.density)
        assert [*row[:3], row[4]] == [expert.name, expert.source, expert.commit[:7], "apache-2.0"]
        if name.startswith("ram-unique"):
            brought = f"what it alone changed, {percent(counted.unique / overlap.elements)} of the weights"
            assert row[3].startswith(brought if made.report.method.expert == expert.name else "nothing")
        else:
            assert row[3].startswith(
                f"changed {density} of the weights, {percent(counted.unique / counted.changed)} of"
            )
        assert ("strengthened" in row[3]) == (counted.factor not in {None, 1.0})
        alone = [grouped(counted.unique), grouped(counted.shared), ratio(counted.rho)]
        alone += [ratio(counted.factor)] if counted.factor is not None else []
        assert other == [expert.name, changed, density, *alone]
    names = [expert.name for expert in made.report.experts]
    by_code = {
        " + ".join(n for n, mark in zip(names, code, strict=True) if mark == "1"): count
        for code, count in overlap.patterns.items()
    }
    changed = sum(count for name, count in by_code.items() if name)
    for who, count, share, of_changed in patterns[1:-1]:
        assert count == grouped(by_code[who])
        assert share == percent(by_code[who] / overlap.elements)
        assert of_changed == percent(by_code[who] / changed)
    assert len(patterns) == 1 + len(by_code)
    assert patterns[-1][:2] == ["nobody", grouped(by_code[""])]
    shown = {row[0]: row[1] for table in parameters for row in table[1:]}
    assert shown == {name: show_value(value) for name, value in made.report.method.parameters().items()}
    assert {row[0]: (row[1], row[2]) for row in files[1:]} == {
        name: (grouped(file.size), file.sha256) for name, file in made.report.output.files.items()
    }
    assert KEY in body


def test_links_lead_to_what_was_pinned():
    made = sample()
    card = render_card(made.report, TEXTS, made.lock, "https://hub.example/")
    for place, expert in enumerate(made.report.experts):
        assert f"(https://hub.example/{expert.source}/tree/{commit(place)})" in card
    assert "huggingface.co" not in card


def test_an_endpoint_without_https_is_not_linked():
    made = sample()
    card = render_card(made.report, TEXTS, made.lock, "http://127.0.0.1:8080")
    assert "127.0.0.1" not in card
    assert made.report.experts[0].source in card


def test_the_parts_are_in_order():
    made = sample()
    tokens = JUDGE.parse(split(render_card(made.report, TEXTS, made.lock))[1])
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert titles == [
        "Agent 7B",
        "Use it",
        "Merged from",
        "What the merge did",
        "Limits and risks",
        "Licence",
        "Reproduce it, bit for bit",
        "Provenance",
        "Citations",
    ]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (sample(), "94.5 % were changed by one expert alone"),
        (sample(counts=(10, 1, 1, 5, 0, 5, 5, 5)), "were changed by several experts"),
        (sample({"solo": "org/solo"}, (6, 4)), "60.0 % of the 10 weights were changed by nobody"),
        (sample(counts=(10,) + (0,) * 7), "No expert changed any of the 10 weights"),
        (sample({"a": "org/a", "b": "org/b"}, (10, 0, 0, 4)), "| a | 4 | 28.6 % | 0 | 4 | ∞ | 1.2 |"),
        (sample(method=Ram()), "lambda_t = 1\n"),
        (sample(method=RamPlusSmooth(r=0.5)), "| `r` | `0.5` |"),
        (sample(method=Average()), "An average over 3 cuts each of these changes to a third.\n"),
        (sample(method=Ties()), "An average over 3 would have cut each of these changes to a third.\n"),
        (sample(method=Ties(), counts=(10,) + (0,) * 7), "any of the 10 weights by more than 1e-05."),
        (sample({"solo": "org/solo"}, (6, 4), method=Dare()), "All others were changed by the expert.\n"),
        (sample({"solo": "org/solo"}, (6, 4), method=Dare()), "| `weight` | `1/N` |"),
        (sample(method=Ties(weight=WEIGHTS)), "| `weight` | `coder 0.5, tool 1.0, memory 0.25` |"),
        (many(6), "smaller combinations"),
    ],
    ids=[
        "alone",
        "shared",
        "one",
        "unchanged",
        "infinite",
        "ram",
        "ram+s",
        *("average", "ties", "ties-unchanged", "dare-one", "dare", "ties-weights"),
        "many",
    ],
)
def test_what_is_concluded(made, words):
    assert words in render_card(made.report, TEXTS, made.lock)


def test_the_snippet_knows_a_chat_template():
    made = sample(files={"chat_template.jinja": FileRecord(size=1, sha256="0" * 64)})
    snippets = [
        next(t.content for t in JUDGE.parse(render_card(m.report, TEXTS, m.lock)) if t.info == "python")
        for m in (made, sample())
    ]
    for snippet in snippets:
        compile(snippet, "card", "exec")
        assert 'repo = "my-org/agent-7b"' in snippet
    assert "if tokenizer.chat_template" not in snippets[0]
    assert "if tokenizer.chat_template" in snippets[1]


def test_the_same_card_every_time():
    made = sample()
    assert render_card(made.report, TEXTS, made.lock) == render_card(made.report, TEXTS, made.lock)
    later = made.report.model_copy(update={"cost": made.report.cost.model_copy(update={"bytes_read": 5})})
    assert render_card(later, TEXTS, made.lock) == render_card(made.report, TEXTS, made.lock)


def test_what_does_not_belong_together_is_refused():
    made, other = sample(), sample({"x": "org/x"}, (1, 1))
    with pytest.raises(DamagedError):
        render_card(made.report, TEXTS, other.lock)
    with pytest.raises(DamagedError):
        render_card(made.report.model_copy(update={"key": "sha256:" + "0" * 64}), TEXTS, made.lock)
    repo = made.report.output.model_copy(update={"repo": 'a/b"; import os; "'})
    with pytest.raises(DamagedError):
        render_card(made.report.model_copy(update={"output": repo}), TEXTS, made.lock)
    overlap = made.report.overlap.model_copy(update={"patterns": {"1x": 3}})
    with pytest.raises(DamagedError):
        render_card(made.report.model_copy(update={"overlap": overlap}), TEXTS, made.lock)


@pytest.mark.parametrize("licence", ["apache-2.0", "other", None, "llama3.1", "gpl-3.0"])
def test_the_hub_takes_the_card(licence):
    made = sample({"solo": "org/solo"}, (6, 4), cards={"base": CardFacts(license=licence, license_name="deepseek")})
    verdict = judge(render_card(made.report, CardTexts(), made.lock))
    assert verdict.errors == ()
    assert verdict.warnings == ()

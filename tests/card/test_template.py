"""Card templates of one's own: what they can do, what they cannot, and where they may be."""

import os
import re
from pathlib import Path

import pytest
import yaml
from card_samples import sample
from choice_samples import arm_sample
from scored_samples import with_modules, with_scores
from test_card import TEXTS, split
from test_writing import MANIFEST

from ramekin.card import confined, template
from ramekin.card.confined import render
from ramekin.card.rendering import render_card
from ramekin.card.template import CardTemplate, check_template, find_template, render_template
from ramekin.card.writing import write_card
from ramekin.errors import DamagedError, ManifestError, TemplateError
from ramekin.manifest.model import CardTexts
from ramekin.manifest.reading import read_manifest
from ramekin.markdown import HUB
from ramekin.report import CARD_TEMPLATE, REPORT_NAME

ROOT = Path(__file__).parents[2]
OURS = '{% extends "card/README.md.jinja" %}\n'
MADE = sample()


def values(made) -> dict:
    return {
        "report": made.report.model_dump(mode="json", by_alias=True),
        "texts": TEXTS.model_dump(mode="json"),
        "lock": made.lock.model_dump(mode="json", by_alias=True),
        "endpoint": HUB,
    }


def problem(text: str, made=MADE) -> tuple[str, int | None]:
    found = render(text, values(made))
    return found["problem"], found["line"]


@pytest.mark.parametrize(
    "made", [MADE, arm_sample(), with_scores(with_modules(sample()))], ids=["ram", "arm", "scores"]
)
def test_a_template_that_changes_nothing_is_our_card(made):
    body = render(OURS, values(made))["card"]
    card = render_card(made.report, TEXTS, made.lock)
    assert split(card)[1].strip("\n") == body.strip("\n")


def test_the_example_of_the_docs_works():
    text = (ROOT / "docs" / "card.md").read_text()
    examples = re.findall(r"```jinja\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    extending, alone = (render(example, values(with_scores())) for example in examples)
    assert "## Where it runs\n" in extending["card"]
    assert "## Use it\n" in extending["card"]
    assert "## Citations" not in extending["card"]
    assert alone["card"].startswith("# Agent 7B\n")
    assert "| coder | 11.4 % |" in alone["card"]


def test_every_block_and_variable_is_in_the_docs():
    text = (ROOT / "docs" / "card.md").read_text()
    ours = (ROOT / "templates" / "card" / "README.md.jinja").read_text()
    blocks = re.findall(r"{% block (\w+) %}", ours)
    assert blocks
    told = text.partition("## Write your own")[2]
    assert [block for block in blocks if f"`{block}`" not in told] == []
    made = with_scores()
    report, licence = confined.prepared(made.report, TEXTS, made.lock)
    names = confined.card_values(report, TEXTS, made.lock, licence, HUB)
    assert [name for name in names if f"`{name}" not in told] == []


def test_every_block_can_be_replaced_and_kept():
    text = (ROOT / "templates/card/README.md.jinja").read_text()
    blocks = [name for name in re.findall(r"{% block (\w+) %}", text) if name != "merge"]  # in which others are
    mine = "".join(f"{{% block {name} %}}MY {name} {{{{ title | text }}}}\n{{% endblock %}}" for name in blocks)
    assert [line for line in render(OURS + mine, values(MADE))["card"].splitlines() if line] == [
        *(f"MY {name} Agent 7B" for name in blocks[: blocks.index("choice")]),
        "## What the merge did",
        *(f"MY {name} Agent 7B" for name in blocks[blocks.index("choice") :]),
    ]
    kept = "".join(f"{{% block {name} %}}{{{{ super() }}}}{{% endblock %}}" for name in blocks)
    assert render(OURS + kept, values(MADE)) == render(OURS, values(MADE))


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("# A\n{{ nothing }}", "'nothing' is undefined", 2),
        ("# A\n\n{% if x %}", "cannot be read: Unexpected end of template", 3),
        ("{{ 'a' | shout }}", "No filter named 'shout'", 1),
        ("a\n{% frob %}", "unknown tag 'frob'", 2),
        (f"{OURS}{{% block title %}}\n\n{{{{ experts[9].name }}}}{{% endblock %}}", "has no element 9", 4),
        ("a\n{% include '../../etc/passwd' %}", "a template that there is not: ../../etc/passwd", 2),
        ("{% include '/etc/passwd' %}", "a template that there is not: /etc/passwd", 1),
        ("{% include 'card/nothing.jinja' %}", "a template that there is not", 1),
        ("{% import 'os' as os %}", "a template that there is not", 1),
        ("{% include 'card.md.jinja' %}", "nested too deeply", 1),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "nested too deeply", 1),
        ("{{ report.parse_file('/etc/passwd') }}", "'parse_file' of 'Report' object is unsafe", 1),
        ("{{ report['parse_raw']('') }}", "'parse_raw' of 'Report' object is unsafe", 1),
        ("{{ report | attr('model_validate_json') }}", "is unsafe", 1),
        ("{{ [report] | map(attribute='model_config') | first | length }}", "is unsafe", 1),
        ("{{ report.method.fields() }}", "is unsafe", 1),
        ("{{ report.__class__.__mro__ }}", "is unsafe", 1),
        ("{{ number.percent.__globals__ }}", "is unsafe", 1),
        ("{{ cycler.__init__.__globals__.os }}", "is unsafe", 1),
        ("{{ dict.mro() }}", "is unsafe", 1),
        ("{{ '{0.__class__}'.format(report) }}", "is unsafe", 1),
        ("{{ lipsum() }}", "'lipsum' is undefined", 1),
        ("{{ experts.append(1) }}", "has no attribute 'append'", 1),
        ("{{ figures.clear() }}", "is unsafe", 1),
        ("{% for i in range(200000) %}{% endfor %}", "Range too big", 1),
        ("{% for i in range(99999) %}0123456789abcdef{% endfor %}", "more than 1,000,000 characters", None),
        ("{{ 1 / 0 }}", "ZeroDivisionError", 1),
        ("{{ 'a' + 1 }}", "TypeError", 1),
        ("{{ " + "(" * 3000 + " }}", "nested too deeply", None),
    ],
)
def test_mistakes_have_their_line(text, words, line):
    what, where = problem(text)
    assert words in what
    assert where == line


def test_a_template_reads_nothing_but_ours(tmp_path):
    (tmp_path / "x.jinja").write_text("secret")
    for name in (f"{tmp_path}/x.jinja", f"../../../../../../../..{tmp_path}/x.jinja", "x.jinja"):
        assert "secret" not in str(render(f"{{% include {name!r} %}}", values(MADE)))


def in_process(text: str, **made: object) -> str:
    given = CardTemplate(Path("mine.jinja"), text.encode())
    return render_template(given, MADE.report, TEXTS, MADE.lock, HUB)


def test_a_process_of_its_own_renders_the_same():
    text = f"{OURS}{{% block use %}}\u00e9 {{{{ title | text }}}} \U0001f9c1\n{{% endblock %}}"
    assert in_process(text) == render(text, values(MADE))["card"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ 'a' * 10 ** 10 }}", "needs more memory than a card may"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "takes more time or memory"),
    ],
    ids=["multiplied", "endless"],
)
def test_what_does_not_end_is_ended(text, words, monkeypatch):
    monkeypatch.setattr(template, "_LONGEST", 1.2 if words.startswith("takes") else 60.0)
    with pytest.raises(TemplateError, match=words) as caught:
        in_process(text)
    assert caught.value.exit_code == 2
    assert caught.value.problems[0].path == Path("mine.jinja")


def test_nothing_secret_comes_near_a_template(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_the_parent")
    seen = {}
    run = template.subprocess.run

    def watch(command, **options):
        seen.update(options)
        return run(command, **options)

    monkeypatch.setattr(template.subprocess, "run", watch)
    assert in_process("plain") == "plain"
    assert "HF_TOKEN" not in seen["env"]
    assert not [value for value in seen["env"].values() if "hf_secret" in value]
    assert b"hf_secret" not in seen["input"]
    assert seen["cwd"] != os.fspath(Path.cwd())


def test_a_template_is_compiled_before_the_work():
    check_template(CardTemplate(Path("mine.jinja"), f"{OURS}{{{{ nothing }}}}".encode()))
    with pytest.raises(TemplateError, match=r"mine\.jinja:2: the card template cannot be read") as caught:
        check_template(CardTemplate(Path("mine.jinja"), b"\n{% if %}"))
    assert len(caught.value.problems) == 1
    with pytest.raises(TemplateError, match=r"mine\.jinja:3: the card template is not UTF-8"):
        check_template(CardTemplate(Path("mine.jinja"), b"a\nb\n\xff"))


@pytest.fixture
def merged(tmp_path):
    """A merged directory whose manifest names a template."""
    (tmp_path / "ramekin").mkdir()
    (tmp_path / REPORT_NAME).write_text(MADE.report.to_json())
    (tmp_path / "ramekin/merge.lock").write_text(MADE.lock.to_json())
    text = MANIFEST.format(title="'---'") + "  template: cards/mine.jinja\n"
    (tmp_path / "ramekin/merge.yaml").write_text(text)
    (tmp_path / CARD_TEMPLATE).write_text("---\nlicense: mit\n---\n# {{ title | text }}\n{{ method.name | text }}\n")
    return tmp_path


def test_a_merged_directory_has_its_template_with_it(merged):
    write_card(merged)
    card = (merged / "README.md").read_text()
    front = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    assert yaml.safe_load(front[1])["license"] == "apache-2.0"
    assert card[front.end() :] == "\n---\nlicense: mit\n---\n# \\---\nram+\n"
    write_card(merged)
    assert (merged / "README.md").read_text() == card
    assert sorted(path.name for path in (merged / "ramekin/plots").iterdir()) == ["density.svg", "overlap.svg"]
    write_card(merged, HUB, None)
    assert "## Use it" in (merged / "README.md").read_text()


def test_a_template_that_is_gone_is_no_reason_for_another_card(merged):
    (merged / CARD_TEMPLATE).unlink()
    with pytest.raises(DamagedError, match="does not exist"):
        write_card(merged)
    assert not (merged / "README.md").exists()


def test_who_merges_again_has_the_same_template(merged):
    found = find_template(read_manifest(merged / "ramekin/merge.yaml"))
    assert found
    assert found.path == merged / CARD_TEMPLATE
    (merged / REPORT_NAME).unlink()
    with pytest.raises(TemplateError, match="is not there"):
        find_template(read_manifest(merged / "ramekin/merge.yaml"))


def manifest(directory: Path, name: str):
    path = directory / "merge.yaml"
    path.write_text(MANIFEST.format(title="x") + f"  template: {name}\n")
    return read_manifest(path)


def test_a_template_beside_the_manifest_is_found(tmp_path):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards/mine.jinja").write_bytes(b"\xc3\xa9")
    (tmp_path / "link.jinja").symlink_to(tmp_path / "cards/mine.jinja")
    for name in ("cards/mine.jinja", "./cards/mine.jinja", "link.jinja"):
        found = find_template(manifest(tmp_path, name))
        assert found
        assert found.content == b"\xc3\xa9"
        assert found.record.size == 2
        assert found.record.sha256 == found.sha256
    assert find_template(read_manifest_without(tmp_path)) is None


def read_manifest_without(directory: Path):
    path = directory / "merge.yaml"
    path.write_text(MANIFEST.format(title="x"))
    return read_manifest(path)


@pytest.mark.parametrize("name", ["out", "up", "loop", "gone", "folder", "pipe", "large", "dangling"])
def test_what_is_no_template_is_refused_with_its_line(tmp_path, name):
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "secret").write_text("secret")
    (work / "out").symlink_to(tmp_path / "secret")
    (work / "up").symlink_to("..")
    (work / "loop").symlink_to("loop")
    (work / "dangling").symlink_to("nowhere")
    (work / "folder").mkdir()
    os.mkfifo(work / "pipe")
    (work / "large").write_bytes(b"x" * 100_001)
    loaded = manifest(work, "up/secret" if name == "up" else name)
    with pytest.raises(TemplateError) as caught:
        find_template(loaded)
    (found,) = caught.value.problems
    assert (found.path, found.line) == (work / "merge.yaml", loaded.lines["card.template"])
    assert "secret\n" not in found.what


@pytest.mark.parametrize("name", ["/etc/passwd", "../mine.jinja", "a/../../b", "~/mine.jinja", '"a\\nb"', '""', "a\\b"])
def test_a_path_that_leads_away_is_no_manifest(tmp_path, name):
    with pytest.raises(ManifestError, match=r"card\.template"):
        manifest(tmp_path, name)


def test_the_digest_is_of_the_content_and_not_of_the_name():
    plain, named = CardTexts(title="x"), CardTexts(title="x", template="a.jinja")
    assert plain.digest == named.digest == CardTexts(title="x", template="b.jinja").digest
    one, other = named.holding("1" * 64), named.holding("2" * 64)
    assert len({plain.digest, one.digest, other.digest}) == 3
    assert CardTexts(title="x", template="b.jinja").holding("1" * 64).digest == one.digest
    assert one.holding(None).digest == plain.digest
    assert one.model_copy().digest == one.digest

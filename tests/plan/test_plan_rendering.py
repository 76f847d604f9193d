"""The three forms of a plan: golden files, and what strangers' values must not do to them.

`UPDATE_GOLDEN=1 pytest tests/plan` writes the golden files anew; look at the difference before committing it.
"""

import json
import os
import re
from pathlib import Path

import pytest
from plan_samples import HOSTILE, READY, REFUSED, SAMPLES

from ramekin.checkpoint.findings import Finding
from ramekin.plan.model import Plan, PlannedMethod, Target
from ramekin.plan.quantities import count, duration, size
from ramekin.plan.rendering import prose, render_plan
from ramekin.plan.view import method_text

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize(("form", "ending"), [("text", "txt"), ("md", "md"), ("json", "json")])
def test_golden(sample: str, form: str, ending: str) -> None:
    shown = render_plan(SAMPLES[sample], form)
    path = GOLDEN / f"{sample}.{ending}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("sample", SAMPLES)
def test_text_fits_100_columns(sample: str) -> None:
    lines = render_plan(SAMPLES[sample], "text").splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_line_of_text_begins_with_what_a_source_says(sample: str) -> None:
    """A first line of each value stands behind a label or a mark, so that it is no workflow command."""
    for line in render_plan(SAMPLES[sample], "text").splitlines():
        assert not line.lstrip().startswith("::")
    words = REFUSED.model_copy(update={"reason": "::error::x " * 40})
    assert not re.search(r"^\s*::", render_plan(words, "text"), re.MULTILINE)


def test_errors_come_first() -> None:
    for form in ("text", "md"):
        shown = render_plan(REFUSED, form)
        assert shown.index("Problems") < shown.index("Sources")
        assert "num_hidden_layers" in shown
        assert "forbids derivatives" in shown


def test_markdown_of_strangers_stays_text() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(render_plan(HOSTILE, "md"))
    assert "<img" not in html
    assert "javascript:b)" in html
    assert 'href="javascript' not in html
    assert all(link.startswith("https://huggingface.co/") for link in re.findall(r'href="([^"]*)"', html))
    # No value opens or closes a column: every row of a table has as many cells as its head.
    for table in re.findall(r"<table>(.*?)</table>", html, re.DOTALL):
        rows = [row.count("</td>") + row.count("</th>") for row in table.split("</tr>")[:-1]]
        assert len(set(rows)) == 1


def test_json_is_one_object_that_reads_back() -> None:
    data = json.loads(READY.to_json())
    assert data["schema"] == 1
    assert data["hash"] == READY.hash
    assert data["findings"][0].keys() == {"severity", "role", "subject", "what", "hint"}
    del data["hash"]
    assert Plan.model_validate(data) == READY


def test_many_findings_are_cut_in_text_and_markdown_and_complete_in_json() -> None:
    findings = tuple(Finding("error", "expert:coder", f"tensor{n}x", "is missing", "hint") for n in range(1000))
    plan = REFUSED.model_copy(update={"findings": findings})
    assert "950 more" in render_plan(plan, "text")
    assert "800 more" in render_plan(plan, "md")
    assert len(json.loads(render_plan(plan, "json"))["findings"]) == 1000


def test_links_follow_the_endpoint() -> None:
    assert "https://hub.example/my-org/agent-7b" in render_plan(READY, "md", endpoint="https://hub.example")
    assert "](http" not in render_plan(READY, "md", endpoint="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("is `28` here", "is `28` here"),
        ("`a``b`", "`a` `b`"),
        ("a ` b", r"a \` b"),
        ("`a|b` c", r"<code>a\|b</code> c"),
        ("", ""),
    ],
)
def test_prose(value: str, shown: str) -> None:
    assert prose(value) == shown


def test_parameters_are_shown_as_a_manifest_has_them() -> None:
    def shown(**parameters: object) -> str:
        method = PlannedMethod.model_validate({"name": "dare", "parameters": parameters})
        return method_text(READY.model_copy(update={"method": method}))

    assert shown(drop_rate=0.5, seed=7, weight=None) == "dare (drop_rate 0.5, seed 7, weight 1/N)"
    assert shown(weight={"coder": 0.5, "tool": 1.0}, x=1) == "dare (weight (coder 0.5, tool 1.0), x 1)"
    assert shown(filter_wise=False) == "dare (filter_wise false)"
    assert shown() == "dare"


class TestHash:
    def test_ignores_texts_the_machine_and_the_path(self) -> None:
        other = READY.model_copy(update={"cost": None, "reason": "x", "manifest": "there/m.yaml", "changes": ()})
        assert other.hash == READY.hash

    @pytest.mark.parametrize(
        "change",
        [
            {"key": "sha256:" + "00" * 32},
            {"action": "card"},
            {"target": READY.target.model_copy(update={"head": "88" * 20})},
            {"target": READY.target.model_copy(update={"private": False})},
            {"target": Target(repo="my-org/agent-7b", exists=False, state="absent")},
            {"sources": READY.sources[:3]},
            {"sources": (READY.sources[0].model_copy(update={"license": "other"}), *READY.sources[1:])},
            {"findings": READY.findings[1:]},
            {"licence": READY.licence.model_copy(update={"licence": "mit"})},
            {"layout": READY.layout.model_copy(update={"files": 5})},
            {"method": READY.method.model_copy(update={"parameters": {"r": 0.2}})},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_changes_with_everything_that_matters(self, change: dict[str, object]) -> None:
        assert READY.model_copy(update=change).hash != READY.hash


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9994, "9.99 kB"),
        (9996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (15_242_713_120, "15.2 GB"),
    ],
)
def test_size(bytes_: int, shown: str) -> None:
    assert size(bytes_) == shown


def test_count_and_duration() -> None:
    assert [count(12), count(7_615_616_512)] == ["12", "7.62 B"]
    assert [duration(s) for s in (0, 59, 60, 3569, 3600, 7500)] == [
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "1 h",
        "2 h 5 min",
    ]


def test_every_key_of_the_json_form_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    data = json.loads(READY.to_json())
    nested = [data["target"], data["method"], data["layout"], data["cost"], data["licence"]]
    nested += [data["sources"][0], data["findings"][0], data["changes"][0], data["evaluation"]]
    for key in {*data, *(key for part in nested for key in part)}:
        assert f"`{key}`" in documented, key

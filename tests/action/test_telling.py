"""What people read, in every state: golden files, and what strangers' values must not do to it.

`UPDATE_GOLDEN=1 pytest tests/action/test_telling.py` writes them anew; look at the difference before committing it.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from acted_samples import HEAD, MANIFEST, PLAN, STATES, TRAPS, make_job
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ramekin.action.account import Account
from ramekin.action.event import CommentEvent, Event
from ramekin.action.telling import LONGEST, comment_text, summary_text
from ramekin.checkpoint.findings import Finding
from ramekin.errors import Problem, SourceError, UsageError
from ramekin.plan.model import Change, PlannedSource

GOLDEN = Path(__file__).parent / "golden"
JUDGE = MarkdownIt("gfm-like", {"linkify": False, "html": True})
TEXTS = st.sampled_from(TRAPS) | st.text(max_size=60)


@pytest.mark.parametrize("state", STATES)
def test_golden(state: str) -> None:
    shown = comment_text(make_job(), STATES[state])
    path = GOLDEN / f"{state}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


def test_every_golden_file_is_of_a_state() -> None:
    assert {path.stem for path in GOLDEN.glob("*.md")} == STATES.keys()


@pytest.mark.parametrize("state", STATES)
def test_it_is_whole_markdown(state: str) -> None:
    text = comment_text(make_job(), STATES[state])
    assert_harmless(text)
    assert "\n\n\n" not in text
    assert text.startswith("### ramekin: ")
    assert text.rstrip().endswith("</sub>")
    # The first screen says how it stands.
    assert re.search(r"^(📋|❌|💤|⏳|✅|⚠️|⏹️) \*\*", "\n".join(text.splitlines()[2:6]), re.MULTILINE)


def assert_harmless(text: str) -> None:
    """No element that is not ours, no mention, no reference, no link elsewhere, every table whole."""
    html = JUDGE.render(text)
    allowed = r"</?(h[1-6]|p|a|strong|em|code|ul|li|table|t[hdrb]|thead|tbody|details|summary|sub|br|blockquote|pre)\b"
    tags = re.findall(r"<[^>]*>", html)
    assert [tag for tag in tags if not re.match(allowed, tag)] == []
    links = re.findall(r'href="([^"]*)"', html)
    assert all(link.startswith(("https://github.com/", "https://huggingface.co/")) for link in links)
    assert html.count("<details>") == html.count("</details>")
    for table in re.findall(r"<table>(.*?)</table>", html, re.DOTALL):
        rows = [row.count("</td>") + row.count("</th>") for row in table.split("</tr>")[:-1]]
        assert len(set(rows)) == 1
    prose = re.sub(r"<code>.*?</code>|<[^>]*>", "", html, flags=re.DOTALL)
    assert not re.search(r"[@#](?=[A-Za-z0-9])(?<!&#)|GH-\d|https?://", prose), prose


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS)
def test_whatever_strangers_write_stays_text(what: str, name: str, value: str) -> None:
    path = Path("merges") / (name.replace("\0", "").replace("/", "") or "x")
    problem = Problem(what, value, path, 3)
    changes = (Change(subject=name, old=what, new=value),)
    wrong = Account(path, HEAD, "failed", error=UsageError(problems=[problem]), differences=changes)
    assert_harmless(comment_text(make_job(), wrong))
    finding = Finding("note", "expert:coder", name, what, value)
    source = PlannedSource(role=f"expert:{name}", source=what, commit="77" * 20, license=value, files=1, bytes=1)
    update = {"reason": what, "findings": (finding,), "sources": (PLAN.sources[0], source), "changes": changes}
    assert_harmless(comment_text(make_job(), Account(path, HEAD, plan=PLAN.model_copy(update=update))))


def test_the_summary_unfolds_what_a_comment_folds() -> None:
    job = make_job()
    assert summary_text(job, STATES["planned"]).replace(" when this pull request is merged", "") == comment_text(
        job, STATES["planned"]
    ).replace(" when this pull request is merged", "")
    assert "#### Sources" in summary_text(job, STATES["published"])
    assert "The plan</summary>" not in summary_text(job, STATES["published"])


def test_who_asked_by_a_comment_is_not_sent_to_another_workflow() -> None:
    comment = CommentEvent(1, "created", "/ramekin run --pr", "ann", "2026-03-04T05:06:07Z", 7, on_pull_request=True)
    job = make_job(Event("issue_comment", comment=comment))
    for state in ("failed", "failed-early", "cancelled", "changed"):
        assert "*Run workflow*" in comment_text(make_job(), STATES[state])
        text = comment_text(job, STATES[state])
        assert "*Run workflow*" not in text
        assert "`/ramekin " in text


class TestLong:
    findings = tuple(Finding("error", "expert:coder", f"tensor{n}é", "is missing" * 20, "hint") for n in range(400))
    account = replace(STATES["refused"], plan=STATES["refused"].plan.model_copy(update={"findings": findings}))

    def test_a_comment_is_cut_and_the_summary_is_not(self) -> None:
        job = make_job()
        text = comment_text(job, self.account, limit=20_000)
        assert 19_000 < len(text.encode()) <= 20_000
        assert_harmless(text)
        assert "… cut here: [the job's summary](https://github.com/acme/agents/actions/runs/4711) has the rest." in text
        assert f"plan <code>{self.account.plan.hash}</code>" in text
        assert len(summary_text(job, self.account).encode()) > 40_000
        assert "cut here" not in summary_text(job, self.account)

    @settings(max_examples=30)
    @given(st.integers(600, 10_000))
    def test_at_any_length(self, limit: int) -> None:
        text = comment_text(make_job(), STATES["published"], limit=limit)
        assert len(text.encode()) <= limit
        html = JUDGE.render(text)
        assert html.count("<details>") == html.count("</details>")

    def test_mark_and_comment_together_are_what_github_takes(self) -> None:
        marker = self.account.marker("")
        text = marker.to_mark() + comment_text(make_job(), self.account, limit=LONGEST - len(marker.to_mark()))
        assert len(text.encode()) <= LONGEST


def test_no_token_is_told_however_it_would_be_escaped() -> None:
    job = make_job()
    secret = "hf_" + "A_b*C" * 8
    job.runner.mask(secret)
    said = f"GitHub said {secret} and ghs_{'a' * 36}"
    account = replace(STATES["failed"], error=SourceError(said, said))
    for text in (comment_text(job, account), summary_text(job, account)):
        assert "GitHub said \\*\\*\\* and \\*\\*\\*" in text
        assert "A_b" not in text.replace("\\", "")
        assert "ghs" not in text


def test_links_only_lead_to_https() -> None:
    job = make_job(server_url="http://127.0.0.1:3000")
    for account in STATES.values():
        assert "](http:" not in comment_text(job, account)


def test_a_place_outside_of_the_repository_is_no_link() -> None:
    account = replace(STATES["wrong"], error=UsageError(problems=[Problem("x", "y", Path("/etc/passwd"), 3)]))
    assert "passwd" not in comment_text(make_job(), account)
    assert MANIFEST.as_posix() in comment_text(make_job(), account)

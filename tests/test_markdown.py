"""Hostile values stay text, with a CommonMark parser as the judge."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ramekin import markdown
from ramekin.markdown import code, commit_link, fence, https_url, link, paragraphs, plain, repo_link, text

JUDGE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
COMMIT = "0123456789abcdef0123456789abcdef01234567"

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "[a]: https://evil.example\n\n[a]",
    "`code` ``two`` ```three",
    "```\nfenced\n```",
    "a | b | c\n|---|---|\n| x | y |",
    "\u202eevil\u202c and \u2066more\u2069 \u200f",
    "x" * 100_000,
    "👩‍👩‍👧‍👦 emoji 🇩🇪 ok",
    "---\nlicense: mit\n---",
    "${{ secrets.HF_TOKEN }} {{ 7*7 }} {% raw %}",
    "::set-output name=a::b",
    "# heading\n## another",
    "> quote\n- list\n+ list\n* list\n1. list\n2) list",
    "1. first",
    "12) twelfth",
    "- item",
    "=====",
    "-----",
    "    indented code",
    "trailing backslash \\",
    "two spaces  \nbreak",
    "&lt;b&gt; &amp; &copy; &#64;user",
    "**bold** _italic_ ~~gone~~ ***both*** __b__",
    "$x^2$ and $$y$$ and \\(z\\) and \\[w\\]",
    "footnote[^1]\n\n[^1]: note",
    "<!-- comment",
    "<![CDATA[",
    "<?php",
    "<details><summary>x",
    "</details>",
    "\x00\x07\x1b[31mred\x1b[0m",
    "\ud800 lone",
    "",
    " ",
    "`",
    "``",
    "`a`",
    "|",
    "\\|",
    "\\",
    ":tada: :-- | --:",
]
MARKUP = st.text(
    alphabet=st.sampled_from([*"\\`*_[]()<>#+-=.!|~:&;@/$^{}\"' \t\n\r019abcGHw", "\u202e", "é", "😀"]), max_size=60
)
VALUES = st.one_of(st.sampled_from(HOSTILE), MARKUP, st.text(max_size=80))


def tokens_of(source: str) -> list[Token]:
    """All tokens, inline ones too, in order."""
    result = []
    for token in JUDGE.parse(source):
        result.append(token)
        result.extend(token.children or [])
    return result


def kinds(source: str) -> list[str]:
    return [token.type for token in tokens_of(source) if token.type not in {"text", "text_special", "inline"}]


def shown(source: str) -> str:
    """What a reader sees: text and code, without the zero-width breaks."""
    parts = [t.content for t in tokens_of(source) if t.type in {"text", "text_special", "code_inline", "softbreak"}]
    return "".join(parts).replace("\u200b", "")


@given(VALUES)
def test_text_is_one_paragraph_of_that_text(value):
    rendered = text(value)
    assert shown(rendered) == plain(value)
    assert kinds(rendered) == (["paragraph_open", "paragraph_close"] if plain(value) else [])


@given(VALUES)
def test_text_is_a_heading_of_that_text(value):
    rendered = f"# T {text(value)}"
    assert shown(rendered) == f"T {plain(value)}".strip()
    assert kinds(rendered) == ["heading_open", "heading_close"]


@given(VALUES)
def test_text_survives_before_a_line_that_could_underline_it(value):
    rendered = f"before\n{text(value)}\nafter"
    assert set(kinds(rendered)) <= {"paragraph_open", "paragraph_close", "softbreak"}


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=4))
def test_tables_keep_their_columns(rows):
    lines = ["| a | b | c |", "|---|---|---|", *(f"| {text(x)} | {code(y)} | {text(z)} |" for x, y, z in rows)]
    parsed = JUDGE.parse("\n".join(lines))
    assert parsed[0].type == "table_open"
    assert parsed[-1].type == "table_close"
    assert sum(t.type == "tr_open" for t in parsed) == 1 + len(rows)
    assert sum(t.type == "td_open" for t in parsed) == 3 * len(rows)
    cells = [t for t in parsed if t.type == "inline"][3:]
    seen = ["".join(c.content for c in t.children if c.type != "html_inline").replace("\u200b", "") for t in cells]
    assert seen == [plain(value) for row in rows for value in row]
    for cell in cells:
        assert {c.type for c in cell.children} <= {"text", "text_special", "code_inline", "html_inline"}
        assert {c.content for c in cell.children if c.type == "html_inline"} <= {"<code>", "</code>"}


@given(VALUES)
def test_code_is_that_code_in_running_text(value):
    rendered = f"see {code(value)} here"
    assert shown(rendered).split() == ["see", *plain(value).split(), "here"]
    html = [t.content for t in tokens_of(rendered) if t.type == "html_inline"]
    assert html == (["<code>", "</code>"] if "|" in plain(value) else [])
    assert set(kinds(rendered)) <= {"paragraph_open", "paragraph_close", "code_inline", "html_inline"}


@given(VALUES, st.sampled_from(["", "text", "bibtex", "a b", "x`", "<b>"]))
def test_fences_hold_exactly_one_block(value, language):
    rendered = f"before\n\n{fence(value, language)}\n\nafter"
    blocks = [t for t in JUDGE.parse(rendered) if t.type == "fence"]
    assert kinds(rendered) == ["paragraph_open", "paragraph_close", "fence", "paragraph_open", "paragraph_close"]
    assert blocks[0].info in {"", "text", "bibtex"}
    assert not re.search("[\u202e\x00\x1b]", blocks[0].content)


def test_a_fence_keeps_lines_and_indentation():
    block = next(t for t in JUDGE.parse(fence("a\r\n    b\n\tc\n\n", "python")) if t.type == "fence")
    assert block.content == "a\n    b\n\tc\n"
    assert block.info == "python"


@given(VALUES)
def test_paragraphs_make_paragraphs_only(value):
    rendered = paragraphs(value)
    assert set(kinds(rendered)) <= {"paragraph_open", "paragraph_close"}
    assert kinds(rendered).count("paragraph_open") <= len(
        re.split(r"\s*\n\s*\n|\r|\x0b|\x0c|\x85|\u2028|\u2029", value)
    )


def test_paragraphs_are_divided_at_blank_lines():
    assert paragraphs("one\ntwo\n \nthree *x*\r\n\r\n- four") == "one two\n\nthree \\*x\\*\n\n\\- four"


@given(VALUES, VALUES)
def test_a_link_leads_to_https_or_is_no_link(label, url):
    rendered = link(label, url)
    opened = [t for t in tokens_of(rendered) if t.type == "link_open"]
    assert all(str(t.attrs["href"]).startswith("https://") for t in opened)
    assert shown(rendered) == plain(label)
    assert set(kinds(rendered)) <= {"paragraph_open", "paragraph_close", "link_open", "link_close"}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "http://huggingface.co",
        "data:text/html,x",
        "//evil.example",
        "https://",
        "https://user:secret@evil.example",
        "https://evil.example\\@huggingface.co",
        "https://a b",
        "https://ex\u202eample.org",
        "https://[::1",
        "https://" + "x" * 3000,
        "",
    ],
)
def test_addresses_that_get_no_link(url):
    assert https_url(url) is None
    assert link("label", url) == "label"


def test_an_address_arrives_as_it_was_written():
    url = "https://example.org/a_(b)?x=1&copy=2#ü"
    anchor = next(t for t in tokens_of(link("the *label*", url)) if t.type == "link_open")
    assert anchor.attrs["href"] == "https://example.org/a_%28b%29?x=1&copy=2#%C3%BC"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ping @octocat and @org/team", "ping @&#8203;octocat and @&#8203;org/team"),
        ("fixes #123, org/repo#4, GH-5", "fixes \\#&#8203;123, org/repo\\#&#8203;4, GH-&#8203;5"),
        ("see https://evil.example", "see https:&#8203;//evil.example"),
        ("www.evil.example", "www&#8203;.evil.example"),
        ("a@b.example", "a@&#8203;b.example"),
        ("mailto:a@b.example", "mailto:&#8203;a@&#8203;b.example"),
        (":tada:", "\\:&#8203;tada:"),
        ("$x$", "&#36;&#8203;x&#36;&#8203;"),
        ("Agent 7B: C# and F#, 50 $", "Agent 7B: C\\# and F\\#, 50 &#36;&#8203;"),
    ],
)
def test_what_a_forge_would_link_is_broken(value, expected):
    assert text(value) == expected


def test_long_values_are_cut():
    assert len(text("x" * 100_000)) == markdown.LONGEST_TEXT
    assert text("abcdef", 4) == "abc…"
    assert len(fence("`" * 100_000)) < 4 * markdown.LONGEST_BLOCK


def test_ids_are_linked_only_where_they_are_ids():
    assert repo_link("org/a_b") == "[org/a\\_b](https://huggingface.co/org/a_b)"
    assert repo_link("./local/dir") == "`./local/dir`"
    assert repo_link("org/name/../../evil") == "`org/name/../../evil`"
    assert repo_link("org/name", "http://127.0.0.1:8080") == "org/name"
    assert commit_link("org/name", COMMIT) == f"[`0123456`](https://huggingface.co/org/name/tree/{COMMIT})"
    assert commit_link("./dir", COMMIT) == "`0123456`"
    assert commit_link("org/name", "main`") == "`` main` ``"
    assert (
        commit_link("org/name", COMMIT, "https://hub.example/")
        == f"[`0123456`](https://hub.example/org/name/tree/{COMMIT})"
    )

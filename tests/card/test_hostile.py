"""Hostile values in every free field: the front matter means what was meant, tables keep columns, nothing acts."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_values import VALUES, Pick, calm, card_of, everything, rotated
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from ramekin.card.front_matter import front_matter
from ramekin.card.rendering import render_card
from ramekin.hub import Hub, serve
from ramekin.hub import threads as hub_threads
from ramekin.hub.cards import judge
from ramekin.hub.records import DEFAULT_BRANCH
from ramekin.hub.rendering import Place, render_markdown
from ramekin.hub.repository import Note
from ramekin.licences.inheritance import Claim, claims_of, inherit
from ramekin.manifest.model import Manifest
from ramekin.markdown import https_url, plain
from ramekin.publish.telling import Background, ready_text, wrong_text

FRONT = re.compile(r"---\n(.*?\n)---\n", re.DOTALL)
PLACE = Place("/org/name", "main")
LEFT_OUT = {"br", "code", "p", "span"}


class Page(HTMLParser):
    """What a page is made of: its elements, where links lead, and the cells of every row.

    Paragraphs are left out, since a summary may have several, and code, since an empty value is none.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.skeleton: list[str] = []
        self.targets: set[str] = set()
        self.tables: list[list[int]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.skeleton += [tag] if tag not in LEFT_OUT else []
        self.targets |= {f"{name}={value}" for name, value in attrs if name in {"href", "src"}}
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in {"td", "th"}:
            self.tables[-1][-1] += 1

    def handle_endtag(self, tag: str) -> None:
        self.skeleton += [f"/{tag}"] if tag not in LEFT_OUT else []


def parts(card: str) -> tuple[str, Page]:
    found = FRONT.match(card)
    assert found
    return found[1], Page(render_markdown(card[found.end() :], PLACE))


def first_difference(one: list[str], other: list[str]) -> tuple[list[str], list[str]] | None:
    """Where two lists part, in short: a comparison of whole pages takes long to show."""
    place = next((n for n, (a, b) in enumerate(zip_longest(one, other)) if a != b), None)
    return None if place is None else (one[place - 3 : place + 5], other[place - 3 : place + 5])


@pytest.fixture(scope="module")
def still() -> Page:
    """The page of a card that nobody would mind."""
    made, texts = card_of(calm)
    return parts(render_card(made.report, texts, made.lock))[1]


@pytest.mark.parametrize("start", range(len(VALUES)))
def test_a_card_with_hostile_values_in_every_field(start: int, still: Page) -> None:
    made, texts = card_of(rotated(start))
    card = render_card(made.report, texts, made.lock)
    assert len(card) < 120_000
    front, page = parts(card)
    meant = dict(front_matter(made.lock, texts, inherit(claims_of(made.lock), "mit"), made.report.method.name))
    assert yaml.safe_load(front) == YAML(typ="safe", pure=True).load(front) == meant
    assert [*meant.get("language", ())] == [value for value in [plain((texts.language or ("",))[0])] if value]
    assert meant["license"] == "mit"
    # Our readers bound how many brackets may be open, wherever they stand; `declared_in` lets no such value in.
    assert judge(card).errors == () or max(map(front.count, "[{")) > 50
    assert first_difference(page.skeleton, still.skeleton) is None
    assert page.targets == still.targets
    assert page.tables == still.tables
    assert all(len({*rows}) == 1 for rows in page.tables)
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x1b\x00\ud800-\udfff]", card)


def test_a_link_to_a_licence_leads_to_https_or_nowhere() -> None:
    for value in VALUES:
        licence = inherit([Claim("base", "org/base", "other", "house rules", value), Claim("expert:a", "org/a", "mit")])
        assert licence.license_name == "house rules"
        assert licence.license_link == https_url(value)
        assert licence.license_link is None or re.fullmatch(r"https://[^\s\"'<>]+", licence.license_link)


def said(pick: Pick) -> str:
    """The comment on a pull request, and the one on a pull request that does not verify."""
    made, texts = card_of(pick)
    before, _ = card_of(lambda field: pick(f"published {field}"))
    sources = {"base": "org/base", "experts": {name: f"org/{name}" for name in made.lock.experts}}
    whole = Manifest.model_validate(
        {"version": 1, "method": {"name": "ram"}, "output": {"repo": "org/name"}} | sources
    ).model_copy(update={"card": texts})
    background = Background(whole, made.lock, before.report)
    wrong = dict.fromkeys((pick("file"), pick("other file")), "is missing")
    texts_of_both = (
        ready_text("https://huggingface.co", "refs/pr/1", "0" * 40, made.report, background),
        wrong_text("0" * 40, made.report, wrong),
    )
    assert all(len(text) <= 50_000 for text in texts_of_both)
    return "\n\n".join(texts_of_both)


def test_a_comment_with_hostile_values_in_every_field() -> None:
    calmly = Page(render_markdown(said(calm), PLACE))
    assert calmly.tables
    for start in range(len(VALUES)):
        page = Page(render_markdown(said(rotated(start)), PLACE))
        assert first_difference(page.skeleton, calmly.skeleton) is None, start
        assert (page.targets, page.tables) == (calmly.targets, calmly.tables), start


# In a browser


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def browser(hub: Hub, tmp_path: Path) -> Iterator[Any]:
    """Chromium, signed in."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs chromium and chromedriver (on Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    running = webdriver.Chrome(options=options, service=Service(driver))
    running.get(hub.browse("/"))
    yield running
    running.quit()


WATCH = """<script>
window.ran = [];
for (const name of ["alert", "confirm", "prompt", "open"]) window[name] = (...given) => { window.ran.push(name) };
</script>"""
SEEN = """return {
  ran: window.ran || [],
  asked: performance.getEntriesByType("resource").map(one => one.name),
  acting: [...document.querySelectorAll("*")].filter(one =>
    [...one.attributes].some(found => /^on|^srcdoc=|^style=(?!text-align:)/i.test(found.name + "=" + found.value)) ||
    /^(script|iframe|object|embed|form|button|base|meta|link|style|svg|input|video|audio)$/i.test(one.tagName)
  ).filter(one => !one.closest("head")).map(one => one.outerHTML.slice(0, 100)),
  links: [...document.links].map(one => one.href),
}"""


@pytest.mark.browser
def test_in_a_browser_nothing_runs_and_nothing_is_asked_for(browser: Any, hub: Hub, tmp_path: Path) -> None:
    made, texts = everything()
    card = render_card(made.report, texts, made.lock)
    comment = said(rotated(0))
    found = hub.store.create_repo("demo/loud")
    hub.store.commit("demo/loud", {"README.md": card.encode("utf-8", "replace")})
    thread = hub_threads.open_thread(found, Note("A pull request", comment, "demo"), base=found.resolve(DEFAULT_BRANCH))
    for path in ("demo/loud", f"demo/loud/discussions/{thread.num}"):
        browser.get(f"{hub.url}/{path}")
        seen = browser.execute_script(SEEN)
        assert len(browser.find_elements("css selector", ".prose td")) > 20
        assert all(address.startswith(hub.url) for address in seen["asked"]), seen["asked"]
        assert seen["acting"] == []
        assert browser.execute_script("return window.ran") is None
    # The same without a Hub that cleans up behind us and forbids scripts: what is written is harmless by itself.
    for number, text in enumerate((FRONT.sub("", card, count=1), comment)):
        bare = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
        page = tmp_path / f"{number}.html"
        page.write_text(f"<!doctype html><meta charset=utf-8>{WATCH}<body>{bare}</body>", errors="replace")
        browser.get(page.as_uri())
        for summary in browser.find_elements("css selector", "summary"):
            browser.execute_script("arguments[0].click()", summary)
        seen = browser.execute_script(SEEN)
        assert seen["ran"] == []
        assert all("/ramekin/plots/" in address for address in seen["asked"]), seen["asked"]
        assert seen["acting"] == []
        assert all(re.match(r"https://huggingface\.co/|file:///.*/ramekin/", link) for link in seen["links"])

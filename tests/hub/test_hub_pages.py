"""The pages in a real browser: they show what is there, and nothing that a stranger wrote runs in them."""

import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hub_sample import fill

from ramekin.hub import Hub, serve
from ramekin.hub.rendering import Place, render_differences, render_markdown, render_source

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1300,1400"
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(tmp_path_factory.mktemp("hub")) as hub:
        fill(hub.store)
        yield hub


@pytest.fixture(scope="module")
def browser(filled: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, signed in."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs chromium and chromedriver (on Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    running = webdriver.Chrome(options=options, service=Service(driver))
    running.get(filled.browse("/"))
    yield running
    running.quit()


def texts(browser: Any, selector: str) -> list[str]:
    return [found.text for found in browser.find_elements("css selector", selector)]


@pytest.mark.browser
def test_the_card(browser: Any, filled: Hub) -> None:
    browser.get(f"{filled.url}/demo/agent-7b")
    assert texts(browser, ".prose h1") == ["Agent 7B"]
    assert texts(browser, ".prose table:first-of-type tbody tr:nth-child(2) td")[1:4] == [
        "demo/coder-7b",
        "89ab012",
        "12,345,678",
    ]
    plot = browser.find_element("css selector", '.prose img[alt="Overlap of the experts"]')
    assert browser.execute_script("return [arguments[0].complete, arguments[0].naturalWidth]", plot) == [True, 640]
    assert [box.is_selected() for box in browser.find_elements("css selector", ".prose input")] == [True, False]
    assert len(browser.find_elements("css selector", ".prose details summary")) == 1
    assert texts(browser, ".prose pre .kn")[0] == "from"
    assert "demo/coder-7b" in texts(browser, ".lineage a")
    assert "apache-2.0" in texts(browser, ".pairs dd")
    assert "private" in texts(browser, ".badge")


@pytest.mark.browser
def test_columns_are_aligned_as_the_card_says(browser: Any, filled: Hub) -> None:
    browser.get(f"{filled.url}/demo/agent-7b")
    cells = browser.find_elements("css selector", ".prose table:first-of-type tbody tr:first-child td")
    aligned = [cell.value_of_css_property("text-align") for cell in cells]
    assert [value.removeprefix("-webkit-") for value in aligned[:5]] == ["start", "start", "start", "right", "right"]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Any, filled: Hub, scheme: str) -> None:
    wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    browser.get(f"{filled.url}/demo/agent-7b")
    sheet = browser.find_element("css selector", ".sheet").value_of_css_property("background-color")
    red = int(sheet.partition("(")[2].partition(",")[0])
    assert (red > 200) == (scheme == "light")
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.browser
def test_files_and_commits(browser: Any, filled: Hub) -> None:
    browser.get(f"{filled.url}/demo/agent-7b/tree/main")
    assert texts(browser, ".file-name a") == [
        "ramekin",
        ".gitattributes",
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    entry = filled.store.get("demo/agent-7b").tree(filled.store.get("demo/agent-7b").resolve("main"))[
        "model.safetensors"
    ]
    digests = [found.get_attribute("title") for found in browser.find_elements("css selector", ".digest")]
    assert digests[-1] == entry.sha256
    assert "14.7 kB" in texts(browser, ".files .number")
    browser.find_element("partial link text", "History").click()
    assert texts(browser, ".timeline .commit-title") == [
        "Say what comes next",
        "Merge coder and tool with ram+",
        "initial commit",
    ]
    browser.find_element("link text", "Say what comes next").click()
    assert texts(browser, ".source .gi")[-1] == "+More to come."
    browser.get(f"{filled.url}/demo/agent-7b/blob/main/model.safetensors")
    assert len(texts(browser, ".files tbody tr")) == 13
    assert entry.sha256 in texts(browser, ".properties dd")
    browser.get(f"{filled.url}/demo/agent-7b/blob/main/ramekin/plots/overlap.svg")
    shown = browser.find_element("css selector", ".stage img")
    assert browser.execute_script("return arguments[0].naturalWidth", shown) == 640


@pytest.mark.browser
def test_a_hostile_card_does_nothing(browser: Any, filled: Hub) -> None:
    browser.get(f"{filled.url}/demo/hostile")
    assert texts(browser, ".prose h1") == ["Hostile"]
    browser.find_element("id", "bad").click()
    assert browser.title.startswith("demo/hostile")
    assert browser.current_url == f"{filled.url}/demo/hostile"
    for selector in ("script", "iframe", "form", "button", ".prose svg", "[onclick]", "[onerror]", "[style]"):
        assert browser.find_elements("css selector", selector) == []
    for name in ("evil.svg", "page.html"):
        browser.get(f"{filled.url}/demo/hostile/resolve/main/{name}")
        assert browser.title != "owned"
        assert texts(browser, "pre") == (["<script>alert(1)</script>"] if name == "page.html" else [])


def test_pages_ask_for_no_scripts_and_files_may_only_draw(filled: Hub) -> None:
    import httpx2

    with httpx2.Client(base_url=filled.url, headers={"Authorization": f"Bearer {filled.token}"}) as client:
        page = client.get("/demo/agent-7b")
        assert "script" not in page.headers["content-security-policy"].replace("default-src 'none'", "")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["x-content-type-options"] == "nosniff"
        plot = client.get("/demo/agent-7b/resolve/main/ramekin/plots/overlap.svg")
        assert plot.headers["content-type"] == "image/svg+xml"
        assert "sandbox" in plot.headers["content-security-policy"]
        assert client.get("/demo/hostile/resolve/main/page.html").headers["content-type"].startswith("text/plain")


def test_every_page_answers(filled: Hub) -> None:
    import httpx2

    commit = filled.store.get("demo/agent-7b").resolve("main").id
    pages = {
        "/": "agent-7b",
        "/demo": "hostile",
        "/demo/agent-7b/tree/main/ramekin/plots": "overlap.svg",
        f"/demo/agent-7b/commit/{commit}": "More to come.",
        "/demo/agent-7b/blob/main/config.json": "Qwen2ForCausalLM",
        "/demo/agent-7b/blob/main/README.md": "Agent 7B",
        "/demo/agent-7b/discussions": "No discussions",
    }
    with httpx2.Client(base_url=filled.url, headers={"Authorization": f"Bearer {filled.token}"}) as client:
        for path, text in pages.items():
            answer = client.get(path)
            assert (answer.status_code, text in answer.text) == (200, True), path
        assert client.get("/demo/nothing").status_code == 404
        assert "not there" in client.get("/demo/agent-7b/tree/nothing").text


def test_private_pages_are_for_those_who_signed_in(filled: Hub) -> None:
    import httpx2

    with httpx2.Client(base_url=filled.url, follow_redirects=True) as client:
        assert "agent-7b" not in client.get("/").text
        assert client.get("/demo/agent-7b").status_code == 401
        assert client.get("/_signin?key=wrong&next=/").status_code == 403
        assert client.get(filled.browse("/demo/agent-7b")).status_code == 200
        assert client.get("/demo/agent-7b/resolve/main/config.json").status_code == 200
        assert client.delete("/api/models/demo/agent-7b/tag/v1").status_code == 401, "a cookie must not write"
        assert client.get(filled.browse("//elsewhere.invalid/")).url.path == "/"


class Seen(HTMLParser):
    """Tags and attributes as a browser would find them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize(
    "text",
    [
        '<a href="java\nscript:alert(1)">x</a>',
        '<a href="  javascript:alert(1)">x</a>',
        '<a href="data:text/html,<script>alert(1)</script>">x</a>',
        "<img src=x onerror=alert(1)//",
        "<svg><a xlink:href=javascript:alert(1)>x</a></svg>",
        "<math><mtext><style><img src onerror=alert(1)></style></mtext></math>",
        '<div style="background:url(javascript:alert(1))">x</div>',
        "[x](vbscript:alert(1))",
        "![x](javascript:alert(1))",
        "`<script>alert(1)</script>`",
        "```html\n<script>alert(1)</script>\n```",
        "<details ontoggle=alert(1) open>x</details>",
        "<http://[::1>",
        '<a href="http://[">x</a>',
    ],
)
def test_nothing_that_acts_survives(text: str) -> None:
    seen = Seen()
    seen.feed(render_markdown(text, Place("/o/n", "main")))
    assert not {"script", "style", "svg", "math", "iframe", "object", "embed", "form"} & seen.tags
    for name, value in seen.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in ("href", "src"):
            assert value.startswith(("/", "#", "http://", "https://", "mailto:")), value


def test_relative_links_stay_in_the_repository() -> None:
    place = Place("/o/n", "refs/pr/1", "docs")
    html = render_markdown("[a](b.md#c) ![d](../../../e f.svg) <img src='g.png'> [h](#i) [j](/k)", place)
    assert 'href="/o/n/blob/refs%2Fpr%2F1/docs/b.md#c"' in html
    assert 'src="/o/n/resolve/refs%2Fpr%2F1/docs/g.png"' in html
    assert 'href="#i"' in html
    assert 'href="/k"' in html
    assert "src" not in render_markdown("![a](b.png)")


def test_sources_and_differences_are_escaped() -> None:
    assert "<b>" not in render_source("x = '<b>'", "a.py")
    assert "<b>" not in render_source("<b>", "a.unknown")
    assert render_differences("+<b>\n-c") == '<span class="gi">+&lt;b&gt;</span>\n<span class="gd">-c</span>\n'

"""Texts of strangers as HTML: cards, comments and source files. What can act, scripts above all, does not pass."""

import posixpath
import re
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.gfm import gfm_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

_ALIGN: Final = re.compile(r"text-align:(left|right|center)")
#: Classes that our own rendering writes: languages, syntax, task lists, alerts, footnotes.
_CLASSES: Final = re.compile(
    r"language-[\w+-]+|[a-z]{1,3}\d?|task-list-item|task-list-item-checkbox|contains-task-list"
    r"|markdown-alert(-\w+)?|footnote[\w-]*"
)
_TAGS: Final = frozenset(nh3.ALLOWED_TAGS | {"input", "section", "tfoot"})
_SCHEMES: Final = frozenset({"http", "https", "mailto"})


@dataclass(frozen=True)
class Place:
    """Where a text stands, for its relative links.

    Attributes:
        web: Path of the repository's page.
        revision: Revision that is looked at.
        folder: Folder of the file, without slashes around it.
    """

    web: str
    revision: str
    folder: str = ""

    def link(self, kind: str, target: str) -> str:
        """The address of a file of the repository: `resolve` for its content, `blob` for its page."""
        parts = urlsplit(target)
        path = posixpath.normpath(posixpath.join("/", self.folder, unquote(parts.path))).lstrip("/")
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        return f"{self.web}/{kind}/{quote(self.revision, safe='')}/{quote(path)}{fragment}"


def render_markdown(text: str, place: Place | None = None) -> str:
    """GitHub-flavoured Markdown as HTML that is safe to show.

    Args:
        text: The Markdown, which may hold HTML.
        place: Where relative links lead; without one they are taken out.
    """
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _highlighted})
    parser.use(gfm_plugin).use(anchors_plugin, min_level=1, max_level=4)
    tokens = parser.parse(text)
    for token in tokens:
        # Alignment of columns as an attribute: the pages allow no inline styles.
        aligned = _ALIGN.fullmatch(str(token.attrs.pop("style", "")))
        if aligned:
            token.attrSet("align", aligned.group(1))
    return sanitise(parser.renderer.render(tokens, parser.options, {}), place)


def sanitise(html: str, place: Place | None = None) -> str:
    """HTML with nothing left in it that can act, and with its relative links led into the repository."""
    attributes = deepcopy(nh3.ALLOWED_ATTRIBUTES)
    attributes["*"] = {"class", "id", "title", "dir", "lang"}
    attributes["input"] = {"checked"}
    attributes["details"] = {"open"}
    for tag in ("p", "div", "h1", "h2", "h3"):
        attributes[tag] = {"align"}

    def checked(tag: str, name: str, value: str) -> str | None:
        if name == "class":
            return " ".join(word for word in value.split() if _CLASSES.fullmatch(word)) or None
        if tag == "a" and name == "href":
            return _led(value, place, "blob")
        if tag == "img" and name == "src":
            return _led(value, place, "resolve")
        return value

    return nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=attributes,
        attribute_filter=checked,
        url_schemes=set(_SCHEMES),
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"input": {"type": "checkbox", "disabled": ""}},
    )


def _led(target: str, place: Place | None, kind: str) -> str | None:
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or target.startswith(("#", "/")):
        return target  # an address of its own; its scheme is checked by the sanitiser
    return place.link(kind, target) if place else None


def _highlighted(code: str, language: str, _: str) -> str:
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def render_source(text: str, name: str) -> str:
    """A source file, line by line, with the colours of its language."""
    try:
        lexer = get_lexer_for_filename(name, stripnl=False)
    except ClassNotFound:
        lexer = get_lexer_by_name("text", stripnl=False)
    return str(highlight(text, lexer, HtmlFormatter(nowrap=True)))


def render_differences(text: str) -> str:
    """Differences in git's form, with the colours of added and removed lines."""
    kinds = {"+": "gi", "-": "gd", "@": "gu", "d": "gh"}
    rows = []
    for line in text.splitlines():
        kind = "gh" if line.startswith(("+++", "---")) else kinds.get(line[:1], "")
        rows.append(f'<span class="{kind}">{escape(line)}</span>\n' if kind else f"{escape(line)}\n")
    return "".join(rows)

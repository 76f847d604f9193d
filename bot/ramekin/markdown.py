"""Values that strangers wrote, made safe for Markdown that GitHub and the Hub render.

Whatever a value holds, it stays the text it is: no element arises from it, no table loses a column, nobody is
mentioned, no issue is linked, no front matter begins, no text runs backwards. Every filter takes any string and raises
nothing. GitHub looks for mentions, references and addresses in the text it has already rendered, where an escaped
character is as good as a plain one; they are therefore broken by a zero-width space.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

HUB: Final = "https://huggingface.co"
LONGEST_TEXT: Final = 1_000
LONGEST_BLOCK: Final = 60_000

# Controls other than white space, lone surrogates, and everything that is invisible or changes the direction of the
# text. The two joiners stay: emoji and several scripts need them. Written out, so that all Python versions agree.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_BREAKS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_MENTION: Final = re.compile(r"([@#])(?=\w)|\b([Gg][Hh]-)(?=\d)")
_ADDRESS: Final = re.compile(r":(?=//)|\b(?:[Ww]{3})(?=\.)|(?<=\bmailto):|(?<=\bxmpp):")
_SHORTCODE: Final = re.compile(r":(?=[A-Za-z0-9_+-]+:)")
_FORMULA: Final = re.compile(r"\$|\\(?=[(\[])")
_SPECIAL: Final = re.compile(r"[\\`*_\[\]#|~!]")
_LEADING: Final = re.compile(r"^(?=[-+=:])|^(\d{1,9})(?=[.)](?:\s|$))")
_ZERO_WIDTH: Final = "\u200b"

# The rules for ids on the Hub; what does not fit them gets no link.
_REPO: Final = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(?::\d{1,5})?")
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+-]{1,20}")


def plain(value: object, limit: int = LONGEST_TEXT) -> str:
    """What `text` and `code` let a reader see: one line, printable, white space folded, at most `limit` characters."""
    line = " ".join(_UNSEEN.sub("", str(value)).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def text(value: object, limit: int = LONGEST_TEXT) -> str:
    """A value as running text on one line, for a paragraph, a heading or a table cell.

    Args:
        value: Anything; `str` of it is taken.
        limit: Longest text in characters before escaping; what is longer ends in an ellipsis.
    """
    return _escape(plain(value, limit))


def paragraphs(value: object, limit: int = LONGEST_BLOCK) -> str:
    """A value as paragraphs of running text, divided at its blank lines."""
    whole = _BREAKS.sub("\n", str(value))
    parts = (plain(part, limit) for part in re.split(r"\n[^\S\n]*\n", whole[:limit]))
    return "\n\n".join(_escape(part) for part in parts if part)


def code(value: object, limit: int = LONGEST_TEXT) -> str:
    """A value as inline code, whose fence is longer than any run of backticks in it.

    A table ends a cell at a bar even inside of code, and only a table takes back a backslash before it. With a bar in
    it the value is therefore written as an HTML element, which reads the same in both places.
    """
    content = plain(value, limit)
    if not content:
        return ""
    if "|" in content:
        return f"<code>{_escape(content)}</code>"
    ticks = "`" * (_longest_run(content) + 1)
    space = " " if "`" in (content[0], content[-1]) else ""
    return f"{ticks}{space}{content}{space}{ticks}"


def fence(value: object, language: str = "", limit: int = LONGEST_BLOCK) -> str:
    """A value as a block of code, fenced by more backticks than it has in a row. Starts on a line of its own."""
    content = _UNSEEN.sub("", _BREAKS.sub("\n", str(value))).rstrip("\n")
    if len(content) > limit:
        content = content[: limit - 1] + "…"
    ticks = "`" * max(3, _longest_run(content) + 1)
    known = language if _LANGUAGE.fullmatch(language) else ""
    return f"{ticks}{known}\n{content}\n{ticks}"


def link(label: object, url: object) -> str:
    """A link, or the label alone where the address is not plain https."""
    return _anchor(text(label), str(url))


def repo_link(repo_id: object, endpoint: str = HUB) -> str:
    """A repository's name, linked where it is a valid id and the endpoint is https; a path becomes code."""
    name = str(repo_id)
    if not _REPO.fullmatch(name):
        return code(name)
    return _anchor(text(name), f"{endpoint.rstrip('/')}/{name}")


def commit_link(repo_id: object, commit: object, endpoint: str = HUB) -> str:
    """The first digits of a commit, linked to the files of the repository as they were then."""
    name, digits = str(repo_id), str(commit)
    if not _COMMIT.fullmatch(digits):
        return code(digits, 80)
    if not _REPO.fullmatch(name):
        return code(digits[:7])
    return _anchor(code(digits[:7]), f"{endpoint.rstrip('/')}/{name}/tree/{digits}")


def https_url(url: object) -> str | None:
    """The address in ASCII, if it is https, has a host and no credentials; otherwise None."""
    address = str(url).strip()
    if len(address) > 2_000 or re.search(r"[\s\\<>\"`{}|^]", address) or _UNSEEN.search(address):
        return None
    try:
        parts = urlsplit(address)
    except ValueError:  # such as an unfinished IPv6 host
        return None
    if parts.scheme != "https" or not _HOST.fullmatch(parts.netloc):
        return None
    return quote(address, safe="%/:?#@!$&*+,;=~-._")


def _anchor(label: str, url: str) -> str:
    address = https_url(url)
    return label if address is None or not label else f"[{label}]({address.replace('&', '&amp;')})"


def _escape(line: str) -> str:
    """Escape one line: first what a renderer would link, then what it would take for markup."""
    broken = _MENTION.sub(lambda found: found[0] + _ZERO_WIDTH, line)
    for pattern in (_ADDRESS, _SHORTCODE, _FORMULA):
        broken = pattern.sub(lambda found: found[0] + _ZERO_WIDTH, broken)
    broken = broken.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    broken = _LEADING.sub(lambda found: (found[1] or "") + "\\", _SPECIAL.sub(r"\\\g<0>", broken))
    return broken.replace("$", "&#36;").replace(_ZERO_WIDTH, "&#8203;")


def _longest_run(content: str) -> int:
    return max((len(run) for run in re.findall("`+", content)), default=0)


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "text": text,
    "paragraphs": paragraphs,
    "code": code,
    "fence": fence,
    "link": link,
    "repo_link": repo_link,
    "commit_link": commit_link,
}

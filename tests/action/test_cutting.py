"""Markdown that is made shorter stays whole in what is left."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ramekin.action.cutting import cut_to

BLOCKS = st.lists(
    st.sampled_from(
        [
            "text é\n\n",
            "a\nb `code`\n\n",
            "| a | b |\n|:--|:--|\n| c | d |\n\n",
            "<details>\n<summary>s</summary>\n\n",
            "</details>\n\n",
            "```sh\ncode\n\n<details>\n```\n\n",
            "````\n```\n````\n\n",
            "``` `x` ```\n\n",
        ]
    ),
    max_size=12,
).map("".join)
"""What our templates are made of."""


def reference(text: str, limit: int) -> tuple[int, int]:
    """The number of whole lines, and of bytes, that fit without what closes them."""
    used = lines = 0
    for line in text.splitlines(keepends=True):
        if used + len(line.encode()) > limit:
            break
        used += len(line.encode())
        lines += 1
    return lines, used


@given(BLOCKS, st.integers(0, 200))
def test_it_fits_and_begins_like_the_whole(text: str, limit: int) -> None:
    cut = cut_to(text, limit)
    assert len(cut.encode()) <= limit
    lines, whole = cut.splitlines(), text.splitlines()
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(lines, whole, strict=False)))
    assert set(lines[same:]) <= {"```", "````", "</details>", ""}
    # Never a fence that is open to the end: what follows is text.
    tokens = MarkdownIt("commonmark").parse(cut + "\nAFTER\n")
    assert not [token for token in tokens if token.type == "fence" and "AFTER" in token.content]


@given(st.integers(0, 400))
def test_what_was_opened_is_closed(limit: int) -> None:
    text = (
        "top\n<details>\n<summary>a</summary>\n\n<details>\n\n```sh\n"
        + "code <details>\n" * 8
        + "```\n\n</details>\n</details>\nend\n"
    )
    cut = cut_to(text, limit)
    outside = re.sub(r"```sh\n.*?```\n", "", cut, flags=re.DOTALL)
    assert outside.count("<details>") == outside.count("</details>")
    assert cut.count("```") % 2 == 0


@pytest.mark.parametrize("limit", [0, 3, 4, 5])
def test_only_whole_lines(limit: int) -> None:
    assert cut_to("abc\nabc\n", limit) == ("abc\n\n" if limit >= 5 else "")


def test_as_much_as_fits() -> None:
    text = "line\n" * 1_000
    assert reference(text, 3_000)[1] - len(cut_to(text, 3_000).encode()) < 10

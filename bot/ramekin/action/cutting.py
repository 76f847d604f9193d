"""Markdown made shorter without breaking what is left."""

import re
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(`{3,})([^`]*)$")


def cut_to(text: str, limit: int) -> str:
    """As many whole lines as fit into `limit` bytes, and what closes the blocks that are open then.

    Args:
        text: Markdown in which `<details>` and `</details>` stand on lines of their own.
        limit: Bytes of UTF-8 that the result has at most.
    """
    kept: list[str] = []
    used, fence, depth = 0, "", 0
    best: tuple[int, str] = (0, "")
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        used += len(line.encode(errors="replace"))
        if used > limit:
            break
        kept.append(line)
        fence, depth = _after(line.rstrip("\n"), fence, depth)
        closing = (f"{fence}\n" if fence else "") + "\n</details>\n" * depth + "\n"
        # A block that was just opened, or a line that has no end, is no place to stop at.
        if line.endswith("\n") and used + len(closing.encode()) <= limit:
            best = (number, closing)
    return "".join(kept[: best[0]]) + best[1]


def _after(line: str, fence: str, depth: int) -> tuple[str, int]:
    """The fence that is open after a line, and how many blocks of details are."""
    found = _FENCE.fullmatch(line)
    if fence:
        closes = found is not None and len(found[1]) >= len(fence) and not found[2].strip()
        return ("" if closes else fence), depth
    if found:
        return found[1], depth
    return "", max(depth + (line == "<details>") - (line == "</details>"), 0)

"""Names for people who wrote another one."""

import difflib
from collections.abc import Iterable


def listed(names: Iterable[str]) -> str:
    """Each name as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def near(word: str, names: Iterable[str]) -> str | None:
    """The name that `word` was probably meant to be."""
    if len(word) > 64:
        return None
    by_fold = {name.casefold().replace("-", "_"): name for name in names}
    close = difflib.get_close_matches(word.casefold().replace("-", "_"), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None

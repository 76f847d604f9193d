"""What all parts of a manifest share: patterns, and errors in our own words."""

import re
from typing import Final, LiteralString

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_core import PydanticCustomError

REPO_PATTERN: Final = (
    # Bounded, since it is tried on texts of any length.
    r"(?![^@/]{0,96}/?[^@/]{0,96}(--|\.\.))[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,95}(?<!\.git)(?<![\-.])"
)
REVISION_PATTERN: Final = r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.\-/+]{0,254}"
NAME_PATTERN: Final = r"[a-z0-9][a-z0-9_-]*"
# Control characters, line separators, lone surrogates, and what reverses the direction of writing.
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Part(BaseModel):
    """A mapping of the manifest."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, str_strip_whitespace=True)


def matching(pattern: str) -> dict[str, JsonValue]:
    """For the JSON Schema. The same pattern is checked below, in better words than the validator's."""
    return {"pattern": f"^{pattern}$"}


def wrong(what: LiteralString, hint: str) -> PydanticCustomError:
    """An error that reads on from the key it is about: "`base.repo` " + what."""
    return PydanticCustomError("manifest", what, {"hint": hint})


def repo_id(value: str | None) -> str | None:
    """Check a repository's id."""
    if value is not None and not re.fullmatch(REPO_PATTERN, value):
        raise wrong("is not a repository id", "write `namespace/name`, as in the address of its page on the Hub")
    return value


def revision_name(value: str | None) -> str | None:
    """Check a revision."""
    if value is not None and not re.fullmatch(REVISION_PATTERN, value):
        raise wrong("is not a branch, tag or commit", "write for example `main`, `v1.0` or a commit of 40 digits")
    return value

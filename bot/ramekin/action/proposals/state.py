"""What is remembered of a manifest's proposals, and how it is written into texts on GitHub.

Sources are told apart by what they hold, not by their commits: an expert whose README was edited during the cooldown is
the one that was seen before, and one that was declined stays declined under its next commit.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ramekin.action.marking import mark, marks
from ramekin.digests import json_digest
from ramekin.lock.model import PinnedSource

KIND: Final = "update"
"""Of the mark in a pull request's text."""
TRAILER: Final = "Ramekin-State"
"""Of the line in a commit's message."""
_LONGEST: Final = 40_000
_LINE: Final = re.compile(rf"^{TRAILER}: (\{{.*\}})[^\S\n]*\Z", re.MULTILINE)
_LENGTH: Final = 12
"""Digits of a digest. Two hundred sources have to fit in, and who makes two that collide has won nothing by it."""
_MOST: Final = 500

Digest = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{_LENGTH}}}$")]
Name = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)


class Seen(_Part):
    """What a source was found to hold, and since when.

    Attributes:
        content: Digest of the files that are read.
        seconds: When it was first found so, in seconds since 1970.
    """

    content: Digest = Field(alias="c")
    seconds: int = Field(alias="s", ge=0, le=1 << 36)

    @property
    def since(self) -> datetime:
        """When it was first found so."""
        return datetime.fromtimestamp(self.seconds, UTC)


class Failure(_Part):
    """What came of trying a set of sources.

    Attributes:
        count: How often it has failed.
        last: When it has last.
        run: Page of that run.
        why: The reason, in one sentence.
    """

    count: int = Field(ge=1, le=1_000)
    last: datetime
    run: str = Field(max_length=500)
    why: str = Field(max_length=200)


class Proposal(_Part):
    """What the branch's commit proposes.

    Attributes:
        set: Digest of all that is new; see `set_of`.
        over: What the default branch pinned when it was made, by name of what is new; for what it did not pin zeros.
        lock: Digest of the lock that was committed.
        ground: Digest of manifest and lock on the default branch at that time.
    """

    set: Digest
    over: Annotated[dict[Name, Digest], Field(max_length=_MOST)]
    lock: Digest
    ground: Digest


class State(_Part):
    """All that is remembered of one manifest.

    Attributes:
        written: When this was written. Of two the later one counts.
        seen: Sources that have moved, by name.
        failures: Sets of sources that could not be used, by digest.
        proposal: What is proposed, if anything is.
        withdrawn: Whether we have closed the pull request ourselves, so that it says nothing about what is wanted.
    """

    written: datetime
    seen: Annotated[dict[Name, Seen], Field(max_length=_MOST)] = {}
    failures: Annotated[dict[str, Failure], Field(max_length=50)] = {}
    proposal: Proposal | None = None
    withdrawn: bool = False

    @property
    def memory(self) -> tuple[dict[str, Seen], dict[str, Failure]]:
        """What has to be kept wherever it stands."""
        return self.seen, self.failures

    @classmethod
    def in_body(cls, body: str) -> Self | None:
        """What a pull request of ours remembers; None where it is not to be read."""
        found = marks(KIND, body)
        return cls._read(found[0]) if found else None

    @classmethod
    def in_message(cls, message: str) -> Self | None:
        """What a commit of ours remembers; None likewise."""
        line = _LINE.search(message.rstrip()[-_LONGEST:])
        if line is None:
            return None
        try:
            return cls._read(json.loads(line[1]))
        except (ValueError, RecursionError):
            return None

    def to_mark(self) -> str:
        """The line that begins a pull request's text."""
        return mark(KIND, self._data)

    def to_trailer(self) -> str:
        """The line that ends a commit's message."""
        text = json.dumps(self._data, separators=(",", ":"), ensure_ascii=True)
        # GitHub looks in messages for mentions, and for words that close an issue.
        for character in "@#-/":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return f"{TRAILER}: {text}"

    @property
    def _data(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def _read(cls, data: object) -> Self | None:
        try:
            state = cls.model_validate(data)
        except ValidationError:
            return None
        times = [state.written, *(failure.last for failure in state.failures.values())]
        return state if all(time.tzinfo for time in times) else None


def name_of(role: str) -> str:
    """A short name for a role, of one length for all."""
    return hashlib.sha256(role.encode()).hexdigest()[:8]


def content_of(pinned: PinnedSource | None) -> str:
    """Digest of the files that are read of a source; zeros for none."""
    if pinned is None:
        return "0" * _LENGTH
    return json_digest({name: file.digest for name, file in pinned.files.items()})[:_LENGTH]


def set_of(new: Mapping[str, PinnedSource], key: str | None) -> str:
    """Digest of a set of sources that are to be pinned anew.

    Args:
        new: The sources, by role.
        key: Key of the lock, where the manifest has changed and the old lock does not fit it any more.
    """
    return json_digest({"new": {role: content_of(pinned) for role, pinned in new.items()}, "key": key})[:_LENGTH]


def digest_of(*contents: bytes | None) -> str:
    """Digest of files, absent ones too."""
    digests = [None if content is None else hashlib.sha256(content).hexdigest() for content in contents]
    return json_digest(digests)[:_LENGTH]

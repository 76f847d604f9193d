"""Which of a manifest's sources are pinned anew, and which wait: a pure function of what was pinned, found and seen.

A source that has moved is taken once what it holds was seen for as long as the cooldown, so that a series of pushes
makes one proposal, of the last of them. Until then it keeps the pin that is proposed already, or else the old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from ramekin.action.proposals.state import Seen, content_of, name_of, set_of
from ramekin.drift import SourceDrift
from ramekin.lock.key import data_fits, fits, source_fits
from ramekin.lock.making import lock_of
from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import Manifest


@dataclass(frozen=True)
class Cooling:
    """A source that has moved and waits.

    Attributes:
        drift: What was pinned on the default branch, or is proposed, and what it is now.
        ready: When it will be taken.
    """

    drift: SourceDrift
    ready: datetime


@dataclass(frozen=True)
class Candidate:
    """The lock that is due, and what it is about.

    Attributes:
        lock: The lock.
        current: The one on the default branch; None where there is none.
        fits: Whether that fits the manifest.
        cooling: Those that wait.
        seen: What to remember of those that have moved, by name.
    """

    lock: Lock
    current: Lock | None
    fits: bool
    cooling: tuple[Cooling, ...] = ()
    seen: Mapping[str, Seen] = field(default_factory=dict)

    @cached_property
    def new(self) -> Mapping[str, PinnedSource]:
        """Sources that are not pinned so on the default branch, by role."""
        pinned = _pins(self.current)
        return {r: pick for r, pick in _pins(self.lock).items() if content_of(pinned.get(r)) != content_of(pick)}

    @property
    def due(self) -> bool:
        """Whether the default branch is to be changed at all."""
        return self.lock != self.current

    @property
    def set(self) -> str:
        """Digest of all that is new."""
        return set_of(self.new, None if self.fits else self.lock.key)

    @property
    def over(self) -> dict[str, str]:
        """What the default branch pins now instead of what is new, by name, as digests."""
        pinned = _pins(self.current)
        return {name_of(role): content_of(pinned.get(role)) for role in self.new}

    @property
    def drifts(self) -> tuple[SourceDrift, ...]:
        """What is new of the sources that were pinned before."""
        pinned = _pins(self.current)
        return tuple(SourceDrift(role, pinned[role], now) for role, now in self.new.items() if role in pinned)

    @property
    def added(self) -> Mapping[str, PinnedSource]:
        """What was not pinned before."""
        pinned = _pins(self.current)
        return {role: now for role, now in self.new.items() if role not in pinned}

    @property
    def dropped(self) -> Mapping[str, PinnedSource]:
        """What is pinned and no longer named."""
        named = _pins(self.lock)
        return {role: pinned for role, pinned in _pins(self.current).items() if role not in named}


def choose(
    manifest: Manifest,
    current: Lock | None,
    fresh: Lock,
    *,
    held: Mapping[str, PinnedSource],
    seen: Mapping[str, Seen],
    now: datetime,
    cooldown: timedelta,
) -> Candidate:
    """Choose the pins.

    Args:
        manifest: The manifest, as it is on the default branch.
        current: Its lock there.
        fresh: What all sources are now.
        held: Pins that are proposed already.
        seen: What was seen before, by name.
        now: The time.
        cooldown: How long it has to be seen.
    """
    before = {role: pinned for role, pinned in _pins(current).items() if _fits(manifest, role, pinned)}
    proposed = {role: pinned for role, pinned in held.items() if _fits(manifest, role, pinned)}
    picks: dict[str, PinnedSource] = {}
    remembered: dict[str, Seen] = {}
    cooling = []
    for role, found in _pins(fresh).items():
        old, content = before.get(role), content_of(found)
        if old and content_of(old) == content:
            picks[role] = old
            continue
        known = seen.get(name_of(role))
        # A time that lies ahead is that of a clock that went wrong.
        since = known.since if known and known.content == content and known.since <= now else now
        remembered[name_of(role)] = Seen(content=content, seconds=int(since.timestamp()))
        anchor = proposed.get(role) or old
        if anchor and content_of(anchor) == content:
            picks[role] = anchor
        elif anchor is None or now - since >= cooldown:
            picks[role] = found
        else:
            picks[role] = anchor
            cooling.append(Cooling(SourceDrift(role, anchor, found), since + cooldown))
    fitting = current is not None and fits(current, manifest)
    return Candidate(lock_of(manifest, picks), current, fitting, tuple(cooling), remembered)


def _pins(lock: Lock | None) -> dict[str, PinnedSource]:
    return lock.sources | lock.data if lock else {}


def _fits(manifest: Manifest, role: str, pinned: PinnedSource) -> bool:
    """Whether a pin is one of what the manifest names under this role now."""
    if role in manifest.data:
        return data_fits(pinned, manifest.data[role])
    return role in manifest.sources and source_fits(pinned, manifest.sources[role])

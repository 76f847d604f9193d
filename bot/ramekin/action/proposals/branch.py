"""The branch that a manifest's proposals are made on, as it is now, and whose it is.

Anybody who may push can have made it, or have pushed to it. It is ours if its commit is: by our login, with our line in
its message, with one parent, and with the lock that the line tells of. Everything else is somebody's work and is left
alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from ramekin.action.naming import slug
from ramekin.action.proposals.cooldown import Candidate
from ramekin.action.proposals.state import State, content_of, digest_of, name_of
from ramekin.lock.file import lock_path
from ramekin.lock.model import Lock, PinnedSource

if TYPE_CHECKING:
    from ramekin.github.client import GitHub
    from ramekin.github.records import Pull

PREFIX: Final = "ramekin/update/"


@dataclass(frozen=True)
class Branch:
    """The branch and its pull requests.

    Attributes:
        name: Its name.
        head: Commit that it is at; None where there is no such branch.
        state: What its commit remembers; None where that is not ours.
        lock: The lock that its commit proposes.
        pull: Our pull request that is open.
        closed: Those of ours that are not any more.
        strange: Why nothing is done to it, in one sentence; empty where it is ours.
    """

    name: str
    head: str | None = None
    state: State | None = None
    lock: Lock | None = None
    pull: "Pull | None" = None
    closed: "tuple[Pull, ...]" = ()
    strange: str = ""

    @cached_property
    def told(self) -> State | None:
        """What the text of our open pull request remembers."""
        return State.in_body(self.pull.body) if self.pull else None

    @cached_property
    def remembered(self) -> State | None:
        """What was written last, wherever it stands."""
        # A text is written with the commit that it is about, and then is more: of equals the first is taken.
        found = (self.told, self.state, *(State.in_body(pull.body) for pull in self.closed))
        return max(filter(None, found), key=lambda state: state.written, default=None)

    def later(self, now: datetime) -> datetime:
        """The time, or a moment after what was written last, so that what is written now is the latest."""
        known = self.remembered
        return max(now, known.written + timedelta(microseconds=1)) if known else now

    @property
    def declined(self) -> frozenset[str]:
        """Sets of sources that people did not want: their pull request was closed, not merged, and not by us."""
        states = [State.in_body(pull.body) for pull in self.closed if not pull.merged]
        return frozenset(s.proposal.set for s in states if s and s.proposal and not s.withdrawn)

    def held(self, current: Lock | None) -> Mapping[str, PinnedSource]:
        """The pins that our open pull request proposes, as long as the default branch pins what it did then."""
        if self.pull is None or self.lock is None or self.state is None or self.state.proposal is None or self.strange:
            return {}
        now = current.sources | current.data if current else {}
        proposed = self.lock.sources | self.lock.data
        over = self.state.proposal.over
        return {r: pin for r, pin in proposed.items() if over.get(name_of(r)) == content_of(now.get(r))}

    @property
    def set(self) -> str | None:
        """What our open pull request proposes."""
        return self.state.proposal.set if self.pull and self.state and self.state.proposal else None

    def proposes(self, candidate: Candidate, ground: str) -> bool:
        """Whether its commit is the one that would be made now, whatever else the default branch has got since."""
        proposal = self.state.proposal if self.state else None
        return proposal is not None and proposal.ground == ground and self.lock == candidate.lock


def branch_name(manifest: Path) -> str:
    """The fixed name of the branch of a manifest, whose path is relative to the repository."""
    return PREFIX + slug(manifest)


def look(github: "GitHub", manifest: Path) -> Branch:
    """Look at the branch of a manifest and at its pull requests.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    name = branch_name(manifest)
    pulls = github.pulls_from(name, "all")
    own = [pull for pull in pulls if pull.author == github.login]
    opened = [pull for pull in pulls if pull.state == "open"]
    head = github.head(name)
    branch = Branch(
        name,
        head,
        pull=next((pull for pull in own if pull.state == "open"), None),
        closed=tuple(pull for pull in own if pull.state != "open"),
    )
    foreign = next((pull for pull in opened if pull.author != github.login), None)
    if foreign:
        return replace(branch, strange=f"somebody else has opened pull request {foreign.number} from `{name}`")
    if branch.pull and branch.pull.base != github.default_branch:
        return replace(branch, strange=f"pull request {branch.pull.number} goes to another branch now")
    if head is None:
        return branch
    return _with_commit(github, branch, head, lock_path(manifest).as_posix())


def _with_commit(github: "GitHub", branch: Branch, head: str, lock: str) -> Branch:
    """The branch with what its commit says, if that is ours."""
    commit = github.commit(head)
    state = State.in_message(commit.message) if commit and commit.author == github.login else None
    if commit and state and len(commit.parents) == 1:
        if state.proposal is None:
            return replace(branch, state=state)
        content = github.read(lock, head)
        if digest_of(content) == state.proposal.lock:
            return replace(branch, state=state, lock=_parsed(content))
    if branch.pull is None and _is_merged(github, branch, head):
        return branch
    return replace(branch, strange=f"somebody else has pushed to `{branch.name}`")


def _is_merged(github: "GitHub", branch: Branch, head: str) -> bool:
    """Whether whatever somebody has pushed is on the default branch, so that nothing of it would be lost."""
    if any(pull.merged and pull.head == head for pull in branch.closed):
        return True
    return github.contains(github.default_branch, head)


def _parsed(content: bytes | None) -> Lock | None:
    try:
        return Lock.model_validate_json(content or b"")
    except ValidationError:
        return None

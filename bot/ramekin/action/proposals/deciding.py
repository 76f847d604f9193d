"""What is to be done about a manifest whose sources, branch and pull requests are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from ramekin.action.marking import unmarked
from ramekin.action.proposals.backoff import rests
from ramekin.action.proposals.branch import Branch
from ramekin.action.proposals.cooldown import Candidate
from ramekin.action.proposals.operations import Close, Delete, Edit, Open, Operation, Push
from ramekin.action.proposals.state import Failure, Proposal, State, digest_of

Verdict = Literal["strange", "fresh", "cooling", "declined", "resting", "proposed", "due"]
"""Somebody else's branch; nothing to do; not yet; not wanted; failed lately; done already; to be done now."""

_MOST_FAILURES: Final = 2
"""Failures that are remembered."""


@dataclass(frozen=True)
class Texts:
    """What is written for people; made only where it is needed, since it takes looking at the Hub.

    Attributes:
        title: Of the pull request, and the commit's first line.
        body: Of the pull request, of what is proposed and what is remembered.
        message: The commit's, without its last line.
        note: The message of a commit that only remembers.
    """

    title: str
    body: Callable[[Candidate, State], str]
    message: str
    note: str


@dataclass(frozen=True)
class Case:
    """One manifest and everything that was looked at.

    Attributes:
        branch: The branch of its proposals.
        candidate: The lock that is due.
        lock: Path of the lock in the repository.
        base: Commit that the default branch is at.
        default: Name of the default branch.
        ground: Digest of manifest and lock there.
        now: The time.
        retry: Whether somebody asks to forget failures, and what was declined.
        failures: What has failed before, by the set of sources.
    """

    branch: Branch
    candidate: Candidate
    lock: str
    base: str
    default: str
    ground: str
    now: datetime
    retry: bool = False
    failures: Mapping[str, Failure] = field(default_factory=dict)

    @property
    def failure(self) -> Failure | None:
        """How the set that is due has failed before."""
        return self.failures.get(self.candidate.set)

    @property
    def verdict(self) -> Verdict:
        """What is to be done."""
        branch, candidate = self.branch, self.candidate
        if branch.strange:
            return "strange"
        if not candidate.due:
            return "cooling" if candidate.cooling else "fresh"
        # What somebody has asked for again is open again.
        if candidate.set in branch.declined and candidate.set != branch.set and not self.retry:
            return "declined"
        if branch.pull and branch.proposes(candidate, self.ground):
            return "proposed"
        return "resting" if rests(self.failure, self.now) else "due"

    def operations(self, verdict: Verdict, failures: Mapping[str, Failure], texts: Texts) -> tuple[Operation, ...]:
        """What follows from a verdict.

        Args:
            verdict: The verdict; `resting` also where the lock that was due has just failed.
            failures: What to remember of failures from now on.
            texts: The texts.
        """
        match verdict:
            case "strange":
                return ()
            case "due":
                return self._propose(texts)
            case "proposed":
                return self._tell(self.candidate, {}, texts)
            case "resting":
                # What failed before these sources came says nothing about them.
                failures = {name: failure for name, failure in failures.items() if name == self.candidate.set}
                standing = replace(self.candidate, lock=self.branch.lock) if self.branch.lock else self.candidate
                return self._tell(standing, failures, texts) if self.branch.pull else self._remember(failures, texts)
            case "fresh" | "cooling" | "declined":
                kept = failures if verdict == "cooling" else {}
                return self._withdraw(kept, texts) if self.branch.pull else self._settle(kept, texts)

    def _state(self, failures: Mapping[str, Failure], proposal: Proposal | None, *, withdrawn: bool = False) -> State:
        return State(
            written=self.branch.later(self.now),
            seen=dict(self.candidate.seen),
            failures=_newest(failures),
            proposal=proposal,
            withdrawn=withdrawn,
        )

    def _propose(self, texts: Texts) -> tuple[Operation, ...]:
        """The commit, unless it is there; then the pull request, or its new text."""
        branch, candidate = self.branch, self.candidate
        operations: list[Operation] = []
        state = branch.state
        if state is None or not branch.proposes(candidate, self.ground):
            content = candidate.lock.to_json().encode()
            proposal = Proposal(set=candidate.set, over=candidate.over, lock=digest_of(content), ground=self.ground)
            state = self._state({}, proposal)
            message = f"{texts.message}\n{state.to_trailer()}\n"
            operations.append(Push(branch.name, branch.head, self.base, message, {self.lock: content}))
        state = self._state({}, state.proposal)
        body = texts.body(candidate, state)
        if branch.pull:
            operations.append(Edit(branch.pull.number, body, texts.title))
        else:
            operations.append(Open(branch.name, self.default, texts.title, body))
        return tuple(operations)

    def _tell(self, standing: Candidate, failures: Mapping[str, Failure], texts: Texts) -> tuple[Operation, ...]:
        """The text of the open pull request, if there is anything new to remember."""
        pull, told = self.branch.pull, self.branch.told
        proposal = self.branch.state.proposal if self.branch.state else None
        state = self._state(failures, proposal)
        if pull is None or (told and (told.memory, told.proposal, told.withdrawn) == (state.memory, proposal, False)):
            return ()
        return (Edit(pull.number, texts.body(standing, state), texts.title if standing is self.candidate else None),)

    def _withdraw(self, failures: Mapping[str, Failure], texts: Texts) -> tuple[Operation, ...]:
        """Close our pull request, of which nothing is left; it must not count as declined."""
        pull = self.branch.pull
        if pull is None:
            return ()
        told = self.branch.told
        state = self._state(failures, told.proposal if told else None, withdrawn=True)
        operations: list[Operation] = [Edit(pull.number, texts.body(self.candidate, state)), Close(pull.number)]
        if not any(state.memory) and self.branch.head:
            operations.append(Delete(self.branch.name, self.branch.head))
        return tuple(operations)

    def _settle(self, failures: Mapping[str, Failure], texts: Texts) -> tuple[Operation, ...]:
        """Without a pull request: remember what there is to remember, or tidy up."""
        if self.candidate.seen or failures:
            return self._remember(failures, texts)
        return (Delete(self.branch.name, self.branch.head),) if self.branch.head else ()

    def _remember(self, failures: Mapping[str, Failure], texts: Texts) -> tuple[Operation, ...]:
        state = self._state(failures, None)
        known = self.branch.remembered
        if known and known.memory == state.memory:
            return ()
        message = f"{texts.note}\n{state.to_trailer()}\n"
        return (Push(self.branch.name, self.branch.head, self.base, message),)


def without_candidate(
    branch: Branch, base: str, now: datetime, failures: Mapping[str, Failure], note: str
) -> tuple[Operation, ...]:
    """Remember failures of a manifest whose sources cannot be looked at, so that nothing else is known of it."""
    known = branch.remembered
    kept = _newest(failures)
    if branch.strange or kept == (known.failures if known else {}):
        return ()
    seen = known.seen if known else {}
    proposal = branch.told.proposal if branch.told else None
    state = State(written=branch.later(now), seen=seen, failures=kept, proposal=proposal)
    if branch.pull:
        return (Edit(branch.pull.number, state.to_mark() + unmarked(branch.pull.body)),)
    return (Push(branch.name, branch.head, base, f"{note}\n{state.to_trailer()}\n"),)


def _newest(failures: Mapping[str, Failure]) -> dict[str, Failure]:
    return dict(sorted(failures.items(), key=lambda item: item[1].last)[-_MOST_FAILURES:])

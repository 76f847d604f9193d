"""Publishing by a pull request on the Hub: a draft, until every file of it is verified; then ready, with a comment.

Each step is looked for before it is done: a run that died between two of them is gone on with, and none is done twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ramekin.errors import PublishError
from ramekin.plan.standing import Standing, look_at
from ramekin.publish.change import Change, StaleParentError
from ramekin.publish.checking import differing_files
from ramekin.publish.landing import commit, publishing
from ramekin.publish.telling import Background, closed_text, ready_text, wrong_text
from ramekin.publish.threads import Thread, close, find_thread, open_draft, say, set_ready
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter

_MOST_NAMED: Final = 3


@dataclass(frozen=True)
class Ready:
    """A verified pull request.

    Attributes:
        commit: Commit that it would merge.
        url: Its page.
        fresh: Whether anything of it was done now.
    """

    commit: str
    url: str
    fresh: bool


@dataclass(frozen=True)
class _Proposal:
    """A pull request of ours that waits, and what it holds."""

    thread: Thread
    standing: Standing

    def is_left(self, seen: Standing, change: Change) -> bool:
        """Whether it is the draft of a run that died before it committed, and the branch has moved on since."""
        there = self.standing
        if there.target.head == seen.target.head or there.shows(change.key, change.texts):
            return False
        return there.target.key != change.key or seen.holds(change.key)

    def lacks(self, change: Change) -> bool:
        """Whether it has to be committed to: it holds something else, or other texts in its card."""
        there = self.standing
        return there.target.key != change.key or (there.holds(change.key) and not there.shows(change.key, change.texts))


def propose(
    client: "HubWriter", background: Background, seen: Standing, change_from: Callable[[Standing], Change]
) -> Ready:
    """Bring a merge, or its card alone, into a pull request: one that waits, or a new draft; and set it ready.

    Args:
        client: The Hub.
        background: What the pull request's comment tells.
        seen: What the plan saw on the default branch.
        change_from: What has to be committed to a branch that holds something.

    Raises:
        StaleParentError: The branch has moved on since the plan.
        PublishError: The Hub refuses, or what it holds is not what was sent; the pull request then stays a draft.
    """
    repo, change = seen.target.repo, change_from(seen)
    found = _waiting(client, background, seen, change.message)
    if found and found.is_left(seen, change):
        close(client, repo, found.thread, closed_text())
        found = None
    waiting = found or _opened(client, background, seen, change.message)
    lacking = waiting.lacks(change)
    if lacking:
        there, ref = waiting.standing, waiting.thread.ref
        commit(client, background.manifest, there, change_from(there), ref)
        waiting = _Proposal(waiting.thread, look_at(client, background.manifest, ref))
    return _finished(client, background, waiting, committed=lacking)


def go_on(client: "HubWriter", background: Background, seen: Standing, title: str) -> Ready | None:
    """Finish the pull request of an earlier run, if one waits that holds what is to be published.

    Args:
        client: The Hub.
        background: What the pull request's comment tells.
        seen: What the plan saw on the default branch.
        title: Title of the pull request.

    Raises:
        PublishError: The Hub refuses, or what it holds is not what was sent; the pull request then stays a draft.
    """
    key, texts = background.lock.key, background.manifest.card.digest
    with publishing():
        waiting = _waiting(client, background, seen, title)
        if waiting is None or waiting.standing.target.key != key:
            return None
        if waiting.standing.holds(key) and not waiting.standing.shows(key, texts):
            return None
        return _finished(client, background, waiting)


def _waiting(client: "HubWriter", background: Background, seen: Standing, title: str) -> _Proposal | None:
    if not seen.target.exists:
        return None
    thread = find_thread(client, seen.target.repo, title)
    return _Proposal(thread, look_at(client, background.manifest, thread.ref)) if thread else None


def _opened(client: "HubWriter", background: Background, seen: Standing, title: str) -> _Proposal:
    """A new draft, which begins where the branch is at that moment."""
    repo = seen.target.repo
    thread = open_draft(client, repo, title)
    now = look_at(client, background.manifest)
    if now.target.head != seen.target.head:
        close(client, repo, thread, closed_text())
        raise StaleParentError(
            f"{repo}: the branch has moved on since the plan was made (it was at {(seen.target.head or '')[:7]})",
            "nothing was published; run the same command again to plan against the new state",
        )
    return _Proposal(thread, look_at(client, background.manifest, thread.ref))


def _finished(client: "HubWriter", background: Background, waiting: _Proposal, *, committed: bool = False) -> Ready:
    """Verify a pull request, tell of it, and set it ready; what was done before is not done again."""
    thread, there = waiting.thread, waiting.standing
    report, repo, head = there.report, there.target.repo, there.target.head
    if report is None or head is None:
        raise PublishError(f"{thread.url}: holds no merge", "close it, and run the same command again")
    told = thread.tells(report.key)
    if thread.draft or not told:
        _verify(client, waiting)
        text = ready_text(client.endpoint, thread.ref, head, report, background)
        if thread.draft:
            set_ready(client, repo, thread, None if told else text, report.key)
        else:
            say(client, repo, thread, text, report.key)
    return Ready(head, thread.url, committed or thread.draft or not told)


def _verify(client: "HubWriter", waiting: _Proposal) -> None:
    """Compare every file of the pull request's commit with the report that it holds, as `ramekin verify` does."""
    thread, there = waiting.thread, waiting.standing
    report, repo, head = there.report, there.target.repo, there.target.head or ""
    assert report is not None  # noqa: S101 - looked at before
    entries = {entry.path: entry for entry in client.entries(repo, head)}
    wrong = differing_files(client, repo, head, entries, report.output.files)
    if not wrong:
        return
    say(client, repo, thread, wrong_text(head, report, wrong), f"{report.key} {head}")
    named = ", ".join(f"{printable(name)} {what}" for name, what in [*wrong.items()][:_MOST_NAMED])
    raise PublishError(
        f"{thread.url}: {len(wrong)} of {len(report.output.files)} files are not as they were merged ({named})",
        "look at the pull request, close it, and run the same command again; nothing else was published",
    )

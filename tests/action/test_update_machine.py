"""`update` under whatever happens in whatever order: nothing is doubled, nothing declined comes back, nothing lost."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from desks import BRANCH, LOCK, ONE, lock_on, make_desk, writes
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from paper import BOT, manifest

from ramekin.github.records import Pull
from ramekin.github.refusals import RateLimitError
from ramekin.lock.model import Lock

EXPERTS = ("coder", "tool")


class Updating(RuleBasedStateMachine):
    """A repository, its experts and its people, with the bot looked at from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.place = Path(tempfile.mkdtemp())
        self.desk = make_desk(self.place, self.patch, set(), {str(ONE): manifest(*EXPERTS)})
        self.declined: list[dict[str, str]] = []
        self.known = {pull.number for pull in self.desk.github.pulls}

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.place)

    # What happens

    @rule(expert=st.sampled_from(EXPERTS), weights=st.sampled_from(["w0", "w1", "w2"]))
    def push(self, expert: str, weights: str) -> None:
        self.desk.hub.push(f"lab/{expert}", model_safetensors=weights)

    @rule(expert=st.sampled_from(EXPERTS), words=st.integers())
    def edit_readme(self, expert: str, words: int) -> None:
        self.desk.hub.push(f"lab/{expert}", README_md=str(words))

    @rule(hours=st.sampled_from([1, 13, 25]))
    def wait(self, hours: int) -> None:
        self.desk.wait(hours=hours)

    @rule()
    def update(self) -> None:
        assert all(result.error is None for result in self.desk.update())
        self.look()

    @rule(requests=st.integers(1, 14), kind=st.sampled_from(["limited_from", "killed_after"]))
    def update_and_be_cut_off(self, requests: int, kind: str) -> None:
        # A limit before anything could be looked at is the job's error, not a manifest's.
        with suppress(RateLimitError), self.desk.cut(**{kind: requests}):
            self.desk.update()
        self.look()

    @precondition(lambda self: self.desk.github.opened())
    @rule()
    def merge(self) -> None:
        self.desk.github.merge(self.desk.github.opened()[0].number)

    @precondition(lambda self: self.desk.github.opened())
    @rule(deleted=st.booleans())
    def close(self, deleted: bool) -> None:
        (pull,) = self.desk.github.opened()
        self.declined.append(self.proposal(pull))
        self.desk.github.close(pull.number)
        if deleted:
            self.desk.github.delete(BRANCH)

    @rule(words=st.integers())
    def push_something_else(self, words: int) -> None:
        self.desk.github.person("main", {"README.md": str(words).encode()})

    @rule()
    def come_to_rest(self) -> None:
        """Everything that has moved is merged, proposed, or was declined."""
        for _ in range(2):
            self.desk.wait(hours=25)
            self.update()
        self.desk.github.asked.clear()
        self.update()
        assert writes(self.desk.github) == []
        now, main = self.on_the_hub(), contents(lock_on(self.desk.github, "main"))
        opened = self.desk.github.opened()
        if opened:
            assert contents(lock_on(self.desk.github, BRANCH)) == now != main
        elif now != main:
            assert {role: now[role] for role in now if now[role] != main[role]} in self.declined

    # What always holds

    @invariant()
    def one_pull_request_of_one_commit_of_one_file(self) -> None:
        github = self.desk.github
        opened = github.opened()
        assert len(opened) <= 1
        for pull in opened:
            commit, files = github.commits[pull.head]
            (parent,) = commit.parents
            assert commit.author == BOT
            assert {path for path in files if files[path] != github.commits[parent][1].get(path)} == {LOCK}

    def look(self) -> None:
        """What is new was not declined before."""
        for pull in self.desk.github.opened():
            if pull.number not in self.known:
                assert self.proposal(pull) not in self.declined
                self.known.add(pull.number)
        assert (self.desk.directory / LOCK).read_bytes() == self.desk.github.content("main", LOCK)

    def proposal(self, pull: Pull) -> dict[str, str]:
        """What is new in a pull request, by role."""
        files = self.desk.github.commits[pull.head][1]
        new, old = contents(Lock.model_validate_json(files[LOCK])), contents(lock_on(self.desk.github, "main"))
        return {role: new[role] for role in new if new[role] != old[role]}

    def on_the_hub(self) -> dict[str, str]:
        fresh = {}
        for role, pinned in lock_on(self.desk.github, "main").sources.items():
            entries = self.desk.hub.entries(pinned.source, self.desk.hub.head(pinned.source))
            fresh[role] = str(sorted((e.path, e.sha256) for e in entries if e.path in pinned.files))
        return fresh


def contents(lock: Lock) -> dict[str, str]:
    return {
        role: str(sorted((name, file.sha256) for name, file in pinned.files.items()))
        for role, pinned in lock.sources.items()
    }


TestUpdating = Updating.TestCase
TestUpdating.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

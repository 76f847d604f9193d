"""A burst is one start of the workflow, a replay none, and what GitHub did not take is sent again."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ramekin.errors import PublishError
from ramekin.webhook.delivery import Delivery
from ramekin.webhook.dispatching import Dispatcher, Pace
from ramekin.webhook.watched import Source

PACE = Pace(quiet=0.05, retry=0.02)


def moved(name: str, commit: str = "a" * 40) -> Delivery:
    return Delivery(Source("model", name), (("refs/heads/main", commit),) if commit else ())


class GitHub:
    """Takes what is sent, or fails a few times before."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[tuple[str, ...]] = []
        self.failures = failures
        self.told: list[str] = []

    def send(self, names: tuple[str, ...]) -> None:
        if self.failures:
            self.failures -= 1
            raise PublishError("GitHub is not there", "try again")
        self.sent.append(names)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 5
        while len(self.sent) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.sent) == count


Start = Callable[[GitHub], Dispatcher]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Dispatcher] = []

    def begin(github: GitHub) -> Dispatcher:
        dispatcher = Dispatcher(github.send, github.told.append, PACE)
        dispatcher.start()
        started.append(dispatcher)
        return dispatcher

    yield begin
    for each in started:
        each.close()


def test_a_burst_starts_the_workflow_once(start: Start) -> None:
    github = GitHub()
    dispatcher = start(github)
    assert dispatcher.offer(moved("org/x"))
    assert dispatcher.offer(moved("org/y"))
    assert dispatcher.offer(moved("org/x", "b" * 40))
    github.wait(1)
    assert github.sent == [("org/x", "org/y")]
    time.sleep(3 * PACE.quiet)
    assert len(github.sent) == 1
    assert dispatcher.offer(moved("org/x", "c" * 40))
    github.wait(2)
    assert github.sent[1] == ("org/x",)


def test_a_replay_is_none(start: Start) -> None:
    github = GitHub()
    dispatcher = start(github)
    assert dispatcher.offer(moved("org/x"))
    assert not dispatcher.offer(moved("ORG/x"))
    github.wait(1)
    assert not dispatcher.offer(moved("org/x"))
    assert dispatcher.offer(moved("org/x", ""))
    assert dispatcher.offer(moved("org/x", ""))
    github.wait(2)
    assert not dispatcher.offer(Delivery(why="nobody cares"))


def test_what_github_did_not_take_is_sent_again_with_what_came_meanwhile(start: Start) -> None:
    github = GitHub(failures=2)
    dispatcher = start(github)
    dispatcher.offer(moved("org/x"))
    while github.failures == 2:
        time.sleep(0.002)
    dispatcher.offer(moved("org/y"))
    github.wait(1)
    assert github.sent == [("org/x", "org/y")]
    assert github.told[0] == "could not start the workflow, trying again: GitHub is not there"
    assert github.told[-1] == "started the workflow for org/x, org/y"


def test_a_defect_does_not_end_it(start: Start) -> None:
    github = GitHub()
    broken = iter([True])

    def send(names: tuple[str, ...]) -> None:
        if next(broken, False):
            raise KeyError("x")
        github.send(names)

    dispatcher = Dispatcher(send, github.told.append, PACE)
    dispatcher.start()
    dispatcher.offer(moved("org/x"))
    github.wait(1)
    dispatcher.close()
    assert "KeyError" in github.told[0]


def test_it_remembers_no_more_than_it_can_hold(start: Start) -> None:
    dispatcher = start(GitHub())
    for number in range(5_000):
        dispatcher.offer(moved("org/x", f"{number:040}"))
    assert len(dispatcher._known) == 4_096


def test_it_ends_at_once() -> None:
    dispatcher = Dispatcher(GitHub().send, print, Pace(quiet=60))
    dispatcher.start()
    dispatcher.offer(moved("org/x"))
    began = time.monotonic()
    dispatcher.close()
    assert time.monotonic() - began < 5
    assert not [each for each in threading.enumerate() if each.name == "dispatcher" and each.is_alive()]

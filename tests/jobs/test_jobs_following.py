"""Following a job whose log or state does not come as it should."""

import threading
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from ramekin.errors import PublishError, SourceError
from ramekin.jobs import following
from ramekin.jobs.following import Ended, Following
from ramekin.jobs.message import encode, new_mark
from ramekin.jobs.submission import Started

MARK = new_mark()
WORD = encode(MARK, {"code": 0})


def job(stage: str) -> Any:
    return SimpleNamespace(status=SimpleNamespace(stage=stage, message=None), durations=None)


class Acted:
    """A Hub with one job: what it says of its state, one after the other, and the logs that it gives."""

    def __init__(self, stages: list[str | None], *logs: Callable[[], Iterable[str]]) -> None:
        self._stages = stages
        self._logs = [*logs]

    def look(self, _: str) -> Any:
        stage = self._stages.pop(0) if len(self._stages) > 1 else self._stages[0]
        if stage == "?":
            raise SourceError("the Hub answered 503", "try again later")
        return job(stage) if stage else None

    def log(self, _: str) -> Iterable[str]:
        return (self._logs.pop(0) if len(self._logs) > 1 else self._logs[0])()


def followed(hub: Acted) -> tuple[Ended, list[str]]:
    told: list[str] = []
    jobs: Any = hub
    teller: Any = SimpleNamespace(note=told.append)
    ended = Following(jobs, Started("1", "https://hub/jobs/1", MARK, "cpu-basic"), teller, 0.001).to_its_end()
    return ended, [line.removeprefix("  | ") for line in told if line.startswith("  | ")]


def silent() -> Iterable[str]:
    """A log that is opened, and says nothing for ever."""
    yield "Job started"
    threading.Event().wait(60)


def broken(*lines: str) -> Callable[[], Iterable[str]]:
    def log() -> Iterable[str]:
        yield from lines
        raise ConnectionError("the connection broke")

    return log


def test_the_word_of_a_job_is_its_end() -> None:
    def log() -> Iterable[str]:
        yield from ("one", *WORD)
        threading.Event().wait(60)

    ended, told = followed(Acted(["RUNNING"], log))
    assert ended.message == {"code": 0}
    assert told == ["one"]


def test_a_log_that_stays_silent_keeps_nobody_waiting() -> None:
    started = time.monotonic()
    ended, told = followed(Acted(["SCHEDULING", "RUNNING", "COMPLETED"], silent))
    assert ended.message is None
    assert ended.job
    assert ended.job.status.stage == "COMPLETED"
    assert told == ["Job started"]
    assert time.monotonic() - started < 10


def test_lines_are_shown_once_though_the_log_begins_again() -> None:
    first = ("a", "b", "a", "a")
    hub = Acted(
        ["RUNNING"] * 20 + ["ERROR"], broken(*first), broken(), broken(*first, "c"), lambda: (*first, "c", "d", *WORD)
    )
    ended, told = followed(hub)
    assert told == [*first, "c", "d"]
    assert ended.message == {"code": 0}


def test_a_log_whose_beginning_is_gone_is_shown_as_it_is() -> None:
    hub = Acted(["RUNNING"] * 9 + ["ERROR"], broken("a", "b", "c"), lambda: ("b", "c", "d", *WORD))
    assert followed(hub)[1] == ["a", "b", "c", "b", "c", "d"]


def test_a_job_that_is_gone_has_ended() -> None:
    ended, _ = followed(Acted(["RUNNING", None], silent))
    assert (ended.job, ended.message) == (None, None)


def test_a_job_of_which_nothing_is_known_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_MOST_LOST", 3)
    with pytest.raises(PublishError, match="nothing is known of the job any more") as caught:
        followed(Acted(["RUNNING", "?"], broken("a")))
    assert "run the same command again to follow it" in caught.value.problems[0].hint


def test_while_the_log_comes_a_state_that_is_not_known_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_MOST_LOST", 1)

    def slow() -> Iterable[str]:
        for number in range(4):
            time.sleep(0.1)
            yield str(number)
        yield from WORD

    ended, told = followed(Acted(["?"], slow))
    assert ended.message == {"code": 0}
    assert told == ["0", "1", "2", "3"]

"""What a job says of itself is taken over only as far as it can be of this merge."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ramekin.environment import Environment
from ramekin.errors import DamagedError, RamekinError, UsageError
from ramekin.jobs import run_on
from ramekin.jobs.ending import Ending
from ramekin.jobs.following import Ended
from ramekin.jobs.place import Place
from ramekin.jobs.submission import Started
from ramekin.preparing import Request
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

COMMIT = "0123456789" * 4
GOOD = {
    "key": "sha256:1",
    "repo": "org/agent",
    "commit": COMMIT,
    "url": "https://elsewhere/x",
    "changed": True,
    "notes": [],
}


def ending() -> Ending:
    prepared: Any = SimpleNamespace(
        plan=SimpleNamespace(key="sha256:1", target=SimpleNamespace(repo="org/agent")),
        loaded=SimpleNamespace(path=Path("merges/agent.yaml")),
    )
    return Ending(
        Place("cpu-basic", timeout=60), Started("1", "https://hub/jobs/me/1", "m", "cpu-basic"), prepared, "https://hub"
    )


def told(code: object, result: object) -> Any:
    return ending().told({"code": code, "result": result})


def test_an_address_is_made_here() -> None:
    published = told(0, GOOD).published
    assert (published.url, published.fresh, published.pull_request) == (
        f"https://hub/org/agent/commit/{COMMIT}",
        True,
        False,
    )
    published = told(0, GOOD | {"url": "https://elsewhere/discussions/7", "notes": ["a\x1b", 3]}).published
    assert (published.url, published.pull_request) == ("https://hub/org/agent/discussions/7", True)
    assert published.notes == (r"a\x1b", "")


@pytest.mark.parametrize(
    "other",
    [{"key": "sha256:2"}, {"repo": "org/other"}, {"commit": "main"}, {"commit": None}, {"url": None}, {"repo": None}],
)
def test_of_another_merge_nothing_is_taken(other: dict[str, object]) -> None:
    with pytest.raises(DamagedError, match="none of this merge"):
        told(0, GOOD | other)


@pytest.mark.parametrize(("code", "result"), [("0", GOOD), (None, GOOD), (0, None), (0, []), (0, {})])
def test_nonsense_is_no_outcome(code: object, result: object) -> None:
    with pytest.raises(DamagedError, match="none of this merge"):
        told(code, result)


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 7, 8, 9, 70, 1, 141])
def test_exit_codes_stay_and_problems_are_those_of_the_manifest_here(code: int) -> None:
    problems = [{"what": "w\nw", "hint": "h", "path": "agent.yaml", "line": 3}, {"what": "x", "line": True}, 7]
    with pytest.raises(RamekinError) as caught:
        told(code, {"error": {"problems": problems}})
    assert caught.value.exit_code == (code if code in {2, 3, 4, 5, 6, 7, 8, 9} else 70)
    first, second = caught.value.problems
    assert (first.what, first.place) == (r"w\nw", "merges/agent.yaml:3: ")
    assert (second.what, second.place) == ("x", "")


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        (-9, 8, "lack of memory"),
        (137, 8, "lack of memory"),
        (143, 7, "interrupted"),
        (-15, 7, "interrupted"),
        (4, 4, "why"),
    ],
)
def test_ends_without_a_reason(code: int, exit_code: int, said: str) -> None:
    for result in ({}, {"error": None}, {"error": {"problems": "x"}}):
        with pytest.raises(RamekinError, match=said) as caught:
            told(code, result)
        assert caught.value.exit_code == exit_code


@pytest.mark.parametrize(
    ("stage", "message", "ran", "exit_code"),
    [
        ("ERROR", "Job failed with exit code: 137. Reason: OOMKilled", 5, 8),
        ("ERROR", "Out of memory", 5, 8),
        ("ERROR", "Job timeout", 5, 8),
        ("ERROR", None, 60, 8),
        ("ERROR", "Image pull failed: hf_" + "a" * 40, 0, 7),
        ("CANCELED", None, 5, 7),
        ("COMPLETED", None, 5, 7),
    ],
)
def test_what_the_hub_says_of_an_end(stage: str, message: str | None, ran: int, exit_code: int) -> None:
    job: Any = SimpleNamespace(
        status=SimpleNamespace(stage=stage, message=message), durations=SimpleNamespace(running_secs=ran)
    )
    error = ending().untold(Ended(job, None))
    assert error.exit_code == exit_code
    assert "hf_" not in str(error)
    assert error.problems[0].hint


def test_one_of_several_processes_starts_no_job(tmp_path: Path) -> None:
    variables = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "HF_TOKEN": "hf_of_a_test"}
    with pytest.raises(UsageError, match="one of several processes"):
        run_on(
            Workbench(Environment.read(variables), Terminal()), Request(tmp_path / "merge.yaml"), "hf-jobs:cpu-basic"
        )

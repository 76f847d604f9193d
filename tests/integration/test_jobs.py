"""`ramekin run --on hf-jobs:FLAVOR` against the embedded Hub's jobs: what travels, what comes back, what gets lost."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import Fault, Hub
from ramekin.hub.machines import Machines, Task
from ramekin.hub.records import DEFAULT_BRANCH
from tests.integration.conftest import Done
from tests.integration.jobbing import acts, ended, failed, forks, run, tasks
from tests.integration.kitchen import GUEST, SECRETS, WEIGHTS, Kitchen, Server, kitchen, opened
from tests.integration.scenes import assert_calm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LOGS = r"^/api/jobs/\w+/\w+/logs"
LOOK = r"^/api/jobs/\w+/[0-9a-f]+$"
START = r"^/api/jobs/\w+$"


@pytest.fixture(scope="module")
def open_kitchen() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        yield made


@pytest.fixture
def made(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> Iterator[Kitchen]:
    with kitchen(*open_kitchen, tmp_path / "kitchen") as one:
        one.hub.machines.launch = forks(one.server)
        yield one
        for task in jobs_of(one):
            one.hub.machines.stop(task, "DELETED")


def jobs_of(made: Kitchen) -> list[Task]:
    return tasks(made.hub.machines, made.target)


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


def shown(done: Done) -> list[str]:
    """The lines of the job's log that were shown."""
    return [line.removeprefix("  | ") for line in done.err.splitlines() if line.startswith("  | ")]


def head(made: Kitchen) -> str:
    return made.hub.store.get(made.target).refs()[DEFAULT_BRANCH]


def read(made: Kitchen, path: str) -> bytes:
    found = made.hub.store.get(made.target)
    entry = found.tree(found.read_commit(head(made)))[path]
    return made.hub.store.blobs.read(entry.sha256)


# What travels, and what comes back


def test_a_job_publishes_what_was_planned_here(made: Kitchen) -> None:
    made.manifest(more="card:\n  template: own.md.jinja\n")
    (made.work / "own.md.jinja").write_text("# A card of our own, {{ report.method.name }}\n")
    done = run(made, "--json", "--adopt", env={"MINE_ALONE": "hidden-from-jobs"})
    assert done.code == 0, done.err
    (task,) = jobs_of(made)
    assert wait_for(lambda: task.stage == "COMPLETED")
    data = done.data
    assert data["changed"] is True
    assert (data["repo"], data["commit"]) == (made.target, head(made))
    assert data["url"] == f"{made.hub.url}/{made.target}/commit/{head(made)}"
    assert data["report"]["key"] == data["key"] == data["plan"]["key"]
    assert data["report"]["output"]["files"]
    assert data["directory"] is None
    assert f"{made.hub.url}/jobs/demo/{task.number}" in done.err
    assert any(line.startswith("fetching") for line in shown(done))
    assert b"A card of our own, ram+" in read(made, "README.md")
    # The very lock that was made here, with which nothing is left to do.
    assert read(made, "ramekin/merge.lock") == (made.work / "merge.lock").read_bytes()
    again = run(made, "--json")
    assert again.data["changed"] is False
    assert len(jobs_of(made)) == 1


def test_the_token_is_a_secret_of_the_job_and_nothing_else(made: Kitchen) -> None:
    made.hub.machines.launch = acts("one line", message=failed(4, "it has failed"))
    seen: list[dict[str, str]] = []
    act = made.hub.machines.launch
    made.hub.machines.launch = lambda command, env, place: seen.append(dict(env)) or act(command, env, place)
    done = run(made, env={"MINE_ALONE": "hidden-from-jobs"})
    assert done.code == 4
    (task,) = jobs_of(made)
    assert task.asked["secrets"] == {"HF_TOKEN": made.hub.token}
    public = json.dumps({key: value for key, value in task.asked.items() if key != "secrets"})
    assert not any(secret in public for secret in SECRETS)
    assert "hidden-from-jobs" not in json.dumps(seen)
    assert task.asked["timeoutSeconds"] == 6 * 3600
    assert task.asked["dockerImage"] == "python:3.12"


# What fails there fails here


def test_what_fails_there_fails_here_in_the_same_words(made: Kitchen) -> None:
    made.hub.faults.add(Fault("flip", path=WEIGHTS.replace("[a-z]+", "coder"), at=250_000, times=None))
    here = made.ramekin("run")
    there = run(made)
    assert there.code == here.code == 6
    assert there.error_lines == here.error_lines
    assert made.commits() == []


@pytest.mark.parametrize("code", [2])
def test_exit_codes_are_taken_over(made: Kitchen, code: int) -> None:
    told = failed(code, "what has happened", "what to do", path="merge.yaml", line=3)
    made.hub.machines.launch = acts("fetching", code=code, message=told)
    done = run(made, "--json")
    assert done.code == code
    assert done.error_lines == ["error: merge.yaml:3: what has happened", " hint: what to do"]
    assert done.data["error"]["exit_code"] == code


ENDS: dict[str, tuple[Any, int, str]] = {
    "command killed": (acts(message={"code": -9, "result": {}}, code=137), 8, "most likely for lack of memory"),
    "no word": (acts(code=1), 7, "the job has failed before it could say why (Job failed with exit code: 1"),
    "no word, no error": (acts(), 7, "the job has ended without an outcome"),
}


@pytest.mark.parametrize("end", ENDS)
def test_ends_without_a_usable_outcome(made: Kitchen, end: str) -> None:
    made.hub.machines.launch, code, said = ENDS[end]
    done = run(made)
    assert done.code == code, done.err
    assert len(done.error_lines) == 2
    assert said in done.error_lines[0]


def test_no_image_and_no_room_for_ramekin_in_it(made: Kitchen) -> None:
    def unstartable(*_: object) -> Any:
        raise FileNotFoundError(2, "No such image")

    made.hub.machines.launch = unstartable
    done = run(made)
    assert done.code == 7
    assert "No such image" in done.error_lines[0]

    def uninstallable(command: list[str], environment: Any, place: Path) -> Any:
        mark = environment["RAMEKIN_JOB_MARK"]
        return acts("ERROR: no matching distribution", f"{mark}:install:{mark}", code=1)(command, environment, place)

    made.hub.machines.launch = uninstallable
    done = run(made, "--job-image", "debian:12")
    assert done.code == 7
    assert "ramekin could not be installed in `debian:12`" in done.error_lines[0]
    assert "--job-image" in done.error_lines[1]


OUTSIDE: dict[str, tuple[Callable[[Machines, Task], None], int, str]] = {
    "cancelled": (lambda machines, task: machines.stop(task), 7, "the job was cancelled on the Hub"),
    "deleted": (lambda machines, task: machines.stop(task, "DELETED"), 7, "the job was deleted on the Hub"),
    "out of time": (lambda machines, task: machines.stop(task, "ERROR", "Job timeout"), 8, "for its time"),
}


@pytest.mark.parametrize("end", OUTSIDE)
def test_ended_from_outside(made: Kitchen, end: str) -> None:
    act, code, said = OUTSIDE[end]
    made.hub.machines.launch = acts("begun", waits=True)
    child = made.start("run", "--on", "hf-jobs:cpu-basic")
    wait_for(lambda: "begun" in child.err.read_text())
    (task,) = jobs_of(made)
    act(made.hub.machines, task)
    done = ended(child)
    assert done.code == code, done.err
    assert len(done.error_lines) == 2
    assert said in done.error_lines[0]


# Interruptions


def test_ctrl_c_cancels_the_job_which_ends_in_its_own_way(made: Kitchen) -> None:
    made.hub.faults.add(Fault("delay", method="PUT", path="^/_upload/", seconds=20, times=None))
    child = made.start("run", "--on", "hf-jobs:cpu-basic")
    wait_for(lambda: "| merge" in child.err.read_text())
    started = time.monotonic()
    os.kill(child.pid, signal.SIGINT)
    done = ended(child)
    assert time.monotonic() - started < 5
    assert done.code == 130, done.err
    (task,) = jobs_of(made)
    assert task.stage == "CANCELED"
    assert f"the job was cancelled: {made.hub.url}/jobs/demo/{task.number}" in done.err
    assert "Traceback" not in done.err
    wait_for(lambda: any("interrupted; the same command goes on" in line for _, line in task.log))
    assert made.commits() == []


def test_sigterm_cancels_the_job_and_what_cannot_be_cancelled_is_told(made: Kitchen) -> None:
    made.hub.machines.launch = acts("begun", waits=True)
    made.hub.faults.add(Fault("status", method="POST", path="/cancel$", status=500, times=2))
    child = made.start("run", "--on", "hf-jobs:cpu-basic")
    wait_for(lambda: "begun" in child.err.read_text())
    os.kill(child.pid, signal.SIGTERM)
    done = ended(child)
    assert done.code == 143, done.err
    assert jobs_of(made)[0].stage == "CANCELED"
    made.hub.faults.add(Fault("status", method="POST", path="/cancel$", status=403, times=None))
    child = made.start("run", "--on", "hf-jobs:cpu-basic")
    wait_for(lambda: "begun" in child.err.read_text())
    os.kill(child.pid, signal.SIGTERM)
    done = ended(child)
    assert done.code == 143, done.err
    assert f"`hf jobs cancel {jobs_of(made)[0].number}` cancels it" in done.err


def test_an_interruption_before_the_answer_cancels_the_job_too(made: Kitchen) -> None:
    made.hub.machines.launch = acts(waits=True)
    late = Fault("delay", method="POST", path=START, seconds=0.4)
    made.hub.faults.add(late)
    child = made.start("run", "--on", "hf-jobs:cpu-basic", env={"RAMEKIN_RETRY_WAIT": "0.3"}, clock=None)
    wait_for(lambda: any(one.fault is late and one.struck for one in made.hub.faults._planned))
    os.kill(child.pid, signal.SIGINT)
    assert ended(child).code == 130
    (task,) = jobs_of(made)
    assert task.stage == "CANCELED"


# What gets lost


def test_a_log_that_breaks_off_is_followed_on_without_repeating_a_line(made: Kitchen) -> None:
    said = [f"line {number}" for number in range(40)]
    made.hub.machines.launch = acts(*said, code=4, message=failed(4, "gone"))
    made.hub.faults.add(Fault("truncate", path=LOGS, at=700, times=3))
    done = run(made)
    assert done.code == 4
    assert shown(done) == said


def test_a_log_that_cannot_be_followed_for_long_is_read_at_the_end(made: Kitchen) -> None:
    said = [f"line {number}" for number in range(40)]
    made.hub.machines.launch = acts(*said, code=4, message=failed(4, "gone"))
    made.hub.faults.add(Fault("truncate", path=LOGS, at=700, times=1))
    made.hub.faults.add(Fault("status", path=LOGS, status=500, times=2))
    done = run(made)
    assert done.code == 4
    assert shown(done) == said


NEVER = Fault("status", path=LOGS, status=500, times=None)


def test_without_any_log_the_hub_itself_tells_what_became_of_it(made: Kitchen) -> None:
    made.hub.faults.add(Fault("truncate", path=LOGS, at=100, times=None))
    done = run(made, "--json")
    assert done.code == 0, done.err
    assert done.data["changed"] is True
    assert done.data["commit"] == head(made)
    assert done.data["report"] is None
    assert "the job's own word was lost" in done.data["notes"][-1]
    assert len(made.commits()) == 1


def test_without_any_log_a_failure_is_told_as_one(made: Kitchen) -> None:
    made.hub.machines.launch = acts("fetching", code=4, message=failed(4, "gone"))
    made.hub.faults.add(NEVER)
    done = run(made)
    assert done.code == 7
    assert "Job failed with exit code: 4" in done.error_lines[0]


def test_a_log_that_is_never_opened_is_told_and_the_job_goes_on(made: Kitchen) -> None:
    made.hub.machines.launch = acts("begun", waits=True)
    made.hub.faults.add(Fault("drop-before", path=LOGS, times=2), NEVER)
    child = made.start("run", "--on", "hf-jobs:cpu-basic")
    wait_for(lambda: "the job's log cannot be followed for now" in child.err.read_text())
    (task,) = jobs_of(made)
    assert task.stage == "RUNNING"
    made.hub.machines.stop(task, "ERROR", "OOMKilled")
    assert ended(child).code == 8


def test_without_its_state_a_job_is_followed_by_its_log(made: Kitchen) -> None:
    made.hub.machines.launch = acts("one", "two", code=4, message=failed(4, "gone"))
    made.hub.faults.add(Fault("status", method="GET", path=LOOK, times=None))
    done = run(made)
    assert done.code == 4
    assert shown(done) == ["one", "two"]


def test_a_start_whose_answer_is_lost_is_not_repeated(made: Kitchen) -> None:
    made.hub.machines.launch = acts(code=4, message=failed(4, "gone"), waits=True)
    made.hub.faults.add(Fault("drop-after", method="POST", path=START))
    done = run(made)
    assert done.code == 4
    assert len(jobs_of(made)) == 1


def test_a_job_is_found_again_and_followed(made: Kitchen) -> None:
    made.hub.machines.launch = acts("begun", waits=True)
    child = made.start("run", "--on", "hf-jobs:cpu-basic")
    wait_for(lambda: "begun" in child.err.read_text())
    os.kill(child.pid, signal.SIGKILL)
    assert ended(child).code == -signal.SIGKILL
    again = made.start("run", "--on", "hf-jobs:cpu-upgrade")
    wait_for(lambda: "begun" in again.err.read_text())
    (task,) = jobs_of(made)
    made.hub.machines.stop(task, "ERROR", "OOMKilled")
    done = ended(again)
    assert done.code == 8
    assert f"runs already on cpu-basic, and is followed: {made.hub.url}/jobs/demo/{task.number}" in done.err
    # Of others nothing is believed, whatever they call theirs.
    made.hub.machines.start("demo", GUEST.name, task.asked)
    made.hub.machines.launch = acts(message=failed(4, "gone"), code=4)
    assert run(made).code == 4
    assert len(jobs_of(made)) == 3


# Refusals


REFUSED: dict[str, tuple[list[str], dict[str, str], int, str]] = {
    "no place": (["--on", "elsewhere"], {}, 2, "is no place to run"),
    "unknown flavor": (["--on", "hf-jobs:cpu-basik"], {}, 2, "the Hub has no machine `cpu-basik`"),
    "without --on": (["--job-timeout", "2h"], {}, 2, "none is asked for"),
    "a directory": (["--on", "hf-jobs:cpu-basic", "--out", "x"], {}, 2, "cannot be written by a job"),
    "no token": (["--on", "hf-jobs:cpu-basic"], {"HF_TOKEN": ""}, 7, "a job needs a token"),
    "trusted publishing": (
        ["--on", "hf-jobs:cpu-basic"],
        {"HF_OIDC_RESOURCE": "demo/agent", "HF_OIDC_ID_TOKEN": "eyJhbGciOiJ.eyJzdWIiOiJ.c2lnbmVk"},
        7,
        "no trusted publishing",
    ),
    "a token that may not write": (["--on", "hf-jobs:cpu-basic"], {"HF_TOKEN": GUEST.token}, 7, "could not create"),
    "namespace": (["--on", "hf-jobs:cpu-basic", "--job-namespace", "closed"], {}, 7, "may not start jobs of closed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_started(made: Kitchen, case: str) -> None:
    arguments, env, code, said = REFUSED[case]
    made.hub.machines.launch = acts()
    if case == "namespace":
        made.hub.faults.add(Fault("status", method="POST", path=START, status=403, times=None))
    lines = made.fails(code, "run", "-q", *arguments, env=env)
    assert said in lines
    assert jobs_of(made) == []
    assert made.commits() == []


def test_what_cannot_travel_is_refused_at_once(made: Kitchen) -> None:
    made.manifest(sources={"coder": "./coder", "base": "/models/base"})
    done = made.ramekin("run", "--on", "hf-jobs:cpu-basic")
    assert done.code == 2
    assert len(done.error_lines) == 4
    assert "merge.yaml:2: base: /models/base is a local directory, which does not travel" in done.err
    made.manifest(more="card:\n  template: own.md.jinja\n")
    (made.work / "own.md.jinja").symlink_to("/etc/hostname")
    lines = made.fails(2, "run", "--on", "hf-jobs:cpu-basic")
    assert "is outside of the manifest's directory" in lines
    assert made.hub.store.find(made.target) is None


BILLED = {402: "to be paid for", 422: "takes no such job"}


@pytest.mark.parametrize("status", BILLED)
def test_what_the_hub_says_to_a_start(made: Kitchen, status: int) -> None:
    made.hub.faults.add(Fault("status", method="POST", path=START, status=status, message="Because", times=None))
    done = made.ramekin("run", "--on", "hf-jobs:cpu-basic")
    assert done.code == (2 if status == 422 else 7)
    assert BILLED[status] in done.error_lines[0]
    assert "Because" in done.error_lines[0]
    assert len(done.error_lines) == 2


def test_what_a_job_says_is_harmless_here(made: Kitchen) -> None:
    forged = "ramekin-" + "0" * 32
    said = ["::set-output name=x::y", "\x1b[31mred", "##[command]x", "hf_" + "a" * 36, f"{forged}:1/1:eJw=:{forged}"]
    told = failed(4, "::error::\x1b[0m hf_" + "b" * 36, "\nerror: forged", path="../../x\x1b", line=-1)
    made.hub.machines.launch = acts(*said, "x" * 100_000, code=4, message=told)
    done = run(made)
    assert done.code == 4
    assert all(char.isprintable() or char == "\n" for char in done.err)
    assert "hf_" not in done.err
    assert len(done.error_lines) == 2
    assert max(map(len, done.err.splitlines())) < 2100
    assert any(line.startswith(forged) for line in shown(done))
    done = run(made, "--json")
    assert_calm(Done(0, done.out, ""))

"""A Hub that fails: what a retry can mend is mended, what it cannot ends in two clear lines, and one commit is one."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import Fault, Hub
from tests.integration.conftest import push
from tests.integration.kitchen import (
    GUEST,
    NARROW,
    READER,
    Kitchen,
    Server,
    assert_two_lines,
    family,
    kitchen,
    opened,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def open_kitchen() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        yield made


@pytest.fixture
def made(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> Iterator[Kitchen]:
    with kitchen(*open_kitchen, tmp_path / "kitchen") as one:
        yield one


# Every kind of request of a run, by its method and path.
REQUESTS = {
    "info": ("GET", r"^/api/models/demo/coder(/revision/main)?\?"),
    "tree": ("GET", r"^/api/models/demo/coder/tree/"),
    "header": ("GET", r"^/demo/coder/resolve/\w+/model\.safetensors"),
    "target": ("GET", r"^/api/models/demo/agent-\d+\?"),
    "who": ("GET", r"^/api/whoami-v2"),
    "create": ("POST", r"^/api/repos/create"),
    "preupload": ("POST", r"/preupload/"),
    "batch": ("POST", r"\.git/info/lfs/objects/batch"),
    "upload": ("PUT", r"^/_upload/"),
    "verify": ("POST", r"\.git/info/lfs/verify"),
    "commit": ("POST", r"/commit/main"),
    "refs": ("GET", r"^/api/models/demo/agent-\d+/refs"),
    "tag": ("POST", r"^/api/models/demo/agent-\d+/tag/"),
}
MISHAPS: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}, "times": 2},
    "500": {"kind": "status", "status": 500, "times": 1},
    "503": {"kind": "status", "status": 503, "times": 2},
    "unheard": {"kind": "drop-before", "times": 2},
    "unanswered": {"kind": "drop-after", "times": 1},
}


def run_and_tag(made: Kitchen) -> None:
    """A run that is mended, with all that it is to leave."""
    done = made.ok("run", "merge.yaml", "--json").data
    assert made.hub.faults.pending() == []
    assert done["changed"] is True
    assert len(made.commits()) == 1
    refs = made.hub.store.get(made.target).refs()
    assert refs["refs/tags/v1"] == refs["refs/heads/main"] == done["commit"]
    made.assert_clean()


@pytest.mark.parametrize("mishap", MISHAPS)
def test_every_request_fails_once_or_twice(made: Kitchen, mishap: str) -> None:
    made.manifest(more="  tag: v1\n")
    made.hub.faults.add(*(Fault(method=method, path=path, **MISHAPS[mishap]) for method, path in REQUESTS.values()))
    run_and_tag(made)


@pytest.mark.parametrize("request_", [name for name, (method, _) in REQUESTS.items() if method != "GET"])
def test_a_request_is_carried_out_and_its_answer_lost(made: Kitchen, request_: str) -> None:
    method, path = REQUESTS[request_]
    made.manifest(more="  tag: v1\n")
    made.hub.faults.add(Fault("drop-after", method=method, path=path))
    run_and_tag(made)


# What cannot be mended by asking again: exit code, and whether weights may have been fetched by then.
HOPELESS = {
    "info": (4, False),
    "tree": (4, False),
    "header": (4, False),
    "target": (4, False),
    "who": (7, False),
    "create": (7, True),
    "preupload": (7, True),
    "batch": (7, True),
    "upload": (7, True),
    "commit": (7, True),
}


@pytest.mark.parametrize("request_", HOPELESS)
def test_a_hub_that_stays_busy(made: Kitchen, request_: str) -> None:
    method, path = REQUESTS[request_]
    code, fetched = HOPELESS[request_]
    made.hub.faults.add(Fault("status", method=method, path=path, status=503, times=None))
    assert "the Hub answered 503" in made.fails(code, "run", "merge.yaml")
    assert bool(made.weights_asked_for()) == fetched
    assert made.commits() == []
    made.hub.faults.clear()
    made.hub.log.clear()
    made.ok("run", "merge.yaml")
    assert bool(made.weights_asked_for()) != fetched, "what was downloaded is downloaded again"
    assert len(made.commits()) == 1
    made.assert_clean()


@pytest.mark.parametrize("request_", ["info", "header", "upload", "commit"])
def test_a_connection_that_stays_broken(made: Kitchen, request_: str) -> None:
    method, path = REQUESTS[request_]
    made.hub.faults.add(Fault("drop-before", method=method, path=path, times=None))
    assert "the network gave up" in made.fails(HOPELESS[request_][0], "run", "merge.yaml")
    assert made.commits() == []


@pytest.mark.parametrize("status", [400, 403, 409])
@pytest.mark.parametrize("request_", ["info", "header", "create", "preupload", "batch", "upload", "commit"])
def test_a_refusal_is_not_repeated(made: Kitchen, request_: str, status: int) -> None:
    if (request_, status) == ("create", 409):
        pytest.skip("means that the repository exists")
    method, path = REQUESTS[request_]
    made.hub.faults.add(Fault("status", method=method, path=path, status=status, times=None, message="We will not"))
    said = made.fails(HOPELESS[request_][0], "run", "merge.yaml")
    assert "We will not" in said
    assert str(status) in said
    asked = made.hub.log.requests(method, path)
    # Several threads ask at once; none of them asks again.
    assert len(asked) == len({(one.path, one.range) for one in asked})
    assert made.commits() == []


def test_the_commit_that_nobody_heard_of(made: Kitchen) -> None:
    """Neither its answer nor a later look at the branch tells whether it has landed."""
    lost = Fault("drop-after", method="POST", path="/commit/main")
    made.hub.faults.add(lost, Fault("delay", method="POST", path="/commit/main", seconds=0.3))
    deaf = Fault("status", method="GET", path=rf"^/api/models/{made.target}", status=503, times=None)
    watch = when(lambda: lost not in made.hub.faults.pending(), lambda: made.hub.faults.add(deaf))
    said = made.fails(7, "run", "merge.yaml")
    watch.join()
    assert "did not say whether the commit has landed" in said
    assert len(made.commits()) == 1
    made.hub.faults.clear()
    assert made.ok("run", "merge.yaml", "--json").data["changed"] is False
    assert len(made.commits()) == 1
    made.assert_clean()


def test_the_hub_is_waited_for_as_long_as_it_asks(made: Kitchen) -> None:
    made.hub.faults.add(
        Fault("status", path=REQUESTS["info"][1], status=429, headers={"Retry-After": "1"}),
        Fault("status", path=REQUESTS["target"][1], status=429, headers={"RateLimit": '"api";r=0;t=1'}),
        Fault("status", method="GET", path=r"/model\.safetensors", status=429, headers={"Retry-After": "1"}, every=20),
        Fault("status", method="POST", path="/commit/", status=429, headers={"RateLimit": '"api";r=0;t=0'}),
    )
    started = time.monotonic()
    made.ok("run", "merge.yaml", clock=None)
    assert time.monotonic() - started >= 1 + 2 + 1
    assert len(made.commits()) == 1


# Sources and targets that may not be had


def test_a_gated_source(made: Kitchen) -> None:
    push(made.hub, f"closed/gated-{made.number}", family()["coder"], gated="manual")
    made.manifest(sources={"coder": f"closed/gated-{made.number}"})
    said = made.fails(4, "run", "merge.yaml", env={"HF_TOKEN": GUEST.token})
    assert "is gated and this token has no access" in said
    assert "gated" in made.fails(4, "run", "merge.yaml", env={"HF_TOKEN": ""})
    assert made.weights_asked_for() == []


def test_private_absent_and_disabled_sources_are_told_together(made: Kitchen) -> None:
    for kind in ("private", "disabled"):
        push(made.hub, f"closed/{kind}-{made.number}", family()["coder"], private=kind == "private")
    made.hub.store.get(f"closed/disabled-{made.number}").set_info(disabled=True)
    sources = {
        "coder": f"closed/private-{made.number}",
        "tool": f"closed/disabled-{made.number}",
        "memory": "closed/nowhere",
    }
    made.manifest(sources=sources)
    said = made.fails(4, "run", "merge.yaml", env={"HF_TOKEN": GUEST.token})
    assert all(source in said for source in sources.values()), said
    assert said.count("does not exist, or this token may not see it") == 2
    assert said.count("is disabled by the Hub") == 1
    assert made.weights_asked_for() == []


def test_no_token_at_all(made: Kitchen) -> None:
    said = made.fails(7, "run", "merge.yaml", env={"HF_TOKEN": ""})
    assert "HF_TOKEN" in said
    assert made.weights_asked_for() == []


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("user", [READER, GUEST, NARROW], ids=lambda user: user.name)
def test_a_token_that_may_not_write(made: Kitchen, user: Any, exists: bool) -> None:
    if exists:
        made.hub.store.create_repo(made.target)
    said = made.fails(7, "run", "merge.yaml", env={"HF_TOKEN": user.token})
    assert "set HF_TOKEN to a token that may write there" in said
    assert made.weights_asked_for() == []
    assert made.commits() == []
    assert exists or made.hub.store.find(made.target) is None


def test_a_token_that_nobody_has(made: Kitchen) -> None:
    said = made.fails(4, "run", "merge.yaml", env={"HF_TOKEN": "hf_nobody_has_this_one_at_all"})
    assert "401" in said
    assert "HF_TOKEN" in said
    assert "hf_nobody" not in said
    assert made.weights_asked_for() == []


def test_an_organisation_that_must_be_asked(made: Kitchen) -> None:
    """Only creating the repository tells whether the token may: so that is done before anything is fetched."""
    made.manifest(repo=f"elsewhere/agent-{made.number}")
    made.fails(7, "run", "merge.yaml", env={"HF_TOKEN": GUEST.token})
    assert made.weights_asked_for() == []
    made.ok("run", "merge.yaml")
    assert len(made.commits(f"elsewhere/agent-{made.number}")) == 1


# Lost races


def when(condition: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a condition holds."""

    def watch() -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("at", ["preupload", "batch", "commit"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_lost_race(made: Kitchen, exists: bool, at: str) -> None:
    if exists:
        made.hub.store.create_repo(made.target)
    method, path = REQUESTS[at]
    delay = Fault("delay", method=method, path=path, seconds=0.5)
    made.hub.faults.add(delay)
    rival = when(
        lambda: delay not in made.hub.faults.pending(),
        lambda: made.hub.store.commit(made.target, {"notes.txt": b"mine"}, message="a rival's commit"),
    )
    said = made.fails(7, "run", "merge.yaml", "--adopt")
    rival.join()
    assert "the branch has moved on since the plan was made" in said
    assert made.commits() == ["a rival's commit"]
    assert "was not made by ramekin" in made.fails(7, "run", "merge.yaml")
    made.ok("run", "merge.yaml", "--adopt")
    assert len(made.commits()) == 2
    made.assert_clean()


@pytest.mark.parametrize("fills", [True, False])
def test_a_lost_race_for_creating_it(made: Kitchen, fills: bool) -> None:
    delay = Fault("delay", method="POST", path="/api/repos/create", seconds=0.5)
    made.hub.faults.add(delay)

    def create() -> None:
        made.hub.store.create_repo(made.target, private=True)
        if fills:
            made.hub.store.commit(made.target, {"notes.txt": b"mine"}, message="a rival's commit")

    rival = when(lambda: delay not in made.hub.faults.pending(), create)
    if fills:
        assert "somebody else has just created and filled it" in made.fails(7, "run", "merge.yaml")
        assert made.commits() == ["a rival's commit"]
    else:
        made.ok("run", "merge.yaml")
        assert len(made.commits()) == 1
    rival.join()
    made.ok("run", "merge.yaml", "--adopt")
    assert len(made.commits()) == 1 + fills
    made.assert_clean()


# Tokens


def test_a_hub_that_echoes_the_token(made: Kitchen) -> None:
    token = made.hub.token
    for padding in (0, 30, 60):
        message = f"{'x' * padding}The token {token} is not welcome{'y' * padding}"
        for request_, code in (("info", 4), ("who", 7)):
            method, path = REQUESTS[request_]
            made.hub.faults.clear()
            made.hub.faults.add(Fault("status", method=method, path=path, status=403, times=None, message=message))
            for flags in ((), ("-v",), ("--json",)):
                (made.work / "merge.lock").unlink(missing_ok=True)
                done = made.ramekin("run", "merge.yaml", *flags)  # every command's output is searched for tokens
                assert done.code == code, done.err
    assert "Traceback" in made.ramekin("run", "merge.yaml", "-v").err


# xet


def test_publishing_by_way_of_xet(tmp_path: Path) -> None:
    with opened(xet=True) as both:
        for number, fault in enumerate(
            [
                None,
                Fault("drop-after", method="POST", path="/commit/main"),
                Fault("status", method="POST", path="/commit/main", status=503, times=2),
                Fault("status", path="/xet-write-token/", status=503, times=1),
                Fault("drop-before", path="/xet-write-token/", times=1),
            ]
        ):
            with kitchen(*both, tmp_path / str(number)) as made:
                if fault:
                    made.hub.faults.add(fault)
                made.ok("run", "merge.yaml", clock=None, env={"HF_XET_CACHE": str(tmp_path / f"xet-{number}")})
                assert made.hub.log.requests("GET", "/xet-write-token/")
                assert made.hub.faults.pending() == []
                assert len(made.commits()) == 1
                made.assert_clean()
        with kitchen(*both, tmp_path / "refused") as made:
            made.hub.faults.add(Fault("status", path="/xet-write-token/", status=403, times=None))
            done = made.ramekin("run", "merge.yaml", clock=None)
            assert done.code == 7, done.err
            assert_two_lines(done)
            assert made.commits() == []

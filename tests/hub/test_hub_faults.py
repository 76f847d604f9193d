"""Faults strike as planned, and the real client does with them what is known of it."""

import time
from pathlib import Path
from typing import Any

import pytest
from hub_drive import Steps, drive

from ramekin.hub import Fault, Hub, Options, RateLimit, serve
from ramekin.hub.faults import FaultPlan

PIECE = 64 * 1024


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    with serve(tmp_path_factory.mktemp("hub")) as hub:
        hub.store.create_repo("org/model")
        files = {"1.txt": b"\1" * 9, "2.bin": b"\2" * 200_000, "3.bin": b"\3" * 300_000, "4.bin": b"\4" * 5000}
        commit = hub.store.commit("org/model", files)
        facts = {"control_key": hub.parts.options.control_key, "commit": commit.id}
        return drive(hub.env(tmp_path_factory.mktemp("home")), "scenario_faults", facts)


def value(steps: Steps, step: str) -> Any:
    assert "value" in steps[step], steps[step]
    return steps[step]["value"]


def test_metadata(steps: Steps) -> None:
    assert (steps["info_is_not_retried"]["error"][0], steps["info_is_not_retried"]["status"]) == ("HfHubHTTPError", 503)
    assert [status for status, _, _ in value(steps, "tree_is_retried")["gets"]][-2:] == [500, 200]
    assert [status for status, _, _ in value(steps, "limited_tree_is_retried")["gets"]] == [429, 200]


def test_files(steps: Steps) -> None:
    assert steps["file_503_is_fatal"]["status"] == 503
    assert [status for status, _, _ in value(steps, "file_429_is_retried")["gets"]] == [429, 200]
    assert [status for status, _, _ in value(steps, "dropped_file_is_retried")["gets"]] == [0, 200]
    assert value(steps, "head_is_slow") is True


def test_truncated_bodies(steps: Steps) -> None:
    again = value(steps, "truncated_file_is_fetched_again")
    assert again["same"]
    assert again["gets"] == [[200, None, PIECE], [200, None, 200_000]]
    resumed = value(steps, "truncated_file_is_resumed")
    assert resumed["same"]
    (first, asked, sent), (status, span, rest) = resumed["gets"]
    assert (first, asked, sent, status) == (200, None, 3 * PIECE, 206)
    assert span is not None
    assert int(span.removeprefix("bytes=").rstrip("-")) + rest == 300_000


def test_the_client_takes_damaged_bytes(steps: Steps) -> None:
    taken = value(steps, "damaged_file_is_taken")
    assert (taken["size"], taken["same"]) == (5000, False)
    assert value(steps, "damage_is_found") == ["4.bin"]


def test_a_commit_lands_though_its_answer_is_lost(steps: Steps) -> None:
    assert {"NetworkError", "RemoteProtocolError"} & set(steps["lost_answer"]["error"])
    assert value(steps, "lost_answer_landed")[0] == "Its answer is lost"


def test_uploads_are_retried(steps: Steps) -> None:
    assert [status for status, _, _ in value(steps, "upload_is_retried")] == [500, 200]


def test_every_second(steps: Steps) -> None:
    assert value(steps, "every_second") == [401, 418, 401, 418]


def test_the_control_routes_ask_for_their_key(steps: Steps) -> None:
    assert value(steps, "without_key") == [403, 403]


def test_a_folder_is_committed_once_though_the_answer_is_lost(tmp_path: Path) -> None:
    with serve(tmp_path / "hub", xet=True) as hub:
        facts = {"control_key": hub.parts.options.control_key}
        found = drive(hub.env(tmp_path / "home"), "scenario_pipeline", facts)
        posts = [one.status for one in hub.log.requests("POST", "/commit/main")]
    assert value(found, "upload") == ["A folder", "initial commit"]
    assert posts == [0, 200]
    assert found["without_namespace"]["error"][0] == "RepositoryNotFoundError"


def test_a_plan_counts_matches_and_strikes() -> None:
    plan = FaultPlan()
    plan.add(Fault("status", path="/a$", method="GET", times=2, every=2), Fault("delay", path="/b"))
    struck = [[fault.kind for fault in plan.take("GET", "/x/a")] for _ in range(6)]
    assert struck == [[], ["status"], [], ["status"], [], []]
    assert plan.take("POST", "/x/a") == []
    assert [fault.kind for fault in plan.pending()] == ["delay"]
    plan.clear()
    assert plan.pending() == []


def test_the_rate_limit(tmp_path: Path) -> None:
    import httpx2

    with serve(tmp_path / "hub", options=Options(rate_limit=RateLimit(3, 60.0))) as hub:
        with httpx2.Client(base_url=hub.url, headers={"Authorization": f"Bearer {hub.token}"}) as client:
            answers = [client.get("/api/whoami-v2") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        last = answers[-1].headers
        assert last["RateLimit"].startswith('"api";r=0;t=')
        assert last["RateLimit-Policy"] == '"fixed window";"api";q=3;w=60'
        with httpx2.Client(base_url=hub.url) as anonymous:
            assert anonymous.get("/api/whoami-v2").status_code == 401


def test_a_request_that_began_before_the_log_was_cleared_is_forgotten_as_well(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    import httpx2

    hub.faults.add(Fault("delay", path="/api/models/org/late", seconds=0.5))
    with httpx2.Client(base_url=hub.url, timeout=0.1) as client, pytest.raises(httpx2.ReadTimeout):
        client.get("/api/models/org/late")
    hub.log.clear()
    time.sleep(1.0)
    assert hub.log.requests() == []
    assert caplog.records == []  # that the client has hung up is no defect
    with httpx2.Client(base_url=hub.url) as client:
        client.get("/api/models/org/late")
    end = time.monotonic() + 10
    while not hub.log.requests() and time.monotonic() < end:  # it is noted after the answer
        time.sleep(0.01)
    assert [one.status for one in hub.log.requests()] == [401]


def test_a_defect_is_answered_at_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import httpx2

    def broken(*_: object) -> None:
        raise ValueError("no such luck")

    hub.store.create_repo("org/model")
    monkeypatch.setattr(hub.store, "find", broken)
    with httpx2.Client(base_url=hub.url) as client:
        first, second = (client.get("/api/models/org/model") for _ in range(2))
    assert (first.status_code, second.status_code) == (501, 501)
    assert first.headers["X-Error-Message"].endswith("ValueError: no such luck")
    assert "no such luck" in caplog.text

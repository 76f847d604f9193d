"""Jobs of the embedded Hub, as the unmodified client sees them."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, JobInfo
from huggingface_hub.errors import HfHubHTTPError

from ramekin.hub import DEMO, Hub, Options, User, serve

READER = User("reader", "hf_reader_of_jobs", role="read", organizations=("demo",))
STRANGER = User("stranger", "hf_stranger_of_jobs")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    with serve(root, users=(DEMO, READER, STRANGER), options=Options(jobs=True, page_size=2)) as one:
        yield one


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token=DEMO.token)


def started(api: HfApi, script: str, **options: object) -> JobInfo:
    asked = {"image": "python:3.12", "command": ["python3", "-c", script], "flavor": "cpu-basic"} | options
    return api.run_job(**asked)  # type: ignore[arg-type]


def test_a_job_runs_with_what_it_was_given_and_nothing_else(api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_HUB", "not for jobs")
    script = "import os, sys; print(sorted(os.environ)); print('err', file=sys.stderr); print(os.listdir('.'))"
    job = started(api, script, env={"GIVEN": "1"}, secrets={"HIDDEN": "x"}, labels={"a": "b"})
    names, *more = sorted(api.fetch_job_logs(job_id=job.id, namespace="demo", follow=True))
    assert {"GIVEN", "HIDDEN", "HF_ENDPOINT", "PATH", "HOME"} <= set(ast.literal_eval(names))
    assert "OF_THE_HUB" not in names
    assert more == ["[]", "err"]
    done = api.wait_for_job(job.id, namespace="demo", poll_interval=0.01)
    assert (done.status.stage, done.environment, done.labels["a"]) == ("COMPLETED", {"GIVEN": "1"}, "b")
    assert done.secrets == {"HIDDEN": ""}
    assert done.docker_image == "python:3.12"
    assert done.initiator is not None
    assert (done.owner.name, done.initiator.name) == ("demo", "demo")


def test_a_job_that_fails_says_how(api: HfApi) -> None:
    job = started(api, "import os; os._exit(3)")
    done = api.wait_for_job(job.id, namespace="demo", poll_interval=0.01)
    assert done.status.stage == "ERROR"
    assert "exit code: 3" in str(done.status.message)
    gone = api.wait_for_job(started(api, "", command=["no-such-program"]).id, namespace="demo", poll_interval=0.01)
    assert "No such file" in str(gone.status.message)


def test_a_job_ends_when_it_is_cancelled_or_has_had_its_time(api: HfApi, hub: Hub, tmp_path: Path) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    job = started(api, script)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    api.cancel_job(job_id=job.id, namespace="demo")
    assert api.inspect_job(job_id=job.id, namespace="demo").status.stage == "CANCELED"
    task = hub.machines.find("demo", job.id)
    assert task
    assert task.running
    assert task.running.wait() != 0
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    late = started(api, "import time; time.sleep(60)", timeout=1)
    done = api.wait_for_job(late.id, namespace="demo", poll_interval=0.05)
    assert (done.status.stage, done.status.message) == ("ERROR", "Job timeout")


def test_jobs_are_listed_by_stage_and_label_page_by_page(api: HfApi, hub: Hub) -> None:
    hub.machines.launch, before = (lambda *_: (_ for _ in ()).throw(OSError(2, "none"))), hub.machines.launch
    try:
        jobs = [started(api, "", labels={"n": str(number % 2), "list": "1"}) for number in range(5)]
    finally:
        hub.machines.launch = before
    for job in jobs:
        api.wait_for_job(job.id, namespace="demo", poll_interval=0.01)
    found = [job.id for job in api.list_jobs(namespace="demo", labels={"list": "1"})]
    assert found == [job.id for job in reversed(jobs)]
    assert len([*api.list_jobs(namespace="demo", labels={"n": "1", "list": "1"})]) == 2
    assert not [*api.list_jobs(namespace="demo", labels={"list": "1"}, status=["RUNNING", "SCHEDULING"])]
    assert len([*api.list_jobs(namespace="demo", labels={"list": "1"}, status="ERROR")]) == 5


def test_machines_are_listed_and_others_refused(api: HfApi) -> None:
    assert "cpu-basic" in {machine.name for machine in api.list_jobs_hardware()}
    for wrong in ({"flavor": "cray-1"}, {"command": []}):
        with pytest.raises(HfHubHTTPError) as caught:
            started(api, "", **wrong)
        assert caught.value.response.status_code == 400


@pytest.mark.parametrize(("token", "code"), [(READER.token, 403), (STRANGER.token, 403), (False, 401)])
def test_who_may_not_start_jobs(hub: Hub, token: str | bool, code: int) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        started(HfApi(endpoint=hub.url, token=token), "", namespace="demo")
    assert caught.value.response.status_code == code


def test_a_hub_that_was_not_told_to_runs_no_jobs(tmp_path: Path) -> None:
    with serve(tmp_path) as hub, pytest.raises(HfHubHTTPError) as caught:
        started(HfApi(endpoint=hub.url, token=hub.token), "")
    assert caught.value.response.status_code == 403

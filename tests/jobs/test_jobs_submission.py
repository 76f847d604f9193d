"""Starting a job: the token goes where it belongs, and nowhere else."""

import contextlib
import logging
from types import SimpleNamespace
from typing import Any

from ramekin.jobs.message import new_mark
from ramekin.jobs.parcel import Parcel
from ramekin.jobs.place import Place
from ramekin.jobs.submission import Jobs
from ramekin.secret import Secret

TOKEN = "hf_token_of_the_submission_test"


def test_the_token_is_a_secret_and_is_not_logged() -> None:
    logged: list[str] = []
    sent: dict[str, Any] = {}
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("tests.submission")
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)

    def run_job(**options: Any) -> Any:
        sent.update(options)
        log.debug("as the client does: %s", options)  # with HF_DEBUG it logs what it sends
        return SimpleNamespace(id="1", url="https://hub/jobs/me/1", flavor="cpu-basic", environment=options["env"])

    client: Any = SimpleNamespace(
        name=lambda _: "me", once=lambda *_: contextlib.nullcontext(), api=SimpleNamespace(run_job=run_job)
    )
    parcel = Parcel(new_mark(), "0" * 40, {"RAMEKIN_JOB_MARK": "x"})
    started = Jobs(client, Place("cpu-basic"), "org/Some.model").start(parcel, Secret(TOKEN))
    log.removeHandler(handler)
    assert (started.number, started.mark) == ("1", parcel.mark)
    assert sent.pop("secrets") == {"HF_TOKEN": TOKEN}
    assert TOKEN not in str(sent)
    assert sent["labels"]["name"] == "ramekin-org-Some-model"
    assert sent["namespace"] == "me"
    assert logged == []

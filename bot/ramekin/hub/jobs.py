"""Routes of jobs: which machines there are, starting, listing, looking, following the log, cancelling."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from ramekin.hub.access import User
from ramekin.hub.calls import Call, answer, paged
from ramekin.hub.machines import Stage, Task, flavors
from ramekin.hub.refusal import Refusal

_POLL: Final = 0.02
_KEEP_ALIVE: Final = 30.0
_LARGEST: Final = 1 << 20


def hardware(_: Call) -> Response:
    """`GET /api/jobs/hardware`."""
    return answer(flavors())


def list_all(call: Call) -> Response:
    """`GET /api/jobs/{ns}`: those of the stages and with the labels that are asked for, the newest first."""
    _check_member(call)
    stages = call.query.getlist("stage")
    wanted = [label.partition("=")[::2] for label in call.query.getlist("label")]
    found = [
        _shown(task)
        for task in call.hub.machines.all()
        if task.namespace == call.params["ns"]
        and task.stage != "DELETED"
        and (not stages or task.stage in stages)
        and all((task.asked.get("labels") or {}).get(key) == value for key, value in wanted)
    ]
    rows, headers = paged(call, found, call.hub.options.page_size)
    return answer(rows, headers=headers)


def start(call: Call) -> Response:
    """`POST /api/jobs/{ns}`."""
    user = _check_member(call, writing=True)
    if call.hub.machines.launch is None:
        raise Refusal(403, "This Hub runs no jobs")
    if len(call.body) > _LARGEST:
        raise Refusal(413, "The job is too large")
    asked = call.json()
    command, flavor = asked.get("command"), asked.get("flavor")
    if not (isinstance(command, list) and command and all(isinstance(word, str) for word in command)):
        raise Refusal(400, '"command" must be a list of strings')
    if flavor not in {each["name"] for each in flavors()}:
        raise Refusal(400, f"Unknown flavor {flavor}")
    if not (asked.get("dockerImage") or asked.get("spaceId")):
        raise Refusal(400, "There is no image")
    return answer(_shown(call.hub.machines.start(call.params["ns"], user.name, asked)))


def read(call: Call) -> Response:
    """`GET /api/jobs/{ns}/{job}`."""
    _check_member(call)
    return answer(_shown(_task(call)))


def cancel(call: Call) -> Response:
    """`POST /api/jobs/{ns}/{job}/cancel`."""
    _check_member(call, writing=True)
    task = _task(call)
    call.hub.machines.stop(task)
    return answer(_shown(task))


def logs(call: Call) -> Response:
    """`GET /api/jobs/{ns}/{job}/logs`: events from the first line on, until the job has ended."""
    _check_member(call)
    task = _task(call)
    tail = call.query.get("tail", "")
    return StreamingResponse(
        _events(task, int(tail) if tail.isdecimal() else None),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


async def _events(task: Task, tail: int | None) -> AsyncIterator[bytes]:
    yield _event(_time(task.created), "===== Job started =====")
    at = max(len(task.log) - tail, 0) if tail is not None else 0
    quiet = 0.0
    while True:
        over = task.over
        for when, line in task.log[at:]:
            yield _event(_time(when), line)
            at += 1
            quiet = 0.0
        if over and at == len(task.log):
            return
        await asyncio.sleep(_POLL)
        quiet += _POLL
        if quiet >= _KEEP_ALIVE:
            yield b": keep-alive\n\n"
            quiet = 0.0


def _event(time: str, line: str) -> bytes:
    return b"data: " + json.dumps({"data": line, "timestamp": time}).encode() + b"\n\n"


def _check_member(call: Call, *, writing: bool = False) -> User:
    """Refuse who has nothing to do with the namespace."""
    viewer = call.viewer
    if viewer is None:
        raise Refusal(401, "Invalid username or password.")
    if viewer.resource is not None or not viewer.belongs_to(call.params["ns"]):
        raise Refusal(403, f"You have no access to the jobs of {call.params['ns']}")
    if writing and viewer.role == "read":
        raise Refusal(403, "The token may not start or cancel jobs")
    return viewer


def _task(call: Call) -> Task:
    task = call.hub.machines.find(call.params["ns"], call.params["job"])
    if task is None:
        raise Refusal(404, "Job not found")
    return task


def _shown(task: Task) -> dict[str, Any]:
    """A job as the Hub shows it; of secrets only which there are."""
    asked, stage = task.asked, task.stage
    now = datetime.now(UTC)
    begun, end = task.started, task.finished or now
    durations = {
        "schedulingSecs": int(((begun or end) - task.created).total_seconds()),
        "runningSecs": int((end - begun).total_seconds()) if begun else None,
        "totalSecs": int((end - task.created).total_seconds()),
    }
    image = {name: asked[name] for name in ("dockerImage", "spaceId") if name in asked}
    return {
        "id": task.number,
        "createdAt": _time(task.created),
        "startedAt": _time(begun) if begun else None,
        "finishedAt": _time(task.finished) if task.finished else None,
        **image,
        "command": asked["command"],
        "arguments": asked.get("arguments", []),
        "environment": asked.get("environment", {}),
        "secrets": dict.fromkeys(asked.get("secrets", {}), ""),
        "flavor": asked["flavor"],
        "labels": asked.get("labels", {}),
        "status": _status(stage, task.message),
        "durations": durations,
        "owner": {"id": f"id-of-{task.namespace}", "name": task.namespace, "type": "user"},
        "initiator": {"type": "user", "id": f"id-of-{task.starter}", "name": task.starter},
    }


def _status(stage: Stage, message: str | None) -> dict[str, str | None]:
    return {"stage": stage, "message": message}


def _time(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")

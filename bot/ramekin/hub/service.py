"""Routes beside the repositories: what the client asks in passing, the check of cards, control of the Hub itself."""

import hmac
from dataclasses import asdict

from starlette.responses import Response

from ramekin.hub import cards
from ramekin.hub.calls import Call, answer
from ramekin.hub.faults import Fault
from ramekin.hub.refusal import Refusal


def agent_harnesses(_: Call) -> Response:
    """`GET /api/agent-harnesses`, asked by every client at its first request."""
    return answer({"standardEnvVars": [], "harnesses": {}})


def telemetry(_: Call) -> Response:
    """`HEAD /api/telemetry/…`: heard, not kept."""
    return answer({})


def validate_yaml(call: Call) -> Response:
    """`POST /api/validate-yaml`: would the Hub take this card."""
    fields = call.json()
    verdict = cards.judge(call.text(fields, "content"))
    said = {
        "errors": [{"message": message} for message in verdict.errors],
        "warnings": [{"message": message} for message in verdict.warnings],
    }
    return answer(said, 400 if verdict.errors else 200)


def faults(call: Call) -> Response:
    """`/_faults`: see, plan (a JSON object with a list `faults`) or forget faults."""
    _check_control(call)
    if call.method == "POST":
        try:
            planned = [Fault.from_json(one) for one in call.json().get("faults", ())]
        except TypeError as error:
            raise Refusal(400, f"Not a fault: {error}") from error
        call.hub.faults.add(*planned)
    elif call.method == "DELETE":
        call.hub.faults.clear()
    return answer({"pending": [asdict(one) for one in call.hub.faults.pending()]})


def log(call: Call) -> Response:
    """`/_log`: see or forget the requests so far."""
    _check_control(call)
    if call.method == "DELETE":
        call.hub.log.clear()
    return answer({"requests": [asdict(one) for one in call.hub.log.requests()]})


def _check_control(call: Call) -> None:
    if not hmac.compare_digest(call.headers.get("x-control-key", ""), call.hub.options.control_key):
        raise Refusal(403, "The control key is missing or wrong")

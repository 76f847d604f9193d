"""A run as a job, top to bottom: refusals before anything is submitted, then the job, then what became of it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from huggingface_hub import get_token

from ramekin.errors import PublishError, RamekinError, ResourceError, UsageError
from ramekin.jobs.ending import Ending, settle
from ramekin.jobs.following import Following
from ramekin.jobs.parcel import check_can_travel, pack
from ramekin.jobs.place import Place
from ramekin.jobs.submission import Jobs, Started
from ramekin.manifest.reading import read_manifest
from ramekin.pipeline import Outcome, run
from ramekin.plan.model import Plan
from ramekin.plan.quantities import duration, size
from ramekin.preparing import Prepared, Request
from ramekin.publish.committing import Published
from ramekin.publish.release import Release
from ramekin.secret import Secret
from ramekin.threads import at_once
from ramekin.trust.bearers import for_writing
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from huggingface_hub import JobHardwareInfo

_UNITS: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def run_as_job(bench: Workbench, request: Request, place: Place) -> Outcome:
    """See `ramekin.jobs.run_on`."""
    token = _token(bench, place)
    if bench.team or bench.environment.processes.count > 1:
        what = f"--on {place} starts one job, and this is one of several processes"
        raise UsageError(what, "start it without a launcher")
    check_can_travel(read_manifest(request.manifest), request)

    def approve(plan: Plan) -> None:
        request.approve(plan)
        if plan.action == "publish" or (request.force and plan.action != "refuse"):
            _check_machine(bench, place, plan)

    def submit(_: Workbench, request: Request, prepared: Prepared, __: Release) -> Outcome:
        return _in_a_job(bench, request, prepared, place, token)

    return run(bench, replace(request, approve=approve), submit)


def _in_a_job(bench: Workbench, request: Request, prepared: Prepared, place: Place, token: Secret) -> Outcome:
    """Merge and publish in a job; it is cancelled if this is interrupted."""
    parcel = pack(bench, prepared, request)
    jobs = Jobs(bench.writer, place, prepared.plan.target.repo)
    found = jobs.find(parcel.digest)
    started = found or jobs.start(parcel, token)
    try:
        if found:
            told = f"a job for this runs already on {found.flavor}, and is followed"
        else:
            told = f"started a job of {jobs.namespace} on {place.flavor}, for {duration(place.timeout)} at most"
        bench.terminal.note(f"{told}: {started.url}")
        ended = Following(jobs, started, bench.terminal, bench.environment.retry_wait).to_its_end()
    except KeyboardInterrupt:
        _cancel(bench, jobs, started)
        raise
    ending = Ending(place, started, prepared, bench.environment.endpoint)
    if ended.message is not None:
        return ending.told(ended.message)
    return Outcome(prepared.plan, published=_settled(bench, request, prepared, ending.untold(ended)))


def _settled(bench: Workbench, request: Request, prepared: Prepared, error: RamekinError) -> Published:
    """What the Hub holds of a job that has ended without a word; if it holds nothing, that is the error."""
    try:
        found = settle(bench, request, prepared)
    except RamekinError as other:
        raise type(error)(problems=[*error.problems, *other.problems]) from other
    if found is None:
        raise error
    note = "the job's own word was lost; the Hub holds what it was to publish"
    return replace(found, notes=(*found.notes, note))


def _cancel(bench: Workbench, jobs: Jobs, started: Started) -> None:
    """Cancel a job that nobody waits for any more: it costs."""
    try:
        # In a thread, so that a second interruption ends this too.
        at_once(jobs.cancel, [started.number], 1)
        bench.terminal.note(f"the job was cancelled: {started.url}")
    except RamekinError as error:
        bench.terminal.note(f"the job may go on, and cost: {error}; `hf jobs cancel {started.number}` cancels it")


def _token(bench: Workbench, place: Place) -> Secret:
    """The token that a job is given.

    Raises:
        PublishError: There is none that a job could use.
    """
    if for_writing(bench.environment, bench.terminal.hide).exchanges:
        what = f"{place}: a job on the Hub has no identity of this job's, and so no trusted publishing"
        hint = "set HF_TOKEN to a token that may start jobs and write to the target, and unset HF_OIDC_RESOURCE"
        raise PublishError(what, hint)
    if bench.environment.identity.reader:
        bench.terminal.note("the job reads its sources with HF_TOKEN, and not by trusted publishing")
    if bench.environment.token:
        return bench.environment.token
    value = get_token()
    if not value:
        hint = "set HF_TOKEN to a token that may start jobs and write to the target"
        raise PublishError(f"{place}: a job needs a token, and there is none", hint)
    bench.terminal.hide([value])
    return Secret(value)


def _check_machine(bench: Workbench, place: Place, plan: Plan) -> None:
    """Tell what the merge takes and what the machine has.

    Raises:
        UsageError: There is no such machine.
        ResourceError: It has too little memory.
    """
    machine = Jobs(bench.writer, place, plan.target.repo).machine()
    cost = plan.cost
    if cost is None:
        return
    disk = cost.disk.normal.disk_bytes if cost.disk else cost.disk_bytes
    bench.terminal.note(f"takes {size(cost.memory_bytes)} of memory and {size(disk)} of disk{_offered(machine)}")
    memory = _bytes(machine.ram) if machine else None
    if memory is not None and memory < cost.memory_bytes:
        what = f"{place}: the merge needs {size(cost.memory_bytes)} of memory, and the machine has {size(memory)}"
        raise ResourceError(what, "name a machine with more of it; `hf jobs hardware` lists all")


def _offered(machine: "JobHardwareInfo | None") -> str:
    """What a machine has and costs, for a message."""
    if machine is None:
        return ""
    price = f"${machine.unit_cost_usd:g} a {machine.unit_label}"
    return f"; {machine.name} has {machine.ram} and {machine.ephemeral_storage} for {price}"


def _bytes(text: str) -> int | None:
    """What a text such as `16 GB` says."""
    number, _, unit = text.strip().partition(" ")
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError):
        return None

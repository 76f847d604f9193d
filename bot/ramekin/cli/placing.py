"""Options of `ramekin run` that say where it runs, and what follows from them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ramekin.errors import UsageError
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.jobs.place import Place
    from ramekin.pipeline import Outcome
    from ramekin.preparing import Request

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = {
    "job_image": "Image that the job runs in; RAMEKIN_JOB_IMAGE if left out, else python:3.12.",
    "job_timeout": "Time after which the Hub ends the job; RAMEKIN_JOB_TIMEOUT if left out, else 6h.",
    "job_namespace": "Whose job it is, and who pays; RAMEKIN_JOB_NAMESPACE if left out, else the token's user.",
}


def placing_options(command: F) -> F:
    """Give a command `--on`, and what can be said about a job."""
    for name, text in reversed(_OPTIONS.items()):
        metavar = name.removeprefix("job_").upper()
        command = click.option(f"--{name.replace('_', '-')}", metavar=metavar, help=text)(command)
    where = "Merge as a job on the Hub: hf-jobs:FLAVOR, such as hf-jobs:cpu-upgrade. Here if left out."
    return click.option("--on", metavar="PLACE", help=where)(command)


def place_of(bench: Workbench, options: Mapping[str, object]) -> "Place | None":
    """Where to run; None for here.

    Raises:
        UsageError: What is said of it means nothing.
    """
    from ramekin.jobs.asked import Asked
    from ramekin.jobs.place import Place

    on = options["on"]
    given = {name: str(options[name]) for name in _OPTIONS if options[name] is not None}
    if on is None:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise UsageError(f"--{option} is about a job, and none is asked for", "add --on hf-jobs:FLAVOR")
        return None
    asked = Asked(**{name.removeprefix("job_"): value for name, value in given.items()})
    return Place.read(str(on), asked.over(bench.environment.jobs))


def run_there(bench: Workbench, request: "Request", place: "Place | None") -> "Outcome":
    """Run here, or where it is asked for."""
    if place is None:
        from ramekin.pipeline import run

        return run(bench, request)
    from ramekin.jobs import run_on

    return run_on(bench, request, place)

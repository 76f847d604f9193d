"""Runs that outgrow the machine: the same command as a job on the Hugging Face Hub, followed from here.

place (what `--on` says) -> parcel (what travels) -> submission -> following (its log) -> ending (what became of it)

`boot` and `inside` are what happens there; `message` is how its outcome comes back, through the log.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ramekin.jobs.place import Place
    from ramekin.pipeline import Outcome
    from ramekin.preparing import Request
    from ramekin.workbench import Workbench

__all__ = ["run_on"]


def run_on(bench: "Workbench", request: "Request", place: "Place | str") -> "Outcome":
    """Run a manifest as a job on the Hub: planned and approved here, merged and published there.

    Where there is nothing to merge, no job is started, and what is left to do is done here. A job that runs already for
    the same is followed instead of starting another. An interruption cancels the job.

    Args:
        bench: The tools.
        request: What was asked for; `request.approve` is shown the plan before anything is submitted.
        place: Where to run, as `--on` has it (`hf-jobs:FLAVOR`); with image, timeout and namespace if it is a `Place`.

    Returns:
        What `ramekin.pipeline.run` returns, without a directory.

    Raises:
        RamekinError: What keeps it from being run there, and whatever has failed there, as if it had failed here.
    """
    from ramekin.jobs.place import Place
    from ramekin.jobs.running import run_as_job

    return run_as_job(bench, request, place if isinstance(place, Place) else Place.read(place, bench.environment.jobs))

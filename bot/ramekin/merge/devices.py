"""Which device a merge runs on."""

from ramekin.merge.loops.choosing import cuda_device
from ramekin.merge.resources import GPU_CHUNK, GPU_THREADS, Resources, usable_threads
from ramekin.merge.team import Alone, Team


def resources_for(device: str, team: Team | None = None) -> Resources:
    """What a merge may use on a device.

    `auto` is the processor: a merge waits for its bytes to be read and for the digest of its output, and a GPU makes
    neither faster. Besides, what nobody has measured on a GPU yet should be nobody's default.

    Args:
        device: `auto`, `cpu` or `cuda`.
        team: The processes, which share the cores of their machine, and have a GPU each; one alone if left out.

    Raises:
        UsageError: `cuda` was asked for, and this process has no GPU.
    """
    team = team or Alone()
    threads = usable_threads(team.neighbours)
    if device == "cuda":
        cuda_device(team.place)
        return Resources(GPU_CHUNK, min(threads, GPU_THREADS), "cuda", local_rank=team.place)
    return Resources(threads=threads, local_rank=team.place)

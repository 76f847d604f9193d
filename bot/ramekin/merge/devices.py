"""Which device a merge runs on."""

from pathlib import Path
from typing import Final

from ramekin.merge.loops.choosing import cuda_device
from ramekin.merge.resources import GPU_CHUNK, GPU_THREADS, Resources, usable_threads
from ramekin.merge.team import Alone, Team

_FEW_THREADS: Final = 4  # so many compute about as fast as the digest of the output is taken
_DEVICES: Final = Path("/dev")


def resources_for(device: str, team: Team | None = None) -> Resources:
    """What a merge may use on a device.

    `auto` is a GPU only where it pays: where one is there, and the processor has few cores. With more of them a merge
    waits for its bytes to be read and for the digest of its output, and a GPU makes neither faster.

    Args:
        device: `auto`, `cpu` or `cuda`.
        team: The processes, which share the cores of their machine, and have a GPU each; one alone if left out.

    Raises:
        UsageError: `cuda` was asked for, and this process has no GPU.
    """
    team = team or Alone()
    usual = Resources(threads=usable_threads(team.neighbours), local_rank=team.place)
    if device == "cuda":
        cuda_device(team.place)
    if device == "cuda" or (device == "auto" and usual.threads < _FEW_THREADS and _gpu_at_hand()):
        threads = min(usual.threads, GPU_THREADS)
        return Resources(GPU_CHUNK, threads, "cuda", local_rank=team.place)
    return usual


def _gpu_at_hand() -> bool:
    """Whether torch finds a GPU; it is imported, which takes seconds, only where the system shows one."""
    if not any(_DEVICES.glob("nvidia[0-9]*")) and not (_DEVICES / "dxg").exists():
        return False
    import torch

    return torch.cuda.is_available()

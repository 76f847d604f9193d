"""What counting and merging compute with, loaded only once it is known that there is memory for it."""

from typing import TYPE_CHECKING

from ramekin.merge.resources import Resources, memory_needed, memory_of_all
from ramekin.methods import Method
from ramekin.plan.layout import Layout
from ramekin.plan.resident import running, watched_bytes
from ramekin.room import check_room, enough_to_load
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.merge.team import Team


def equip(bench: Workbench, layout: Layout, device: str, method: Method | None = None) -> "tuple[Resources, Team]":
    """Load what merges, once it is known that there is memory for it in every process of this machine.

    Args:
        bench: What to work with.
        layout: What is read.
        device: Where to compute: `auto`, `cpu` or `cuda`.
        method: What watches models, if it does: each process has one of its own.

    Raises:
        ResourceError: There is not enough memory.
        UsageError: There is no such device.
    """
    watching = running(watched_bytes(method, layout)) if method else 0
    experts, factors, thresholds = len(layout.experts), layout.factor_bytes, method.thresholds if method else 1
    check_room((), memory_needed(experts, Resources(), factors, thresholds) + watching)
    with enough_to_load():
        from ramekin.merge.devices import resources_for
        from ramekin.merge.team import Alone

        team = bench.team or Alone()
        resources = resources_for(device, team)
    if resources.device == "cuda" or team.neighbours > 1:
        needed = memory_needed(experts, resources, factors, thresholds) + (0 if _on_gpus(device, team) else watching)
        check_room((), memory_of_all(team.neighbours, needed))
    return resources, team


def _on_gpus(device: str, team: "Team") -> bool:
    """Whether models run on GPUs; for one process alone what merging there takes has room for them."""
    if device == "cuda" or team.size == 1:
        return device == "cuda"
    import torch  # as every process of a team has done

    return device == "auto" and torch.cuda.is_available()

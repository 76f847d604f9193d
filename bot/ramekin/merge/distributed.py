"""A team of the processes that `accelerate launch`, `torchrun` or `mpirun` has started, by way of torch.distributed."""

import pickle
import threading
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from ramekin.environment import Processes
from ramekin.errors import LostError, UsageError
from ramekin.merge.team import Crew
from ramekin.room import enough_to_load

_ARRIVAL: Final = timedelta(minutes=5)
"""How long the first process waits for the last to come."""
_WORK: Final = timedelta(days=30)
"""How long one may wait for another's work: the first may have terabytes to fetch. Who has ended is noticed at once."""


def join(processes: Processes) -> Crew:
    """Come together with the other processes.

    What they exchange is small, and goes over the processors (gloo) also where each has a GPU of its own.

    Raises:
        UsageError: torch or accelerate is not installed, or the others do not come.
        ResourceError: There is not enough memory to load them.
    """
    with enough_to_load():
        try:
            import torch
            from accelerate import PartialState
        except ModuleNotFoundError as error:
            raise UsageError(f"several processes need {error.name}", "install `ramekin[merge]`") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as that OMP_NUM_THREADS is not set, which plays no part
            PartialState(cpu=True, backend="gloo", timeout=_ARRIVAL)
            group = torch.distributed.new_group(backend="gloo", timeout=_WORK)
    except (RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"the {processes.count} processes do not find each other: {str(error).splitlines()[0][:200]}",
            "start them with `accelerate launch` or `torchrun`, or unset WORLD_SIZE to use one",
        ) from error

    def exchange(mine: object) -> list[object]:
        content = pickle.dumps(mine)
        found: list[Any] = [None] * processes.count
        error = _apart(lambda: torch.distributed.all_gather_object(found, content, group=group))
        if error is not None:
            raise LostError(
                f"one of the {processes.count} processes has ended before the work was done",
                "see whether it was stopped, or ran out of memory; the same command goes on from here",
            ) from error
        return [pickle.loads(each) for each in found]  # noqa: S301 - from processes that are ours

    return Crew(processes, exchange)


def leave() -> None:
    """Close the connections, once everything is said."""
    from accelerate import PartialState

    PartialState().destroy_process_group()


def _apart(call: Callable[[], object]) -> RuntimeError | None:
    """Make a call that may wait long, in a thread, so that this one can be interrupted; returns what it met."""
    met: list[RuntimeError] = []
    done = threading.Event()

    def work() -> None:
        try:
            call()
        except RuntimeError as error:
            met.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="exchange", daemon=True).start()
    done.wait()
    return met[0] if met else None

"""A command in several processes: the first runs it, the others do what it asks of them, and all end alike."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ramekin.cli.guarding import INTERRUPTED, guarded
from ramekin.environment import Processes
from ramekin.errors import LostError, RamekinError
from ramekin.terminal import Terminal

if TYPE_CHECKING:
    from ramekin.merge.team import Crew

_SHARED: Final = ("stats", "compare", "sweep-k", "merge", "run")
"""Commands that share their work; of any other the first process does all."""


def in_several(
    arguments: Sequence[str],
    processes: Processes,
    terminal: Terminal,
    command: Callable[["Crew | None"], Any],
) -> int:
    """Take part in a command; returns the exit code.

    Args:
        arguments: The command line.
        processes: How many there are, and which this is.
        terminal: Where the first process shows everything. The others show nothing but defects of their own.
        command: Runs the command in the first process, with the team or alone.
    """
    if not set(arguments[:1]) & set(_SHARED):
        return 0 if processes.rank else guarded(terminal, lambda: command(None))
    if processes.rank:
        terminal.verbosity = -1
        return guarded(terminal, lambda: _follow(processes), once=True)
    teams: list[Crew] = []

    def led() -> Any:
        from ramekin.merge.distributed import join

        teams.append(join(processes))
        return command(teams[0])

    code = guarded(terminal, led, once=True)
    for team in teams if code not in INTERRUPTED else ():
        _dismiss(team, code)
    return code


def _dismiss(team: "Crew", code: int) -> None:
    from ramekin.merge.distributed import leave

    try:
        team.dismiss(code)
        leave()
    except LostError:
        pass  # whoever is gone needs no telling


def _follow(processes: Processes) -> int:
    from ramekin.merge.distributed import join, leave
    from ramekin.merge.orders import follow

    try:
        code = follow(join(processes))
    except RamekinError as error:  # the first process meets it too, and tells; if it is gone, the launcher does
        return error.exit_code
    leave()
    return code

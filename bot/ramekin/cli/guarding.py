"""The one place where errors become exit codes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from ramekin.errors import UsageError
from ramekin.terminal import Terminal

INTERRUPTED: Final = (130, 143)
"""Exit codes after Ctrl-C and after SIGTERM."""


def guarded(terminal: Terminal, command: Callable[[], Any], *, once: bool = False) -> int:
    """Run a command; returns its exit code, and shows why if it is not 0.

    Args:
        terminal: Where that shows.
        command: The command; what it returns is the exit code, if it is a number.
        once: Whether the first signal to end is the last that is heeded: a launcher repeats what the terminal has sent
            to every process already. Then none is from the end on.
    """
    try:
        with _terminable(once=once):
            result = command()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        terminal.note("interrupted; the same command goes on from here")
        return INTERRUPTED[isinstance(error.__cause__ or error, _Terminated)]
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        return terminal.usage(error.format_message(), context.command_path if context else "ramekin")
    except BrokenPipeError:
        return 141
    except Exception as error:  # noqa: BLE001 - the one place where errors become exit codes
        return terminal.failure(error)
    return result if isinstance(result, int) else 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which a runner sends to a job that is cancelled: what is under way ends as after Ctrl-C."""


@contextmanager
def _terminable(*, once: bool) -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, unless somebody else has a use for it."""

    def ignore() -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)

    def end(number: int, _: object) -> None:
        if once:
            ignore()
        raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    if ours and once:
        signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        if ours and once:
            ignore()
        elif ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

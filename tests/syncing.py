"""No waiting for the disk: what tests kill is processes, and the system keeps what those have written.

Whether a file was flushed shows only where the power fails, which no test can arrange. Each flush takes milliseconds,
and every run of a command makes dozens. That they are made, and when, is seen by `tests.integration.traps`.
"""

import os


def no_waiting() -> None:
    """From now on this process, and those that are forked from it, only check what they would have flushed."""
    os.fsync = _checked


def _checked(descriptor: int) -> None:
    os.fstat(descriptor)

"""A program that ends when the process that started it does, however that ends.

    python tether.py PARENT PROGRAM [ARGUMENT]...

Whoever is interrupted ends its children itself. Whoever is killed cannot, and a model that nobody waits for any more
would go on answering for hours. So the system is asked to end this process with its parent, and the program takes this
process's place, in which the request stays.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_NOT_FOUND: Final = 127


def tether(parent: int) -> bool:
    """End with the parent; returns whether it is still there. Where the system cannot do that, nothing is done."""
    try:
        call = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):  # not Linux
        return True
    call(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def main() -> int:
    """Become the program; returns only if that is not possible."""
    parent, *command = sys.argv[1:]
    if not tether(int(parent)):
        return -signal.SIGKILL
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
    return _NOT_FOUND


if __name__ == "__main__":
    sys.exit(main())

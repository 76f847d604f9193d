"""`ramekin` and `python -m ramekin`."""

import os
import sys

from ramekin.cli.guarding import INTERRUPTED
from ramekin.cli.main import main as run


def main() -> int:
    """Run one command as a process; returns its exit code."""
    code = run()
    if code in INTERRUPTED:
        # Threads that wait for an answer would be waited for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`ramekin` and `python -m ramekin`."""

import gc
import os
import sys

from ramekin.cli.guarding import INTERRUPTED
from ramekin.cli.main import main as run

# The libraries for merging make some hundred thousand objects that stay. Looking for garbage among them takes a tenth
# of a second while they are loaded, and two tenths at the end.
_SELDOM = 100_000


def main() -> int:
    """Run one command as a process; returns its exit code."""
    gc.set_threshold(_SELDOM)
    # No plugin of pydantic is of use here, and looking for one reads what every installed package says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code = run()
    gc.freeze()
    if code in INTERRUPTED:
        # Threads that wait for an answer would be waited for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`ramekin` and `python -m ramekin`."""

import sys

from ramekin.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

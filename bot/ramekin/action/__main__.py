"""`python -P -m ramekin.action`."""

import sys

from ramekin.action.entry import main

sys.exit(main())

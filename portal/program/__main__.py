"""`python -m portal.program`: `driftwatch-portal` in a checkout."""

import sys

from portal.program.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m sensor`: see docs/sensor.md."""

import sys

from sensor.operations.cli import main

sys.exit(main())

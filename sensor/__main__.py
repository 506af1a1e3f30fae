"""`python -m sensor`: see docs/sensor.md."""

import sys

from sensor.cli import main

sys.exit(main())

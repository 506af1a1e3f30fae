"""Entry point of `python -m sensor.policy`."""

import sys

from sensor.policy.cli import main

sys.exit(main())

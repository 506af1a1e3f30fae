"""`python -m sensor`: see docs/sensor.md."""

import sys

from sensor.commands.main import main

sys.exit(main())

"""`driftwatch-sensor health PORT`: the check that Kubernetes' probes run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sensor.commands.exit_status import ExitStatus
from sensor.operations.metrics import is_healthy

if TYPE_CHECKING:
    import argparse


def health(arguments: argparse.Namespace) -> int:
    """Print whether the sensor on 127.0.0.1:PORT is healthy; FAILED where it is not, or does not answer."""
    healthy = is_healthy(arguments.port)
    sys.stdout.write("healthy\n" if healthy else "not healthy\n")
    return ExitStatus.OK if healthy else ExitStatus.FAILED

"""Parse the command line and run one command; `driftwatch-sensor` and `python -m sensor` both start here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sensor.commands.exit_status import CommandError
from sensor.commands.options import parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; where that is not 0, one line on standard error says why."""
    arguments = parser().parse_args(argv)
    try:
        return _run(arguments)
    except CommandError as error:
        sys.stderr.write(f"driftwatch-sensor: {error}\n")
        return error.status


def _run(arguments: argparse.Namespace) -> int:
    # Each command imports only what it needs: a probe runs `health` every 30 s and must not load HTTP and cryptography.
    if arguments.command == "enrol":
        from sensor.commands.enrol import enrol

        return enrol(arguments)
    if arguments.command == "run":
        from sensor.commands.run import run

        return run(arguments)
    if arguments.command == "doctor":
        from sensor.commands.doctor import doctor

        return doctor(arguments)
    from sensor.commands.health import health

    return health(arguments)
